"""Stop a stage that would lose too many records, so that failing storage is noticed.

Lost are files that do not exist or cannot be read; records with other faults are not. The limits
are the settings `storage`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from ptacl.exclusions import Reason

ALWAYS_ALLOWED = 5  # in small cohorts, the shares of the settings would be less than one record
_LOST = (Reason.MISSING_FILE.value, Reason.UNREADABLE.value)
_SHOWN = 3


def allowed(share: float, *, of: int) -> int:
    """Return how many of a number of records may be lost."""
    return max(ALWAYS_ALLOWED, int(share * of))


def require_few(
    excluded: Iterable[Mapping[str, str]], *, of: int, share: float, setting: str, where: str
) -> None:
    """Raise ValueError if more files are lost than the share of a setting.

    Parameters
    ----------
    excluded : iterable of mappings
        Exclusions, with `reason` and `detail`.
    of : int
        Number of records that were read.
    share : float
        Value of the setting.
    setting : str
        Name of the setting, for the message.
    where : str
        File that lists the records, for the message.
    """
    causes = Counter(
        f"{row['reason']}{': ' if row['detail'] else ''}{row['detail']}"
        for row in excluded
        if row["reason"] in _LOST
    )
    lost = causes.total()
    if lost <= allowed(share, of=of):
        return
    listed = "; ".join(f"{cause} ({n})" for cause, n in causes.most_common(_SHOWN))
    raise ValueError(
        f"{lost:,} of {of:,} files do not exist or cannot be read, more than {share:.1%}: "
        f"{listed}; check that the storage is complete and mounted ({where} lists the files); if "
        f"these files are really damaged, raise {setting}"
    )
