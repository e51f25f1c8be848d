# Functions that rules share: inputs that depend on wildcards or files, and how a training is started.


def bulk_sources(wildcards):
    """What tells that the cohort changed: the simulation, or the folders themselves and those below that hold several records."""
    if SIMULATED:
        return [f"{PRIVATE}/simulated.json", *CONFIG.cohort.withdrawals]
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


def of_seeds(names):
    """Models that stand behind names of rows: an experiment has one a seed."""
    return [f"{n}-{s}" for n in names if n in CONFIG.experiments for s in CONFIG.seeds] + [
        n for n in dict.fromkeys(names) if n not in CONFIG.experiments
    ]


def embeddings(models):
    return expand(f"{PRIVATE}/embeddings/{{model}}.npz", model=models)


def named(models):
    """Arguments of the form name=path."""
    return " ".join(f"{m}={PRIVATE}/embeddings/{m}.npz" for m in models)
