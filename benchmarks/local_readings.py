"""Compare readings of the paper's local loss: from the same weights and the same batches, how much
of its reachable range does each reading learn?

    python benchmarks/local_readings.py RUN --out docs/benchmark/local_readings.csv
    python benchmarks/local_readings.py RUN --config FILE --batch 8 --steps 40 --out FILE

RUN is a finished run. At the sizes of its configuration, encoders start from its autoencoders. At
other sizes they start from random weights. Readings that the table already has are skipped.
"""

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import TypeAdapter
from torch import Tensor
from tqdm import tqdm

from ptacl import config, participants
from ptacl.ecg.zscore import Zscore
from ptacl.learning import assemble, collapse, data, losses, phases, recordings
from ptacl.learning.objectives.base import Batch
from ptacl.learning.objectives.contrastive import ContrastiveObjective
from ptacl.models import heads

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = [
    "sizes",
    "reading",
    "temperature",
    "guess",
    "floor",
    "mutual_cosine_ecg",
    "mutual_cosine_cmr",
    "gradient_ratio",
    "loss_start",
    "loss_end",
    "learned",
    "near_diagonal",
]

Values = dict[str, str | float]


@dataclass(frozen=True)
class Reading:
    """One reading of Eq. 2 and 3.

    `sigma` is in cycles. `compare` says what is compared: cosines of the averaged tokens, their
    dot products, cosines after the projection of the global loss, or cosines of centred phases.
    """

    name: str
    sigma: float
    temperature: float
    compare: str


READINGS = (
    Reading("as we read it: cosine of tokens, distance in cycles", 0.1, 1.0, "cosine"),
    Reading("distance in steps, not normalised", 0.0, 1.0, "cosine"),
    Reading("dot product of tokens, not normalised", 0.1, 1.0, "dot"),
    Reading("after the projection of the global loss", 0.1, 1.0, "projected"),
    Reading("temperature of the global loss", 0.1, 0.1, "cosine"),
    Reading("centred phases", 0.1, 1.0, "centred"),
    Reading("centred phases, temperature of the global loss", 0.1, 0.1, "centred"),
    Reading("setting of the paper for retrieval", 0.0, 0.07, "cosine"),
)


class LocalLoss:
    """The local loss of one reading, for an objective with a local loss."""

    def __init__(self, reading: Reading, objective: ContrastiveObjective) -> None:
        self.reading, self.objective = reading, objective
        self.phases = objective.encoder("cmr").grid[0]
        self.alignment = losses.alignment_matrix(self.phases, sigma=reading.sigma).float()

    def embeddings(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is compared, (B, T, D) of both modalities, and the global loss."""
        ecg_BND, cmr_BND = (self.objective.encoders[m](batch[m]) for m in ("ecg", "cmr"))
        ecg_projector, cmr_projector = self.objective.ecg_projector, self.objective.cmr_projector
        whole = losses.global_loss(
            heads.project(ecg_BND, ecg_projector),
            heads.project(cmr_BND, cmr_projector),
            temperature=0.1,
            direction_weight=0.5,
        )
        ecg_BTD = phases.ecg_phases(ecg_BND, batch["beats"])
        cmr_BTD = phases.cmr_phases(cmr_BND, phases=self.phases)
        if self.reading.compare == "projected":
            ecg_BTD, cmr_BTD = ecg_projector(ecg_BTD), cmr_projector(cmr_BTD)
        if self.reading.compare == "centred":
            ecg_BTD, cmr_BTD = (x - x.mean(1, keepdim=True) for x in (ecg_BTD, cmr_BTD))
        return ecg_BTD, cmr_BTD, whole

    def logits(self, ecg_BTD: Tensor, cmr_BTD: Tensor) -> Tensor:
        """Return similarities over temperature, (B, T, T)."""
        if self.reading.compare == "dot":
            return ecg_BTD @ cmr_BTD.transpose(1, 2) / self.reading.temperature
        return losses.cosine_similarity(ecg_BTD, cmr_BTD) / self.reading.temperature

    def __call__(self, ecg_BTD: Tensor, cmr_BTD: Tensor, valid_B: Tensor) -> Tensor:
        logits = self.logits(ecg_BTD, cmr_BTD)[valid_B]
        both = (
            losses.soft_info_nce(logits, self.alignment),
            losses.soft_info_nce(logits.transpose(1, 2), self.alignment),
        )
        return (both[0] + both[1]).mean() / 2

    def floor(self) -> float:
        """Return the lowest value that any embeddings reach."""
        if self.reading.compare == "dot":  # unbounded logits reach the targets themselves
            return float(torch.special.entr(self.alignment).sum(1).mean())
        return collapse.local_floor(
            self.phases,
            sigma=self.reading.sigma,
            temperature=self.reading.temperature,
            direction_weight=0.5,
        )

    def near_diagonal(self, ecg_BTD: Tensor, cmr_BTD: Tensor, valid_B: Tensor) -> float:
        """Return the share of ECG phases whose most similar CMR phase is at most one away."""
        best_BT = self.logits(ecg_BTD, cmr_BTD)[valid_B].argmax(2)
        return float(((best_BT - torch.arange(self.phases)).abs() <= 1).float().mean())


def mutual_cosine(phases_BTD: Tensor) -> float:
    """Return the mean cosine between different phases of a record."""
    cosine_BTT = losses.cosine_similarity(phases_BTD, phases_BTD)
    of_others = ~torch.eye(cosine_BTT.shape[1], dtype=torch.bool)
    return float(cosine_BTT[:, of_others].mean())


def gradient_norm(loss: Tensor, objective: ContrastiveObjective) -> float:
    """Return the norm of the gradient of a loss in the encoders."""
    parameters = [p for p in objective.encoders.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return float(torch.stack([g.square().sum() for g in gradients if g is not None]).sum().sqrt())


class Setting:
    """Encoders of one configuration with their starting weights, and batches of a run."""

    def __init__(self, run: Path, configuration: list[Path]) -> None:
        stacked = config.stack(ROOT / "config.yaml", *configuration)
        entry = TypeAdapter(config.Model).validate_python(
            stacked.models["ptacl"].model_dump(mode="json")
        )
        assert isinstance(entry, config.Contrastive)
        self.entry = entry
        sizes = stacked.encoders.model_dump(mode="json")
        self.inputs = config.Inputs.model_validate(
            {"zscore": sizes.pop("zscore"), "encoders": sizes}
        )
        self.start: dict[str, Path] = {}
        if configuration:
            self.entry = self.entry.model_copy(update={"start": None, "frozen_layers": 0})
        else:
            self.start = {
                m: next((run / "results/models").glob(f"{m}_mae-*")) for m in ("ecg", "cmr")
            }
        private = run / "results/private"
        table = participants.read(private / "participants.csv", splits=["train"])
        shards = {m: sorted((private / m).glob("[0-9]*.json")) for m in ("ecg", "cmr")}
        loaded = recordings.load(table["visit"].tolist(), ecg=shards["ecg"], cmr=shards["cmr"])
        self.samples = data.Samples(
            loaded.standardised(Zscore(self.inputs.zscore)),
            recordings.split_participants(table, "train"),
            sizes={str(m): size for m, size in self.inputs.encoders.items()},
            seed=0,
            ecg=self.entry.augmentation.ecg,
            cmr=self.entry.augmentation.cmr,
            beats=True,
        )

    def objective(self) -> ContrastiveObjective:
        """Build the objective with its starting weights."""
        found = assemble.build(self.entry, self.inputs, seed=0, start=self.start)
        assert isinstance(found, ContrastiveObjective)
        found.eval().begin([self.batch(np.arange(128), epoch=0)])
        return found.train()

    def batch(self, index: np.ndarray, *, epoch: int) -> Batch:
        """Return a training batch."""
        host = self.samples.collect(index, epoch=epoch)
        return self.samples.finish(host, device=torch.device("cpu"))

    def batches(self, *, size: int, steps: int) -> Iterator[Batch]:
        """Yield the same batches for every reading."""
        rng = np.random.default_rng(0)
        for step in range(steps):
            yield self.batch(rng.permutation(len(self.samples))[:size], epoch=step)


def measured(reading: Reading, setting: Setting, *, size: int, steps: int, rate: float) -> Values:
    """Train with the global and one local loss, and return one row of the table."""
    torch.manual_seed(0)
    objective = setting.objective()
    local = LocalLoss(reading, objective)
    optimiser = torch.optim.AdamW(
        [p for p in objective.parameters() if p.requires_grad], lr=rate, weight_decay=0.05
    )
    row: Values = {}
    ends, shares = [], []
    for step, batch in enumerate(tqdm(setting.batches(size=size, steps=steps), total=steps)):
        ecg_BTD, cmr_BTD, whole = local.embeddings(batch)
        loss = local(ecg_BTD, cmr_BTD, batch["valid"])
        if step == 0:
            row = {
                "mutual_cosine_ecg": mutual_cosine(ecg_BTD[batch["valid"]].detach()),
                "mutual_cosine_cmr": mutual_cosine(cmr_BTD.detach()),
                "gradient_ratio": gradient_norm(loss, objective) / gradient_norm(whole, objective),
                "loss_start": loss.item(),
            }
        if step >= steps - 5:
            ends.append(loss.item())
            shares.append(local.near_diagonal(ecg_BTD, cmr_BTD, batch["valid"]))
        optimiser.zero_grad()
        (whole + loss).backward()
        torch.nn.utils.clip_grad_norm_(objective.parameters(), 1.0)
        optimiser.step()
    guess, floor, end = float(np.log(local.phases)), local.floor(), float(np.mean(ends))
    return row | {
        "reading": reading.name,
        "temperature": reading.temperature,
        "guess": guess,
        "floor": floor,
        "loss_end": end,
        "learned": (guess - end) / (guess - floor),
        "near_diagonal": float(np.mean(shares)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--config", type=Path, nargs="*", default=[], help="other sizes")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate")
    parser.add_argument(
        "--at-most", type=int, default=len(READINGS), metavar="N", help="measure only N readings"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="CSV", help="table to extend")
    arguments = parser.parse_args()
    sizes = " + ".join(path.stem for path in arguments.config) or "default"
    known = set()
    if arguments.out.exists():
        with arguments.out.open() as file:
            known = {(row["sizes"], row["reading"]) for row in csv.DictReader(file)}
    else:
        arguments.out.write_text(",".join(COLUMNS) + "\n")
    setting = Setting(arguments.run, arguments.config)
    missing = [reading for reading in READINGS if (sizes, reading.name) not in known]
    for reading in missing[: arguments.at_most]:
        row = measured(
            reading, setting, size=arguments.batch, steps=arguments.steps, rate=arguments.rate
        )
        with arguments.out.open("a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            numbers = {k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()}
            writer.writerow(numbers | {"sizes": sizes})


if __name__ == "__main__":
    main()
