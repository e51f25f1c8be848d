"""What the optimiser does to which parameters: learning rate, weight decay, frozen parts."""

import numpy as np
import pytest
import torch
from least_squares import CPU

from ptacl import config
from ptacl.learning import assemble, data, fit, optimizer


def built(entry, inputs):
    """With frozen layers, which the settings allow for trained weights alone."""
    return assemble.build(entry, inputs, seed=0)


def test_learning_rate_warms_up_and_falls_to_zero(training):
    settings = training.model_copy(update={"epochs": 10, "warmup_epochs": 2, "learning_rate": 3.0})
    rates = [
        optimizer.learning_rate(step, steps_per_epoch=5, training=settings) for step in range(50)
    ]
    assert (
        np.allclose(np.diff(rates[:11]), 3 / 11)
        and rates[10] == 3.0
        and rates[0] == pytest.approx(3 / 11)
    )
    assert (np.diff(rates[10:]) < 0).all() and 0 < rates[-1] < 0.01
    assert optimizer.learning_rate(30, steps_per_epoch=5, training=settings) == pytest.approx(1.5)
    flat = settings.model_copy(update={"warmup_epochs": 0})
    assert optimizer.learning_rate(0, steps_per_epoch=5, training=flat) == 3.0


def decayed(objective, training):
    """Names of the parameters with and without weight decay."""
    groups = optimizer.build_optimizer(objective, training).param_groups
    assert [group["weight_decay"] for group in groups] == [training.weight_decay, 0]
    names = {id(p): name for name, p in objective.named_parameters()}
    return [{names[id(p)] for p in group["params"]} for group in groups]


def test_weight_decay_is_for_tensors_of_two_or_more_dimensions(inputs, ptacl, ecg_mae):
    frozen = ptacl.model_copy(update={"frozen_layers": 1})
    for objective in (built(frozen, inputs()), assemble.build(ecg_mae, inputs("ecg"), seed=0)):
        with_decay, without = decayed(objective, ptacl.training)
        learning = {name: p for name, p in objective.named_parameters() if p.requires_grad}
        assert with_decay == {name for name, p in learning.items() if p.ndim >= 2}
        assert without == {name for name, p in learning.items() if p.ndim < 2}
        assert without
        assert with_decay | without == learning.keys()


def test_convolutions_decay(inputs, ptacl, change):
    resnet = config.ResNet(shape=[3, 12, 12], base_width=4)
    sizes = inputs().model_copy(update={"encoders": {**inputs().encoders, "cmr": resnet}})
    objective = assemble.build(change(ptacl, local=None, encoders={"cmr": resnet}), sizes, seed=0)
    with_decay, without = decayed(objective, ptacl.training)
    kernels = {name for name, p in objective.named_parameters() if p.ndim == 4}
    assert len(kernels) == 53
    assert kernels <= with_decay
    assert all(p.ndim == 1 for name, p in objective.named_parameters() if name in without)


def test_frozen_parts_do_not_move(cohort, inputs, sizes, ptacl, tmp_path):
    recordings, rows = cohort.load("ecg", "cmr")
    augmentation = {"ecg": ptacl.augmentation.ecg, "cmr": ptacl.augmentation.cmr}
    samples = data.Samples(recordings, rows, sizes=sizes, seed=0, beats=True, **augmentation)
    frozen = ptacl.model_copy(update={"frozen_layers": 1})
    before, after = (built(frozen, inputs()) for _ in range(2))
    fit.fit(
        after, samples, validation=None, training=ptacl.training, seed=0, state=tmp_path, device=CPU
    )
    for name, value in before.state_dict().items():
        fixed = ".embedding." in name or ".blocks.0." in name
        assert torch.equal(value, after.state_dict()[name]) == fixed, name
