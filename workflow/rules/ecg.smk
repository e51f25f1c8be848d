# Read the raw files of a shard once, and write its store.
rule prepare_ecg:
    input:
        members=members,
    output:
        store=directory(f"{PRIVATE}/ecg/{{shard}}"),
        manifest=f"{PRIVATE}/ecg/{{shard}}.json",
        sheet=f"{PRIVATE}/ecg/{{shard}}.png",
    log:
        "results/logs/prepare_ecg/{shard}.log",
    benchmark:
        "results/benchmarks/prepare_ecg/{shard}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=240,
    params:
        settings=schema.dump(CONFIG.ecg),
        storage=storage_argument,
        code=code_version.digest("ptacl.ecg.prepare"),
    shell:
        "python -m ptacl.ecg.prepare --members {input.members} --settings {params.settings:q}"
        " --storage {params.storage}"
        " --store {output.store} --manifest {output.manifest} --sheet {output.sheet} > {log} 2>&1"
