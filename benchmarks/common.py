"""What all benchmarks share: rounds in turns, and a row of the table."""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """One comparison. `ours` and `peer` are medians in `unit`; `ratio` is how many times better ours is, the median of rounds."""

    name: str
    ours: float
    peer: float | None
    unit: str
    ratio: float | None
    floor: float | None = None

    def line(self) -> str:
        """The row for reading."""
        peer = "" if self.peer is None else f"{self.peer:.4g}"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        floor = "" if self.floor is None else f"{self.floor:g}"
        return f"{self.name:58} {self.ours:>9.4g} {peer:>9} {self.unit:18} {ratio:>7} {floor:>6}"

    def values(self) -> dict[str, object]:
        """The row for JSON."""
        return {k: round(v, 5) if isinstance(v, float) else v for k, v in asdict(self).items()}


HEAD = f"{'':58} {'ours':>9} {'peer':>9} {'':18} {'ratio':>7} {'floor':>6}"


def seconds(function: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def in_turns(ours: Callable[[], object], peer: Callable[[], object], *, rounds: int, warm: int = 1) -> tuple[float, float, float]:
    """Median seconds of both, and the median over rounds of peer / ours: a slow minute of the machine hits both."""
    pairs = [(seconds(ours), seconds(peer)) for _ in range(warm + rounds)][warm:]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(b / a for a, b in pairs),
    )


def rate(name: str, count: float, unit: str, times: tuple[float, float, float], floor: float | None = None) -> Row:
    """A row in things a second, from :func:`in_turns` of `count` things."""
    ours, peer, ratio = times
    return Row(name, count / ours, count / peer, unit, ratio, floor)
