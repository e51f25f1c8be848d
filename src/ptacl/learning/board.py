"""Write the curves of a running training for TensorBoard, an optional extra of this package."""

import logging
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

log = logging.getLogger(__name__)

_SPLITS = ("train", "validation")
_PLACES = ("epoch", "step")


@contextmanager
def board(folder: Path | None) -> Iterator[Callable[[Mapping[str, float]], None]]:
    """Yield a function that takes the rows of a training, one per epoch.

    A resumed training passes all its rows again, so the folder is always written from scratch. The
    curves of both splits are in one group, such as loss/train and loss/validation. Without a folder
    nothing is written.
    """
    if folder is None:
        yield lambda row: None
        return
    from torch.utils.tensorboard import SummaryWriter

    shutil.rmtree(folder, ignore_errors=True)
    writer, failed = SummaryWriter(str(folder)), False

    def write(row: Mapping[str, float]) -> None:
        nonlocal failed
        try:
            for name, value in row.items():
                if name not in _PLACES and math.isfinite(value) and not failed:
                    split, _, rest = name.partition("_")
                    writer.add_scalar(
                        f"{rest}/{split}" if split in _SPLITS else name, value, int(row["step"])
                    )
            writer.flush()
        except OSError as error:  # for instance a full disk, which must not end the training
            failed = True
            log.warning("WARNING: no more curves for TensorBoard: %s", error.strerror)

    try:
        yield write
    finally:
        with suppress(OSError):
            writer.close()
