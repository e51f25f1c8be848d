"""Step k of an ECG and step k of a cine show the same part of the heart cycle, through crop, choice
of frames and jitter.
"""

import numpy as np
import pytest
import torch

from ptacl import config
from ptacl.learning import data
from ptacl.learning.phases import cmr_phases, ecg_phases
from ptacl.learning.recordings import Recordings

STEPS, RR, PATCH = 13, 470, 50
SIZES = {
    "ecg": config.Encoder(shape=[12, 2500], patch=[1, PATCH], width=8, depth=1, heads=1),
    "cmr": config.Encoder(shape=[26, 4, 4], patch=[2, 4, 4], width=8, depth=1, heads=1),
}


@pytest.fixture(scope="module")
def clock():
    """One record whose values tell the phase: of the cycle since the last R-peak, and since frame
    0.
    """
    peaks = 130 + RR * np.arange(10)
    phase = ((np.arange(5000) - peaks[0]) % RR) / RR
    r_peaks = np.full((1, 64), -1, np.int32)
    r_peaks[0, :10] = peaks
    signal = np.broadcast_to(phase.astype(np.float32), (1, 12, 5000)).copy()
    frames = np.broadcast_to(
        (np.arange(50) * 5).astype(np.uint8)[None, :, None, None], (1, 50, 4, 4)
    ).copy()
    return Recordings(["9000001_2"], signal, r_peaks, frames)


def phases(clock, cmr_augmentation, ecg_augmentation, *, epochs, time_jitter=0.0, crop=False):
    """(T,) mean phase of the steps of both modalities over epochs; None is the evaluation view."""
    ecg = ecg_augmentation.model_copy(update={"random_crop": crop, "probability": 0.0})
    cmr = cmr_augmentation.model_copy(
        update={"time_jitter": time_jitter, "probability": 0.0, "flip_probability": 0.0}
    )
    samples = data.Samples(
        clock, [np.array([0])], sizes=SIZES, seed=0, ecg=ecg, cmr=cmr, beats=True
    )
    found = []
    for epoch in epochs:
        batch = samples.finish(
            samples.collect(np.array([0]), epoch=epoch), device=torch.device("cpu")
        )
        assert batch["valid"].all()
        # the mean of a patch is its token: what a step of either modality would see
        times = batch["ecg"].reshape(1, 12, -1, PATCH).mean(3).reshape(1, -1, 1)
        tokens = (
            (batch["cmr"] * 255 / 5 / 50).reshape(1, STEPS, 2 * 16).mean(2).reshape(1, STEPS, 1)
        )
        found.append(
            [
                ecg_phases(times, batch["beats"])[0, :, 0].numpy(),
                cmr_phases(tokens, phases=STEPS)[0, :, 0].numpy(),
            ]
        )
    return np.mean(found, axis=0)


IDEAL = (np.arange(STEPS) + 0.5) / STEPS
INNER = slice(
    3,
    STEPS - 3,
    # beyond, tokens of 50 samples (1.4 steps) mix the last phase of a beat with the first of the
    # next
)


@pytest.mark.parametrize(
    ("how", "tolerance"),
    [
        ({"epochs": [None]}, 0.012),
        ({"epochs": range(200), "crop": True}, 0.012),
        ({"epochs": range(400), "time_jitter": 1.0}, 0.006),
        ({"epochs": range(200), "time_jitter": 0.5, "crop": True}, 0.012),
    ],
)
def test_both_modalities_show_the_phase_of_the_step(
    clock, cmr_augmentation, ecg_augmentation, how, tolerance
):
    ecg, cmr = phases(clock, cmr_augmentation, ecg_augmentation, **how)
    assert np.abs(ecg[INNER] - IDEAL[INNER]).max() < 0.012, ecg - IDEAL
    assert np.abs(cmr[INNER] - IDEAL[INNER]).max() < tolerance, (
        cmr - IDEAL
    )  # a frame is 0.02 of the cycle
    assert np.abs((cmr - IDEAL)[INNER].mean()) < 0.004, "frames lean to one side"
