"""Embed the inputs of a trained model: examine each, and embed the usable ones in batches."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from ptacl import config
from ptacl.evaluation import embed
from ptacl.evaluation.inputs import used
from ptacl.learning.data import Samples
from ptacl.learning.recordings import Recordings
from ptacl.preparation import Examined
from ptacl.sources import Input

_BATCH = 32  # as in the section `embedding` of the configuration: it affects the last bits
_AT_ONCE = 256  # records held in memory


def preparation_settings(
    stored: Mapping[str, Any], *, modalities: Collection[str]
) -> dict[str, Any]:
    """Return the preparation settings of a model, without the measurements, which it does not use.

    Raises pydantic.ValidationError if this version does not know a setting.
    """
    settings: dict[str, Any] = {}
    if "ecg" in modalities:
        settings["ecg"] = config.Ecg(**stored["ecg"]).model_copy(update={"delineation": "none"})
    if "cmr" in modalities:
        settings["cmr"] = config.Cmr(**stored["cmr"])
    return settings


def device(name: str) -> torch.device:
    """Return the device; ValueError if this machine does not have it."""
    kind = name.partition(":")[0]
    if kind not in ("cpu", "cuda"):
        raise ValueError(f"device {name}: use cpu or cuda")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {name}: no CUDA GPU was found here: use device cpu")
    return torch.device(name)


def run(
    model: embed.LoadedEncoders,
    inputs: Sequence[Input],
    *,
    modality: str,
    settings: Any,
    device: torch.device,
    crops: int,
    progress: bool,
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Examine and embed all inputs.

    settings : preparation settings of the modality. crops : number of crops of an ECG that are
    averaged for `ecg_whole`. Returns the arrays of :func:`ptacl.evaluation.embed.embed`, in which
    unusable inputs are NaN, and the reason of each input, "" if it is usable.
    """
    reasons: list[str] = []
    waiting: list[Examined] = []
    batches: list[dict[str, np.ndarray]] = []
    for given in tqdm(inputs, desc=modality.upper(), unit="file", disable=not progress):
        examined = given.examine(settings=settings)
        reasons.append(str(examined.excluded or ""))
        if not examined.excluded:
            waiting.append(examined)
        if len(waiting) == _AT_ONCE:
            batches.append(_embed(model, waiting, modality=modality, device=device, crops=crops))
            waiting = []
    if waiting:
        batches.append(_embed(model, waiting, modality=modality, device=device, crops=crops))
    if not batches:
        nothing = np.full((len(inputs), model.encoders[modality].width), np.nan, np.float32)
        return {modality: nothing, used(modality): nothing}, reasons
    usable = [i for i, reason in enumerate(reasons) if not reason]
    arrays: dict[str, np.ndarray] = {}
    for name in batches[0]:
        values = np.concatenate([batch[name] for batch in batches])
        arrays[name] = np.full((len(inputs), *values.shape[1:]), np.nan, np.float32)
        arrays[name][usable] = values
    return arrays, reasons


def _embed(
    model: embed.LoadedEncoders,
    records: Sequence[Examined],
    *,
    modality: str,
    device: torch.device,
    crops: int,
) -> dict[str, np.ndarray]:
    """Embed usable records of one modality, as the pipeline embeds those of a store."""
    arrays: dict[str, np.ndarray] = {}
    for name in records[0].arrays:
        arrays[name] = np.stack([record.arrays[name] for record in records])
    visits = [str(i) for i in range(len(records))]
    recordings = Recordings.of(visits, arrays).standardised(model.zscore)
    rows = list(np.arange(len(records))[:, None])
    sizes = {modality: model.encoders[modality].settings}
    return embed.embed(
        model.only(modality),
        Samples(recordings, rows, sizes=sizes, seed=0, crops=crops),
        local_rows=np.zeros(0, np.int64),
        batch_size=_BATCH,
        device=device,
        progress=False,
    )
