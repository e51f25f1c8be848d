"""Inspect files, check a cohort before a run, and use trained models.

The pipeline itself is started with snakemake.
"""

import argparse
import json
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ptacl import config, use
from ptacl.exclusions import Excluded
from ptacl.use import EXCLUDED, UNREADABLE, USABLE

_ECGS = (".xml", ".dcm", ".dicom", ".scp", ".edf", ".hea", ".dat", ".mwf", ".mfer", ".csv", ".npy")
_KINDS = dict.fromkeys(_ECGS, "ECG (.xml, .dcm, .scp, .edf, .hea, .mwf, .csv, .npy)") | {
    ".zip": "DICOM cine (.zip)",
    ".nii.gz": "NIfTI cine (.nii.gz, .nii)",
    ".nii": "folder of a cine",
}
_WORKFLOW = ("Snakefile", "config.yaml", "workflow", "profiles", "envs")
_PACKED = Path(__file__).resolve().parent / "workflow_files"  # only in a wheel
_HOME = _PACKED if _PACKED.is_dir() else Path(__file__).resolve().parents[2]
_OWN_CONFIG = _HOME / "config.yaml"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args))
    except (ValueError, OSError) as error:
        print(f"ptacl {args.command}: {error}", file=sys.stderr)
        return UNREADABLE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ptacl", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    inspect = commands.add_parser(
        "inspect",
        help="show how the pipeline would process one file",
        description=(
            "Show how the pipeline would process one file. Exit status: 0 usable, 3 excluded, "
            "2 not readable."
        ),
    )
    inspect.add_argument(
        "file",
        type=Path,
        help="ECG of any supported format, cine zip, folder of DICOM files, or sa.nii.gz",
    )
    inspect.add_argument("--json", action="store_true", help="print the result as JSON")
    inspect.add_argument(
        "--segmentation",
        type=Path,
        help="segmentation of a cine (default: seg_sa.nii.gz next to it)",
    )
    inspect.add_argument(
        "--plot", type=Path, metavar="OUT.png", help="draw the record to this file"
    )
    inspect.set_defaults(run=_inspect)

    simulate = commands.add_parser(
        "simulate", help="write a simulated paired cohort in the original file formats"
    )
    simulate.add_argument("out", type=Path, metavar="OUT", help="folder to write to")
    simulate.add_argument(
        "--participants", type=int, required=True, metavar="N", help="number of participants"
    )
    simulate.add_argument(
        "--seed",
        type=int,
        default=0,
        help="random seed (default 0); the same seed gives the same bytes",
    )
    simulate.add_argument(
        "--processes", type=int, default=2, help="number of processes (default 2)"
    )
    simulate.set_defaults(run=_simulate)

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
    check.add_argument("--json", action="store_true", help="print the report as JSON")
    check.set_defaults(run=_check)

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
    ways.add_argument("--reference", action="store_true", help="print docs/configuration.md")
    ways.add_argument(
        "--schema",
        action="store_true",
        help="print workflow/config/schema.json, the JSON Schema for editors",
    )
    shown.set_defaults(run=_config)

    for command in (inspect, simulate):
        command.add_argument(
            "--config",
            type=Path,
            help=(
                "configuration file (default: config.yaml in this folder, else that of the project)"
            ),
        )
    use.add_commands(commands)
    return parser


def _inspect(args: argparse.Namespace) -> int:
    settings = _settings(args.config)
    if not args.file.exists():
        raise FileNotFoundError(f"{args.file} does not exist")
    if args.file.is_file() and not args.file.name.lower().endswith(tuple(_KINDS)):
        print(
            f"ptacl inspect: {args.file.name}: unsupported file type; supported are: "
            f"{', '.join(dict.fromkeys(_KINDS.values()))}",
            file=sys.stderr,
        )
        return UNREADABLE
    try:
        facts = _describe(args, settings)
    except Excluded as error:
        print(f"ptacl inspect: {args.file.name}: {error}", file=sys.stderr)
        return UNREADABLE
    print(json.dumps(facts, indent=2) if args.json else "\n".join(_lines(facts)))
    return EXCLUDED if facts["excluded"] else USABLE


def _check(args: argparse.Namespace) -> int:
    from ptacl import check

    demonstration = config.stack(_OWN_CONFIG).encoders
    settings = config.stack(*_files(*args.settings))
    facts = check.run(settings, demonstration=demonstration, sample=args.sample, cores=args.cores)
    print(json.dumps(facts, indent=2) if args.json else "\n".join(check.lines(facts)))
    if (sample := facts.get("sample")) and not sample["usable"]:
        print(
            f"ptacl check: none of the {sample['visits']} visits that were tried can be "
            "used; the reasons are listed above "
            'under "excluded because": check paths, columns and ecg_format',
            file=sys.stderr,
        )
        return UNREADABLE
    return USABLE


def _describe(args: argparse.Namespace, settings: config.Config) -> dict[str, Any]:
    if args.file.is_file() and args.file.suffix.lower() in _ECGS:
        from ptacl.ecg import describe as ecg

        facts = ecg.describe(args.file, settings=settings.ecg)
        if args.plot:
            ecg.draw(args.file, args.plot, settings=settings.ecg)
        return facts
    from ptacl.cmr import describe as cmr

    facts = cmr.describe(args.file, settings=settings.cmr, segmentation=args.segmentation)
    if args.plot:
        try:
            cmr.draw(args.file, args.plot, settings=settings.cmr, segmentation=args.segmentation)
        except Excluded as error:
            print(f"ptacl inspect: the record cannot be drawn: {error}", file=sys.stderr)
    return facts


def _lines(facts: dict[str, Any]) -> list[str]:
    width = max(map(len, facts))
    return [f"{key:{width}}  {_text(value)}" for key, value in facts.items()]


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{k} {_text(v)}" for k, v in value.items())
    if isinstance(value, list):
        return " ".join(map(_text, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _simulate(args: argparse.Namespace) -> int:
    from ptacl.cohort import simulate

    settings = _settings(args.config).simulation.model_copy(
        update={"participants": args.participants}
    )
    simulate.simulate(
        args.out,
        settings=config.Simulation(**settings.model_dump()),
        seed=args.seed,
        processes=args.processes,
    )
    return USABLE


def _workflow(args: argparse.Namespace) -> int:
    if there := [name for name in _WORKFLOW if (args.folder / name).exists()]:
        raise FileExistsError(
            f"{args.folder} already has {', '.join(there)}: name another folder, or remove them"
        )
    for name in _WORKFLOW:
        source, target = _HOME / name, args.folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            args.folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    print(f"cd {shlex.quote(str(args.folder))} && snakemake --cores all --resources gpu=1")
    return USABLE


def _config(args: argparse.Namespace) -> int:
    from ptacl import explain
    from ptacl.config.schema import schema

    if args.schema:
        print(json.dumps(schema(), indent=1, ensure_ascii=False))
        return USABLE
    own, values = config.read(*_files()[:1]), config.read(*_files(*args.settings))
    if args.reference:
        print(explain.reference(own), end="")
    else:
        print(
            explain.explain(args.explain, own, values)
            if args.explain is not None
            else explain.resolved(values).rstrip()
        )
    return USABLE


def _settings(path: Path | None) -> config.Config:
    return config.stack(*_files(*([path] if path else [])))


def _files(*paths: Path) -> list[Path]:
    """Return the configuration files, with the project's own one first.

    Without any path, config.yaml of the current folder is used, if it exists.
    """
    found = [_OWN_CONFIG, *(paths or [p for p in [Path("config.yaml")] if p.is_file()])]
    for needed in found:
        if not needed.is_file():
            raise FileNotFoundError(
                f"{needed} is missing: run ptacl in the project's folder, or name a "
                "configuration file"
            )
    return found


if __name__ == "__main__":
    sys.exit(main())
