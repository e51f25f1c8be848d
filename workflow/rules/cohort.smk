# List the visits in the folders of raw files and divide them into shards. After their preparation,
# list the remaining participants.
SIMULATED = CONFIG.cohort.source == "simulated"


if SIMULATED:

    rule simulate:
        output:
            folder=directory(f"{PRIVATE}/simulated"),
            summary=f"{PRIVATE}/simulated.json",
        log:
            "results/logs/simulate.log",
        benchmark:
            "results/benchmarks/simulate.tsv"
        conda:
            "../../envs/environment.yaml"
        threads: 8
        resources:
            mem_mb=4000,
            runtime=120,
        params:
            settings=schema.dump(CONFIG.simulation),
            seed=CONFIG.seed,
            code=code_version.digest("ptacl.cohort.simulate"),
        shell:
            "python -m ptacl.cohort.simulate --settings {params.settings:q} --seed {params.seed}"
            " --processes {threads} --code {params.code} --out {output.folder}"
            " --summary {output.summary} 2>&1 | tee {log}"


checkpoint manifest:
    input:
        bulk_sources,
    output:
        manifest=f"{PRIVATE}/cohort/manifest.csv",
        unpaired=f"{PRIVATE}/cohort/unpaired.csv",
        exclusions=f"{PRIVATE}/cohort/exclusions.csv",
        summary=f"{PRIVATE}/cohort/summary.json",
    log:
        "results/logs/manifest.log",
    benchmark:
        "results/benchmarks/manifest.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        settings=schema.dump(CONFIG.cohort),
        maps=maps_argument,
        storage=storage_argument,
        code=code_version.digest("ptacl.cohort.manifest"),
        simulated=(
            f"--simulated {PRIVATE}/simulated --simulated-summary {PRIVATE}/simulated.json"
            if SIMULATED
            else ""
        ),
    shell:
        "python -m ptacl.cohort.manifest --settings {params.settings:q}"
        " --out results/private/cohort --stores results/private/ecg results/private/cmr"
        " --embeddings results/private/embeddings --maps {params.maps}"
        " --storage {params.storage} {params.simulated} > {log} 2>&1"


# Diseases before and after each visit. Nothing is trained on them, so another disease only reruns
# this rule and what evaluates it.
if CONFIG.outcomes.listed:

    rule outcomes:
        input:
            ready=READY,
            visits=lambda w: current("visits.csv"),
            tables=(
                [f"{PRIVATE}/simulated.json"]
                if SIMULATED
                else (
                    [CONFIG.cohort.table]
                    if CONFIG.cohort.table
                    else CONFIG.cohort.phenotype_tables
                )
            ),
        output:
            table=f"{PRIVATE}/outcomes.csv",
            json="results/cohort/outcomes.json",
        log:
            "results/logs/outcomes.log",
        benchmark:
            "results/benchmarks/outcomes.tsv"
        conda:
            "../../envs/environment.yaml"
        threads: 1
        resources:
            mem_mb=4000,
            runtime=60,
        params:
            settings=schema.dump(CONFIG.outcomes),
            smallest=0 if SIMULATED else CONFIG.smallest_count,
            code=code_version.digest("ptacl.cohort.outcomes"),
            source=(
                f"--simulated {PRIVATE}/simulated --simulated-summary"
                if SIMULATED
                else "--table" if CONFIG.cohort.table else "--tables"
            ),
        shell:
            "python -m ptacl.cohort.outcomes --settings {params.settings:q}"
            " --participants {input.visits} {params.source} {input.tables:q}"
            " --smallest-count {params.smallest} --out {output.table} --json {output.json}"
            " > {log} 2>&1"


# In addition to its outputs, this rule keeps undeclared files in `current/`, which list the visits
# and the contents of the stores. They are only rewritten if their content changed, so rules that
# read them (`current` in common.smk) only rerun for new content, in the same command.
checkpoint flow:
    input:
        lists=expand(
            f"{PRIVATE}/cohort/{{name}}",
            name=["manifest.csv", "unpaired.csv", "exclusions.csv", "summary.json"],
        ),
        ecg=expand(f"{PRIVATE}/ecg/{{shard}}.json", shard=SHARDS),
        cmr=expand(f"{PRIVATE}/cmr/{{shard}}.json", shard=SHARDS),
    output:
        # This output comes first and never changes. While the flow is pending, it represents the
        # files that dependants read, and an unchanged output reruns nothing.
        ready=f"{PRIVATE}/cohort/flow.ready",
        participants=f"{PRIVATE}/participants.csv",
        exclusions=f"{PRIVATE}/exclusions.csv",
        json="results/cohort/flow.json",
    log:
        "results/logs/flow.log",
    benchmark:
        "results/benchmarks/flow.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_version.digest("ptacl.cohort.flow"),
        smallest=0 if SIMULATED else CONFIG.smallest_count,
        storage=storage_argument,
        current=CURRENT,
    shell:
        "python -m ptacl.cohort.flow --manifest results/private/cohort --ecg {input.ecg}"
        " --cmr {input.cmr} --participants {output.participants} --current {params.current}"
        " --storage {params.storage} --smallest-count {params.smallest}"
        " --exclusions {output.exclusions} --json {output.json} > {log} 2>&1 && echo ready > {output.ready}"
