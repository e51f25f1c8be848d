"""Examine one ECG: read it, denoise it, find its R-peaks, and check all of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ptacl import config
from ptacl.ecg import formats, from_arrays, quality, read, rpeaks
from ptacl.ecg.denoise import denoise
from ptacl.ecg.measure import measure
from ptacl.ecg.read import LEADS, EcgRecord
from ptacl.exclusions import Excluded, Reason
from ptacl.preparation import Examined

MAX_PEAKS = 64


def examine(path: Path, *, settings: config.Ecg) -> Examined:
    """Examine a file of any supported format.

    The arrays are `signal_mv` (12, T) float32, denoised, and `r_peaks` (MAX_PEAKS,) int32, sample
    indices padded with -1.
    """
    examined = Examined()
    with examined.until_excluded():
        opened = formats.open_file(path)
        if (root := opened.cardiosoft) is None:
            record = formats.record_of_other_format(path, opened, settings=settings)
            suffix = path.suffix.lstrip(".").lower()
            examined.facts["format"] = f"{suffix}, {opened.root}" if opened.root else suffix
            examined.facts |= _header(record.leads, record.rate_hz, record.signal_mv.shape[1])
        else:
            header = read.header(root)
            examined.facts["format"] = "cardiosoft"
            examined.facts |= _header(header.leads, header.rate_hz, header.num_samples)
            record = read.record(root, settings=settings)
        _examine(record, examined, settings=settings, named=path.name.partition("_")[0])
    return examined


def examine_array(
    signal: np.ndarray, *, names: Sequence[str], rate_hz: float, unit: str, settings: config.Ecg
) -> Examined:
    """Examine leads in memory, which :func:`ptacl.ecg.from_arrays.conform` converts to a record."""
    examined = Examined()
    with examined.until_excluded():
        record = from_arrays.conform(
            signal, names=names, rate_hz=rate_hz, unit=unit, settings=settings
        )
        _examine(record, examined, settings=settings, named="")
    return examined


def _header(
    leads: Sequence[str], rate_hz: float | None, num_samples: int | None
) -> dict[str, object]:
    return {"leads": list(leads), "rate_hz": rate_hz, "num_samples": num_samples}


def _examine(record: EcgRecord, examined: Examined, *, settings: config.Ecg, named: str) -> None:
    """Fill in what is known of a record; `named` is the participant id in its file name."""
    signal_mv = denoise(record.signal_mv, wavelet=settings.wavelet)
    r_peaks, rhythm = rpeaks.find(
        signal_mv,
        rate_hz=record.rate_hz,
        device_beats_ms=record.device_beats_ms,
        settings=settings.rpeaks,
    )
    padded = np.full(MAX_PEAKS, -1, np.int32)
    padded[: len(r_peaks)] = r_peaks[:MAX_PEAKS]
    examined.arrays = {"signal_mv": signal_mv, "r_peaks": padded}
    peaks_s = r_peaks / settings.rate_hz
    examined.facts |= rhythm | {
        "r_peaks_s": peaks_s.round(4).tolist(),
        "filters": dict(record.filters),
        "software": record.software,
        "resolution_mv": record.resolution_mv,
    }
    examined.facts["doubts"] = dict(record.doubts)
    further = quality.flags(
        rhythm,
        signal_mv=signal_mv,
        r_peaks=r_peaks,
        rate_hz=record.rate_hz,
        leads=LEADS,
        inside=record.participant,
        named=named,
    )
    examined.flags = [*record.doubts, *further]
    rpeaks.check(rhythm, settings=settings.rpeaks)
    for flag in examined.flags:
        if flag in settings.exclude:
            detail = ", ".join(filter(None, (flag, record.doubts.get(flag))))
            raise Excluded(Reason.FLAGGED, detail)
    if len(r_peaks) > MAX_PEAKS:
        detail = f"{len(r_peaks)} R-peaks, but the store holds at most {MAX_PEAKS}"
        raise Excluded(Reason.IMPLAUSIBLE_RATE, detail)
    examined.facts["measurements"] = measure(
        signal_mv,
        r_peaks=r_peaks,
        rate_hz=record.rate_hz,
        device=record.measurements,
        delineation=settings.delineation,
    )
