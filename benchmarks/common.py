"""Shared code of the benchmarks: alternating rounds, and one row of the table."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context

from ptacl import memory

Clock = Callable[[Callable[[], object]], float]


@dataclass(frozen=True)
class Row:
    """One comparison.

    `ours` and `peer` are medians in `unit`. `ratio` is the median over rounds of how many times
    better ours is.
    """

    name: str
    ours: float
    peer: float | None
    unit: str
    ratio: float | None
    floor: float | None = None

    def line(self) -> str:
        """Return the row as a line of text."""
        peer = "" if self.peer is None else f"{self.peer:.4g}"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        floor = "" if self.floor is None else f"{self.floor:g}"
        return f"{self.name:58} {self.ours:>9.4g} {peer:>9} {self.unit:18} {ratio:>7} {floor:>6}"

    def values(self) -> dict[str, object]:
        """Return the row as values for JSON."""
        return {k: round(v, 5) if isinstance(v, float) else v for k, v in asdict(self).items()}


HEAD = f"{'':58} {'ours':>9} {'peer':>9} {'':18} {'ratio':>7} {'floor':>6}"


def seconds(function: Callable[[], object]) -> float:
    """Return the wall time of one call, in seconds."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def of_processor(function: Callable[[], object]) -> float:
    """Return the processor time of one call, in seconds."""
    start = time.process_time()
    function()
    return time.process_time() - start


@contextmanager
def as_used(clock: Clock) -> Iterator[tuple[Clock, Clock]]:
    """Yield clocks in two separate processes.

    The first keeps its memory, as a job of this project does. The second has the defaults of
    Python.
    """
    spawn = get_context("spawn")
    with spawn.Pool(1, memory.keep) as ours, spawn.Pool(1) as peer:
        yield (lambda f: ours.apply(clock, (f,))), (lambda f: peer.apply(clock, (f,)))


def in_turns(
    ours: Callable[[], object],
    peer: Callable[[], object],
    *,
    rounds: int,
    warm: int = 1,
    clocks: tuple[Clock, Clock] = (seconds, seconds),
) -> tuple[float, float, float]:
    """Return the median seconds of both, and the median over rounds of peer / ours.

    They alternate, so that a slow minute of the machine affects both.
    """
    pairs = [(clocks[0](ours), clocks[1](peer)) for _ in range(warm + rounds)][warm:]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(b / a for a, b in pairs),
    )


def rate(
    name: str,
    count: float,
    unit: str,
    times: tuple[float, float, float],
    floor: float | None = None,
) -> Row:
    """Return a row in `count` things per second, from the times of :func:`in_turns`."""
    ours, peer, ratio = times
    return Row(name, count / ours, count / peer, unit, ratio, floor)
