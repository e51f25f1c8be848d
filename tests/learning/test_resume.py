import csv
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from ptacl import config
from ptacl.learning import resume, train

IDENTITY = {"settings": {"rate": 0.1}, "code": "a"}


def test_same_identity_keeps_the_state_and_another_starts_afresh(tmp_path):
    folder = tmp_path / "state" / "run"
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), resume.resumable(folder, IDENTITY) as state:
            resume.save(state, {"step": (resume.load(state) or {"step": 0})["step"] + 1})
            raise ZeroDivisionError
    assert resume.load(folder) == {"step": 2}
    assert json.loads((folder / resume.IDENTITY).read_text()) == IDENTITY
    with resume.resumable(folder, {"code": "a", "settings": {"rate": 0.1}}) as state:
        assert resume.load(state) == {"step": 2}
        os.link(state / resume.CHECKPOINT, tmp_path / "kept")
    folder.mkdir()
    os.link(tmp_path / "kept", folder / resume.CHECKPOINT)
    with resume.resumable(folder, IDENTITY) as state:
        assert resume.load(state) is None, "a folder without identity is nobody's"
    with pytest.raises(ZeroDivisionError), resume.resumable(folder, IDENTITY) as state:
        resume.save(state, {"step": 1})
        raise ZeroDivisionError
    with resume.resumable(folder, IDENTITY | {"code": "b"}) as state:
        assert resume.load(state) is None


def test_success_removes_folder_and_lock(tmp_path):
    with resume.resumable(tmp_path / "run", IDENTITY) as state:
        resume.save(state, {"step": 1})
    assert not list(tmp_path.iterdir())


HOLDER = """
import sys, time
from pathlib import Path
from ptacl.learning import resume, train
with resume.resumable(Path(sys.argv[1]), {}) as state:
    resume.save(state, {"step": 7})
    print("held", flush=True)
    time.sleep(600)
"""


def test_second_run_beside_an_orphan_is_refused_until_it_is_gone(tmp_path):
    folder = tmp_path / "run"
    orphan = subprocess.Popen(
        [sys.executable, "-c", HOLDER, folder], stdout=subprocess.PIPE, text=True
    )
    try:
        assert orphan.stdout is not None and orphan.stdout.readline() == "held\n"
        with pytest.raises(
            RuntimeError, match=rf"run is in use by another run \(pid {orphan.pid} on .+\): wait"
        ):
            resume.resumable(folder, {}).__enter__()
        assert resume.load(folder) == {"step": 7}, "the refused run touched nothing"
    finally:
        orphan.kill()
        orphan.wait()
    with resume.resumable(folder, {}) as state:
        assert resume.load(state) == {"step": 7}


def test_checkpoint_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    state = {"weights": {"a": torch.arange(3.0)}, "history": [{"loss": 0.5}], "step": 3}
    resume.save(tmp_path, state)

    def die(value, path):
        Path(path).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", die)
    with pytest.raises(KeyboardInterrupt):
        resume.save(tmp_path, state)
    loaded = resume.load(tmp_path)
    assert loaded is not None and torch.equal(loaded["weights"]["a"], state["weights"]["a"])
    assert loaded["history"] == state["history"] and loaded["step"] == 3


class Payload:
    def __reduce__(self):
        return (os.mkdir, ("pwned",))


def test_no_code_in_a_checkpoint_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    resume.save(tmp_path, {"step": Payload()})
    with pytest.raises(Exception, match=r"[Ww]eights"):
        resume.load(tmp_path)
    assert not Path("pwned").exists()


@pytest.mark.usefixtures("interruptible")
def test_first_signal_is_noted_and_the_second_ends():
    with resume.stoppable() as stop:
        assert stop.signal == 0
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0)
        assert stop.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with resume.stoppable() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.signal == 0
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def stage(cohort, inputs, settings, folder):
    return [
        sys.executable,
        "-m",
        "ptacl.learning.train",
        "--model",
        "ecg_mae",
        "--inputs",
        config.dump(inputs("ecg")),
        "--settings",
        config.dump(settings),
        "--seed",
        "0",
        "--participants",
        str(cohort.participants),
        "--ecg-shards",
        *map(str, cohort.shards("ecg")),
        "--state",
        str(folder / "state"),
        "--identity",
        "x",
        "--out",
        str(folder / "model"),
        "--metrics",
        str(folder / "m.csv"),
    ]


def metrics(path):
    rows = list(csv.DictReader(path.open()))
    return [
        {k: v for k, v in row.items() if k not in ("seconds", "samples_per_second")} for row in rows
    ]


def test_training_killed_at_a_random_step_ends_with_the_same_bytes(
    cohort, inputs, ecg_mae, tmp_path, monkeypatch
):
    """The real stage, killed without warning; steps are saved one by one, epochs have three."""
    training = ecg_mae.training.model_copy(update={"epochs": 50, "select": "best"})
    settings = ecg_mae.model_copy(update={"training": training})
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    monkeypatch.setattr(sys, "argv", stage(cohort, inputs, settings, whole)[2:])
    train.main()
    delay_s = random.SystemRandom().uniform(0, 0.6)
    run = subprocess.Popen(stage(cohort, inputs, settings, killed), **quiet)
    while not (killed / "state" / resume.CHECKPOINT).exists() and run.poll() is None:
        time.sleep(0.01)
    time.sleep(delay_s)
    run.kill()
    run.communicate()
    saved = resume.load(killed / "state")
    assert (
        run.returncode == -signal.SIGKILL and saved is not None and not (killed / "model").exists()
    )
    step = saved["progress"]["step"]
    assert 0 < step < 150, f"killed at step {step} after {delay_s} s"
    resumed = subprocess.run(stage(cohort, inputs, settings, killed), check=True, **quiet)
    assert f"resuming after step {step} of 150" in resumed.stderr
    one, two = ((folder / "model" / "model.safetensors").read_bytes() for folder in (whole, killed))
    assert one == two, f"killed at step {step}"
    assert (
        metrics(whole / "m.csv") == metrics(killed / "m.csv")
        and len(metrics(whole / "m.csv")) == 50
    )
    assert not (killed / "state").exists()


def test_a_training_in_the_background_saves_and_stops_on_sigterm(cohort, inputs, ecg_mae, tmp_path):
    """Started as by nohup: Ctrl-C does not reach it, a request to end does."""
    training = ecg_mae.training.model_copy(update={"epochs": 2000, "checkpoint_seconds": 0.1})
    settings = ecg_mae.model_copy(update={"training": training})
    command = " ".join(shlex.quote(word) for word in stage(cohort, inputs, settings, tmp_path))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    run = subprocess.Popen(["sh", "-c", f"trap '' INT; exec {command}"], **quiet)
    checkpoint = tmp_path / "state" / resume.CHECKPOINT
    while not checkpoint.exists() and run.poll() is None:
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert run.poll() is None, "Ctrl-C ended it"
    run.send_signal(signal.SIGTERM)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 128 + signal.SIGTERM, said[-2000:]
    assert 0 < resume.load(tmp_path / "state")["progress"]["step"] < 6000
