"""Local embeddings: one vector a step of the cardiac cycle, made from tokens without any parameter (Sec. 3.2).

Shape letters: B patients, L leads, T steps of the cardiac cycle, M tokens of a lead, N tokens, D token width.
"""

import torch
from torch import Tensor


def ecg_steps(tokens_BND: Tensor, beats_BTM: Tensor) -> Tensor:
    """Local ECG embedding, one vector a step of the mean beat: (B, T, D).

    tokens_BND : L x M tokens, lead by lead. beats_BTM : which tokens make up which step (`ptacl.ecg.beats`). The mean over leads,
    the interpolation within beats and the mean over beats are linear: one product does them all.
    """
    (batch, tokens, width), times = tokens_BND.shape, beats_BTM.shape[2]
    tokens_BMD = tokens_BND.view(batch, tokens // times, times, width).mean(1)
    return torch.bmm(beats_BTM.to(tokens_BMD), tokens_BMD)


def cmr_steps(tokens_BND: Tensor, *, steps: int) -> Tensor:
    """Local CMR embedding, the mean over the image of each temporal token: (B, T, D). tokens_BND : step by step."""
    batch, tokens, width = tokens_BND.shape
    return tokens_BND.view(batch, steps, tokens // steps, width).mean(2)
