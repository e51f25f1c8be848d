import importlib.util
import json
import os
import shlex
import shutil
import sys
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.14")

sys.path.insert(0, os.path.join(workflow.basedir, "workflow"))
sys.path.append(os.getcwd())  # for objectives and losses in files of your own

import code_version
import progress
import ptacl.config as schema
from ptacl import raw


configfile: os.path.join(workflow.basedir, "config.yaml")


try:
    CONFIG = schema.parse(config)
    CONFIG.cohort.require_paths()
except (ValueError, OSError) as error:
    raise WorkflowError(str(error))

# Jobs run with the Python that runs Snakemake, even if its environment is not activated.
os.environ.update(
    PATH=os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
)
# cuBLAS is only deterministic with it, and reads it when CUDA starts.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

STARTED = time.time()
PRIVATE = "results/private"
CURRENT = f"{PRIVATE}/cohort/current"
SHARDS = range(CONFIG.cohort.shards)


wildcard_constraints:
    shard=r"\d+",
    model="|".join(CONFIG.models),
    seed=r"\d+",


include: "workflow/rules/common.smk"


require_surroundings()


MODELS = CONFIG.needed(
    row for table in (CONFIG.regression, CONFIG.retrieval, CONFIG.alignment) for row in table.rows
)


require_own_modules()


include: "workflow/rules/cohort.smk"
include: "workflow/rules/ecg.smk"
include: "workflow/rules/cmr.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        "results/report.html",
        expand(
            "results/tables/{table}.{form}", table=["regression", "retrieval"], form=["csv", "tex"]
        ),
        "results/tables/summary.md",
        "results/tables/labels.csv",
        expand("results/figures/alignment.{form}", form=["svg", "png"]),
        expand("results/cohort/flow.{form}", form=["json", "svg"]),
        listed(PROBE, PROBED),
        ["results/tables/outcomes.tex", *listed(RISK, PROBED)] if CONFIG.outcomes.listed else [],


localrules:
    all,
    data,
    embeddings,


rule data:
    input:
        f"{PRIVATE}/participants.csv",
        "results/cohort/flow.svg",


onstart:
    progress.follow(
        workflow,
        CONFIG,
        benchmarks=Path("results/benchmarks"),
        guess=SIMULATED and workflow.local_exec and shutil.which("nvidia-smi") is None,
    )


onsuccess:
    print(time_by_stage())
