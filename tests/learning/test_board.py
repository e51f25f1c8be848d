"""Curves of a training under way, read back by TensorBoard's own reader."""

import math
import signal
from pathlib import Path

import pytest
import torch
from test_fit import Fit, Points

from ptacl.learning import fit
from ptacl.learning.board import board

pytest.importorskip("tensorboard", reason="an extra: pip install 'ptacl[tensorboard]'")
CPU = torch.device("cpu")


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {
        tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]
    }


def test_a_resumed_training_has_each_epoch_once(tmp_path, training):
    settings, where = training.model_copy(update={"epochs": 5}), tmp_path / "board"
    how = {
        "validation": Points(4),
        "training": settings,
        "seed": 0,
        "state": tmp_path,
        "device": CPU,
    }
    killed = Points()
    killed.at, killed.does = 6, lambda: signal.raise_signal(signal.SIGTERM)
    with pytest.raises(SystemExit), board(where) as watch:
        fit.fit(Fit(), killed, **how, watch=watch)
    part = curves(where)
    with board(where) as watch:
        history = fit.fit(Fit(), Points(), **how, watch=watch)
    found = curves(where)
    assert 0 < len(part["loss/train"]) < len(history)
    for tag, name in (
        ("loss/train", "train_loss"),
        ("error/validation", "validation_error"),
        ("learning_rate", "learning_rate"),
    ):
        assert [step for step, _ in found[tag]] == [row["step"] for row in history]
        assert [value for _, value in found[tag]] == pytest.approx(
            [row[name] for row in history], rel=1e-6
        )


def test_what_there_is_not_is_left_out_and_no_folder_is_no_file(tmp_path):
    with board(tmp_path / "a") as watch:
        watch({"epoch": 1, "step": 3, "train_loss": 1.0, "validation_loss": math.nan})
    assert set(curves(tmp_path / "a")) == {"loss/train"}
    with board(None) as watch:
        watch({"epoch": 1, "step": 3, "train_loss": 1.0})
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_full_disk_costs_the_curves_alone(tmp_path, monkeypatch, caplog):
    from torch.utils.tensorboard import SummaryWriter

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with board(tmp_path / "a") as watch:
        monkeypatch.setattr(SummaryWriter, "flush", full)
        watch({"epoch": 1, "step": 3, "train_loss": 1.0})
        watch({"epoch": 2, "step": 6, "train_loss": 0.5})
    assert "no more curves for TensorBoard: No space left" in caplog.text
