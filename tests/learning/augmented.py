"""Draws of augmentations, and batches that they change."""

from ptacl.learning import augment, draws

QUIET_ECG = {
    "random_crop": False,
    "surrogate_magnitude": 0.0,
    "jitter": 0.0,
    "rescaling": 0.0,
    "probability": 1.0,
}
QUIET_CMR = {
    "time_jitter": 0.0,
    "crop_scale": (1.0, 1.0),
    "crop_ratio": (1.0, 1.0),
    "rotation_degrees": 0.0,
    "flip_probability": 0.0,
    "brightness": 0.0,
    "contrast": 0.0,
    "blur_sigma": (0.0, 0.0),
    "noise": 0.0,
    "probability": 1.0,
}


def draw_ecg(settings, samples, *, seed=0, epoch=1, spare=100):
    return draws.draw_ecg(samples, settings=settings, seed=seed, epoch=epoch, spare=spare)


def draw_cmr(settings, samples, *, seed=0, epoch=1, frames=50, keep=26):
    return draws.draw_cmr(
        samples, settings=settings, seed=seed, epoch=epoch, frames=frames, keep=keep
    )


def apply_ecg(settings, signal, samples, **how):
    draw = draw_ecg(settings, samples, **how)
    return augment.corrupt_ecg(signal.clone(), draw, settings=settings)


def apply_cmr(settings, frames, samples, **how):
    draw = draw_cmr(settings, samples, **how)
    return augment.corrupt_cmr(augment.move_cmr(frames.clone(), draw), draw, settings=settings)
