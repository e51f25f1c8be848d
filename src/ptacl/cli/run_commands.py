"""Commands about a run: ptacl workflow, check, try, config, validation and export."""

import argparse
import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from ptacl import config
from ptacl.cli.files import HOME, configuration_files
from ptacl.cli.status import INTERRUPTED, UNREADABLE, USABLE

_WORKFLOW = ("Snakefile", "config.yaml", "workflow", "profiles", "envs")


def add_commands(commands: Any) -> None:
    """Add the six commands to the subparsers."""
    workflow = commands.add_parser(
        "workflow",
        help="copy the workflow into a folder, to run snakemake there",
        description="Copy Snakefile, config.yaml, workflow, profiles and envs into a folder, to "
        "run "
        "snakemake there. "
        "If the folder already has one of them, nothing is written.",
    )
    workflow.add_argument(
        "folder", type=Path, metavar="DIR", help="new folder, or one without these files"
    )
    workflow.set_defaults(run=_workflow)

    check = commands.add_parser(
        "check",
        help="report what a run would find, exclude and cost, before you start it",
        description="Report what a run would find, exclude and cost, before you start it. Nothing "
        "is "
        "written, and no "
        "participant id is shown. Exit status: 0 it can run, 2 it cannot (the reason is printed).",
    )
    check.add_argument(
        "settings",
        nargs="+",
        type=Path,
        metavar="CONFIG.yaml",
        help="your configuration files, which can be partial; later files override earlier ones",
    )
    check.add_argument(
        "--sample",
        type=int,
        default=50,
        metavar="N",
        help="number of visits to prepare as a test (default 50)",
    )
    check.add_argument(
        "--cores",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="number of cores for the estimates (default: all)",
    )
    check.add_argument(
        "--price",
        action="append",
        default=[],
        metavar="MACHINE=GBP",
        help="price per hour of a machine of UK Biobank's platform, from your rate card",
    )
    check.add_argument("--json", action="store_true", help="print the report as JSON")
    check.set_defaults(run=_check)

    attempt = commands.add_parser(
        "try",
        help="try one model on a small simulated cohort, in a minute or two",
        description="Train one model for about twenty steps on a small simulated cohort, embed and "
        "probe its people, and print the values. The cohort of your configuration is not read. "
        "What did not change since the last trial is kept. Exit status: 0 it runs, 2 it does not "
        "(the error is printed).",
    )
    attempt.add_argument(
        "settings",
        nargs="+",
        type=Path,
        metavar="CONFIG.yaml",
        help="your configuration files, which can be partial; later files override earlier ones",
    )
    attempt.add_argument("--model", required=True, metavar="NAME", help="entry of models")
    attempt.add_argument(
        "--folder",
        type=Path,
        default=Path("results/trial"),
        metavar="DIR",
        help="folder of the trial (default: results/trial)",
    )
    attempt.set_defaults(run=_try)

    shown = commands.add_parser(
        "config",
        help="print the whole configuration, or explain a setting",
        description="Print the whole configuration as YAML, with defaults and inherited values "
        "filled "
        "in, or explain a setting. "
        "Exit status: 0 printed, 2 wrong setting or unknown key (it is named).",
    )
    shown.add_argument(
        "settings",
        nargs="*",
        type=Path,
        metavar="CONFIG.yaml",
        help="your configuration files, which can be partial; later files override earlier ones",
    )
    ways = shown.add_mutually_exclusive_group()
    ways.add_argument(
        "--explain",
        metavar="KEY",
        help="explain a setting, such as models.ptacl.local.beta, or a section",
    )
    ways.add_argument(
        "--compare",
        nargs=2,
        metavar=("MODEL", "OTHER"),
        help="print the settings in which two entries of models differ",
    )
    ways.add_argument("--reference", action="store_true", help="print docs/configuration.md")
    ways.add_argument(
        "--schema",
        action="store_true",
        help="print workflow/config/schema.json, the JSON Schema for editors",
    )
    shown.set_defaults(run=_config)

    validation = commands.add_parser(
        "validation",
        help="print the R² of validation participants, to choose between settings",
        description="Print the mean R² of each row of Table 2 on the validation participants of a "
        "run, to choose between methods or settings without the test participants. It needs only "
        "the embeddings (snakemake embeddings). Exit status: 0 printed, 2 not (the reason is "
        "printed).",
    )
    validation.add_argument(
        "settings",
        nargs="*",
        type=Path,
        metavar="CONFIG.yaml",
        help="configuration files of the run; later files override earlier ones",
    )
    validation.add_argument(
        "--run",
        dest="folder",
        type=Path,
        default=Path(),
        metavar="RUN",
        help="folder of the run (default: the current one)",
    )
    validation.add_argument(
        "--out", type=Path, metavar="FILE.csv", help="also write every number, by phenotype"
    )
    validation.set_defaults(run=_validation)

    export = commands.add_parser(
        "export",
        help="write the embeddings of a run to a parquet table",
        description="Write the embeddings of a run to a parquet table: one row per visit, with "
        "named columns. It contains data of individual participants. Exit status: 0 written, 2 "
        "not (the reason is printed).",
    )
    export.add_argument("folder", type=Path, metavar="RUN", help="folder of the run")
    export.add_argument(
        "--model", required=True, metavar="NAME-SEED", help="model and seed, such as ptacl-0"
    )
    export.add_argument(
        "--out", required=True, type=Path, metavar="FILE.parquet", help="table to write"
    )
    export.add_argument(
        "--arrays",
        nargs="+",
        default=[],
        metavar="NAME",
        help="arrays of the embedding file (default: ecg_whole and cmr; docs/data.md lists all)",
    )
    export.set_defaults(run=_export)


def _workflow(args: argparse.Namespace) -> int:
    if there := [name for name in _WORKFLOW if (args.folder / name).exists()]:
        raise FileExistsError(
            f"{args.folder} already has {', '.join(there)}: name another folder, or remove them"
        )
    for name in _WORKFLOW:
        source, target = HOME / name, args.folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            args.folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    print(f"cd {shlex.quote(str(args.folder))} && snakemake --cores all --resources gpu=1")
    return USABLE


def _check(args: argparse.Namespace) -> int:
    from ptacl import check, check_platform

    demonstration = config.stack(HOME / "config.yaml").encoders
    settings = config.stack(*configuration_files(*args.settings))
    facts = check.run(
        settings,
        demonstration=demonstration,
        sample=args.sample,
        cores=args.cores,
        prices=check_platform.prices(args.price),
    )
    print(json.dumps(facts, indent=2) if args.json else "\n".join(check.lines(facts)))
    if problem := check.problem(facts, settings):
        print(f"ptacl check: {problem}", file=sys.stderr)
        return UNREADABLE
    return USABLE


def _try(args: argparse.Namespace) -> int:
    from ptacl import check, trial

    defaults = config.read(HOME / "config.yaml")
    values = config.read(*configuration_files(*args.settings))
    values = trial.settings(values, defaults=defaults, model=args.model)
    check.import_own_classes(config.parse(values))
    print(
        f"{trial.PEOPLE} simulated people, in {args.folder}; the values only show that "
        "everything runs"
    )
    places = [os.getcwd(), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    lines = trial.run(
        args.folder, values=values, home=HOME, model=args.model, environment=environment
    )
    try:
        for line in lines:
            print(line, flush=True)
    except KeyboardInterrupt:
        print("ptacl try: interrupted; the same command goes on", file=sys.stderr)
        return INTERRUPTED
    return USABLE


def _validation(args: argparse.Namespace) -> int:
    from ptacl.evaluation import validation

    settings = config.stack(*configuration_files(*args.settings))
    table, left_out = validation.evaluate(args.folder, settings)
    print("\n".join(validation.lines(table)))
    if left_out:
        print(f"Left out (ridge regression, or no embeddings): {'; '.join(left_out)}")
    if args.out:
        table.to_csv(args.out, index=False)
    return USABLE


def _export(args: argparse.Namespace) -> int:
    from ptacl.export import export

    rows, columns = export(args.folder, model=args.model, out=args.out, arrays=args.arrays)
    print(f"{args.out}: {rows:,} visits, {columns:,} columns")
    print(
        "ptacl export: this table has data of individual participants, with their ids: it must "
        "not leave the place where the data may be",
        file=sys.stderr,
    )
    return USABLE


def _config(args: argparse.Namespace) -> int:
    from ptacl.config import reference
    from ptacl.config.differences import differences
    from ptacl.config.schema import schema

    if args.schema:
        print(json.dumps(schema(), indent=1, ensure_ascii=False))
        return USABLE
    own = config.read(HOME / "config.yaml")
    values = config.read(*configuration_files(*args.settings))
    if args.compare:
        print(differences(values, *args.compare))
    elif args.reference:
        print(reference.reference(own), end="")
    else:
        print(
            reference.explain(args.explain, own, values)
            if args.explain is not None
            else reference.resolved(values).rstrip()
        )
    return USABLE
