"""Batches that reach the device in one copy are those that are moved array by array."""

import numpy as np
import pytest
import torch

from ptacl.learning import data, transfer

CPU = torch.device("cpu")


def test_packed_arrays_keep_type_shape_and_values() -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "bytes": rng.integers(0, 256, (3, 5, 7), np.uint8),
        "single": rng.random((3, 2), np.float32),
        "index": rng.integers(0, 100, 3),
        "mask": rng.random(5) < 0.5,
        "none": np.empty((0, 4), np.int64),
        "scalar": np.full((), 3.5),
        "strided": rng.random((6, 4), np.float32).T[1:, ::2],
    }
    packed = transfer.pack(arrays, pin=False)
    moved = packed.to(CPU)
    assert list(moved) == list(arrays)
    for name, array in arrays.items():
        assert moved[name].shape == array.shape
        assert torch.equal(moved[name], torch.from_numpy(np.array(array))), name
    assert all(offset % 64 == 0 for _, _, offset in packed.places.values())


@pytest.mark.parametrize("epoch", [None, 2])
def test_a_packed_batch_is_the_same_batch(
    cohort, sizes, ecg_augmentation, cmr_augmentation, epoch
) -> None:
    recordings, rows = cohort.load("ecg", "cmr")
    made = data.Samples(
        recordings,
        rows,
        sizes=sizes,
        seed=3,
        ecg=ecg_augmentation,
        cmr=cmr_augmentation,
        beats=True,
        masked=4,
    )
    chosen = np.arange(9)
    plain = made.finish(made.collect(chosen, epoch=epoch), device=CPU)
    host = made.collect(chosen, epoch=epoch).pack(pin=False)
    assert host.arrays == {} and host.packed is not None
    packed = made.finish(host, device=CPU)
    assert packed.keys() == plain.keys()
    for name, values in plain.items():
        assert torch.equal(packed[name], values), name
