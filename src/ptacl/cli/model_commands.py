"""Commands that apply a trained model to files: ptacl embed, predict and retrieve."""

import argparse
import math
import sys
from pathlib import Path
from typing import Any

from ptacl.cli.status import EXCLUDED, INTERRUPTED, UNREADABLE, USABLE

_STATUS = (
    "Exit status: 0 all files used, 3 some files excluded (their rows have a reason), 2 no "
    "file could be used."
)


def add_commands(commands: Any) -> None:
    """Add the three commands to the subparsers."""
    embed = _command(
        commands,
        "embed",
        "compute embeddings of ECG or cine files with a trained model",
        files="*",  # or a list
    )
    embed.add_argument(
        "--files",
        dest="listed",
        type=Path,
        metavar="LIST",
        help="text file with one path per line, instead of or besides FILE",
    )
    embed.add_argument(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="number of processes, with --out (default 1)",
    )
    predict = _command(
        commands,
        "predict",
        "predict phenotypes, with intervals, and risks of diseases from ECG or cine files",
    )
    predict.add_argument(
        "--plot", type=Path, metavar="FOLDER", help="draw each ECG with its predictions"
    )
    retrieve = _command(
        commands, "retrieve", "find the people of a gallery whose other modality is nearest"
    )
    retrieve.add_argument(
        "--gallery",
        type=Path,
        required=True,
        metavar="FILE.npz",
        help="results/private/embeddings/MODEL-SEED.npz of a run",
    )
    retrieve.add_argument(
        "--participants",
        type=Path,
        metavar="CSV",
        help="participants.csv of the same run (default: found next to the gallery)",
    )
    retrieve.add_argument(
        "--num", type=int, default=5, metavar="K", help="number of neighbours per file (default 5)"
    )
    for command, run in ((embed, _embed), (predict, _predict), (retrieve, _retrieve)):
        command.set_defaults(run=run)
    _add_evaluate(commands)


def _add_evaluate(commands: Any) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="evaluate a trained model on another cohort, without fitting anything",
        description=(
            "Evaluate a trained model and its saved probes on another cohort. Nothing is fitted. "
            "Writes evaluation.csv and evaluation.html; the embeddings of the participants are in "
            "the subfolder private. After an interruption, the same command continues."
        ),
    )
    evaluate.add_argument(
        "model", type=Path, metavar="MODEL", help="model folder, such as results/models/ptacl-0"
    )
    evaluate.add_argument(
        "cohort",
        type=Path,
        metavar="COHORT",
        help="table of files and values, as in docs/other-cohorts.md",
    )
    evaluate.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="folder to write to"
    )
    evaluate.add_argument(
        "--modality", choices=["ecg", "cmr"], default="ecg", help="input (default ecg)"
    )
    evaluate.add_argument(
        "--processes", type=int, default=1, metavar="N", help="number of processes (default 1)"
    )
    evaluate.add_argument(
        "--smallest-count",
        type=int,
        default=5,
        metavar="N",
        help="hide counts of people below this (default 5)",
    )
    evaluate.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    evaluate.set_defaults(run=_evaluate)


def _command(commands: Any, name: str, text: str, *, files: str = "+") -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}. {_STATUS}"
    )
    command.add_argument(
        "files",
        nargs=files,
        type=Path,
        metavar="FILE",
        help="ECG files, or cines with --modality cmr; folders are searched",
    )
    command.add_argument(
        "--model",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="model folder, such as results/models/ptacl-0",
    )
    command.add_argument(
        "--modality",
        choices=["ecg", "cmr"],
        default="ecg",
        help="modality of the files (default ecg)",
    )
    command.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="table to write, .csv or .parquet (default: print CSV)",
    )
    command.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    return command


def _embed(args: argparse.Namespace) -> int:
    from ptacl import many

    model = _model(args)
    given = [*args.files, *(many.listed(args.listed) if args.listed else [])]
    if not given:
        raise ValueError("no files: name files or folders, or a list with --files")
    files = many.found(given, modality=args.modality)
    if args.out is None:
        table = model.embed(files, modality=args.modality, progress=True).reset_index()
        table.to_csv(sys.stdout, index=False, float_format="%.6g")
        return _status_of(args, table)
    try:
        table = many.embed(
            model,
            files,
            modality=args.modality,
            out=args.out,
            processes=args.processes,
        )
    except KeyboardInterrupt:
        print("ptacl embed: interrupted; the same command continues", file=sys.stderr)
        return INTERRUPTED
    return _status_of(args, table)


def _predict(args: argparse.Namespace) -> int:
    from ptacl import many

    model, files = _model(args), many.found(args.files, modality=args.modality)
    table = model.predict(files, modality=args.modality, progress=True)
    if args.plot:
        from ptacl.ecg import predicted
        from ptacl.evaluation.inputs import used
        from ptacl.prediction import PROBABILITY

        args.plot.mkdir(parents=True, exist_ok=True)
        for path in files if args.modality == "ecg" else []:
            phenotypes = table["unit"] != PROBABILITY
            rows = table[(table["input"] == str(path)) & phenotypes]
            if not rows["reason"].any():
                predicted.draw(
                    path,
                    rows,
                    out_png=args.plot / f"{path.stem}.png",
                    phenotypes=model.probes[used("ecg")]["phenotypes"],
                    settings=model.preparation["ecg"],
                )
    return _finish(args, table)


def _retrieve(args: argparse.Namespace) -> int:
    from ptacl import many
    from ptacl.gallery import Gallery

    model, gallery = _model(args), Gallery.load(args.gallery, table=args.participants)
    files = many.found(args.files, modality=args.modality)
    table = model.retrieve(files, gallery, modality=args.modality, num=args.num, progress=True)
    return _finish(args, table)


def _evaluate(args: argparse.Namespace) -> int:
    from ptacl import external
    from ptacl.inference import Model

    try:
        table = external.evaluate(
            Model.load(args.model, device=args.device),
            args.cohort,
            out=args.out,
            modality=args.modality,
            settings=external.Settings(smallest_count=args.smallest_count),
            processes=args.processes,
        )
    except KeyboardInterrupt:
        print("ptacl evaluate: interrupted; the same command continues", file=sys.stderr)
        return INTERRUPTED
    for line in table.to_dict("records"):
        value, low, high = (float(line[name]) for name in ("value", "low", "high"))
        number = f"{value:7.3f} ({low:.3f} to {high:.3f})"
        if math.isnan(value):  # only counted
            number = f"{str(line['cases']).removesuffix('.0')} of {line['n']}: not evaluated"
        print(f"{line['target']:28} {line['statistic']:24} {number}")
    print(f"Page: {args.out / 'evaluation.html'}")
    return USABLE


def _model(args: argparse.Namespace) -> Any:
    from ptacl.inference import Model

    if args.out and args.out.suffix not in (".csv", ".parquet"):
        raise ValueError(f"{args.out}: unsupported file type: name a .csv or .parquet file")
    return Model.load(args.model, device=args.device)


def _finish(args: argparse.Namespace, table: Any) -> int:
    """Write the table, report each file that could not be used, and return the exit status."""
    if args.out is None:
        table.to_csv(sys.stdout, index=False, float_format="%.6g")
    elif args.out.suffix == ".parquet":
        table.to_parquet(args.out, index=False)
    else:
        table.to_csv(args.out, index=False)
    return _status_of(args, table)


def _status_of(args: argparse.Namespace, table: Any) -> int:
    """Report each file that could not be used, and return the exit status."""
    bad = table.loc[table["reason"] != "", ["input", "reason"]].drop_duplicates()
    for name, reason in bad.itertuples(index=False):
        print(f"ptacl {args.command}: {Path(name).name}: {reason}", file=sys.stderr)
    if not len(bad):
        return USABLE
    return UNREADABLE if len(bad) == table["input"].nunique() else EXCLUDED
