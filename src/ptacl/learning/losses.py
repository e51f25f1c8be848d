"""The contrastive losses as pure functions (paper, Sec. 3.2): Eq. 1 and Eq. 3 are one soft InfoNCE with different targets.

Shape letters: B patients, T steps of the cardiac cycle, D token width, P width of the shared space.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def cosine_similarity(a_ND: Tensor, b_MD: Tensor) -> Tensor:
    """Cosine of every row of `a` with every row of `b`: (..., N, M). A zero row has cosine 0 with all.

    At least float32, also under autocast: divided by a temperature of 0.07, the rounding of bfloat16 would show.
    """
    with torch.autocast(a_ND.device.type, enabled=False):
        dtype = torch.promote_types(torch.promote_types(a_ND.dtype, b_MD.dtype), torch.float32)
        return F.normalize(a_ND.to(dtype), dim=-1) @ F.normalize(b_MD.to(dtype), dim=-1).transpose(-2, -1)


def soft_info_nce(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of each row against a distribution, summed outside the logarithm (Khosla et al. 2020, L_out).

    logits : (..., N, M), similarity over temperature; targets : broadcastable to it, rows sum to 1.
    Returns (..., N): one loss a row, not averaged.
    """
    return -(targets * logits.log_softmax(-1)).sum(-1)


def _both_directions(cosine: Tensor, targets: Tensor, *, temperature: float, direction_weight: float) -> Tensor:
    """Row losses of (..., N, N) ECG x CMR cosines, weighted: ECG -> CMR by `direction_weight`, CMR -> ECG by the rest."""
    logits, targets = cosine / temperature, targets.to(cosine)
    forward, backward = soft_info_nce(logits, targets), soft_info_nce(logits.transpose(-2, -1), targets)
    return direction_weight * forward + (1 - direction_weight) * backward


def global_loss(z_ecg_BP: Tensor, z_cmr_BP: Tensor, *, temperature: float, direction_weight: float) -> Tensor:
    """InfoNCE over the patients of a batch (Eq. 1), both directions: a scalar.

    z_ecg_BP, z_cmr_BP : projected embeddings, row i of both is patient i. direction_weight : of ECG -> CMR (lambda).
    """
    cosine_BB = cosine_similarity(z_ecg_BP, z_cmr_BP)
    targets_BB = torch.eye(len(cosine_BB), device=cosine_BB.device)
    return _both_directions(cosine_BB, targets_BB, temperature=temperature, direction_weight=direction_weight).mean()


def alignment_matrix(steps: int, *, sigma: float) -> Tensor:
    """Which CMR steps an ECG step should match (Eq. 2): (T, T) float64, rows sum to 1.

    sigma : width of the Gaussian of |k - t| / T, in cycles; 0 is one to one. The cycle is not closed: step 0 is the R-peak,
    the last step the end of diastole, as in the paper.
    """
    if sigma < 0:
        raise ValueError(f"sigma is {sigma}; it must not be negative")
    if sigma == 0:
        return torch.eye(steps, dtype=torch.float64)
    step = torch.arange(steps, dtype=torch.float64)
    distance = (step[:, None] - step[None, :]).abs() / steps
    return (-0.5 * (distance / sigma) ** 2).softmax(-1)


def local_loss(
    ecg_BTD: Tensor,
    cmr_BTD: Tensor,
    *,
    alignment: Tensor,
    temperature: float,
    direction_weight: float,
    valid_B: Tensor,
) -> Tensor:
    """Soft InfoNCE over the steps of each patient (Eq. 3), both directions, mean over steps and valid patients: a scalar.

    alignment : (T, T) of :func:`alignment_matrix`. direction_weight : of ECG -> CMR (lambda).
    valid_B : bool; the others (no complete beat) add neither loss nor gradient, whatever their embeddings hold.
    None valid: exactly 0, with a zero gradient.

    Both directions use the same matrix. The kernel of Eq. 2 is symmetric, so the kernel transposed and scaled to rows of
    sum 1 is that matrix again. Its own transpose is not: near both ends of the cycle columns do not sum to 1, and scaling
    them would give one modality other targets than the other.
    """
    valid_B11 = valid_B[:, None, None]
    # Replaced before the cosine, not weighted by 0 after it: 0 x NaN is NaN.
    ecg_BTD, cmr_BTD = ecg_BTD.where(valid_B11, 0), cmr_BTD.where(valid_B11, 0)
    cosine_BTT = cosine_similarity(ecg_BTD, cmr_BTD)
    loss_BT = _both_directions(cosine_BTT, alignment, temperature=temperature, direction_weight=direction_weight)
    return loss_BT.mean(1).where(valid_B, 0).sum() / valid_B.sum().clamp(min=1)


def cosine_loss(ecg_BTD: Tensor, cmr_BTD: Tensor, *, alignment: Tensor, valid_B: Tensor) -> Tensor:
    """1 minus the cosine of matching steps, without negatives: a scalar; arguments as in :func:`local_loss`."""
    valid_B11 = valid_B[:, None, None]
    cosine_BTT = cosine_similarity(ecg_BTD.where(valid_B11, 0), cmr_BTD.where(valid_B11, 0))
    loss_B = 1 - (alignment.to(cosine_BTT) * cosine_BTT).sum(-1).mean(-1)
    return loss_B.where(valid_B, 0).sum() / valid_B.sum().clamp(min=1)


def nt_xent(first_BP: Tensor, second_BP: Tensor, *, temperature: float) -> tuple[Tensor, Tensor]:
    """SimCLR's loss over two views of each sample (Chen et al. 2020): a scalar; and the share of first views found.

    Each of the 2 B views is told from the 2 B - 2 views of other samples: the other view of its own is the target.
    """
    views = torch.cat([first_BP, second_BP])
    itself = torch.eye(len(views), dtype=torch.bool, device=views.device)
    logits = (cosine_similarity(views, views) / temperature).masked_fill(itself, -torch.inf)
    targets = torch.arange(len(views), device=views.device).roll(len(first_BP))
    top1 = (logits[: len(first_BP)].argmax(1) == targets[: len(first_BP)]).float().mean()
    return F.cross_entropy(logits, targets), top1.detach()
