"""A stage stops if it would lose more than the settings allow."""

from pathlib import Path

import pytest

from ptacl import config, lost_records
from ptacl.cohort import vanished
from ptacl.cohort.inventory import BulkFile
from ptacl.cohort.shards import shard_lists, write_shard_lists


def rows(lost: int, others: int = 0) -> list[dict[str, str]]:
    of = [("unreadable file", "zip: BadZipFile"), ("file that does not exist", "")]
    found = [{"reason": of[k % 2][0], "detail": of[k % 2][1]} for k in range(lost)]
    return found + [{"reason": "flat lead", "detail": "II"}] * others


@pytest.mark.parametrize(
    ("lost", "of", "share", "stops"),
    [
        (5, 20, 0.02, False),  # five are always allowed
        (6, 20, 0.02, True),
        (10, 530, 0.02, False),
        (11, 530, 0.02, True),
        (530, 530, 1.0, False),
    ],
)
def test_how_many_files_may_be_lost(lost: int, of: int, share: float, stops: bool) -> None:
    limits = {"of": of, "share": share, "setting": "storage.lost_of_shard", "where": "3.csv"}
    if not stops:
        lost_records.require_few(rows(lost, others=100), **limits)
        return
    with pytest.raises(ValueError) as error:
        lost_records.require_few(rows(lost, others=100), **limits)
    text = str(error.value)
    assert text.startswith(f"{lost} of {of} files do not exist or cannot be read, more than 2.0%: ")
    assert f"unreadable file: zip: BadZipFile ({(lost + 1) // 2})" in text
    assert "3.csv lists the files" in text and text.endswith("raise storage.lost_of_shard")


def files(number: int) -> list[str]:
    pairs = []
    for k in range(number):
        participant = str(9000001 + k)
        ecg = BulkFile(participant, 2, f"{participant}.xml", 1, None, 0, 0)
        pairs.append((ecg, ecg))
    return shard_lists(pairs, shards=2, version="")


@pytest.fixture
def settings(root: Path) -> config.Cohort:
    return config.load(root / "config.yaml").cohort


def test_visits_that_vanish_stop_the_manifest_before_it_changes_anything(
    settings: config.Cohort, tmp_path: Path
) -> None:
    def compare(texts: list[str], *, share: float = 0.01, **changes: object) -> None:
        of = settings.model_copy(update={"source": "files", **changes})
        withdrawn = {str(9000001 + k) for k in range(990, 1000)}
        vanished.require_few(tmp_path, texts, settings=of, withdrawn=withdrawn, share=share)

    compare(files(1000))
    write_shard_lists(tmp_path / "shards", files(1000))
    compare(files(981))  # ten were withdrawn, nine vanished
    with pytest.raises(ValueError, match=r"20 of the 990 visits of the last run are no longer"):
        compare(files(970))
    compare(files(970), share=0.03)
    compare(files(1200))
    compare(files(10), instances=[3])  # other visits are wanted
    write_shard_lists(tmp_path / "shards", files(10))
    compare(files(10))
