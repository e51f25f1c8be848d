import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from ptacl import participants
from ptacl.ecg import zscore as zscores
from ptacl.ecg.beats import beat_matrices
from ptacl.learning import data
from ptacl.learning.draws import frame_index
from ptacl.learning.recordings import digest, load, split_participants

CPU = torch.device("cpu")


def samples(cohort, sizes, *modalities, split="train", **how):
    recordings, rows = cohort.load(*modalities, split=split)
    return data.Samples(recordings, rows, sizes=sizes, seed=3, **how)


def batch(made, chosen, *, epoch):
    return made.finish(made.collect(np.array(chosen), epoch=epoch), device=CPU)


def zscored(signal):
    return (signal - signal.mean((1, 2), keepdims=True)) / signal.std((1, 2), keepdims=True)


def test_round_trip_through_the_stores(cohort):
    recordings, rows = cohort.load("ecg", "cmr")
    assert recordings.visits == cohort.visits[:17] and [r.tolist() for r in rows] == [
        [i] for i in range(13)
    ]
    ecg, cmr = (recordings.at(m, np.arange(17)) for m in ("ecg", "cmr"))
    assert (
        np.array_equal(recordings.frames[cmr], cohort.frames[:17])
        and recordings.frames.dtype == np.uint8
    )
    assert np.array_equal(recordings.r_peaks[ecg], cohort.r_peaks[:17])
    assert recordings.signal.dtype == np.float32
    assert np.array_equal(recordings.signal[ecg], cohort.signal_mv[:17])
    assert cohort.load("cmr")[0].signal is None and cohort.load("ecg")[0].frames is None
    assert np.concatenate(cohort.load("ecg", split="validation")[1]).tolist() == [13, 14, 15, 16]


def test_missing_visit_is_counted_not_named(cohort):
    with pytest.raises(ValueError, match=r"hold 10 of the 20 visits.*prepare") as error:
        load(cohort.visits, ecg=cohort.shards("ecg")[:1], cmr=[])
    assert "9000" not in str(error.value)


def test_digest_sees_data_and_splits(cohort, tmp_path):
    recordings, _ = cohort.load("ecg")
    table = participants.read(cohort.participants, splits=["train", "validation"])
    first = digest(recordings, table)
    assert digest(cohort.load("ecg")[0], table) == first
    shutil.copytree(cohort.folder / "ecg", tmp_path / "ecg")
    (tmp_path / "ecg/1.json").write_text(json.dumps({"stored": "another hash"}))
    other = load(recordings.visits, ecg=[tmp_path / f"ecg/{k}.json" for k in range(2)], cmr=[])
    assert digest(other, table) != first
    moved = table.assign(split=["validation", *table["split"][1:]])
    assert digest(cohort.load("ecg")[0], moved) != first


def test_evaluation_view_is_the_start_of_the_record_and_the_whole_cycle(
    cohort, sizes, ecg_augmentation, cmr_augmentation
):
    made = samples(
        cohort,
        sizes,
        "ecg",
        "cmr",
        beats=True,
        masked=5,
        ecg=ecg_augmentation,
        cmr=cmr_augmentation,
    )
    one, two = batch(made, [4, 2], epoch=None), batch(made, [2], epoch=None)
    assert np.allclose(one["ecg"], zscored(cohort.signal_mv[[4, 2]])[:, :, :200], atol=1e-5)
    assert np.allclose(one["cmr"], cohort.frames[[4, 2]][:, frame_index(10, 6)] / 255, atol=1e-6)
    beats, counts = beat_matrices(
        cohort.r_peaks[[4, 2]], start=np.zeros(2), num_samples=200, patch=25, phases=3
    )
    assert np.array_equal(one["beats"], beats) and np.array_equal(one["valid"], counts > 0)
    assert all(torch.equal(one[name][1:], two[name]) for name in one)
    assert one["beats"].shape == (2, 3, 8) and one["noise"].shape == (2, 5)


def test_training_view_changes_by_epoch_and_not_by_batch(
    cohort, sizes, ecg_augmentation, cmr_augmentation
):
    made = samples(
        cohort,
        sizes,
        "ecg",
        "cmr",
        beats=True,
        masked=5,
        ecg=ecg_augmentation,
        cmr=cmr_augmentation,
    )
    first, again, next_epoch = (batch(made, [4, 2, 7], epoch=e) for e in (0, 0, 1))
    alone = batch(made, [2], epoch=0)
    for name in ("ecg", "cmr", "noise", "beats"):
        assert torch.equal(first[name], again[name])
        assert torch.allclose(first[name][1:2], alone[name], atol=1e-6)
        assert not torch.allclose(first[name], next_epoch[name])
    assert {name: t.dtype for name, t in first.items()} == {
        "ecg": torch.float32,
        "cmr": torch.float32,
        "beats": torch.float32,
        "noise": torch.float32,
        "valid": torch.bool,
        "ecg_clean": torch.float32,
        "cmr_clean": torch.float32,
    }
    assert 0 <= first["cmr"].min() and first["cmr"].max() <= 1


def test_r_peaks_follow_the_crop(cohort, sizes, ecg_augmentation):
    crop_alone = ecg_augmentation.model_copy(update={"probability": 0.0})
    made = samples(cohort, sizes, "ecg", beats=True, ecg=crop_alone)
    out, starts = batch(made, range(13), epoch=5), []
    for i in range(13):
        record = zscored(cohort.signal_mv[i : i + 1])[0]
        distance = [
            np.abs(record[:, a : a + 200] - out["ecg"][i].numpy()).max() for a in range(201)
        ]
        starts.append(int(np.argmin(distance)))
        assert distance[starts[-1]] < 1e-4
        beats, counts = beat_matrices(
            cohort.r_peaks[i][None],
            start=np.array(starts[-1:]),
            num_samples=200,
            patch=25,
            phases=3,
        )
        assert np.array_equal(out["beats"][i], beats[0]) and out["valid"][i] == (counts[0] > 0)
    assert len(set(starts)) > 5
    assert not out["valid"][0] and not out["beats"][0].any(), (
        "the visit without R-peaks adds nothing"
    )


def test_reconstruction_aims_at_what_was_moved_but_not_corrupted(
    cohort, sizes, ecg_augmentation, cmr_augmentation
):
    quiet = cmr_augmentation.model_copy(
        update={"brightness": 0.0, "contrast": 0.0, "blur_sigma": (0.0, 0.0), "noise": 0.0}
    )
    loud = samples(
        cohort, sizes, "ecg", "cmr", masked=5, ecg=ecg_augmentation, cmr=cmr_augmentation
    )
    still = samples(
        cohort,
        sizes,
        "ecg",
        "cmr",
        masked=5,
        ecg=ecg_augmentation.model_copy(update={"probability": 0.0}),
        cmr=quiet,
    )
    corrupted, clean = batch(loud, range(13), epoch=1), batch(still, range(13), epoch=1)
    assert torch.equal(corrupted["ecg_clean"], clean["ecg"]) and torch.equal(
        corrupted["cmr_clean"].clamp(0, 1), clean["cmr"]
    )
    assert not torch.equal(corrupted["ecg"], corrupted["ecg_clean"]) and not torch.equal(
        corrupted["cmr"], corrupted["cmr_clean"]
    )
    same = batch(loud, range(4), epoch=None)
    assert torch.equal(same["ecg"], same["ecg_clean"]) and torch.equal(
        same["cmr"], same["cmr_clean"]
    )
    assert "ecg_clean" not in batch(samples(cohort, sizes, "ecg", beats=True), [0], epoch=None)


def test_one_visit_of_a_participant_an_epoch(cohort, sizes):
    recordings, _ = cohort.load("ecg")
    people = ["a", "b", "a", "c", "b", "a"]
    table = pd.DataFrame({"participant": people, "split": ["train"] * 5 + ["test"]})
    rows = split_participants(table, "train")
    assert [r.tolist() for r in rows] == [[0, 2], [1, 4], [3]]
    assert split_participants(table, "validation") == []
    made = data.Samples(recordings, rows, sizes={"ecg": sizes["ecg"]}, seed=3)
    assert len(made) == 3
    shown = {epoch: batch(made, range(3), epoch=epoch)["ecg"] for epoch in (*range(12), None)}
    stored = zscored(recordings.signal[recordings.at("ecg", np.arange(6))])[:, :, :200]
    visits = {
        e: [int(np.abs(stored - x.numpy()).max((1, 2)).argmin()) for x in s]
        for e, s in shown.items()
    }
    assert visits.pop(None) == [0, 1, 3]
    assert all(a in (0, 2) and b in (1, 4) and c == 3 for a, b, c in visits.values())
    assert len({tuple(v) for v in visits.values()}) > 2


def test_the_z_score_of_the_cohort_keeps_voltages(cohort, sizes):
    recordings, rows = cohort.load("ecg")
    zscore = zscores.of_cohort(recordings.signals(np.concatenate(rows)))
    recordings = recordings.standardised(zscore)
    made = data.Samples(recordings, rows, sizes={"ecg": sizes["ecg"]}, seed=3)
    found = batch(made, [4, 2], epoch=None)["ecg"]
    expected = (cohort.signal_mv[[4, 2]][:, :, :200] - zscore.mean_mv) / zscore.sd_mv
    assert np.allclose(found, expected, atol=1e-5)
