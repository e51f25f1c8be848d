import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ptacl import config, participants
from ptacl.files import MAP_PREFIX
from ptacl.learning import maps
from ptacl.learning.recordings import digest, load

NAMES = ["frames", "systole"]


def read(cohort, place):
    return maps.read(cohort.shards("cmr"), NAMES, place)


def moved(cohort, folder):
    """The same cohort at another place, which has maps of its own."""
    return replace(cohort, folder=shutil.copytree(cohort.folder, folder))


def files(folder):
    return sorted(p.name for p in folder.glob("*") if p.name != ".lock")


def test_a_map_holds_what_is_read_into_memory(cohort, tmp_path):
    memory, mapped = read(cohort, maps.Place()), read(cohort, maps.Place(tmp_path))
    assert memory.visits == mapped.visits and memory.key == mapped.key
    for name in NAMES:
        assert np.array_equal(memory.arrays[name], mapped.arrays[name])
        assert not isinstance(memory.arrays[name], np.memmap) and isinstance(
            mapped.arrays[name], np.memmap
        )
    assert len(files(tmp_path)) == 2
    with pytest.raises(ValueError, match="read-only"):
        mapped.arrays["frames"][0] = 1


def test_a_map_is_a_copy_of_what_is_stored(cohort, tmp_path):
    """Whatever is done to a sample on its way into a batch: the code that does it may change, the
    map stays.
    """
    mapped = maps.read(cohort.shards("ecg"), ["signal_mv", "r_peaks"], maps.Place(tmp_path))
    rows = [cohort.visits.index(visit) for visit in mapped.visits]
    assert np.array_equal(mapped.arrays["signal_mv"], cohort.signal_mv[rows])
    assert np.array_equal(mapped.arrays["r_peaks"], cohort.r_peaks[rows])
    batches = []
    for place in (None, maps.Place(tmp_path)):
        recordings = load(cohort.visits, ecg=cohort.shards("ecg"), cmr=[], place=place)
        batches.append(recordings.signal[recordings.at("ecg", np.arange(4))])
    assert np.array_equal(*batches)


def test_loaded_recordings_are_the_same_mapped_or_not(cohort, tmp_path):
    table = participants.read(cohort.participants, splits=["train", "validation"])
    visits = table["visit"].tolist()[::-1]
    how = {"ecg": cohort.shards("ecg"), "cmr": cohort.shards("cmr")}
    memory, mapped = (
        load(visits, **how),
        load(visits, **how, place=maps.Place(tmp_path)),
    )
    assert digest(memory, table) == digest(mapped, table)
    rows = np.arange(len(visits))
    for name, modality in (
        ("signal", "ecg"),
        ("r_peaks", "ecg"),
        ("frames", "cmr"),
        ("systole", "cmr"),
    ):
        a, b = (getattr(r, name)[r.at(modality, rows)] for r in (memory, mapped))
        assert np.array_equal(a, b)


def test_a_map_is_made_once_and_again_where_the_content_changes(cohort, tmp_path, monkeypatch):
    place = maps.Place(tmp_path / "maps")
    read(cohort, place)
    monkeypatch.setattr(maps, "_write", lambda shards, paths: paths and pytest.fail("made again"))
    read(cohort, place)
    monkeypatch.undo()
    other = shutil.copytree(cohort.folder / "cmr", tmp_path / "cmr")
    (other / "0.json").write_text(json.dumps({"stored": "another"}))
    maps.read([other / f"{k}.json" for k in range(2)], NAMES, place)
    assert len(files(place.folder)) == 4, "of two places"
    before = files(place.folder)
    (other / "0.json").write_text(json.dumps({"stored": "somebody has withdrawn"}))
    maps.read([other / f"{k}.json" for k in range(2)], NAMES, place)
    assert len(files(place.folder)) == 4 and len(set(files(place.folder)) & set(before)) == 2, (
        "of each place the newest alone"
    )


@pytest.mark.parametrize("oldest", ["frames", "systole"])
def test_the_map_that_was_not_used_for_longest_makes_room(cohort, tmp_path, oldest):
    elsewhere = shutil.copytree(cohort.folder / "cmr", tmp_path / "elsewhere")
    maps.read([elsewhere / f"{k}.json" for k in range(2)], NAMES, maps.Place(tmp_path))
    first = [p.name for p in tmp_path.glob(f"{MAP_PREFIX}*.npy")]
    for name in first:
        os.utime(tmp_path / name, (1000, 1000 if f"-{oldest}-" in name else 2000))
    kept = read(cohort, maps.Place()).arrays["frames"]
    used = sum((tmp_path / name).stat().st_size for name in first)
    (tmp_path / "somebody_elses.npy").write_bytes(bytes(1000))
    held = np.load(
        tmp_path / max(first, key=lambda n: (tmp_path / n).stat().st_size), mmap_mode="r"
    )
    changed = read(cohort, maps.Place(tmp_path, limit_bytes=used + 50))
    assert np.array_equal(changed.arrays["frames"], kept)
    assert isinstance(changed.arrays["frames"], np.memmap)
    assert sum(p.stat().st_size for p in tmp_path.glob(f"{MAP_PREFIX}*.npy")) <= used + 50
    assert (tmp_path / "somebody_elses.npy").stat().st_size == 1000, "a folder may hold other files"
    assert np.array_equal(np.sort(held.ravel()), np.sort(kept.ravel())), (
        "who has a map open keeps it"
    )


def test_a_map_that_was_used_recently_is_kept_however_long_ago_it_was_made(cohort, tmp_path):
    folder = tmp_path / "maps"
    first, second, third = (moved(cohort, tmp_path / name) for name in ("1", "2", "3"))
    read(first, maps.Place(folder))
    of_first = set(files(folder))
    read(second, maps.Place(folder))
    of_second = set(files(folder)) - of_first
    for name in of_first | of_second:
        os.utime(folder / name, (1000, 1000 if name in of_first else 2000))
    read(first, maps.Place(folder))
    room_for_two = sum((folder / name).stat().st_size for name in of_first | of_second)
    read(third, maps.Place(folder, limit_bytes=room_for_two))
    assert of_first <= set(files(folder)), "made first, used last"
    assert not of_second & set(files(folder))
    assert len(files(folder)) == 4


def test_where_there_is_no_room_recordings_are_in_memory(cohort, tmp_path, caplog):
    small = read(cohort, maps.Place(tmp_path, limit_bytes=100))
    assert not isinstance(small.arrays["frames"], np.memmap) and files(tmp_path) == []
    (tmp_path / "file").write_text("")
    blocked = read(cohort, maps.Place(tmp_path / "file"))
    assert np.array_equal(blocked.arrays["frames"], small.arrays["frames"])
    assert "read into memory" in caplog.text


def test_one_process_makes_a_map_and_others_wait_for_it(cohort, tmp_path, monkeypatch):
    made, real = [], maps._fill

    def fill(shards, out):
        made.extend(out)
        real(shards, out)

    monkeypatch.setattr(maps, "_fill", fill)
    threads = [threading.Thread(target=read, args=(cohort, maps.Place(tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == sorted(NAMES) and len(files(tmp_path)) == 2


def test_a_killed_process_leaves_no_map(cohort, tmp_path):
    code = f"""
import os, sys
from pathlib import Path
from ptacl.learning import maps
real = maps._fill
def fill(*args):
    real(*args)
    os._exit(9)
maps._fill = fill
shards = [Path(p) for p in {[str(p) for p in cohort.shards("cmr")]}]
maps.read(shards, {NAMES}, maps.Place(Path({str(tmp_path)!r})))
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 9
    assert all(name.endswith(".partial") for name in files(tmp_path))
    read(cohort, maps.Place(tmp_path))
    assert len(files(tmp_path)) == 2 and all(name.endswith(".npy") for name in files(tmp_path))


def test_what_a_killed_process_left_of_a_map_that_nobody_wants_now_is_removed(cohort, tmp_path):
    """No later process makes a map of that name, so none would replace it."""
    (tmp_path / f"{MAP_PREFIX}frames-of-other-content.partial").write_bytes(bytes(1000))
    (tmp_path / "somebody_elses.partial").write_bytes(bytes(1000))
    read(cohort, maps.Place(tmp_path))
    partial = [name for name in files(tmp_path) if name.endswith(".partial")]
    assert partial == ["somebody_elses.partial"], "a folder may hold other files"


def test_a_variable_that_is_not_set_is_named(monkeypatch):
    monkeypatch.setenv("SCRATCH", "/scratch")
    assert maps.Place.of(config.dump(folder="$SCRATCH/maps", max_gb=2)) == maps.Place(
        Path("/scratch/maps"), 2e9
    )
    assert maps.Place.of(config.dump(folder="", max_gb=2)).folder is None
    with pytest.raises(
        argparse.ArgumentTypeError,
        match=r"maps\.folder: \$NOWHERE/maps names a variable that is not set",
    ):
        maps.Place.of(config.dump(folder="$NOWHERE/maps", max_gb=2))
