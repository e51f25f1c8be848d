# Functions that rules share: inputs that depend on wildcards or files, and the command of a
# training.


def require_surroundings():
    """Check that optional packages are installed and that no cohort of your files is replaced."""
    if CONFIG.tensorboard and not importlib.util.find_spec("tensorboard"):
        raise WorkflowError("tensorboard: true needs pip install tensorboard, or set it to false")
    summary = Path(PRIVATE, "cohort/summary.json")
    of = json.loads(summary.read_text()).get("source") if summary.exists() else "simulated"
    if CONFIG.cohort.source == "simulated" and of != "simulated":
        raise WorkflowError(
            "results holds a cohort of your files, and this configuration would replace it by a"
            " simulated one: give your"
            " configuration files again (--configfile), or run in another folder (--directory)"
        )

    if CONFIG.cohort.source != "simulated":
        require_sizes()


def require_sizes():
    """Check that no model is replaced by one of the demonstration, whose sizes are small."""
    if CONFIG.encoders != schema.stack(Path(workflow.basedir, "config.yaml")).encoders:
        return
    for path in Path("results/models").glob("*/config.json"):
        model = path.parent.name.rpartition("-")[0]
        inputs = json.loads(path.read_text()).get("description", {}).get("inputs")
        if model not in CONFIG.models or not inputs:  # removed, or of an earlier version
            continue
        if inputs["encoders"] != CONFIG.inputs_of(model).model_dump(mode="json")["encoders"]:
            raise WorkflowError(
                "results holds models of other sizes than those of config.yaml, which would replace"
                " them: give the file with the sizes again (such as workflow/config/paper.yaml),"
                " before your own, or run in another folder (--directory)"
            )


def require_own_modules():
    """Check that files with objectives and losses of the user are found, before any job starts."""
    for model in MODELS:
        for module in objectives_of(model):
            try:
                found = importlib.util.find_spec(module)
            except ModuleNotFoundError:  # of a package above it
                found = None
            if not found:
                raise WorkflowError(
                    f"models.{model}: there is no module {module}: put its file into the folder where"
                    " you start the command, or on PYTHONPATH"
                )


def bulk_sources(wildcards):
    """List inputs that change with the cohort: the simulation, or the folders with records."""
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
    """List subfolders, except those of one participant and those with non-UTF-8 names."""
    try:
        entries = raw.entries(folder) if raw.is_folder(folder) else []
        return [
            e.path
            for e in entries
            if not e.name[:7].isdecimal() and e.name.isprintable() and raw.is_folder(e)
        ]
    except raw.Unavailable as error:
        raise WorkflowError(str(error))


def members(wildcards):
    """Return the list of a shard.

    No rule declares it, and it is only rewritten if its content changed, so other shards do not
    rerun.
    """
    checkpoints.manifest.get()
    return f"{PRIVATE}/cohort/shards/{wildcards.shard}.csv"


def launcher(wildcards, resources):
    """Return the command of Python, with torchrun for several GPUs.

    Snakemake does not track it because it uses `resources`, so new hardware causes no new training.
    """
    gpus, nodes = int(resources.gpu), int(resources.get("nodes", 1))
    if gpus % nodes:
        raise WorkflowError(
            f"{gpus} GPUs cannot be divided over {nodes} nodes: change set-resources in the profile"
        )
    if gpus <= 1:
        return "python -m"
    if nodes == 1:
        return f"python -m torch.distributed.run --standalone --nproc-per-node {gpus} -m"
    node_script = shlex.quote(f"{workflow.basedir}/workflow/torchrun_node.sh")
    per_node = gpus // nodes
    return (
        f"{resources.mpi} --nodes {nodes} --ntasks {nodes} --ntasks-per-node 1"
        f" --gpus-per-node {per_node} {node_script} python {nodes} {per_node} -m"
    )


def maps_argument(wildcards, resources):
    """Return the settings of maps; untracked like `launcher`, so a new disk retrains nothing."""
    return shlex.quote(schema.dump(CONFIG.maps))


def memory_mb(model, attempt):
    """Return the memory that a training asks for, which depends on its modalities."""
    if not CONFIG.maps.folder or attempt > 1:
        return 64000
    return 16000 * len(CONFIG.models[model].modalities)


def gpus_argument(wildcards, resources):
    """Return the number of GPUs of a job; untracked, as it does not change the result."""
    return str(int(resources.gpu))


def storage_argument(wildcards, resources):
    """Return how much may be lost; untracked, as another limit does not change what was read."""
    return shlex.quote(schema.dump(CONFIG.storage))


def board_argument(wildcards, resources):
    """Return the option for curves of a training; untracked, as it does not change the result."""
    return (
        f"--tensorboard results/tensorboard/{wildcards.model}-{wildcards.seed}"
        if CONFIG.tensorboard
        else ""
    )


# Rules that read the cohort must wait for a pending flow, or they would run before it, on the old
# files. With "ancient", a flow that ran is not in itself a reason to rerun them.
READY = ancient(f"{PRIVATE}/cohort/flow.ready")


def current(*names):
    """Return the lists of visits and of store contents, which only change with their content."""
    # Depend on both checkpoints, in their order: Snakemake only re-evaluates dependants of a
    # checkpoint that ran, and the flow can turn out to be unneeded.
    checkpoints.manifest.get()
    checkpoints.flow.get()
    return [f"{CURRENT}/{name}" for name in names]


def is_trained(model):
    """Return whether an entry is trained, and not only initialised."""
    return isinstance(CONFIG.models[model], schema.Trained)


def reads_recordings(model):
    """Return whether a model needs the cohort: for training, or for a z-score over the cohort."""
    cohort = CONFIG.encoders.zscore == "cohort" and "ecg" in CONFIG.models[model].modalities
    return is_trained(model) or cohort


def people_of(model):
    """Return the list of participants to train on, with phenotypes if the model uses them."""
    if not reads_recordings(model):
        return []
    entry = CONFIG.models[model]
    if entry.labels:
        return current("participants.csv")
    return current(
        "visits.csv" if len(entry.modalities) > 1 else f"visits_{entry.modalities[0]}.csv"
    )


def stores_of(model):
    """Return inputs that change with the stores of an entry's modalities."""
    return current(*CONFIG.models[model].modalities)


def shards_of(model):
    """Return the arguments of a stage that name these stores."""
    found = {
        m: [f"{PRIVATE}/{m}/{shard}.json" for shard in SHARDS]
        for m in CONFIG.models[model].modalities
    }
    return " ".join(f"--{modality}-shards {' '.join(paths)}" for modality, paths in found.items())


def starts(wildcards):
    """Return, by modality, the folder of the model that a training starts from."""
    of = CONFIG.start_of(wildcards.model, int(wildcards.seed))
    return {modality: f"results/models/{name}-{seed}" for modality, (name, seed) in of.items()}


def objectives_of(model):
    """Return the modules of an entry's objective; other objectives do not affect its training."""
    return CONFIG.models[model].own_modules if is_trained(model) else []


def encoders_of(model):
    """Return the modules of encoders that only some entries have."""
    sizes = CONFIG.inputs_of(model).encoders.values()
    return ["ptacl.models.resnet"] if any(isinstance(size, schema.ResNet) for size in sizes) else []


def files(pattern, models):
    """Return files of some models and all their seeds, by model and seed, as JSON for a stage."""
    return schema.dump(
        **{
            m: {seed: pattern.format(model=m, seed=seed) for seed in CONFIG.seeds_of(m)}
            for m in dict.fromkeys(models)
        }
    )


def listed(pattern, models):
    """Return the same files as a list, for the input of a rule."""
    return [
        pattern.format(model=m, seed=seed)
        for m in dict.fromkeys(models)
        for seed in CONFIG.seeds_of(m)
    ]


def models_of(section):
    """Return the models that the rows of a section show."""
    return [row.model for row in section.rows if row.model]


def time_by_stage():
    """Sum the time of this run's jobs by rule, longest first.

    Jobs run in parallel, so the sum exceeds the elapsed time.
    """
    seconds = {}
    for path in Path("results/benchmarks").rglob("*.tsv"):
        if path.stat().st_mtime >= STARTED:
            stage = path.relative_to("results/benchmarks").parts[0].removesuffix(".tsv")
            seconds[stage] = seconds.get(stage, 0) + float(
                path.read_text().split("\n")[1].split("\t")[0]
            )
    spent = sorted(seconds.items(), key=lambda item: -item[1])
    text = ", ".join(f"{stage} {s / 60:.1f}" for stage, s in spent if s >= 6)
    return (
        f"Minutes by stage, jobs side by side: {text or 'less than a tenth each'}"
        if seconds
        else "Nothing was to be done."
    )
