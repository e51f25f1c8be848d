"""The exports of a hospital, made from simulated visits: MUSE ECGs, MRI folders of an archive whose
series have the names of that hospital, and a spreadsheet.
"""

import base64
import datetime
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ptacl import config
from ptacl.cohort.simulation import visit
from ptacl.ecg import read

_UK_BIOBANK, _HOSPITAL = b"CINE_segmented_SAX_b", b"trufi_cine_short_ax_"  # equally long
_UV_PER_COUNT = 4.88
_STORED = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
_LEAD = """<LeadData><LeadByteCountTotal>{bytes}</LeadByteCountTotal>
<LeadTimeOffset>0</LeadTimeOffset>
<LeadSampleCountTotal>{samples}</LeadSampleCountTotal>
<LeadAmplitudeUnitsPerBit>{uv}</LeadAmplitudeUnitsPerBit>
<LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits><LeadID>{lead}</LeadID>
<LeadSampleSize>2</LeadSampleSize><WaveFormData>{data}</WaveFormData></LeadData>
"""
_MUSE = """<?xml version="1.0" encoding="ISO-8859-1"?>
<!DOCTYPE RestingECG SYSTEM "restecg.dtd">
<RestingECG><MuseInfo><MuseVersion>9.0.10</MuseVersion></MuseInfo>
<Waveform><WaveformType>Rhythm</WaveformType><WaveformStartTime>0</WaveformStartTime>
<NumberofLeads>8</NumberofLeads><SampleType>CONTINUOUS_SAMPLES</SampleType>
<SampleBase>500</SampleBase><SampleExponent>0</SampleExponent>
{leads}</Waveform></RestingECG>
"""


def write(folder: Path, *, patients: int, settings: config.Ecg) -> list[str]:
    """Write the folder, and return the numbers of the patients.

    Every third MRI has 25 frames, and every fourth has one subfolder per series.
    """
    numbers = [str(9000001 + k) for k in range(patients)]
    rows = ["patient;day;sex;born;LVEDV;LVEF"]
    for k, number in enumerate(numbers):
        day = datetime.date(2019, 5, 2)
        order = visit.Order(number, 2, 5, as_zip=True, defect=None, timing="default", day=day)
        raw = folder.parent / "raw" / number
        values = visit.write(order, raw).table
        (xml,), (archive,) = raw.rglob("*.xml"), raw.rglob("*.zip")
        write_muse(
            folder / "ecg" / f"MUSE_{number}_20200305.xml", _signal_mv(xml, settings=settings)
        )
        export(
            archive,
            folder / "pacs" / number / "20200306",
            every=2 if k % 3 == 0 else 1,
            subfolders=k % 4 == 0,
        )
        sex, born = "FM"[int(values["sex"])], 2020 - int(values["age"])
        volumes = [f"{values[name]:.1f}".replace(".", ",") for name in ("LVEDV", "LVEF")]
        rows.append(";".join([number, "06.03.2020", sex, str(born), *volumes]))
    (folder / "mri.csv").write_text("\n".join(rows) + "\n")
    return numbers


def _signal_mv(path: Path, *, settings: config.Ecg) -> np.ndarray:
    return read.record(read.parse(path.read_bytes()), settings=settings).signal_mv


def write_muse(path: Path, signal_mv: np.ndarray) -> None:
    """Write (12, T) in the order of `read.LEADS` as MUSE XML, which stores eight leads."""
    leads = ""
    for lead in _STORED:
        counts = np.rint(signal_mv[read.LEADS.index(lead)] * 1e3 / _UV_PER_COUNT).astype("<i2")
        data = base64.b64encode(counts.tobytes()).decode()
        leads += _LEAD.format(
            bytes=counts.nbytes, samples=len(counts), uv=_UV_PER_COUNT, lead=lead, data=data
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_MUSE.format(leads=leads), encoding="latin-1")


def export(archive: Path, folder: Path, *, every: int, subfolders: bool) -> None:
    """Write the files of a zip as an archive exports them, with every k-th frame of the cine."""
    for number, (series, frame, content) in enumerate(_images(archive)):
        cine = _UK_BIOBANK in content
        if cine and frame % every:
            continue
        place = folder / f"series_{series}" if subfolders else folder
        place.mkdir(parents=True, exist_ok=True)
        (place / f"IM{number:05}").write_bytes(content.replace(_UK_BIOBANK, _HOSPITAL))


def _images(archive: Path) -> Iterator[tuple[str, int, bytes]]:
    """Yield series, frame from 0, and content of each image."""
    with zipfile.ZipFile(archive) as file:
        for name in file.namelist():
            if name.endswith(".dcm"):
                *_, series, instance, _ = name.split(".")
                yield series, int(instance) - 1001, file.read(name)
