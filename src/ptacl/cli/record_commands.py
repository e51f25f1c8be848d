"""Commands about single records: ptacl inspect and simulate."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ptacl import config
from ptacl.cli.files import configuration_files
from ptacl.cli.status import EXCLUDED, UNREADABLE, USABLE
from ptacl.exclusions import Reason
from ptacl.preparation import Examined, Modality

_ECGS = (".xml", ".dcm", ".dicom", ".scp", ".edf", ".hea", ".dat", ".mwf", ".mfer", ".csv", ".npy")
_CINES = (".zip", ".nii.gz", ".nii")
_KINDS = (
    "ECG (.xml, .dcm, .scp, .edf, .hea, .mwf, .csv, .npy)",
    "DICOM cine (.zip)",
    "NIfTI cine (.nii.gz, .nii)",
    "folder of a cine",
)


def add_commands(commands: Any) -> None:
    """Add the two commands to the subparsers."""
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

    for command in (inspect, simulate):
        command.add_argument(
            "--config",
            type=Path,
            help="configuration file (default: config.yaml here, else that of the project)",
        )


def _inspect(args: argparse.Namespace) -> int:
    if not args.file.exists():
        raise FileNotFoundError(f"{args.file} does not exist")
    if args.file.is_file() and not args.file.name.lower().endswith(_ECGS + _CINES):
        supported = ", ".join(_KINDS)
        raise ValueError(f"{args.file.name}: unsupported file type; supported are: {supported}")
    settings = _settings(args.config)
    if args.file.is_file() and args.file.suffix.lower() in _ECGS:
        from ptacl.ecg.prepare import ECG

        return _show(args, ECG, {"ecg": str(args.file)}, settings.ecg)
    from ptacl.cmr.prepare import CMR
    from ptacl.cmr.read import find_labels

    segmentation = args.segmentation or find_labels(args.file) or ""
    paths = {"cmr": str(args.file), "segmentation": str(segmentation)}
    return _show(args, CMR, paths, settings.cmr)


def _show(
    args: argparse.Namespace, modality: Modality[Any], paths: dict[str, str], settings: Any
) -> int:
    """Print what is known about a record, draw it, and return the exit status."""
    examined: Examined = modality.examine(paths, settings)
    excluded = examined.excluded
    if excluded and excluded.reason in (Reason.UNREADABLE, Reason.MISSING_FILE):
        print(f"ptacl inspect: {args.file.name}: {excluded}", file=sys.stderr)
        return UNREADABLE
    facts = {
        "kind": modality.unit,
        **examined.facts,
        "flags": examined.flags,
        "excluded": str(excluded) if excluded else None,
    }
    print(json.dumps(facts, indent=2) if args.json else "\n".join(_lines(facts)))
    if args.plot:
        modality.draw(examined, args.plot, settings)
    return EXCLUDED if excluded else USABLE


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


def _settings(path: Path | None) -> config.Config:
    return config.stack(*configuration_files(*([path] if path else [])))
