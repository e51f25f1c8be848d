# Evaluate the trained encoders: one embedding per model, then tables and figures from only the
# embeddings.
EMBEDDINGS = f"{PRIVATE}/embeddings/{{model}}-{{seed}}.npz"


rule embed:
    input:
        ready=READY,
        participants=lambda w: current("visits.csv"),
        stores=lambda w: stores_of(w.model),
        model="results/models/{model}-{seed}/model.safetensors",
    output:
        EMBEDDINGS,
    log:
        "results/logs/embed/{model}-{seed}.log",
    benchmark:
        "results/benchmarks/embed/{model}-{seed}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=32000,
        runtime=240,
    params:
        settings=schema.dump(CONFIG.embedding),
        maps=maps_argument,
        gpus=gpus_argument,
        shards=lambda w: shards_of(w.model),
        code=lambda w: code_version.digest("ptacl.evaluation.embed", *encoders_of(w.model)),
    shell:
        "python -m ptacl.evaluation.embed --settings {params.settings:q} --maps {params.maps}"
        " --gpus {params.gpus}"
        " --participants {input.participants} {params.shards} --model $(dirname {input.model})"
        " --out {output} > {log} 2>&1"


# The probe of each model, in its folder. Together with the weights, it is all that the model's use
# needs.
PROBE = "results/models/{model}-{seed}/probe.json"
PROBED = list(dict.fromkeys(models_of(CONFIG.regression) + models_of(CONFIG.retrieval)))


# Only the embeddings, without tables: for people who analyse them with their own tools.
rule embeddings:
    input:
        listed(EMBEDDINGS, PROBED + models_of(CONFIG.alignment)),


rule probe:
    input:
        ready=READY,
        participants=lambda w: current("participants.csv"),
        embeddings=listed(EMBEDDINGS, PROBED),
    output:
        listed(PROBE, PROBED),
    log:
        "results/logs/probe.log",
    benchmark:
        "results/benchmarks/probe.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=schema.dump(
            bootstrap=CONFIG.regression.bootstrap, confidence=CONFIG.regression.confidence
        ),
        phenotypes=schema.dump(
            names=PHENOTYPES,
            units=[p.unit for p in CONFIG.cohort.phenotypes],
            ranges=[[p.low, p.high] for p in CONFIG.cohort.phenotypes],
        ),
        seed=CONFIG.seed,
        code=code_version.digest("ptacl.evaluation.saved_probe"),
        embeddings=files(EMBEDDINGS, PROBED),
        models=files(PROBE, PROBED),
    shell:
        "python -m ptacl.evaluation.saved_probe --settings {params.settings:q}"
        " --phenotypes {params.phenotypes:q} --seed {params.seed}"
        " --participants {input.participants} --embeddings {params.embeddings:q}"
        " --models {params.models:q} > {log} 2>&1"


rule regression:
    input:
        ready=READY,
        participants=lambda w: current("participants.csv"),
        embeddings=listed(EMBEDDINGS, models_of(CONFIG.regression)),
        probes=listed(PROBE, models_of(CONFIG.regression)),
        tables=[row.table for row in CONFIG.regression.rows if row.table],
    output:
        "results/tables/regression.csv",
    log:
        "results/logs/regression.log",
    benchmark:
        "results/benchmarks/regression.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=schema.dump(CONFIG.regression),
        phenotypes=schema.dump(names=PHENOTYPES),
        seed=CONFIG.seed,
        code=code_version.digest("ptacl.evaluation.regression"),
        embeddings=files(EMBEDDINGS, models_of(CONFIG.regression)),
        probes=files(PROBE, models_of(CONFIG.regression)),
    shell:
        "python -m ptacl.evaluation.regression --settings {params.settings:q}"
        " --phenotypes {params.phenotypes:q} --seed {params.seed}"
        " --participants {input.participants} --embeddings {params.embeddings:q}"
        " --probes {params.probes:q} --out {output} > {log} 2>&1"


# Label efficiency: the rows of Table 2 with fewer training labels.
rule labels:
    input:
        ready=READY,
        participants=lambda w: current("participants.csv"),
        embeddings=listed(EMBEDDINGS, models_of(CONFIG.regression)),
        tables=[row.table for row in CONFIG.regression.rows if row.table],
    output:
        "results/tables/labels.csv",
    log:
        "results/logs/labels.log",
    benchmark:
        "results/benchmarks/labels.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=240,
    params:
        settings=schema.dump(CONFIG.regression),
        labels=schema.dump(CONFIG.labels),
        phenotypes=schema.dump(names=PHENOTYPES),
        seed=CONFIG.seed,
        code=code_version.digest("ptacl.evaluation.labels"),
        embeddings=files(EMBEDDINGS, models_of(CONFIG.regression)),
    shell:
        "python -m ptacl.evaluation.labels --settings {params.settings:q}"
        " --labels {params.labels:q} --phenotypes {params.phenotypes:q} --seed {params.seed}"
        " --participants {input.participants} --embeddings {params.embeddings:q}"
        " --out {output} > {log} 2>&1"


# Diseases before and after the visit, by the rows of Table 2. The first rule writes what the use of
# a model needs into its folder.
if CONFIG.outcomes.listed:
    RISK = "results/models/{model}-{seed}/risk.json"

    rule saved_risks:
        input:
            ready=READY,
            participants=lambda w: current("participants.csv"),
            outcomes=f"{PRIVATE}/outcomes.csv",
            embeddings=listed(EMBEDDINGS, PROBED),
        output:
            listed(RISK, PROBED),
        log:
            "results/logs/saved_risks.log",
        benchmark:
            "results/benchmarks/saved_risks.tsv"
        conda:
            "../../envs/environment.yaml"
        threads: 2
        resources:
            mem_mb=4000,
            runtime=60,
        params:
            outcomes=schema.dump(CONFIG.outcomes),
            settings=schema.dump(
                bootstrap=CONFIG.regression.bootstrap, confidence=CONFIG.regression.confidence
            ),
            phenotypes=schema.dump(names=[]),
            seed=CONFIG.seed,
            code=code_version.digest("ptacl.evaluation.saved_risk"),
            embeddings=files(EMBEDDINGS, PROBED),
            models=files(RISK, PROBED),
        shell:
            "python -m ptacl.evaluation.saved_risk --settings {params.settings:q}"
            " --outcome-settings {params.outcomes:q} --outcomes {input.outcomes}"
            " --phenotypes {params.phenotypes:q} --seed {params.seed}"
            " --participants {input.participants} --embeddings {params.embeddings:q}"
            " --models {params.models:q} > {log} 2>&1"

    rule risks:
        input:
            ready=READY,
            participants=lambda w: current("participants.csv"),
            outcomes=f"{PRIVATE}/outcomes.csv",
            embeddings=listed(EMBEDDINGS, models_of(CONFIG.regression)),
            probes=listed(PROBE, models_of(CONFIG.regression)),
            tables=[row.table for row in CONFIG.regression.rows if row.table],
        output:
            table="results/tables/outcomes.csv",
            json="results/evaluation/outcomes.json",
        log:
            "results/logs/risks.log",
        benchmark:
            "results/benchmarks/risks.tsv"
        conda:
            "../../envs/environment.yaml"
        threads: 2
        resources:
            mem_mb=8000,
            runtime=240,
        params:
            settings=schema.dump(CONFIG.regression),
            outcomes=schema.dump(CONFIG.outcomes),
            smallest=0 if SIMULATED else CONFIG.smallest_count,
            phenotypes=schema.dump(names=[]),
            seed=CONFIG.seed,
            code=code_version.digest("ptacl.evaluation.outcomes"),
            embeddings=files(EMBEDDINGS, models_of(CONFIG.regression)),
            probes=files(PROBE, models_of(CONFIG.regression)),
        shell:
            "python -m ptacl.evaluation.outcomes --settings {params.settings:q}"
            " --outcome-settings {params.outcomes:q} --outcomes {input.outcomes}"
            " --phenotypes {params.phenotypes:q} --seed {params.seed}"
            " --participants {input.participants} --embeddings {params.embeddings:q}"
            " --probes {params.probes:q} --smallest-count {params.smallest}"
            " --out {output.table} --json {output.json} > {log} 2>&1"


rule retrieval:
    input:
        ready=READY,
        participants=lambda w: current("participants.csv"),
        embeddings=listed(EMBEDDINGS, models_of(CONFIG.retrieval)),
    output:
        "results/tables/retrieval.csv",
    log:
        "results/logs/retrieval.log",
    benchmark:
        "results/benchmarks/retrieval.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=schema.dump(CONFIG.retrieval),
        phenotypes=schema.dump(names=PHENOTYPES),
        seed=CONFIG.seed,
        code=code_version.digest("ptacl.evaluation.retrieval"),
        embeddings=files(EMBEDDINGS, models_of(CONFIG.retrieval)),
    shell:
        "python -m ptacl.evaluation.retrieval --settings {params.settings:q}"
        " --phenotypes {params.phenotypes:q} --seed {params.seed}"
        " --participants {input.participants} --embeddings {params.embeddings:q}"
        " --out {output} > {log} 2>&1"


rule alignment:
    input:
        ready=READY,
        visits=lambda w: current("visits.csv"),
        embeddings=listed(EMBEDDINGS, models_of(CONFIG.alignment)),
        simulated=f"{PRIVATE}/simulated.json" if SIMULATED else [],
    output:
        json="results/evaluation/alignment.json",
        example=f"{PRIVATE}/alignment_example.png",
        figures=[
            report(
                "results/figures/alignment.svg",
                caption="../report/alignment.rst",
                category="Alignment",
            ),
            "results/figures/alignment.png",
        ],
    log:
        "results/logs/alignment.log",
    benchmark:
        "results/benchmarks/alignment.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=schema.dump(CONFIG.alignment),
        seed=CONFIG.seed,
        code=code_version.digest("ptacl.evaluation.alignment"),
        embeddings=files(EMBEDDINGS, models_of(CONFIG.alignment)),
        truth=f"--truth {PRIVATE}/simulated/truth.csv" if SIMULATED else "",
    shell:
        "python -m ptacl.evaluation.alignment --settings {params.settings:q} --seed {params.seed}"
        " {params.truth} --embeddings {params.embeddings:q} --figure {output.figures}"
        " --example {output.example} --out {output.json} > {log} 2>&1"
