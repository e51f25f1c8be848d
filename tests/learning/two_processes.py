"""Trains both objectives in double precision, in one process or under torchrun, and saves the
weights and history of each process.

In single precision the comparison would say little: AdamW makes a full step of a gradient that is
zero but for rounding.
"""

import sys
from pathlib import Path

import torch
from torch import nn

from ptacl import config
from ptacl.ecg.zscore import Zscore
from ptacl.learning import assemble, data, fit, processes
from ptacl.learning.recordings import load, split_participants
from ptacl.participants import read as read_participants


class Double(nn.Module):
    """An objective in double precision."""

    def __init__(self, objective):
        super().__init__()
        self.objective = objective.double()

    def forward(self, batch):
        return self.objective(
            {
                name: value.double() if value.is_floating_point() else value
                for name, value in batch.items()
            }
        )


def main(participants, shards, inputs, contrastive, phasewise, autoencoder, supervised, out):
    out = Path(out)
    inputs = config.Inputs.model_validate_json(inputs)
    sizes = dict(inputs.encoders)
    table = read_participants(Path(participants), splits=["train", "validation"])
    manifests = {m: sorted((Path(shards) / m).glob("*.json")) for m in ("ecg", "cmr")}
    targets, labels = assemble.read_targets(table, ["LVEDV", "LVEF"])
    entries = {
        "align": config.Contrastive.model_validate_json(contrastive),
        "phasewise": config.Contrastive.model_validate_json(phasewise),
        "pretrain": config.Autoencoder.model_validate_json(autoencoder),
        "supervised": config.Supervised.model_validate_json(supervised),
    }
    cases = {}
    for name, entry in entries.items():
        own = inputs.model_copy(update={"encoders": {m: sizes[m] for m in entry.modalities}})
        cases[name] = assemble.build(entry, own, seed=0, targets=targets), entry
    with processes.started(torch.device("cpu")) as device:
        if processes.rank():  # whatever it starts from, process 0 decides
            for part, _ in cases.values():
                nn.init.normal_(next(part.parameters()))
        for name, (objective, entry) in cases.items():
            paths = {m: manifests[m] if m in entry.modalities else [] for m in manifests}
            recordings = load(table["visit"].tolist(), **paths).standardised(Zscore(inputs.zscore))
            more = objective.needs | {"targets": labels if entry.labels else None}
            train_set, validation = (
                data.Samples(
                    recordings,
                    split_participants(table, split),
                    sizes=sizes,
                    seed=0,
                    ecg=entry.augmentation.ecg,
                    cmr=entry.augmentation.cmr,
                    **more,
                )
                for split in ("train", "validation")
            )
            state = out / f"state-{name}"
            state.mkdir(parents=True, exist_ok=True)
            history = fit.fit(
                Double(objective),
                train_set,
                validation=validation,
                training=entry.training,
                seed=0,
                state=state,
                device=device,
            )
            result = {
                "weights": objective.state_dict(),
                "history": history,
                "processes": processes.count(),
            }
            torch.save(result, out / f"{name}-{processes.rank()}.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])
