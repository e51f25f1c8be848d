# Training. Checkpoints lie under `state`, which no rule declares: Snakemake deletes the outputs of a killed job, not these.
# who is in which split, without phenotypes: a corrected phenotype retrains nothing
VISITS = f"{PRIVATE}/visits.csv"
ECG_SHARDS = expand(f"{PRIVATE}/ecg/{{shard}}.json", shard=SHARDS)
CMR_SHARDS = expand(f"{PRIVATE}/cmr/{{shard}}.json", shard=SHARDS)
MODEL_FILES = ["model.safetensors", "config.json", "README.md"]


rule pretrain:
    input:
        participants=VISITS,
        shards=lambda w: {"ecg": ECG_SHARDS, "cmr": CMR_SHARDS}[w.modality],
    output:
        model="results/models/{modality}_mae/model.safetensors",
        config="results/models/{modality}_mae/config.json",
        card="results/models/{modality}_mae/README.md",
        metrics="results/training/{modality}_mae.csv",
    log:
        "results/logs/pretrain/{modality}.log",
    benchmark:
        "results/benchmarks/pretrain/{modality}.tsv"
    retries: 2
    conda:
        "../../envs/environment.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=64000,
        runtime=2880,
    params:
        launch=launcher,
        encoders=lambda w: schema.dump(zscore=CONFIG.encoders.zscore, encoder=getattr(CONFIG.encoders, w.modality)),
        settings=lambda w: schema.dump(getattr(CONFIG.pretraining, w.modality)),
        seed=CONFIG.seed,
        code=code_version.digest("ptacl.learning.pretrain"),
        state=f"{PRIVATE}/state/{{modality}}_mae",
    shell:
        "{params.launch} ptacl.learning.pretrain --modality {wildcards.modality} --encoders {params.encoders:q}"
        " --settings {params.settings:q} --seed {params.seed} --participants {input.participants} --shards {input.shards}"
        " --state {params.state} --identity {params.code} --out $(dirname {output.model}) --metrics {output.metrics} 2>&1 | tee {log}"


rule align:
    input:
        participants=VISITS,
        ecg=ECG_SHARDS,
        cmr=CMR_SHARDS,
        initial=lambda w: (
            expand("results/models/{modality}_mae/model.safetensors", modality=["ecg", "cmr"])
            if CONFIG.experiments[w.experiment].initial == "mae"
            else []
        ),
    output:
        model="results/models/{experiment}-{seed}/model.safetensors",
        config="results/models/{experiment}-{seed}/config.json",
        card="results/models/{experiment}-{seed}/README.md",
        metrics="results/training/{experiment}-{seed}.csv",
    log:
        "results/logs/align/{experiment}-{seed}.log",
    benchmark:
        "results/benchmarks/align/{experiment}-{seed}.tsv"
    retries: 2
    conda:
        "../../envs/environment.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=64000,
        runtime=2880,
    params:
        launch=launcher,
        encoders=schema.dump(CONFIG.encoders),
        settings=lambda w: schema.dump(CONFIG.experiments[w.experiment]),
        code=code_version.digest("ptacl.learning.align"),
        state=f"{PRIVATE}/state/{{experiment}}-{{seed}}",
        initial=lambda w: (
            "--ecg-mae results/models/ecg_mae --cmr-mae results/models/cmr_mae"
            if CONFIG.experiments[w.experiment].initial == "mae"
            else ""
        ),
    shell:
        "{params.launch} ptacl.learning.align --experiment {wildcards.experiment} --encoders {params.encoders:q}"
        " --settings {params.settings:q} --seed {wildcards.seed} --participants {input.participants}"
        " --ecg-shards {input.ecg} --cmr-shards {input.cmr} {params.initial}"
        " --state {params.state} --identity {params.code} --out $(dirname {output.model}) --metrics {output.metrics} 2>&1 | tee {log}"
