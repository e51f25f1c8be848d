"""The losses against loops written from the equations, at their limits, and against published
definitions.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from ptacl.learning import losses

EXACT = {"rtol": 1e-12, "atol": 1e-12}


def _draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _cos(a: list[float], b: list[float]) -> float:
    dot = math.fsum(x * y for x, y in zip(a, b, strict=True))
    return dot / (math.sqrt(math.fsum(x * x for x in a)) * math.sqrt(math.fsum(y * y for y in b)))


def _global_by_equation(ecg: Tensor, cmr: Tensor, tau: float, weight: float) -> float:
    """Eq. 1 for both directions, one patient at a time."""

    def one_way(a: list[list[float]], b: list[list[float]]) -> float:
        terms = []
        for i in range(len(a)):
            total = math.fsum(math.exp(_cos(a[i], b[j]) / tau) for j in range(len(b)))
            terms.append(-math.log(math.exp(_cos(a[i], b[i]) / tau) / total))
        return math.fsum(terms) / len(a)

    return weight * one_way(ecg.tolist(), cmr.tolist()) + (1 - weight) * one_way(
        cmr.tolist(), ecg.tolist()
    )


def _alignment_by_equation(steps: int, sigma: float) -> list[list[float]]:
    """Eq. 2 with dist = |k - t| / T."""
    rows = []
    for k in range(steps):
        if sigma == 0:
            row = [1.0 if k == t else 0.0 for t in range(steps)]
        else:
            row = [math.exp(-0.5 * (abs(k - t) / steps / sigma) ** 2) for t in range(steps)]
        rows.append([p / math.fsum(row) for p in row])
    return rows


def _local_by_equation(
    ecg: Tensor, cmr: Tensor, sigma: float, tau: float, weight: float, valid: list[bool]
) -> float:
    """Eq. 3 for both directions, one patient, one segment, one step at a time."""
    p = _alignment_by_equation(ecg.shape[1], sigma)

    def one_way(a: list[list[list[float]]], b: list[list[list[float]]]) -> float:
        terms = []
        for i in (i for i in range(len(a)) if valid[i]):
            for k in range(len(a[i])):
                total = math.fsum(math.exp(_cos(a[i][k], b[i][t]) / tau) for t in range(len(b[i])))
                terms.append(
                    -math.fsum(
                        p[k][t] * math.log(math.exp(_cos(a[i][k], b[i][t]) / tau) / total)
                        for t in range(len(b[i]))
                    )
                )
        return math.fsum(terms) / len(terms)

    return weight * one_way(ecg.tolist(), cmr.tolist()) + (1 - weight) * one_way(
        cmr.tolist(), ecg.tolist()
    )


def _local(
    ecg: Tensor,
    cmr: Tensor,
    *,
    sigma: float = 0.1,
    tau: float = 1.0,
    weight: float = 0.5,
    valid: Tensor | None = None,
) -> Tensor:
    valid = torch.ones(len(ecg), dtype=torch.bool) if valid is None else valid
    alignment = losses.alignment_matrix(ecg.shape[1], sigma=sigma)
    return losses.local_loss(
        ecg, cmr, alignment=alignment, temperature=tau, direction_weight=weight, valid_B=valid
    )


@pytest.mark.parametrize(("tau", "weight"), [(0.1, 0.5), (0.07, 0.25), (1.0, 1.0), (1.0, 0.0)])
def test_global_loss_is_equation_1(tau: float, weight: float) -> None:
    ecg, cmr = _draw(7, 5, seed=1), _draw(7, 5, seed=2)
    loss = losses.global_loss(ecg, cmr, temperature=tau, direction_weight=weight)
    torch.testing.assert_close(loss.item(), _global_by_equation(ecg, cmr, tau, weight), **EXACT)


@pytest.mark.parametrize(
    ("sigma", "tau", "weight"),
    [(0.1, 1.0, 0.5), (0.0, 0.07, 0.5), (0.3, 0.2, 0.9), (0.05, 1.0, 0.0)],
)
def test_local_loss_is_equation_3(sigma: float, tau: float, weight: float) -> None:
    ecg, cmr = _draw(4, 6, 5, seed=1), _draw(4, 6, 5, seed=2)
    valid = [True, False, True, True]
    loss = _local(ecg, cmr, sigma=sigma, tau=tau, weight=weight, valid=torch.tensor(valid))
    torch.testing.assert_close(
        loss.item(), _local_by_equation(ecg, cmr, sigma, tau, weight, valid), **EXACT
    )


@given(steps=st.integers(1, 20), sigma=st.just(0.0) | st.floats(1e-3, 3))
@settings(max_examples=60, deadline=None)
def test_alignment_is_equation_2(steps: int, sigma: float) -> None:
    p = losses.alignment_matrix(steps, sigma=sigma)
    torch.testing.assert_close(p.sum(1), torch.ones(steps, dtype=torch.float64), **EXACT)
    torch.testing.assert_close(
        p, torch.tensor(_alignment_by_equation(steps, sigma), dtype=torch.float64), **EXACT
    )
    torch.testing.assert_close(p, p.flip(0, 1), **EXACT)
    assert torch.all(p.diagonal() >= p.max(1).values)


def test_alignment_limits() -> None:
    one_to_one = losses.alignment_matrix(13, sigma=0)
    assert torch.equal(one_to_one, torch.eye(13, dtype=torch.float64))
    for tiny in (1e-3, 1e-200, 5e-324):
        torch.testing.assert_close(losses.alignment_matrix(13, sigma=tiny), one_to_one, **EXACT)
    uniform = torch.full((13, 13), 1 / 13, dtype=torch.float64)
    torch.testing.assert_close(losses.alignment_matrix(13, sigma=1e9), uniform, **EXACT)
    with pytest.raises(ValueError, match="negative"):
        losses.alignment_matrix(13, sigma=-0.1)


def test_local_loss_limits_of_sigma() -> None:
    ecg, cmr = _draw(3, 13, 8, seed=1), _draw(3, 13, 8, seed=2)
    torch.testing.assert_close(_local(ecg, cmr, sigma=1e-3), _local(ecg, cmr, sigma=0.0), **EXACT)
    # Uniform targets: each row loses log-sum-exp minus the mean logit.
    logits = losses.cosine_similarity(ecg, cmr)
    expected = 0.5 * sum(
        (x.logsumexp(-1) - x.mean(-1)).mean() for x in (logits, logits.transpose(1, 2))
    )
    torch.testing.assert_close(_local(ecg, cmr, sigma=1e9), expected, **EXACT)


def test_hard_local_loss_of_one_patient_is_the_global_loss_of_its_steps() -> None:
    ecg, cmr = _draw(1, 13, 8, seed=1), _draw(1, 13, 8, seed=2)
    expected = losses.global_loss(ecg[0], cmr[0], temperature=0.07, direction_weight=0.3)
    torch.testing.assert_close(_local(ecg, cmr, sigma=0.0, tau=0.07, weight=0.3), expected, **EXACT)


def test_global_loss_is_the_published_clip_loss() -> None:
    """open_clip's ClipLoss: logits = scale x image @ text.T of unit vectors, the mean of two cross
    entropies.
    """
    ecg, cmr, scale = _draw(9, 6, seed=1), _draw(9, 6, seed=2), 1 / 0.07
    a, b = ecg / ecg.norm(dim=1, keepdim=True), cmr / cmr.norm(dim=1, keepdim=True)
    labels = torch.arange(9)
    clip = (F.cross_entropy(scale * a @ b.T, labels) + F.cross_entropy(scale * b @ a.T, labels)) / 2
    torch.testing.assert_close(
        losses.global_loss(ecg, cmr, temperature=0.07, direction_weight=0.5), clip, **EXACT
    )


@pytest.mark.parametrize("size", [2, 5, 64])
def test_identical_embeddings_lose_log_of_the_choices(size: int) -> None:
    same = _draw(1, 6).expand(size, 6)
    loss = losses.global_loss(same, same, temperature=0.07, direction_weight=0.5)
    assert loss.item() == pytest.approx(math.log(size), rel=1e-12)
    steps = _draw(3, 1, 6).expand(3, size, 6)
    for sigma in (0.0, 0.1):
        assert _local(steps, steps, sigma=sigma, tau=0.07).item() == pytest.approx(
            math.log(size), rel=1e-12
        )


def test_orthogonal_embeddings_have_their_analytic_loss() -> None:
    eye, tau = torch.eye(5, dtype=torch.float64), 0.1
    loss = losses.global_loss(eye, 3 * eye, temperature=tau, direction_weight=0.5)
    assert loss.item() == pytest.approx(math.log(1 + 4 * math.exp(-1 / tau)), rel=1e-9)


def test_one_patient_and_one_step_have_nothing_to_tell_apart() -> None:
    ecg, cmr = _draw(1, 6, seed=1).requires_grad_(), _draw(1, 6, seed=2)
    loss = losses.global_loss(ecg, cmr, temperature=0.07, direction_weight=0.5)
    loss.backward()
    assert loss.item() == 0 and torch.count_nonzero(ecg.grad) == 0
    assert _local(_draw(4, 1, 6, seed=1), _draw(4, 1, 6, seed=2)).item() == 0


@pytest.mark.parametrize("hole", [0.0, math.nan, math.inf])
def test_invalid_patients_add_nothing(hole: float) -> None:
    ecg, cmr = _draw(5, 4, 6, seed=1), _draw(5, 4, 6, seed=2)
    valid = torch.tensor([True, False, True, False, True])
    expected = _local(ecg[valid], cmr[valid])
    ecg, cmr = ecg.clone(), cmr.clone()
    ecg[~valid], cmr[~valid] = hole, hole
    ecg.requires_grad_(), cmr.requires_grad_()
    loss = _local(ecg, cmr, valid=valid)
    loss.backward()
    torch.testing.assert_close(loss, expected, **EXACT)
    for grad in (ecg.grad, cmr.grad):
        assert grad[valid].isfinite().all() and grad[valid].abs().sum() > 0
        assert torch.count_nonzero(grad[~valid]) == 0


@pytest.mark.parametrize("hole", [0.0, math.nan])
def test_no_valid_patient_is_zero_with_zero_gradient(hole: float) -> None:
    ecg = torch.full((3, 4, 6), hole, requires_grad=True)
    cmr = _draw(3, 4, 6).float().requires_grad_()
    loss = _local(ecg, cmr, valid=torch.zeros(3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(ecg.grad, torch.zeros_like(ecg)) and torch.equal(
        cmr.grad, torch.zeros_like(cmr)
    )


def test_a_zero_embedding_is_finite() -> None:
    ecg = torch.zeros(3, 6, requires_grad=True)
    loss = losses.global_loss(ecg, _draw(3, 6).float(), temperature=0.07, direction_weight=0.5)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(3)) and ecg.grad.isfinite().all()


@given(weight=st.floats(0, 1), sigma=st.sampled_from([0.0, 0.1, 0.5]), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_modalities_can_be_swapped_with_the_directions(
    weight: float, sigma: float, seed: int
) -> None:
    ecg, cmr = _draw(5, 7, 4, seed=seed), _draw(5, 7, 4, seed=seed + 1)
    torch.testing.assert_close(
        _local(ecg, cmr, sigma=sigma, weight=weight),
        _local(cmr, ecg, sigma=sigma, weight=1 - weight),
        **EXACT,
    )
    there = losses.global_loss(ecg[:, 0], cmr[:, 0], temperature=0.1, direction_weight=weight)
    back = losses.global_loss(cmr[:, 0], ecg[:, 0], temperature=0.1, direction_weight=1 - weight)
    torch.testing.assert_close(there, back, **EXACT)


@given(order=st.permutations(range(6)), scale=st.floats(0.01, 100))
@settings(max_examples=30, deadline=None)
def test_order_of_patients_and_length_of_vectors_do_not_matter(
    order: list[int], scale: float
) -> None:
    ecg, cmr = _draw(6, 5, 4, seed=1), _draw(6, 5, 4, seed=2)
    valid = torch.tensor([True, True, False, True, True, False])
    torch.testing.assert_close(
        _local(scale * ecg[order], cmr[order], valid=valid[order]),
        _local(ecg, cmr, valid=valid),
        **EXACT,
    )
    there = losses.global_loss(
        scale * ecg[order, 0], cmr[order, 0], temperature=0.1, direction_weight=0.3
    )
    torch.testing.assert_close(
        there,
        losses.global_loss(ecg[:, 0], cmr[:, 0], temperature=0.1, direction_weight=0.3),
        **EXACT,
    )


def test_pairs_lie_lower_than_strangers_and_steps_in_order_lower_than_reversed() -> None:
    z = _draw(8, 16)
    assert losses.global_loss(z, z, temperature=0.1, direction_weight=0.5) < losses.global_loss(
        z, z.roll(1, 0), temperature=0.1, direction_weight=0.5
    )
    steps = _draw(4, 13, 16)
    assert _local(steps, steps) < _local(steps, steps.flip(1))


def test_gradients() -> None:
    ecg, cmr = _draw(4, 3, seed=1).requires_grad_(), _draw(4, 3, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a, b: losses.global_loss(a, b, temperature=0.2, direction_weight=0.3), (ecg, cmr)
    )
    ecg, cmr = _draw(3, 4, 3, seed=1).requires_grad_(), _draw(3, 4, 3, seed=2).requires_grad_()
    valid = torch.tensor([True, False, True])
    assert torch.autograd.gradcheck(
        lambda a, b: _local(a, b, tau=0.3, weight=0.3, valid=valid), (ecg, cmr)
    )


def test_low_precision_is_left_before_the_temperature() -> None:
    ecg, cmr = _draw(16, 64, seed=1).float(), _draw(16, 64, seed=2).float()
    exact = losses.global_loss(ecg, cmr, temperature=0.07, direction_weight=0.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = losses.global_loss(ecg, cmr, temperature=0.07, direction_weight=0.5)
    assert cast.dtype == torch.float32 and torch.equal(cast, exact)
    half = losses.cosine_similarity(ecg.bfloat16(), cmr.bfloat16())
    assert half.dtype == torch.float32 and (half.abs() <= 1 + 1e-6).all()
