"""Trains both objectives in double precision, alone or under torchrun, and saves weights and history of each process.

In single precision the comparison would say little: AdamW makes a full step of a gradient that is zero but for rounding.
"""

import sys
from pathlib import Path

import torch
from torch import nn

from ptacl import config
from ptacl.learning import align, data, pretrain, processes, train


class Double(nn.Module):
    """An objective in double precision."""

    def __init__(self, objective):
        super().__init__()
        self.objective = objective.double()

    def forward(self, batch):
        return self.objective({name: value.double() if value.is_floating_point() else value for name, value in batch.items()})


def main(participants, shards, encoders, experiment, pretraining, out):
    out = Path(out)
    encoders = config.Encoders.model_validate_json(encoders)
    experiment = config.Experiment.model_validate_json(experiment)
    pretraining = config.EcgPretraining.model_validate_json(pretraining)
    table = data.read_participants(Path(participants), splits=["train", "validation"])
    manifests = {m: sorted((Path(shards) / m).glob("*.json")) for m in ("ecg", "cmr")}
    sizes = {"ecg": encoders.ecg, "cmr": encoders.cmr}
    contrastive = align.build(encoders=encoders, settings=experiment, seed=0, ecg_mae=None, cmr_mae=None)
    reconstruction = pretrain.build("ecg", sizes=encoders.ecg, settings=pretraining, seed=0)
    cases = {
        "align": (contrastive, experiment.training, manifests, {"beats": True, "cmr": experiment.cmr_augmentation}),
        "pretrain": (reconstruction, pretraining.training, manifests | {"cmr": []}, {"masked": encoders.ecg.shape[0] * 8}),
    }
    with processes.started(torch.device("cpu")) as device:
        if processes.rank():  # whatever it starts from, process 0 decides
            for part in (contrastive, reconstruction):
                nn.init.normal_(next(part.parameters()))
        for name, (objective, training, paths, how) in cases.items():
            recordings = data.load(table["visit"].tolist(), **paths, zscore=encoders.zscore)
            train_set, validation = (
                data.Samples(
                    recordings, data.split_participants(table, split), sizes=sizes, seed=0, ecg=experiment.ecg_augmentation, **how
                )
                for split in ("train", "validation")
            )
            state = out / f"state-{name}"
            state.mkdir(parents=True, exist_ok=True)
            history = train.fit(
                Double(objective), train_set, validation=validation, training=training, seed=0, state=state, device=device
            )
            result = {"weights": objective.state_dict(), "history": history, "processes": processes.count()}
            torch.save(result, out / f"{name}-{processes.rank()}.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])
