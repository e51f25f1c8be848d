"""The optimiser of a training, and its learning rate."""

import math

import torch
from torch import nn

from ptacl.config import Training


def learning_rate(step: int, *, steps_per_epoch: int, training: Training) -> float:
    """Return the rate of a step, counted from 0: linear warm-up, then half a cosine to zero."""
    warmup, total = training.warmup_epochs * steps_per_epoch, training.epochs * steps_per_epoch
    if step < warmup:
        return training.learning_rate * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(total - warmup, 1)
    return training.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def build_optimizer(objective: nn.Module, training: Training) -> torch.optim.AdamW:
    """Build AdamW for unfrozen parameters; those below 2-D (biases, norms) have no weight decay."""
    parameters = [p for p in objective.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": training.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    fused = all(p.device.type in ("cpu", "cuda") for p in parameters)
    return torch.optim.AdamW(groups, lr=training.learning_rate, betas=training.betas, fused=fused)
