# Train the entries of the list of models. Checkpoints are under `state`, which no rule declares,
# because Snakemake deletes the declared outputs of a killed job.
PARTICIPANTS = f"{PRIVATE}/participants.csv"
PHENOTYPES = [p.name for p in CONFIG.cohort.phenotypes]


rule train:
    input:
        ready=lambda w: READY if reads_recordings(w.model) else [],
        participants=lambda w: people_of(w.model),
        stores=lambda w: stores_of(w.model) if reads_recordings(w.model) else [],
        start=lambda w: [f"{folder}/model.safetensors" for folder in starts(w).values()],
    output:
        model="results/models/{model}-{seed}/model.safetensors",
        config="results/models/{model}-{seed}/config.json",
        card="results/models/{model}-{seed}/README.md",
        metrics="results/training/{model}-{seed}.csv",
    log:
        "results/logs/train/{model}-{seed}.log",
    benchmark:
        "results/benchmarks/train/{model}-{seed}.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: 8
    resources:
        gpu=1,
        # Maps are in the page cache, which counts as memory of the job on some clusters. If a map
        # found no room on disk, the next attempt has more memory.
        mem_mb=lambda w, attempt: memory_mb(w.model, attempt),
        runtime=2880,
    params:
        launch=launcher,
        maps=maps_argument,
        gpus=gpus_argument,
        board=board_argument,
        shards=lambda w: shards_of(w.model) if reads_recordings(w.model) else "",
        settings=lambda w: schema.dump(
            CONFIG.models[w.model].model_copy(update={"title": w.model, "seeds": None})
        ),
        inputs=lambda w: schema.dump(CONFIG.inputs_of(w.model)),
        labels=lambda w: (
            f"--phenotypes {shlex.join(PHENOTYPES)}" if CONFIG.models[w.model].labels else ""
        ),
        start=lambda w: (
            f"--start {' '.join(f'{m}={folder}' for m, folder in starts(w).items())}"
            if starts(w)
            else ""
        ),
        code=lambda w: code_version.digest(
            "ptacl.learning.train", *objectives_of(w.model), *encoders_of(w.model)
        ),
        state=f"{PRIVATE}/state/{{model}}-{{seed}}",
    shell:
        "{params.launch} ptacl.learning.train --model {wildcards.model}"
        " --settings {params.settings:q} --inputs {params.inputs:q} --seed {wildcards.seed}"
        " --maps {params.maps} --gpus {params.gpus} --participants {input.participants} {params.labels}"
        " {params.shards} {params.start} {params.board} --state {params.state}"
        " --identity {params.code} --out $(dirname {output.model}) --metrics {output.metrics}"
        " 2>&1 | tee {log}"
