# What the trained encoders know: embeddings once a model, then tables and figures from embeddings alone.
PHENOTYPES = [p.name for p in CONFIG.cohort.phenotypes]


REGRESSION_MODELS = sorted(set(of_seeds([row.model for row in CONFIG.regression.rows])))
RETRIEVAL_MODELS = of_seeds(CONFIG.retrieval.experiments)
ALIGNMENT_MODELS = of_seeds(CONFIG.alignment.experiments)


rule embed:
    input:
        participants=VISITS,
        ecg=ECG_SHARDS,
        cmr=CMR_SHARDS,
        model=lambda w: [] if w.model == "random" else f"results/models/{w.model}/model.safetensors",
    output:
        f"{PRIVATE}/embeddings/{{model}}.npz",
    log:
        "results/logs/embed/{model}.log",
    benchmark:
        "results/benchmarks/embed/{model}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=32000,
        runtime=240,
    params:
        encoders=schema.dump(CONFIG.encoders),
        settings=schema.dump(CONFIG.embedding),
        seed=CONFIG.seed,
        code=code_version.digest("ptacl.evaluation.embed"),
        model=lambda w: "" if w.model == "random" else f"--model results/models/{w.model}",
    shell:
        "python -m ptacl.evaluation.embed --encoders {params.encoders:q} --settings {params.settings:q} --seed {params.seed}"
        " --participants {input.participants} --ecg-shards {input.ecg} --cmr-shards {input.cmr} {params.model}"
        " --out {output} > {log} 2>&1"


rule regression:
    input:
        participants=f"{PRIVATE}/participants.csv",
        embeddings=embeddings(REGRESSION_MODELS),
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
        embeddings=named(REGRESSION_MODELS),
    shell:
        "python -m ptacl.evaluation.regression --settings {params.settings:q} --phenotypes {params.phenotypes:q}"
        " --seed {params.seed} --participants {input.participants} --embeddings {params.embeddings} --out {output} > {log} 2>&1"


rule retrieval:
    input:
        participants=f"{PRIVATE}/participants.csv",
        embeddings=embeddings(RETRIEVAL_MODELS),
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
        titles=schema.dump(titles={e: CONFIG.experiments[e].title for e in CONFIG.retrieval.experiments}),
        seed=CONFIG.seed,
        code=code_version.digest("ptacl.evaluation.retrieval"),
        embeddings=named(RETRIEVAL_MODELS),
    shell:
        "python -m ptacl.evaluation.retrieval --settings {params.settings:q} --phenotypes {params.phenotypes:q}"
        " --titles {params.titles:q} --seed {params.seed} --participants {input.participants}"
        " --embeddings {params.embeddings} --out {output} > {log} 2>&1"


rule alignment:
    input:
        embeddings=embeddings(ALIGNMENT_MODELS),
    output:
        json="results/evaluation/alignment.json",
        figures=[
            report("results/figures/alignment.svg", caption="../report/alignment.rst", category="Alignment"),
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
        titles=schema.dump(titles={e: CONFIG.experiments[e].title for e in CONFIG.alignment.experiments}),
        seed=CONFIG.seed,
        code=code_version.digest("ptacl.evaluation.alignment"),
        embeddings=named(ALIGNMENT_MODELS),
    shell:
        "python -m ptacl.evaluation.alignment --settings {params.settings:q} --titles {params.titles:q} --seed {params.seed}"
        " --embeddings {params.embeddings} --figure {output.figures} --out {output.json} > {log} 2>&1"
