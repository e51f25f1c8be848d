"""Write all files of one visit: draw its causes, then generate the ECG and the cine from them."""

import datetime
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ptacl import seeds
from ptacl.cohort.simulation import (
    cardiosoft,
    causes,
    cine,
    defects,
    dicom,
    ecg,
    electrical,
    nifti,
    nuisance,
)
from ptacl.cohort.simulation.defects import Defect

FIRST_INSTANCE, REPEAT_INSTANCE = 2, 3

_ECG_FOLDERS = (Path("Bulk/Electrocardiogram/Resting"), Path("ecg"))
_ZIP_FOLDER, _NIFTI_FOLDER = Path("Bulk/Heart MRI/Short axis"), Path("nifti")
_WITHOUT_SEGMENTATION = 0.10
_RAP_SHARE = 0.5


@dataclass(frozen=True)
class Order:
    """A visit to write: the participant, the instance, and the choices made for it."""

    person: str
    instance: int
    seed: int
    as_zip: bool
    defect: Defect | None
    timing: str  # level of electrical.TIMING
    day: datetime.date


@dataclass(frozen=True)
class Written:
    """Result of an order.

    `truth` holds the drawn values, `table` the values of the phenotype tables, and `files` the
    number of files of each kind.
    """

    person: str
    instance: int
    truth: dict[str, float]
    table: dict[str, float]
    files: dict[str, int]


def write(order: Order, out: Path) -> Written:
    """Write the ECG, cine and segmentation of one visit below `out`.

    The seed and the order determine every byte.
    """
    person = draw_person(order.person, order.instance, seed=order.seed)
    files: dict[str, int] = {}
    activity = electrical.draw(
        person,
        _rng(order, "electrical"),
        nuisance=nuisance.ECG,
        share=electrical.TIMING[order.timing],
    )
    if order.defect is not Defect.NO_ECG:
        files["ecg"] = _write_ecg(order, person, activity, out)
    if order.defect is not Defect.NO_CINE:
        files |= _write_cine(order, person, out)
    exact = {name: float(value) for name, value in causes.phenotypes(person).items()}
    noisy = causes.measure(person, _rng(order, "table"), noise=nuisance.TABLE)
    table = {
        "age": float(np.floor(person.age)),
        "height_cm": float(person.height_cm),
        "weight_kg": float(person.weight_kg),
    }
    table |= {name: float(value) for name, value in noisy.items()}
    if order.defect is Defect.PHENOTYPES_IMPLAUSIBLE:
        table |= {"LVEDV": 1800.0, "LVEF": 140.0}
    truth = causes.as_row(person) | electrical.timing(activity) | exact
    return Written(order.person, order.instance, truth, table | {"sex": float(person.male)}, files)


def draw_person(person: str, instance: int, *, seed: int) -> causes.Causes:
    """Draw the causes of a visit; a repeat visit is derived from the first visit."""
    first = causes.draw(seeds.generator(seed, "simulation causes", person), size=())
    if instance == FIRST_INSTANCE:
        return first
    return causes.repeat(first, seeds.generator(seed, "simulation repeat", person, instance))


def _rng(order: Order, purpose: str) -> np.random.Generator:
    return seeds.generator(order.seed, f"simulation {purpose}", order.person, order.instance)


def _write_ecg(
    order: Order, person: causes.Causes, activity: electrical.Electrical, out: Path
) -> int:
    recording = ecg.record(activity, _rng(order, "ecg"), nuisance=nuisance.ECG)
    rng = _rng(order, "cardiosoft")
    head = cardiosoft.header(person, rng, person=order.person, day=order.day)
    text = defects.spoil_xml(
        cardiosoft.compose(head, activity, recording, rng, nuisance=nuisance.ECG), order.defect
    )
    rap = _rng(order, "folder").random() < _RAP_SHARE
    name = f"{order.person}_20205_{order.instance}_0.xml"
    places = [_ECG_FOLDERS[0] / order.person[:2], _ECG_FOLDERS[1]]
    chosen = places if order.defect is Defect.ECG_TWICE else [places[0 if rap else 1]]
    for place in chosen:
        (out / place).mkdir(parents=True, exist_ok=True)
        (out / place / name).write_bytes(text.encode("latin-1"))
    return len(chosen)


def _write_cine(order: Order, person: causes.Causes, out: Path) -> dict[str, int]:
    drawn = cine.image(person, _rng(order, "cine"), nuisance=nuisance.CINE)
    name = f"{order.person}_20209_{order.instance}_0"
    if order.as_zip:
        path = out / _ZIP_FOLDER / order.person[:2] / f"{name}.zip"
        short_axis = order.defect is not Defect.CINE_NO_SHORT_AXIS
        dicom.write_zip(
            path, drawn, person=order.person, rng=_rng(order, "zip"), short_axis=short_axis
        )
        if order.defect is Defect.CINE_ZIP_TRUNCATED:
            _cut(path)
        return {"cine zip": 1}
    image, labels = defects.spoil_cine(drawn, order.defect)
    folder = out / _NIFTI_FOLDER / name
    nifti.write_image(folder / nifti.CINE, image, cine=drawn)
    if order.defect is Defect.CINE_NIFTI_TRUNCATED:
        _cut(folder / nifti.CINE)
    if order.defect is None and _rng(order, "segmentation").random() < _WITHOUT_SEGMENTATION:
        return {"cine nifti": 1}
    nifti.write_image(folder / nifti.SEGMENTATION, labels, cine=drawn)
    return {"cine nifti": 1, "segmentation": 1}


def _cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(file.seek(0, io.SEEK_END) * 2 // 3)
