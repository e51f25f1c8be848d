"""What holds for each objective: which parts learn, a handful of samples by heart, and a ResNet
next to a transformer.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from ptacl import config, participants
from ptacl.learning import assemble, data, fit, losses

CPU = torch.device("cpu")
NAMES = ["ecg", "cmr", "ptacl", "simclr", "supervised", "cosine", "edes", "phasewise", "cmae"]
# which value shows that the samples are known by heart, and below what; a contrast that is solved
# is far below chance
LEARNT = {
    "ecg": ("loss", 0.25),
    "cmr": ("loss", 0.04),
    "ptacl": ("global", 0.1),
    "simclr": ("contrast", 0.3),
}
LEARNT |= {
    "supervised": ("loss", 0.05),
    "cosine": ("loss", 0.4),
    "edes": ("local", 0.3),
    "phasewise": ("phasewise", 0.3),
    "cmae": ("loss", 1.2),
}


def built(entry, cohort, inputs, *, sizes=None, seed=0):
    table = participants.read(cohort.participants, splits=["train", "validation"])
    targets, labels = assemble.read_targets(table, ["LVEDV", "LVEF"])
    chosen = sizes or inputs(*entry.modalities)
    objective = assemble.build(entry, chosen, seed=seed, targets=targets)
    recordings, rows = cohort.load(*entry.modalities)
    more = objective.needs | ({"targets": labels} if entry.labels else {})
    return objective, data.Samples(recordings, rows, sizes=dict(chosen.encoders), seed=0, **more)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_reaches_what_learns_and_nothing_else(name, entries, cohort, inputs):
    entry = entries[name].model_copy(update={"frozen_layers": 1})
    objective, samples = built(entry, cohort, inputs)
    batch = samples.finish(samples.collect(np.arange(1, 9), epoch=1), device=CPU)
    objective.train()(batch)["loss"].backward()
    encoders = [m for m in objective.modules() if hasattr(m, "frozen")]
    fixed = {
        id(p) for m in encoders for p in [*m.embedding.parameters(), *m.blocks[0].parameters()]
    }
    assert fixed
    for key, parameter in objective.named_parameters():
        if id(parameter) in fixed:
            assert parameter.grad is None and not parameter.requires_grad, key
        else:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", NAMES)
def test_a_handful_of_samples_is_learnt_by_heart(name, entries, cohort, inputs, tmp_path):
    (term, bound), count = LEARNT[name], 2 if entries[name].kind == "mae" else 6
    objective, samples = built(entries[name], cohort, inputs)
    few = data.Samples(**{**vars(samples), "rows": samples.rows[1 : 1 + count]})
    objective.eval().begin([few.finish(few.collect(np.arange(count), epoch=None), device=CPU)])
    epochs = 500 if name in ("ecg", "cmr", "cmae") else 350  # reconstructions take longer
    how = {
        "epochs": epochs,
        "batch_size": count,
        "learning_rate": 5e-3,
        "warmup_epochs": 5,
        "checkpoint_seconds": 1e9,
    }
    training = entries[name].training.model_copy(update=how)
    history = fit.fit(
        objective, few, validation=None, training=training, seed=0, state=tmp_path, device=CPU
    )
    assert history[-1][f"train_{term}"] < bound < history[0][f"train_{term}"]


@pytest.mark.slow  # two minutes
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler on a CPU")
@pytest.mark.parametrize("name", ["cmr", "ptacl"])
def test_compiled_it_learns_the_same(name, entries, cohort, inputs, tmp_path):
    """By the real compiler: batches of two sizes, training and validation."""
    history = {}
    for compiled in (False, True):
        objective, samples = built(entries[name], cohort, inputs)
        few = data.Samples(**{**vars(samples), "rows": samples.rows[:13]})
        training = entries[name].training.model_copy(
            update={"compile": compiled, "batch_size": 7, "epochs": 2}
        )
        (tmp_path / str(compiled)).mkdir()
        how = {"training": training, "seed": 0, "state": tmp_path / str(compiled), "device": CPU}
        history[compiled] = fit.fit(objective, few, validation=few, **how)
    for term in ("train_loss", "validation_loss"):
        assert [row[term] for row in history[True]] == pytest.approx(
            [row[term] for row in history[False]], rel=1e-4
        ), term


def test_resnet_beside_a_transformer_sees_three_frames(cohort, inputs, change, ptacl, tmp_path):
    """The frames of end-diastole, half way, and end-systole, as channels; nothing but the sizes of
    the entry say so.
    """
    resnet = config.ResNet(shape=[3, 12, 12], base_width=4)
    entry = change(ptacl, local=None, encoders={"cmr": resnet})
    sizes = inputs().model_copy(update={"encoders": {**inputs().encoders, "cmr": resnet}})
    objective, samples = built(entry, cohort, inputs, sizes=sizes)
    batch = samples.finish(samples.collect(np.arange(4), epoch=None), device=CPU)
    recordings, rows = cohort.load("ecg", "cmr")
    for i in range(4):
        visit = recordings.at("cmr", rows[i])[0]
        frames = recordings.frames[
            visit, [0, recordings.systole[visit] // 2, recordings.systole[visit]]
        ]
        assert torch.equal(batch["cmr"][i], torch.from_numpy(frames) / 255)
    few = data.Samples(**{**vars(samples), "rows": samples.rows[1:7]})
    how = {
        "epochs": 150,
        "batch_size": 6,
        "learning_rate": 5e-3,
        "warmup_epochs": 5,
        "checkpoint_seconds": 1e9,
    }
    training = entry.training.model_copy(update=how)
    history = fit.fit(
        objective, few, validation=None, training=training, seed=0, state=tmp_path, device=CPU
    )
    assert history[-1]["train_global"] < 0.3 < history[0]["train_global"]


def test_two_phases_are_those_of_end_diastole_and_end_systole(entries, cohort, inputs):
    objective, samples = built(entries["edes"], cohort, inputs)
    batch = samples.finish(samples.collect(np.arange(1, 6), epoch=None), device=CPU)
    recordings, _ = cohort.load("ecg", "cmr")
    systole = recordings.systole[recordings.at("cmr", np.array([r[0] for r in samples.rows[1:6]]))]
    assert batch["systole"].tolist() == (systole * 3 // 10).tolist()
    assert objective(batch)["local_chance"].item() == pytest.approx(np.log(2))


def test_simclr_views_are_two_of_each_sample_and_validation_is_always_the_same(
    entries, cohort, inputs
):
    _, samples = built(entries["simclr"], cohort, inputs)
    samples = data.Samples(**{**vars(samples), "ecg": entries["simclr"].augmentation.ecg})
    made = samples.finish(samples.collect(np.arange(5), epoch=3), device=CPU)["ecg"]
    assert made.shape[0] == 10 and not torch.equal(made[:5], made[5:])
    one, two = (
        samples.finish(samples.collect(np.arange(5), epoch=None), device=CPU)["ecg"]
        for _ in range(2)
    )
    assert torch.equal(one, two) and not torch.equal(one[:5], one[5:])


def test_nt_xent_agrees_with_a_loop():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 5, 4, generator=generator)
    views, found = torch.cat([first, second]), []
    for i in range(10):
        cosine = torch.nn.functional.cosine_similarity(views[i][None], views) / 0.2
        others = [j for j in range(10) if j != i]
        found.append(torch.logsumexp(cosine[others], 0) - cosine[(i + 5) % 10])
    loss, top1 = losses.nt_xent(first, second, temperature=0.2)
    assert (
        loss.item() == pytest.approx(torch.stack(found).mean().item(), rel=1e-5) and 0 <= top1 <= 1
    )
    assert losses.nt_xent(first, first, temperature=0.2)[1] == 1


def test_cosine_loss_is_zero_where_steps_agree_and_ignores_patients_without_a_beat():
    steps = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(1))
    alignment, valid = torch.eye(4), torch.tensor([True, True, False])
    broken = steps.clone()
    broken[2] = float("nan")
    assert losses.cosine_loss(
        steps, steps, alignment=alignment, valid_B=valid
    ).item() == pytest.approx(0, abs=1e-6)
    assert losses.cosine_loss(
        steps, -broken, alignment=alignment, valid_B=valid
    ).item() == pytest.approx(2, abs=1e-6)
    assert (
        losses.cosine_loss(
            steps, steps, alignment=alignment, valid_B=torch.zeros(3, dtype=torch.bool)
        )
        == 0
    )


GOLDEN = Path(__file__).parents[1] / "golden" / "losses.csv"


def test_losses_are_those_written_down(cohort, inputs, sizes, entries, ptacl, tmp_path):
    """20 steps of each objective. The tolerance, one in 2000, is for other processors and
    libraries; changes are larger.
    """
    table = participants.read(cohort.participants, splits=["train", "validation"])
    targets, labels = assemble.read_targets(table, ["LVEDV", "LVEF"])
    training = ptacl.training.model_copy(
        update={"epochs": 20, "batch_size": 13, "checkpoint_seconds": 1e9}
    )
    lines = []
    for name, entry in entries.items():
        objective = assemble.build(entry, inputs(*entry.modalities), seed=0, targets=targets)
        train_set, validation = (
            data.Samples(
                *cohort.load(*entry.modalities, split=split),
                sizes=sizes,
                seed=0,
                ecg=ptacl.augmentation.ecg,
                cmr=ptacl.augmentation.cmr,
                targets=labels if entry.labels else None,
                **objective.needs,
            )
            for split in ("train", "validation")
        )
        (tmp_path / name).mkdir()
        history = fit.fit(
            objective,
            train_set,
            validation=validation,
            training=training,
            seed=0,
            state=tmp_path / name,
            device=CPU,
        )
        lines += [
            f"{name},{row['step']:.0f},{row['train_loss']:.6f},{row['validation_loss']:.6f}"
            for row in history
        ]
    text = "\n".join(["objective,step,train_loss,validation_loss", *lines]) + "\n"
    message = f"if the change is meant, {GOLDEN.name} is now:\n{text}"
    found, expected = (
        [line.split(",") for line in t.splitlines()[1:]] for t in (text, GOLDEN.read_text())
    )
    assert [row[:2] for row in found] == [row[:2] for row in expected], message
    numbers = [np.array([row[2:] for row in rows], float) for rows in (found, expected)]
    assert np.allclose(*numbers, rtol=5e-4, atol=0), message
