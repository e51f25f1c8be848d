import csv
import io
import math
import os
import signal

import numpy as np
import pytest
import torch
from least_squares import CPU, Fit, Points

from ptacl.learning import fit, resume, train
from ptacl.learning.objectives.contrastive import ContrastiveObjective
from ptacl.learning.objectives.reconstruction import Reconstruction


@pytest.fixture
def go(tmp_path, training):
    def run(points=None, validation=None, objective=None, state=None, **changes):
        objective = objective or Fit()
        settings = training.model_copy(update={"epochs": 4, "clip_norm": 0.0, **changes})
        history = fit.fit(
            objective,
            points or Points(),
            validation=validation,
            training=settings,
            seed=0,
            state=state or tmp_path,
            device=CPU,
        )
        return objective, history

    def fresh(*args, **kwargs):
        (tmp_path / resume.CHECKPOINT).unlink(missing_ok=True)
        return run(*args, **kwargs)

    return fresh


def same(one, two):
    return all(
        torch.equal(a, b)
        for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    )


def test_epochs_are_permutations_without_the_last_incomplete_batch(go):
    points = Points(10)
    _, history = go(points, batch_size=4)
    by_epoch = {
        e: [s for epoch, samples in points.seen if epoch == e for s in samples] for e in range(4)
    }
    assert all(len(samples) == len(set(samples)) == 8 for samples in by_epoch.values())
    assert len({tuple(samples) for samples in by_epoch.values()}) == 4
    assert [row["step"] for row in history] == [2, 4, 6, 8] and [
        row["epoch"] for row in history
    ] == [1, 2, 3, 4]
    assert history[-1]["learning_rate"] < history[0]["learning_rate"]


def test_set_smaller_than_a_batch_is_one_batch(go):
    points = Points(5)
    _, history = go(points, batch_size=64)
    assert [sorted(samples) for _, samples in points.seen] == [[0, 1, 2, 3, 4]] * 4 and history[-1][
        "step"
    ] == 4


def test_training_learns_and_history_tells(go):
    _, history = go(Points(32), Points(7), epochs=60, learning_rate=0.05, checkpoint_seconds=1e9)
    assert (
        history[-1]["train_loss"] < 0.02 < 0.1 < history[0]["train_loss"]
        and history[-1]["validation_loss"] < 0.05
    )
    columns = [
        "epoch",
        "step",
        "learning_rate",
        "train_loss",
        "validation_loss",
        "seconds",
        "samples_per_second",
    ]
    assert list(history[0]) == [*columns, "train_error", "validation_error", "chosen"]
    assert all(
        row["seconds"] > 0 and math.isclose(row["samples_per_second"], 32 / row["seconds"])
        for row in history
    )


def test_train_loss_is_the_mean_over_the_epoch(go):
    objective, history = go(Points(8), epochs=1, batch_size=4, learning_rate=1e-12)
    points = Points(8)
    assert history[0]["train_loss"] == pytest.approx(
        objective({"x": points.x, "y": points.y})["loss"].item(), rel=1e-5
    )


def test_validation_is_the_same_every_time_and_covers_all(go):
    points, validation = Points(8), Points(9, slope=1.0)
    objective, history = go(points, validation, learning_rate=1e-12, batch_size=4)
    assert len({row["validation_loss"] for row in history}) == 1
    assert {epoch for epoch, _ in validation.seen} == {None}
    assert [samples for _, samples in validation.seen[:3]] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    whole = objective({"x": validation.x, "y": validation.y})
    assert history[0]["validation_loss"] == pytest.approx(whole["loss"].item(), rel=1e-5)
    assert history[0]["validation_error"] == pytest.approx(whole["error"].item(), rel=1e-5)


def test_best_weights_are_those_of_the_least_validation_loss(go):
    """On its way to its own line, the fit passes close to that of validation."""
    validation = Points(8, slope=1.5)
    how = {"epochs": 30, "learning_rate": 0.05, "batch_size": 8}
    best, history = go(Points(8), validation, select="best", **how)
    last, _ = go(Points(8), validation, select="last", **how)
    losses = [row["validation_loss"] for row in history]
    assert min(losses) < losses[-1] and losses.index(min(losses)) not in (0, 29)
    found = [
        fitted({"x": validation.x, "y": validation.y})["loss"].item() for fitted in (best, last)
    ]
    assert found == pytest.approx([min(losses), losses[-1]], rel=1e-4)


def test_patience_stops_and_stays_stopped(go, tmp_path, training):
    validation, how = (
        Points(8, slope=1.5),
        {"epochs": 30, "learning_rate": 0.05, "batch_size": 8, "patience": 3},
    )
    stopped, history = go(Points(8), validation, **how)
    losses = [row["validation_loss"] for row in history]
    assert len(losses) < 30 and losses.index(min(losses)) == len(losses) - 4
    again = Points(8)
    settings = training.model_copy(update={"clip_norm": 0.0, **how})
    resumed = Fit()
    rows = fit.fit(
        resumed, again, validation=validation, training=settings, seed=0, state=tmp_path, device=CPU
    )
    assert rows == history and not again.seen and same(resumed, stopped)


@pytest.mark.parametrize("changes", [{"select": "best"}, {"patience": 2}])
@pytest.mark.parametrize("validation", [None, Points(0)])
def test_choice_by_validation_needs_a_validation_set(go, changes, validation):
    with pytest.raises(ValueError, match="validation_fraction"):
        go(validation=validation, **changes)


def test_without_validation_its_loss_is_empty(go, tmp_path):
    _, history = go()
    assert all(math.isnan(row["validation_loss"]) for row in history)
    train.write_metrics(tmp_path / "a" / "metrics.csv", history)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a" / "metrics.csv").read_text())))
    assert (
        len(rows) == 4
        and rows[1]["validation_loss"] == ""
        and float(rows[1]["train_loss"]) == history[1]["train_loss"]
    )
    assert "validation_error" not in rows[0] and float(rows[0]["train_error"]) > 0


def test_micro_batches_give_the_weights_of_the_whole_batch(go):
    one, _ = go(Points(10, dtype=torch.float64), objective=Fit(torch.float64), batch_size=7)
    two, history = go(
        Points(10, dtype=torch.float64), objective=Fit(torch.float64), batch_size=7, accumulate=2
    )
    assert all(
        torch.allclose(a, b, atol=1e-12)
        for a, b in zip(one.parameters(), two.parameters(), strict=True)
    )
    _, whole = go(Points(10, dtype=torch.float64), objective=Fit(torch.float64), batch_size=7)
    assert [row["train_loss"] for row in history] == pytest.approx(
        [row["train_loss"] for row in whole], rel=1e-12
    )
    with pytest.raises(ValueError, match="cannot be divided"):
        go(Points(10), batch_size=2, accumulate=3)


def test_loss_that_is_not_finite_names_its_step(go):
    points = Points(8)
    points.at, points.does = 5, lambda: points.y.fill_(math.nan)
    with pytest.raises(
        FloatingPointError, match=r"nan at step 5 of 8 \(epoch 3\): lower learning_rate"
    ):
        go(points, batch_size=4)


def test_validation_loss_that_is_not_finite_names_its_step(go):
    validation = Points(4, slope=math.inf)
    with pytest.raises(FloatingPointError, match=r"validation loss is (nan|inf) at step 2 of 8"):
        go(Points(8), validation, batch_size=4)


def test_gradient_norm_is_limited(go):
    norms = {}
    for clip in (0.0, 0.01):
        objective, _ = go(Points(8, slope=100.0), clip_norm=clip)
        norms[clip] = torch.cat([p.grad.flatten() for p in objective.parameters()]).norm().item()
    assert norms[0.0] > 1 and norms[0.01] == pytest.approx(0.01, rel=1e-3)


def test_switches_for_precision_and_compilation(go, monkeypatch):
    seen = []

    class Watch(Fit):
        def forward(self, batch):
            seen.append(self.net(batch["x"]).dtype)
            return super().forward(batch)

    go(objective=Watch(), epochs=1)
    go(objective=Watch(), epochs=1, precision="bfloat16")
    assert set(seen[: len(seen) // 2]) == {torch.float32} and set(seen[len(seen) // 2 :]) == {
        torch.bfloat16
    }
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda module: compiled.append(module) or module)
    go(epochs=1)
    assert not compiled
    objective, _ = go(epochs=1, compile=True)
    assert compiled == [objective]


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("at", [1, 4, 7])
def test_a_signal_saves_and_the_next_run_ends_with_the_same_weights(
    go, tmp_path, training, number, at
):
    validation = Points(6)
    whole, history = go(Points(), validation, select="best", checkpoint_seconds=1e9)
    (tmp_path / "state").mkdir()
    points = Points()
    points.at, points.does = at, lambda: os.kill(os.getpid(), number)
    settings = training.model_copy(
        update={"epochs": 4, "clip_norm": 0.0, "select": "best", "checkpoint_seconds": 1e9}
    )
    how = {
        "validation": validation,
        "training": settings,
        "seed": 0,
        "state": tmp_path / "state",
        "device": CPU,
    }
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as stopped:
        fit.fit(Fit(), points, **how)
    assert stopped.value.code == 128 + number and signal.getsignal(number) == before
    saved = resume.load(tmp_path / "state")
    assert saved is not None and 0 < saved["progress"]["step"] < 8
    resumed, rest = Fit(), Points()
    rows = fit.fit(resumed, rest, **how)
    assert same(whole, resumed) and len(rest.seen) == 8 - saved["progress"]["step"]
    for row, expected in zip(rows, history, strict=True):
        for name in set(row) - {"seconds", "samples_per_second"}:
            assert row[name] == expected[name], name


class Apart(Fit):
    """Says that its best epoch is that of another value than the loss."""

    selection = "error"

    def forward(self, batch):
        out = super().forward(batch)
        return {"loss": out["loss"], "error": -out["error"]}


def test_best_is_chosen_by_the_value_that_the_objective_names(go):
    """Here the error rises as the loss falls, so the two disagree about every epoch."""
    how = {"select": "best", "learning_rate": 0.05, "epochs": 6}
    best, history = go(Points(8), Points(8, slope=1.5), Apart(), **how)
    errors, losses = ([row[f"validation_{name}"] for row in history] for name in ("error", "loss"))
    assert np.argmin(errors) != np.argmin(losses)
    assert [row["chosen"] for row in history] == [float(i == np.argmin(errors)) for i in range(6)]
    points = Points(8, slope=1.5)
    assert best({"x": points.x, "y": points.y})["error"].item() == pytest.approx(
        min(errors), rel=1e-5
    )


def test_contrastive_arms_are_chosen_by_the_global_term_and_the_last_epoch_is_chosen_otherwise(go):
    assert ContrastiveObjective.selection == "global" and Reconstruction.selection == "loss"
    assert [row["chosen"] for row in go()[1]] == [0, 0, 0, 1]
