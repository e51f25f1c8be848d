"""CMR preparation from files of UK Biobank size, against straightforward code with nibabel and
pydicom.

NIfTI: 208 x 210 x 10 x 50 int16 with noise, which hardly compresses. Zip: 10 slices of 50 frames,
each file with 50 KiB of private tags as a scanner writes them, and 100 files of other series. The
straightforward code reads the middle slice with `get_fdata`, or every file of the zip with
`dcmread`, and crops. Our code also checks the series, the geometry and the segmentation. Afterwards
the peak memory of jobs is measured, each in a process of its own.
"""

import csv
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
from common import Row, as_used, in_turns, seconds
from pydicom.dataset import Dataset, FileMetaDataset

from ptacl import config
from ptacl.cmr.examine import examine

FRAMES, SLICES, ROWS, COLUMNS = 50, 10, 208, 210
PRIVATE_BYTES, DECOYS = 50 * 1024, 100


def cine(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a beating ring in noise, int16, and its labels, uint8, both (T, Z, R, C)."""
    row, column = np.mgrid[:ROWS, :COLUMNS]
    distance = np.hypot(row - 110, column - 95)
    inner = 16 - 5 * np.sin(np.pi * np.arange(FRAMES) / FRAMES) ** 2
    labels = np.where(distance < inner[:, None, None], 1, np.where(distance < 24, 2, 0)).astype(
        np.uint8
    )
    image = np.choose(labels, [60, 400, 120])[:, None] + rng.normal(
        0, 25, (FRAMES, SLICES, ROWS, COLUMNS)
    )
    return np.abs(image).astype(np.int16), np.repeat(labels[:, None], SLICES, axis=1)


def write_nifti(path: Path, values_TZRC: np.ndarray) -> None:
    image = nib.Nifti1Image(values_TZRC.T, np.diag([1.8269, 1.8269, 10, 1]))
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms((1.8269, 1.8269, 10, 0.02))
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)


def dicom(pixels: np.ndarray, rng: np.random.Generator, *, series: str, z: int, t: int) -> bytes:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = (
        "1.2.840.10008.5.1.4.1.1.4",
        "1.2.3",
    )
    data.SeriesDescription, data.SeriesInstanceUID, data.SeriesNumber = (
        series,
        f"1.2.{z + 1}",
        z + 1,
    )
    data.InstanceNumber, data.TriggerTime, data.CardiacNumberOfImages = t + 1, 20 * t, FRAMES
    data.ImagePositionPatient, data.ImageOrientationPatient = [0, 0, 10 * z], [1, 0, 0, 0, 1, 0]
    data.PixelSpacing, data.SpacingBetweenSlices, data.SliceThickness = [1.8269, 1.8269], 10, 8
    data.add_new(0x00290010, "LO", "SIEMENS CSA HEADER")
    data.add_new(0x00291010, "OB", rng.integers(0, 8, PRIVATE_BYTES, np.uint8).tobytes())
    data.Rows, data.Columns, data.SamplesPerPixel, data.PhotometricInterpretation = (
        ROWS,
        COLUMNS,
        1,
        "MONOCHROME2",
    )
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation, data.PixelData = 15, 0, pixels.tobytes()
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


def write_zip(path: Path, image_TZRC: np.ndarray, rng: np.random.Generator) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for z in range(SLICES):
            for t in range(FRAMES):
                content = dicom(
                    image_TZRC[t, z], rng, series=f"CINE_segmented_SAX_b{z + 1}", z=z, t=t
                )
                archive.writestr(f"{z}.{t}.dcm", content)
        for i in range(DECOYS):
            content = dicom(
                image_TZRC[i % FRAMES, 0], rng, series="CINE_segmented_SAX_InlineVF", z=90, t=i
            )
            archive.writestr(f"decoy.{i}.dcm", content)


def write_all(folder: Path) -> None:
    rng = np.random.default_rng(0)
    image, labels = cine(rng)
    for name, values in (
        ("sa.nii.gz", image),
        ("seg_sa.nii.gz", labels),
        ("float/sa.nii.gz", image.astype(np.float32)),
    ):
        write_nifti(folder / name, values)
    write_zip(folder / "sa.zip", image, rng)


def run(folder: Path, rows: list[dict[str, str]], settings: str) -> tuple[float, float]:
    """Return the processor seconds and the peak MiB of one preparation job."""
    with (folder / "members.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["visit", "cmr", "segmentation"])
        writer.writeheader()
        writer.writerows(rows)
    arguments = {
        "members": "members.csv",
        "store": "out",
        "manifest": "out.json",
        "sheet": "out.png",
    }
    command = [sys.executable, "-m", "ptacl.cmr.prepare", "--settings", settings]
    command += ["--storage", config.dump(lost_of_shard=1.0, lost_of_cohort=1.0, vanished=1.0)]
    for name, value in arguments.items():
        command += [f"--{name}", str(folder / value)]
    process = subprocess.Popen(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, "the preparation failed"
    assert len(json.loads((folder / "out.json").read_text())["visits"]) == len(rows)
    scale = 2**20 if sys.platform == "darwin" else 2**10
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / scale


def nibabel_way(path: Path) -> np.ndarray:
    """Return the middle slice over time, cropped and scaled."""
    values = nib.load(path).get_fdata()
    frames = values[60:144, 60:144, values.shape[2] // 2].T
    return np.uint8(255 * (frames - frames.min()) / np.ptp(frames))


def pydicom_way(path: Path) -> np.ndarray:
    """Read all files of the zip and return the middle slice, in the order of trigger time."""
    with zipfile.ZipFile(path) as archive:
        files = [pydicom.dcmread(io.BytesIO(archive.read(name))) for name in archive.namelist()]
    cine = [f for f in files if "CINE_segmented_SAX_b" in f.SeriesDescription]
    places = sorted({float(f.ImagePositionPatient[2]) for f in cine})
    chosen = [f for f in cine if float(f.ImagePositionPatient[2]) == places[len(places) // 2]]
    frames = np.stack(
        [f.pixel_array for f in sorted(chosen, key=lambda f: float(f.TriggerTime))]
    ).astype(float)
    frames = frames[:, 60:144, 60:144]
    return np.uint8(255 * (frames - frames.min()) / np.ptp(frames))


def rows(rounds: int) -> Iterator[Row]:
    settings = config.load(Path(__file__).parents[1] / "config.yaml").cmr
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        writer = get_context("spawn").Process(
            target=write_all, args=(folder,)
        )  # because a job inherits the peak memory of its parent
        writer.start()
        writer.join()
        for name, obvious, floor in (("sa.nii.gz", nibabel_way, 2.2), ("sa.zip", pydicom_way, 2.0)):
            path = str(folder / name)
            with as_used(seconds) as clocks:
                way = partial(examine, path, segmentation=None, settings=settings)
                ours, peer, ratio = in_turns(
                    way, partial(obvious, path), rounds=rounds, warm=2, clocks=clocks
                )
            yield Row(f"CMR preparation from {name}, a participant", ours, peer, "s", ratio, floor)
        for name in ("sa.nii.gz", "sa.zip"):
            row = {"cmr": str(folder / name), "segmentation": ""}
            _, mib = run(
                folder,
                [{"visit": f"{9000001 + i}_2"} | row for i in range(8)],
                config.dump(settings),
            )
            yield Row(f"memory of a job on {name}, limit 1,536", mib, None, "MiB", None)
