"""Withdrawal lists, and what of a participant who has withdrawn is removed."""

import json
from pathlib import Path

import pytest

from ptacl import files
from ptacl.cohort import withdrawal


def test_withdrawal_list_tolerates_blank_lines_quotes_and_crlf(tmp_path: Path) -> None:
    (tmp_path / "w1.csv").write_bytes(b'\xef\xbb\xbf9000001\r\n\r\n"9000002"\r\n  9000003 \r\n')
    (tmp_path / "w2.txt").write_text("'9000002'\n9000004")
    (tmp_path / "empty.csv").write_text("")
    found = withdrawal.read_lists(
        [tmp_path / "w1.csv", tmp_path / "w2.txt", tmp_path / "empty.csv"]
    )
    assert found == {"9000001", "9000002", "9000003", "9000004"}


@pytest.mark.parametrize(
    "junk", ["eid", "9000003,1", "90000031", "900000", "9000003 9000004", "\x00\x01", "٩٠٠٠٠٠٣"]
)
def test_junk_in_a_withdrawal_list_names_file_and_line_but_not_the_content(
    junk: str, tmp_path: Path
) -> None:
    (tmp_path / "w.csv").write_text(f"9000001\n\n{junk}\n9000002\n")
    with pytest.raises(ValueError, match=r"w\.csv, line 3") as error:
        withdrawal.read_lists([tmp_path / "w.csv"])
    assert junk not in str(error.value).replace("one id per line", "").replace("w.csv", "")


def store(folder: Path, k: int, *, visits: list[str], excluded: list[str]) -> None:
    (folder / f"{k}" / "store.zarr").mkdir(parents=True)
    (folder / f"{k}.png").touch()
    rows = [{"visit": v, "reason": "flat lead", "detail": ""} for v in excluded]
    (folder / f"{k}.json").write_text(
        json.dumps({"visits": visits, "excluded": rows, "quality": {}})
    )


def test_purge_takes_shards_that_are_no_more_or_hold_a_withdrawn_participant(
    tmp_path: Path,
) -> None:
    for name in ("ecg", "cmr"):
        store(tmp_path / name, 0, visits=["9000001_2"], excluded=["9000002_2"])
        store(tmp_path / name, 1, visits=["9000003_2", "9000003_3"], excluded=[])
        store(tmp_path / name, 2, visits=["9000004_2"], excluded=["9000005_3"])
        store(tmp_path / name, 12, visits=["9000006_2"], excluded=[])
    (tmp_path / "ecg/README.md").touch()
    stores = [tmp_path / "ecg", tmp_path / "cmr", tmp_path / "absent"]
    assert withdrawal.purge_shards(stores, shards=13, withdrawn={"9000099"}) == 0
    assert withdrawal.purge_shards(stores, shards=12, withdrawn={"9000003", "9000005"}) == 6
    assert sorted(p.name for p in (tmp_path / "cmr").iterdir()) == ["0", "0.json", "0.png"]
    assert sorted(p.name for p in (tmp_path / "ecg").iterdir()) == [
        "0",
        "0.json",
        "0.png",
        "README.md",
    ]


def test_purge_takes_an_unfinished_shard_only_when_someone_has_withdrawn(tmp_path: Path) -> None:
    (tmp_path / "0/store.zarr.partial").mkdir(parents=True)
    assert withdrawal.purge_shards([tmp_path], shards=1, withdrawn=set()) == 0
    assert withdrawal.purge_shards([tmp_path], shards=1, withdrawn={"9000001"}) == 1
    assert not any(tmp_path.iterdir())


def test_purge_takes_maps_where_a_shard_was_purged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    for purged, left in ((0, 1), (1, 0)):
        (tmp_path / "maps").mkdir(exist_ok=True)
        for name in (
            "ptacl-map-frames-1-2.npy",
            "ptacl-map-frames-1-3.partial",
            "somebody_elses.npy",
        ):
            (tmp_path / "maps" / name).touch()
        withdrawal.purge_maps("$SCRATCH/maps", purged=purged)
        assert len(list((tmp_path / "maps").glob("ptacl-map-*"))) == 2 * left
        assert (tmp_path / "maps/somebody_elses.npy").exists()
    assert files.MAP_PREFIX == files.MAP_PREFIX, "a lower layer names what a higher one writes"
    withdrawal.purge_maps("", purged=1)
    withdrawal.purge_maps(str(tmp_path / "nowhere"), purged=1)


def test_purge_leaves_what_a_link_points_to(tmp_path: Path) -> None:
    (tmp_path / "elsewhere/store.zarr").mkdir(parents=True)
    (tmp_path / "ecg").mkdir()
    (tmp_path / "ecg/5").symlink_to(tmp_path / "elsewhere")
    assert withdrawal.purge_shards([tmp_path / "ecg"], shards=1, withdrawn=set()) == 1
    assert (tmp_path / "elsewhere/store.zarr").is_dir() and not (tmp_path / "ecg/5").is_symlink()
