# Read the raw files of a shard once, and write its store.
rule prepare_cmr:
    input:
        members=members,
    output:
        store=directory(f"{PRIVATE}/cmr/{{shard}}"),
        manifest=f"{PRIVATE}/cmr/{{shard}}.json",
        sheet=f"{PRIVATE}/cmr/{{shard}}.png",
    log:
        "results/logs/prepare_cmr/{shard}.log",
    benchmark:
        "results/benchmarks/prepare_cmr/{shard}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=240,
    params:
        settings=schema.dump(CONFIG.cmr),
        storage=storage_argument,
        code=code_version.digest("ptacl.cmr.prepare"),
    shell:
        "python -m ptacl.cmr.prepare --members {input.members} --settings {params.settings:q}"
        " --storage {params.storage}"
        " --store {output.store} --manifest {output.manifest} --sheet {output.sheet} > {log} 2>&1"
