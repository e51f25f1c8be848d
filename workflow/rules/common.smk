# Functions that rules share: inputs that depend on wildcards or files, and how a training is started.


def demand_surroundings():
    """Before anything is planned: what an option needs is installed, and no cohort of somebody's files would be replaced."""
    if CONFIG.tensorboard and not importlib.util.find_spec("tensorboard"):
        raise WorkflowError("tensorboard: true needs pip install tensorboard, or set it to false")
    summary = Path(PRIVATE, "cohort/summary.json")
    of = json.loads(summary.read_text()).get("source") if summary.exists() else "simulated"
    if CONFIG.cohort.source == "simulated" and of != "simulated":
        raise WorkflowError(
            "results holds a cohort of your files, and this configuration would replace it by a simulated one: give your"
            " configuration files again (--configfile), or run in another folder (--directory)"
        )


def bulk_sources(wildcards):
    """What tells that the cohort changed: the simulation, or the folders themselves and those below that hold several records."""
    if SIMULATED:
        return [f"{PRIVATE}/simulated.json", *CONFIG.cohort.withdrawals]
    if CONFIG.cohort.table:
        return [CONFIG.cohort.table, *CONFIG.cohort.withdrawals]
    folders = [*CONFIG.cohort.ecg_folders, *CONFIG.cohort.cmr_folders]
    inner = [folder for top in folders for folder in subfolders(top)]
    return [
        *folders,
        *inner,
        *(folder for top in inner for folder in subfolders(top)),
        *CONFIG.cohort.phenotype_tables,
        *CONFIG.cohort.withdrawals,
    ]


def subfolders(folder):
    """Folders in a folder, without those of one participant, and without what cannot be listed or named in UTF-8."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return []
    return sorted(e.path for e in entries if not e.name[:7].isdecimal() and e.name.isprintable() and os.path.isdir(e.path))


def members(wildcards):
    """The list of a shard: no output of a rule, rewritten only where its content changed, so that other shards stay as they are."""
    checkpoints.manifest.get()
    return f"{PRIVATE}/cohort/shards/{wildcards.shard}.csv"


def launcher(wildcards, resources):
    """How Python starts: alone, or through torchrun. It sees `resources`, so Snakemake does not track it: hardware never retrains."""
    gpus, nodes = int(resources.gpu), int(resources.get("nodes", 1))
    if gpus % nodes:
        raise WorkflowError(f"{gpus} GPUs cannot be divided over {nodes} nodes: change set-resources in the profile")
    if gpus <= 1:
        return "python -m"
    if nodes == 1:
        return f"python -m torch.distributed.run --standalone --nproc-per-node {gpus} -m"
    return (
        f"{resources.mpi} --nodes {nodes} --ntasks {nodes} --ntasks-per-node 1 --gpus-per-node {gpus // nodes}"
        f" {shlex.quote(f'{workflow.basedir}/workflow/torchrun_node.sh')} python {nodes} {gpus // nodes} -m"
    )


def maps_argument(wildcards, resources):
    """Where recordings are mapped from. As `launcher`, not tracked: another disk retrains nothing."""
    return shlex.quote(schema.dump(CONFIG.maps))


def board_argument(wildcards, resources):
    """Where a training under way writes curves. Not tracked either: to look on changes nothing."""
    return f"--tensorboard results/tensorboard/{wildcards.model}-{wildcards.seed}" if CONFIG.tensorboard else ""


# What reads the cohort waits for a flow that is to run, also where it would run anyway: else it would run before, on what was there.
# "ancient": that the flow ran is no reason to run.
READY = ancient(f"{PRIVATE}/cohort/flow.ready")


def current(*names):
    """Inputs: files of who there is and what the stores hold, which change with their content alone."""
    # Of both, in their order: Snakemake looks again only at what hangs on a checkpoint that ran, and the flow may turn out unneeded.
    checkpoints.manifest.get()
    checkpoints.flow.get()
    return [f"{CURRENT}/{name}" for name in names]


def is_trained(model):
    """Whether an entry is trained at all, not only drawn."""
    return isinstance(CONFIG.models[model], schema.Trained)


def reads_recordings(model):
    """Whether making the model needs the cohort: every training does, and a z-score over the cohort does."""
    cohort = CONFIG.encoders.zscore == "cohort" and "ecg" in CONFIG.models[model].modalities
    return is_trained(model) or cohort


def people_of(model):
    """Who is trained on: with phenotypes for models that learn from these."""
    if not reads_recordings(model):
        return []
    entry = CONFIG.models[model]
    if entry.labels:
        return current("participants.csv")
    return current("visits.csv" if len(entry.modalities) > 1 else f"visits_{entry.modalities[0]}.csv")


def stores_of(model):
    """What tells that the stores of an entry's modalities changed."""
    return current(*CONFIG.models[model].modalities)


def shards_of(model):
    """Arguments of a stage that name these stores."""
    found = {m: [f"{PRIVATE}/{m}/{shard}.json" for shard in SHARDS] for m in CONFIG.models[model].modalities}
    return " ".join(f"--{modality}-shards {' '.join(paths)}" for modality, paths in found.items())


def starts(wildcards):
    """By modality, the folder of the model that a training starts from."""
    of = CONFIG.start_of(wildcards.model, int(wildcards.seed))
    return {modality: f"results/models/{name}-{seed}" for modality, (name, seed) in of.items()}


def objectives_of(model):
    """The module of an entry's objective: the code of other objectives is no part of its training."""
    return [CONFIG.models[model].objective_class.partition(":")[0]] if is_trained(model) else []


def encoders_of(model):
    """Modules of encoders that only some entries have."""
    sizes = CONFIG.inputs_of(model).encoders.values()
    return ["ptacl.models.resnet"] if any(isinstance(size, schema.ResNet) for size in sizes) else []


def files(pattern, models):
    """Files of some models and all their seeds: by model and seed, as JSON for a stage."""
    return schema.dump(
        **{m: {seed: pattern.format(model=m, seed=seed) for seed in CONFIG.seeds_of(m)} for m in dict.fromkeys(models)}
    )


def listed(pattern, models):
    """The same files as a list, for a rule's input."""
    return [pattern.format(model=m, seed=seed) for m in dict.fromkeys(models) for seed in CONFIG.seeds_of(m)]


def of_table(section):
    """The section with the rows that are shown alone."""
    return section.model_copy(update={"rows": CONFIG.shown(section.rows)})


def models_of(section):
    """Models that the rows of a section show."""
    return [row.model for row in section.rows if row.model]


def time_by_stage():
    """What the jobs of this run took, by rule, the longest first; jobs run side by side, so it adds up to more than the clock says."""
    seconds = {}
    for path in Path("results/benchmarks").rglob("*.tsv"):
        if path.stat().st_mtime >= STARTED:
            stage = path.relative_to("results/benchmarks").parts[0].removesuffix(".tsv")
            seconds[stage] = seconds.get(stage, 0) + float(path.read_text().split("\n")[1].split("\t")[0])
    spent = sorted(seconds.items(), key=lambda item: -item[1])
    text = ", ".join(f"{stage} {s / 60:.1f}" for stage, s in spent if s >= 6)
    return f"Minutes by stage, jobs side by side: {text or 'less than a tenth each'}" if seconds else "Nothing was to be done."
