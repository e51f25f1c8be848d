"""Notice visits that the last run had and this one no longer finds."""

import csv
import hashlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from ptacl import config, lost_records

_PLACES = "places.txt"  # next to the lists of the last run
# Settings that decide which visits are listed.
_SETTINGS = {
    *("source", "table", "ecg_folders", "cmr_folders", "unpaired", "instances"),
    "default_instance",
}


def require_few(
    out: Path,
    texts: Sequence[str],
    *,
    settings: config.Cohort,
    withdrawn: Collection[str],
    share: float,
) -> None:
    """Compare the shard lists `texts` with those of the last run in `out`.

    Raises ValueError if more visits have vanished than a share of them, although they were not
    withdrawn and the same folders are searched. Otherwise it records which folders were searched.
    """
    values = settings.model_dump_json(include=_SETTINGS)
    places = hashlib.sha256(values.encode()).hexdigest()
    record = out / "shards" / _PLACES
    if record.is_file() and record.read_text() == places:
        _compare(out / "shards", texts, withdrawn=withdrawn, share=share)
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(places)


def _compare(
    folder: Path, texts: Sequence[str], *, withdrawn: Collection[str], share: float
) -> None:
    before = set()
    for path in folder.glob("*.csv"):
        before |= _visits(path.read_text(errors="surrogateescape").splitlines())
    before = {visit for visit in before if visit.rpartition("_")[0] not in withdrawn}
    now = set().union(*(_visits(text.splitlines()) for text in texts))
    gone = len(before - now)
    if gone > lost_records.allowed(share, of=len(before)):
        raise ValueError(
            f"{gone:,} of the {len(before):,} visits of the last run are no longer found, more "
            f"than {share:.1%}, and not withdrawn: check that all folders are mounted and "
            "complete; if the files were removed on purpose, raise storage.vanished"
        )


def _visits(lines: Iterable[str]) -> set[str]:
    return {row["visit"] for row in csv.DictReader(lines)}
