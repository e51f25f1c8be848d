"""Inspect files, check a cohort before a run, and use trained models.

The pipeline itself is started with snakemake.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from ptacl import raw, stage
from ptacl.cli import model_commands, record_commands, run_commands
from ptacl.cli.status import UNREADABLE


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    parser = argparse.ArgumentParser(prog="ptacl", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for group in (record_commands, run_commands, model_commands):
        group.add_commands(commands)
    args = parser.parse_args(argv)
    sys.path.append(os.getcwd())  # for objectives and projectors in files of your own
    try:
        return int(args.run(args))
    except (ValueError, OSError, raw.Unavailable) as error:
        print(f"ptacl {args.command}: {stage.explain(error)}", file=sys.stderr)
        return raw.UNAVAILABLE if isinstance(error, raw.Unavailable) else UNREADABLE
