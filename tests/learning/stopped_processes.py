"""A training of two processes (torchrun), of which the second receives SIGTERM at its third step.

It saves checkpoints all the time, which reads values of steps earlier in process 0 than in the
other.
"""

import os
import signal
import sys
from functools import partial
from pathlib import Path

from least_squares import CPU, Fit, Points

from ptacl.config import Training
from ptacl.learning import fit, processes


def stop_once(points: Points) -> None:
    points.does = None
    os.kill(os.getpid(), signal.SIGTERM)


def main(settings: str, state: str) -> None:
    training = Training.model_validate_json(settings)
    with processes.started(CPU):
        points = Points(40)
        if processes.rank() == 1:
            points.at, points.does = 3, partial(stop_once, points)
        try:
            fit.fit(
                Fit(),
                points,
                validation=None,
                training=training,
                seed=0,
                state=Path(state),
                device=CPU,
            )
        except SystemExit as stopped:
            print(f"process {processes.rank()} stopped: {stopped.code}, steps {points.steps}")


if __name__ == "__main__":
    main(*sys.argv[1:])
