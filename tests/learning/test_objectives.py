import dataclasses
import math

import numpy as np
import pytest
import torch

from ptacl.learning import assemble, data, fit, losses, phases
from ptacl.models import heads

CPU = torch.device("cpu")


@pytest.fixture
def contrastive(inputs, ptacl):
    """With one frozen layer, which the settings would only allow for trained weights."""
    return assemble.build(ptacl.model_copy(update={"frozen_layers": 1}), inputs(), seed=0)


@pytest.fixture
def pairs(cohort, sizes):
    recordings, rows = cohort.load("ecg", "cmr")
    return data.Samples(recordings, rows, sizes=sizes, seed=0, beats=True)


def batch(samples, chosen, epoch=None):
    return samples.finish(samples.collect(np.array(chosen), epoch=epoch), device=CPU)


def test_steps_are_what_the_loops_say():
    generator = torch.Generator().manual_seed(0)
    ecg, cmr = (
        torch.rand(2, 12 * 8, 5, generator=generator),
        torch.rand(2, 3 * 4, 5, generator=generator),
    )
    beats = torch.rand(2, 3, 8, generator=generator)
    local_ecg, local_cmr = phases.ecg_phases(ecg, beats), phases.cmr_phases(cmr, phases=3)
    for b in range(2):
        for t in range(3):
            by_time = [sum(ecg[b, lead * 8 + m] for lead in range(12)) / 12 for m in range(8)]
            assert torch.allclose(
                local_ecg[b, t], sum(beats[b, t, m] * by_time[m] for m in range(8)), atol=1e-5
            )
            assert torch.allclose(
                local_cmr[b, t], sum(cmr[b, t * 4 + s] for s in range(4)) / 4, atol=1e-6
            )


def test_total_is_global_plus_beta_local(inputs, ptacl, change, pairs):
    pair = batch(pairs, range(6))
    found = {}
    for beta in (0.0, 0.5, 1.0):
        settings = change(ptacl, local_beta=beta) if beta else change(ptacl, local=None)
        found[beta] = assemble.build(settings, inputs(), seed=0)(pair)
    local = found[1.0]["local"]
    assert local > 0 and "local" not in found[0.0]
    assert found[0.0]["loss"].item() == pytest.approx(found[1.0]["global"].item())
    for beta in (0.5, 1.0):
        assert found[beta]["loss"].item() == pytest.approx(
            (found[beta]["global"] + beta * local).item(), abs=1e-6
        )


def test_a_centred_local_loss_subtracts_the_mean_over_phases(inputs, phasewise, pairs, monkeypatch):
    objective = assemble.build(phasewise, inputs(), seed=0).eval()
    seen = []
    local_loss = losses.local_loss

    def spy(ecg_BTD, cmr_BTD, **how):
        seen.extend([ecg_BTD.detach(), cmr_BTD.detach()])
        return local_loss(ecg_BTD, cmr_BTD, **how)

    monkeypatch.setattr(losses, "local_loss", spy)
    made = objective(batch(pairs, [0, 1, 2, 3]))
    for phases_BTD in seen:
        assert phases_BTD.mean(1).abs().max() < 1e-5 < phases_BTD.abs().max()
    expected = made["global"] + made["local"] + made["phasewise"]
    assert made["loss"].item() == pytest.approx(expected.item())
    assert made["phasewise_chance"].item() == pytest.approx(np.log(made["valid"].item() * 4))


def test_without_beta_the_local_loss_is_never_computed(inputs, ptacl, change, pairs, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("computed")

    monkeypatch.setattr(losses, "local_loss", refuse)
    settings = change(ptacl, local=None)
    without_beats = dataclasses.replace(pairs, beats=False)
    out = assemble.build(settings, inputs(), seed=0)(batch(without_beats, range(4)))
    assert set(out) == {"loss", "global", "global_chance", "top1"}


def test_visit_without_beat_adds_nothing_to_the_local_loss(contrastive, pairs):
    with_it, without = contrastive(batch(pairs, [0, 1, 2])), contrastive(batch(pairs, [1, 2]))
    assert with_it["valid"].item() == pytest.approx(2 / 3) and with_it[
        "local"
    ].item() == pytest.approx(without["local"].item())
    alone = contrastive(batch(pairs, [0]))
    assert alone["local"] == 0 and torch.isfinite(alone["loss"])
    alone["loss"].backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in contrastive.parameters())


def test_gradient_reaches_what_learns_and_nothing_else(contrastive, pairs):
    contrastive(batch(pairs, range(6)))["loss"].backward()
    frozen = {
        f"encoders.{m}.{part}" for m in ("ecg", "cmr") for part in ("embedding.", "blocks.0.")
    }
    for name, parameter in contrastive.named_parameters():
        if any(name.startswith(part) for part in frozen):
            assert parameter.grad is None and not parameter.requires_grad, name
        else:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_local_loss_alone_reaches_both_encoders_but_no_projector(contrastive, pairs):
    pair = batch(pairs, range(1, 6))
    contrastive._local(
        contrastive.encoders["ecg"](pair["ecg"]), contrastive.encoders["cmr"](pair["cmr"]), pair
    ).backward()
    assert all(
        contrastive.encoders[m].blocks[1].qkv.weight.grad.abs().sum() > 0 for m in ("ecg", "cmr")
    )
    assert contrastive.ecg_projector.weight.grad is None


def test_global_loss_alone_does_not_care_for_beats(inputs, ptacl, change, pairs):
    settings = change(ptacl, local=None)
    objective = assemble.build(settings, inputs(), seed=0)
    pair = batch(pairs, range(5))
    assert (
        objective(pair)["loss"]
        == objective(pair | {"beats": torch.zeros_like(pair["beats"])})["loss"]
    )


def test_initial_weights_depend_on_the_seed_alone(inputs, ptacl, ecg_mae):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = assemble.build(ptacl, inputs(), seed=0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    two = assemble.build(ptacl, inputs(), seed=0)
    other = assemble.build(ptacl, inputs(), seed=1)
    for key, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[key])
    assert not torch.equal(one.ecg_projector.weight, other.ecg_projector.weight)
    mae = assemble.build(ecg_mae, inputs("ecg"), seed=0).mae
    assert torch.equal(mae.encoder.blocks[0].qkv.weight, one.encoders["ecg"].blocks[0].qkv.weight)


def test_widths_must_agree_for_the_local_loss(inputs, ptacl, change):
    narrow = inputs(cmr={"width": 8})
    with pytest.raises(ValueError, match="widths 16 and 8"):
        assemble.build(ptacl, narrow, seed=0)
    without = change(ptacl, local=None)
    assemble.build(without, narrow, seed=0)


def test_reconstruction_loss_is_that_of_the_autoencoder(cohort, inputs, sizes, cmr_mae):
    recordings, rows = cohort.load("cmr")
    objective = assemble.build(cmr_mae, inputs("cmr"), seed=0)
    samples = data.Samples(
        recordings, rows, sizes=sizes, seed=0, masked=objective.mae.encoder.num_tokens
    )
    made = batch(samples, range(5), epoch=2)
    assert made["noise"].shape == (5, 12)
    assert (
        objective(made)["loss"]
        == objective.mae(made["cmr"], made["noise"], made["cmr_clean"])["loss"]
    )


def test_a_handful_of_pairs_is_learnt_by_heart(inputs, ptacl, change, pairs, tmp_path):
    """Sigma 0 has one-to-one targets, so both losses can reach zero."""
    settings = change(ptacl, local_sigma=0.0, local_temperature=0.07, temperature=0.07)
    objective = assemble.build(settings, inputs(), seed=0)
    training = ptacl.training.model_copy(
        update={
            "epochs": 120,
            "batch_size": 6,
            "learning_rate": 5e-3,
            "warmup_epochs": 5,
            "checkpoint_seconds": 1e9,
        }
    )
    few = dataclasses.replace(pairs, rows=np.arange(1, 7)[:, None])
    history = fit.fit(
        objective, few, validation=few, training=training, seed=0, state=tmp_path, device=CPU
    )
    last = history[-1]
    assert history[0]["validation_loss"] > 2 and history[0]["validation_top1"] < 0.7
    assert (
        last["validation_loss"] < 0.05
        and last["validation_top1"] == 1
        and last["validation_local"] < 0.05
    )


def test_projectors_start_centred_and_of_even_spread(contrastive, pairs):
    objective, chosen = contrastive.eval(), np.arange(len(pairs))
    halves = [batch(pairs, part) for part in np.array_split(chosen, 2)]
    objective.begin(halves)
    whole = batch(pairs, chosen)
    for name, encoder, projector in (
        ("ecg", objective.encoders["ecg"], objective.ecg_projector),
        ("cmr", objective.encoders["cmr"], objective.cmr_projector),
    ):
        z = projector(encoder(whole[name]).mean(1)).detach()
        assert z.mean(0).abs().max() < 1e-3 * z.std()
        cosine = torch.nn.functional.cosine_similarity(z[:, None], z[None], dim=-1)
        assert cosine[~torch.eye(len(z), dtype=bool)].mean() < 0.1


def test_chance_is_the_loss_of_a_uniform_guess(contrastive, pairs):
    out = contrastive(batch(pairs, range(1, 7)))
    assert out["global_chance"].item() == pytest.approx(math.log(6)) and out[
        "local_chance"
    ].item() == pytest.approx(math.log(3))


def test_pooling_and_projection_do_not_round_to_bfloat16(contrastive, pairs):
    """Tokens that share a large mean, as those of real encoders do: in bfloat16 what tells patients
    apart would be lost.
    """
    tokens = torch.randn(6, 1, 16, generator=torch.Generator().manual_seed(0)) * 1e-3 + 5
    with torch.autocast("cpu", torch.bfloat16):
        found = heads.project(tokens, contrastive.ecg_projector)
    assert found.dtype == torch.float32 and torch.equal(
        found, heads.project(tokens, contrastive.ecg_projector)
    )


def test_training_in_bfloat16_stays_near_float32(
    inputs, ptacl, pairs, ecg_augmentation, cmr_augmentation, tmp_path
):
    """Ten steps: each loss within 2 %, and weights within 35 % of how far they moved, since AdamW's
    first steps go by signs.
    """
    found = {}
    made = dataclasses.replace(pairs, ecg=ecg_augmentation, cmr=cmr_augmentation)
    for precision in ("float32", "bfloat16"):
        objective = assemble.build(ptacl, inputs(), seed=0)
        start = torch.cat([p.detach().flatten().clone() for p in objective.parameters()])
        settings = ptacl.training.model_copy(
            update={"precision": precision, "batch_size": 13, "epochs": 10}
        )
        (tmp_path / precision).mkdir()
        history = fit.fit(
            objective,
            made,
            validation=None,
            training=settings,
            seed=0,
            state=tmp_path / precision,
            device=CPU,
        )
        moved = torch.cat([p.detach().flatten() for p in objective.parameters()]) - start
        found[precision] = moved, np.array([row["train_loss"] for row in history])
    (exact, exact_loss), (rounded, rounded_loss) = found.values()
    assert np.allclose(rounded_loss, exact_loss, rtol=0.02) and not np.array_equal(
        rounded_loss, exact_loss
    )
    assert (rounded - exact).norm() < 0.35 * exact.norm()


def test_projectors_start_centred_under_bfloat16_too(contrastive, pairs):
    """Encoders whose outputs share a mean a hundred times the spread: rounded to bfloat16 it would
    not be removed.
    """
    for norm in (contrastive.encoders["ecg"].norm, contrastive.encoders["cmr"].norm):
        torch.nn.init.constant_(norm.weight, 0.01)
        torch.nn.init.constant_(norm.bias, 3.0)
    chosen = batch(pairs, range(13))
    with torch.autocast("cpu", torch.bfloat16):
        contrastive.eval().begin([chosen])
        tokens = contrastive.encoders["ecg"](chosen["ecg"])
    projected = heads.project(tokens.detach(), contrastive.ecg_projector)
    assert projected.mean(0).abs().max() < 0.02 * projected.std(0).mean()
