"""Hide small counts of people, which must not leave the platform of UK Biobank."""

from collections.abc import Iterable
from typing import Any


def hidden(value: Any, *, least: int) -> Any:
    """Return nested counts in which each number from 1 to `least` - 1 is the text "<least"."""
    if isinstance(value, dict):
        return {key: hidden(item, least=least) for key, item in value.items()}
    if isinstance(value, list):
        return [hidden(item, least=least) for item in value]
    if isinstance(value, int) and 0 < value < least:
        return f"<{least}"
    return value


def text(count: int | str) -> str:
    """Format a count that can be hidden."""
    return f"{count:,}" if isinstance(count, int) else count


def total(counts: Iterable[int | str]) -> int | str:
    """Add counts; if one is hidden, the sum is only known to be larger, or hidden too."""
    counts = list(counts)
    known = sum(count for count in counts if isinstance(count, int))
    unknown = [count for count in counts if isinstance(count, str)]
    if not unknown:
        return known
    return f"{known:,} or more" if known else unknown[0]
