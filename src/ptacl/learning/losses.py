"""The contrastive losses as pure functions (paper, Sec. 3.2).

Eq. 1 and Eq. 3 are the same soft InfoNCE with different targets.

Shape letters: B patients, T phases of the cardiac cycle, D token width, P width of the shared
space.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from ptacl.models import exact

_NOT_A_CANDIDATE = -1e4  # in place of a cosine


def cosine_similarity(a_ND: Tensor, b_MD: Tensor) -> Tensor:
    """Compute the cosine of every row of `a` with every row of `b`.

    The computation uses at least float32, also under autocast: after division by a temperature of
    0.07, the rounding of bfloat16 would be visible.

    Parameters
    ----------
    a_ND : Tensor, shape (..., N, D)
        First vectors.
    b_MD : Tensor, shape (..., M, D)
        Second vectors.

    Returns
    -------
    Tensor, shape (..., N, M)
        Cosines. A zero row has cosine 0 with every row.
    """
    with torch.autocast(a_ND.device.type, enabled=False):
        dtype = torch.promote_types(torch.promote_types(a_ND.dtype, b_MD.dtype), torch.float32)
        first, second = (F.normalize(values.to(dtype), dim=-1) for values in (a_ND, b_MD))
        return exact.product(first, second.transpose(-2, -1))


def soft_info_nce(logits: Tensor, targets: Tensor) -> Tensor:
    """Compute the cross-entropy of each row against a distribution.

    The sum over targets is outside the logarithm (Khosla et al. 2020, L_out).

    Parameters
    ----------
    logits : Tensor, shape (..., N, M)
        Similarities divided by the temperature.
    targets : Tensor, broadcastable to `logits`
        Target distributions, whose rows sum to 1.

    Returns
    -------
    Tensor, shape (..., N)
        One loss per row, not averaged.
    """
    return -(targets * logits.log_softmax(-1)).sum(-1)


def _both_directions(
    cosine: Tensor, targets: Tensor, *, temperature: float, direction_weight: float
) -> Tensor:
    """Return the weighted row losses of (..., N, N) ECG x CMR cosines.

    `direction_weight` is the weight of ECG -> CMR; CMR -> ECG gets the rest.
    """
    logits, targets = cosine / temperature, targets.to(cosine)
    forward, backward = (
        soft_info_nce(logits, targets),
        soft_info_nce(logits.transpose(-2, -1), targets),
    )
    return direction_weight * forward + (1 - direction_weight) * backward


def global_loss(
    z_ecg_BP: Tensor, z_cmr_BP: Tensor, *, temperature: float, direction_weight: float
) -> Tensor:
    """Compute InfoNCE over the patients of a batch in both directions (Eq. 1).

    Parameters
    ----------
    z_ecg_BP, z_cmr_BP : Tensor, shape (B, P)
        Projected embeddings. Row i of both belongs to patient i.
    temperature : float
        Divisor of the cosines.
    direction_weight : float
        Weight of ECG -> CMR (lambda).

    Returns
    -------
    Tensor, shape ()
        Mean loss over the patients.
    """
    cosine_BB = cosine_similarity(z_ecg_BP, z_cmr_BP)
    targets_BB = torch.eye(len(cosine_BB), device=cosine_BB.device)
    return _both_directions(
        cosine_BB, targets_BB, temperature=temperature, direction_weight=direction_weight
    ).mean()


def alignment_matrix(phases: int, *, sigma: float) -> Tensor:
    """Compute which CMR phases an ECG phase should match (Eq. 2).

    The cycle is not closed: as in the paper, phase 0 is the R-peak and the last phase is the end of
    diastole.

    Parameters
    ----------
    phases : int
        Number of phases T.
    sigma : float
        Width of the Gaussian of |k - t| / T, in cycles. 0 matches phases one to one.

    Returns
    -------
    Tensor of float64, shape (T, T)
        Targets, whose rows sum to 1.

    Raises
    ------
    ValueError
        `sigma` is negative.
    """
    if sigma < 0:
        raise ValueError(f"sigma is {sigma}; it must not be negative")
    if sigma == 0:
        return torch.eye(phases, dtype=torch.float64)
    phase = torch.arange(phases, dtype=torch.float64)
    distance = (phase[:, None] - phase[None, :]).abs() / phases
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
    """Compute soft InfoNCE over the phases of each patient in both directions (Eq. 3).

    Both directions use the same matrix. The kernel of Eq. 2 is symmetric, so the transposed kernel,
    scaled to rows of sum 1, is this matrix again. The transpose of the matrix itself is different:
    near both ends of the cycle its columns do not sum to 1, and scaling them would give one
    modality other targets than the other.

    Parameters
    ----------
    ecg_BTD, cmr_BTD : Tensor, shape (B, T, D)
        Local embeddings of each phase.
    alignment : Tensor, shape (T, T)
        Targets from :func:`alignment_matrix`.
    temperature : float
        Divisor of the cosines.
    direction_weight : float
        Weight of ECG -> CMR (lambda).
    valid_B : Tensor of bool, shape (B,)
        Patients who count. The others (no complete beat) contribute neither loss nor gradient,
        whatever their embeddings contain.

    Returns
    -------
    Tensor, shape ()
        Mean over phases and valid patients. If no patient is valid, it is exactly 0, with a zero
        gradient.
    """
    valid_B11 = valid_B[:, None, None]
    # Replace invalid rows before the cosine: a later weight of 0 would keep NaN (0 x NaN).
    ecg_BTD, cmr_BTD = ecg_BTD.where(valid_B11, 0), cmr_BTD.where(valid_B11, 0)
    cosine_BTT = cosine_similarity(ecg_BTD, cmr_BTD)
    loss_BT = _both_directions(
        cosine_BTT, alignment, temperature=temperature, direction_weight=direction_weight
    )
    return loss_BT.mean(1).where(valid_B, 0).sum() / valid_B.sum().clamp(min=1)


def phasewise_loss(
    z_ecg_BTP: Tensor,
    z_cmr_BTP: Tensor,
    *,
    temperature: float,
    direction_weight: float,
    valid_B: Tensor,
) -> Tensor:
    """Compute InfoNCE over the patients of a batch at each phase of the cycle, in both directions.

    At each phase, the mean over the valid patients is subtracted first. What all patients have in
    common at this phase therefore does not help.

    Parameters
    ----------
    z_ecg_BTP, z_cmr_BTP : Tensor, shape (B, T, P)
        Projected local embeddings. Row i of both belongs to patient i.
    temperature : float
        Divisor of the cosines.
    direction_weight : float
        Weight of ECG -> CMR (lambda).
    valid_B : Tensor of bool, shape (B,)
        Patients who count, also as candidates. The others contribute neither loss nor gradient.

    Returns
    -------
    Tensor, shape ()
        Mean over phases and valid patients; 0 with a zero gradient if no patient is valid.
    """
    ecg_TBP, cmr_TBP = (_centred(z, valid_B=valid_B) for z in (z_ecg_BTP, z_cmr_BTP))
    both_BB = valid_B[:, None] & valid_B[None, :]
    # finite, because a target of 0 times minus infinity would be NaN
    cosine_TBB = cosine_similarity(ecg_TBP, cmr_TBP).masked_fill(~both_BB, _NOT_A_CANDIDATE)
    loss_TB = _both_directions(
        cosine_TBB,
        torch.eye(len(valid_B), device=valid_B.device),
        temperature=temperature,
        direction_weight=direction_weight,
    )
    return loss_TB.mean(0).where(valid_B, 0).sum() / valid_B.sum().clamp(min=1)


def _centred(z_BTP: Tensor, *, valid_B: Tensor) -> Tensor:
    """Subtract the mean over the valid patients at each phase, and return (T, B, P)."""
    z_BTP = z_BTP.where(valid_B[:, None, None], 0)
    mean_1TP = z_BTP.sum(0, keepdim=True) / valid_B.sum().clamp(min=1)
    return (z_BTP - mean_1TP).transpose(0, 1)


def cosine_loss(ecg_BTD: Tensor, cmr_BTD: Tensor, *, alignment: Tensor, valid_B: Tensor) -> Tensor:
    """Compute 1 minus the cosine of matching phases, without negatives.

    Parameters
    ----------
    ecg_BTD, cmr_BTD : Tensor, shape (B, T, D)
        Local embeddings of each phase.
    alignment : Tensor, shape (T, T)
        Targets from :func:`alignment_matrix`.
    valid_B : Tensor of bool, shape (B,)
        Patients who count, as in :func:`local_loss`.

    Returns
    -------
    Tensor, shape ()
        Mean over phases and valid patients.
    """
    valid_B11 = valid_B[:, None, None]
    cosine_BTT = cosine_similarity(ecg_BTD.where(valid_B11, 0), cmr_BTD.where(valid_B11, 0))
    loss_B = 1 - (alignment.to(cosine_BTT) * cosine_BTT).sum(-1).mean(-1)
    return loss_B.where(valid_B, 0).sum() / valid_B.sum().clamp(min=1)


def nt_xent(first_BP: Tensor, second_BP: Tensor, *, temperature: float) -> tuple[Tensor, Tensor]:
    """Compute the loss of SimCLR over two views of each sample (Chen et al. 2020).

    Each of the 2 B views is compared with the other view of its own sample, the target, and with
    the 2 B - 2 views of other samples.

    Parameters
    ----------
    first_BP, second_BP : Tensor, shape (B, P)
        Projected embeddings of both views. Row i of both belongs to sample i.
    temperature : float
        Divisor of the cosines.

    Returns
    -------
    loss : Tensor, shape ()
        Mean loss over all views.
    top1 : Tensor, shape ()
        Share of first views whose nearest view is that of their own sample.
    """
    views = torch.cat([first_BP, second_BP])
    itself = torch.eye(len(views), dtype=torch.bool, device=views.device)
    logits = (cosine_similarity(views, views) / temperature).masked_fill(itself, -torch.inf)
    targets = torch.arange(len(views), device=views.device).roll(len(first_BP))
    top1 = (logits[: len(first_BP)].argmax(1) == targets[: len(first_BP)]).float().mean()
    return F.cross_entropy(logits, targets), top1.detach()
