"""Local embeddings: one vector per phase of the cardiac cycle (Sec. 3.2).

They are computed from tokens without any parameter.

Shape letters: B patients, L leads, T phases of the cardiac cycle, M tokens of a lead, N tokens, D
token width.
"""

from torch import Tensor

from ptacl.models import exact


def ecg_phases(tokens_BND: Tensor, beats_BTM: Tensor) -> Tensor:
    """Compute the local ECG embedding (B, T, D), one vector per phase of the mean beat.

    `tokens_BND` holds L x M tokens, lead by lead. `beats_BTM` says which tokens contribute to which
    phase (`ptacl.ecg.beats`). The mean over leads, the interpolation within beats and the mean over
    beats are all linear, so one product computes them together.
    """
    (batch, tokens, width), times = tokens_BND.shape, beats_BTM.shape[2]
    tokens_BMD = tokens_BND.view(batch, tokens // times, times, width).mean(1)
    return exact.product(beats_BTM.to(tokens_BMD), tokens_BMD)


def cmr_phases(tokens_BND: Tensor, *, phases: int) -> Tensor:
    """Compute the local CMR embedding (B, T, D), the mean over the image at each phase.

    `tokens_BND` is ordered phase by phase.
    """
    batch, tokens, width = tokens_BND.shape
    return tokens_BND.view(batch, phases, tokens // phases, width).mean(2)
