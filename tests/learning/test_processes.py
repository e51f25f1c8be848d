import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ptacl import config
from ptacl.learning import processes, resume

SCRIPT = Path(__file__).with_name("two_processes.py")


def test_alone_nothing_is_exchanged():
    rows = torch.rand(3, 2, requires_grad=True)
    assert processes.gather(rows) is rows and processes.count() == 1 and processes.rank() == 0
    assert processes.share(torch.tensor(5)) == 1 and processes.total(torch.ones(2)).tolist() == [
        1,
        1,
    ]
    with processes.started() as device:
        assert device.type in ("cpu", "cuda") and processes.count() == 1


@pytest.fixture(scope="module")
def results(cohort, inputs, ptacl, phasewise, ecg_mae, supervised, tmp_path_factory):
    """By one process and by two: 20 steps of 7 samples, so that processes have unequal parts; some
    samples have no beat.
    """
    training = ptacl.training.model_copy(
        update={
            "epochs": 20,
            "batch_size": 7,
            "select": "best",
            "accumulate": 1,
            "checkpoint_seconds": 1e9,
        }
    )
    out = tmp_path_factory.mktemp("processes")
    arguments = [
        str(cohort.participants),
        str(cohort.folder),
        config.dump(inputs()),
        config.dump(ptacl.model_copy(update={"training": training})),
        config.dump(phasewise.model_copy(update={"training": training})),
        config.dump(
            ecg_mae.model_copy(update={"training": training.model_copy(update={"accumulate": 2})})
        ),
        config.dump(supervised.model_copy(update={"training": training})),
    ]
    runpy.run_path(str(SCRIPT))["main"](*arguments, out / "one")
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
    ]
    run = subprocess.run(
        [*launcher, SCRIPT, *arguments, out / "two"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return {
        name: [
            torch.load(out / path, weights_only=True)
            for path in (f"one/{name}-0.pt", f"two/{name}-0.pt", f"two/{name}-1.pt")
        ]
        for name in ("align", "phasewise", "pretrain", "supervised")
    }


@pytest.mark.parametrize("name", ["align", "phasewise", "pretrain", "supervised"])
def test_two_processes_train_the_same_weights_as_one(results, name):
    one, first, second = results[name]
    assert [r["processes"] for r in (one, first, second)] == [1, 2, 2] and one["history"][-1][
        "step"
    ] == 20
    for key, value in one["weights"].items():
        assert torch.allclose(first["weights"][key], value, rtol=0, atol=1e-6), key
        assert torch.equal(first["weights"][key], second["weights"][key]), key
    moved = max(
        (value - first["weights"][key]).abs().max() for key, value in one["weights"].items()
    )
    assert moved < 1e-6
    losses = [row["train_loss"] for row in first["history"]]
    assert min(losses) < losses[0]


@pytest.mark.parametrize("name", ["align", "phasewise", "pretrain", "supervised"])
def test_two_processes_tell_the_same_history_as_one(results, name):
    one, first, second = (r["history"] for r in results[name])
    for row, other, third in zip(one, first, second, strict=True):
        names = set(row) - {"seconds", "samples_per_second", "train_valid"}
        assert [other[k] for k in names] == pytest.approx([row[k] for k in names], rel=1e-6)
        assert [other[k] for k in names] == [third[k] for k in names]


@pytest.mark.parametrize("checkpoint_seconds", [0.0, 1e9])
def test_a_signal_to_one_process_stops_all_at_the_same_step(training, tmp_path, checkpoint_seconds):
    how = {"epochs": 50, "batch_size": 4, "checkpoint_seconds": checkpoint_seconds}
    settings = training.model_copy(update=how).model_dump_json()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    script = str(SCRIPT.with_name("stopped_processes.py"))
    run = subprocess.run(
        [*command, "--nproc-per-node", "2", script, settings, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    steps = resume.load(tmp_path)["progress"]["step"]
    assert 3 <= steps <= 5
    assert sorted(run.stdout.splitlines()) == [
        f"process {rank} stopped: {128 + signal.SIGTERM}, steps {steps}" for rank in (0, 1)
    ]


def test_rows_that_are_not_one_per_sample_cannot_be_gathered(monkeypatch):
    monkeypatch.setattr(processes, "count", lambda: 2)
    with processes.dividing(7), pytest.raises(RuntimeError, match="its part of the batch of 7 has"):
        processes.gather(torch.zeros(3, 2))
