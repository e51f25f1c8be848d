import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from phase_files import D, T, write

from ptacl.config import Alignment
from ptacl.evaluation import alignment, heat_maps, phase_similarity


def evaluate(*args, **how):
    """The numbers of the stage."""
    return alignment.evaluate(*args, **how)[0]


def settings(*names: str) -> Alignment:
    return Alignment.model_validate(
        {
            "rows": [{"label": n.upper(), "model": n} for n in names],
            "bootstrap": 100,
            "confidence": 0.95,
        }
    )


def test_models_are_compared_over_the_same_participants(tmp_path):
    embeddings = {
        "global": {0: write(tmp_path / "g.npz", noise=30.0)},
        "ptacl": {0: write(tmp_path / "p.npz", noise=0.3, seed=1)},
    }
    embeddings |= {"twin": embeddings["global"]}
    result = evaluate(settings("global", "ptacl", "twin"), embeddings=embeddings, seed=0)
    assert result["phases"] == T and result["chance"] == pytest.approx(37 / 169, abs=1e-6)
    baseline, aligned, twin = (result["models"][name] for name in ("global", "ptacl", "twin"))
    assert aligned["title"] == "PTACL" and aligned["participants"] == 60
    assert baseline["share"] < 0.3 and aligned["share"] > 0.9
    assert aligned["share_low"] <= aligned["share"] <= aligned["share_high"]
    assert baseline["share_difference"] is None and aligned["share_p"] < 0.05
    assert twin["share_difference"] == 0 and twin["share_p"] == 1
    matrix = np.array(aligned["matrix"])
    assert matrix.shape == (T, T) and (matrix.argmax(axis=1) == np.arange(T)).all()
    assert np.abs(np.array(baseline["matrix"])).max() < 0.2


def test_seeds_are_averaged(tmp_path):
    good, bad = write(tmp_path / "0.npz", noise=0.0), write(tmp_path / "1.npz", noise=0.0, shift=6)
    result = evaluate(settings("ptacl"), embeddings={"ptacl": {0: good, 1: bad}}, seed=0)
    assert result["models"]["ptacl"]["share"] == pytest.approx(0.5)
    assert result["models"]["ptacl"]["seeds"] == 2


def test_other_participants_are_refused(tmp_path):
    embeddings = {
        "global": {0: write(tmp_path / "g.npz", noise=1.0)},
        "ptacl": {0: write(tmp_path / "p.npz", noise=1.0, people=59)},
    }
    with pytest.raises(ValueError, match="other test participants"):
        evaluate(settings("global", "ptacl"), embeddings=embeddings, seed=0)


def test_models_without_local_embeddings_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", test_visits=np.array(["9000001_2"]))
    with pytest.raises(
        ValueError, match="has no local_valid, ecg_local, cmr_local, cmr_local_still"
    ):
        phase_similarity.read(tmp_path / "a.npz")


def test_stage_writes_numbers_and_figures(tmp_path, monkeypatch):
    embeddings = {
        "global": {0: write(tmp_path / "g.npz", noise=30.0)},
        "ptacl": {0: write(tmp_path / "p.npz", noise=0.3)},
    }
    svg, png, one, out = (
        tmp_path / "results" / name for name in ("a.svg", "a.png", "private/one.png", "a.json")
    )
    arguments = [
        "alignment",
        "--settings",
        settings("global", "ptacl").model_dump_json(),
        "--seed",
        "0",
    ]
    arguments += ["--embeddings", json.dumps(embeddings, default=str)]
    monkeypatch.setattr(
        "sys.argv",
        [*arguments, "--figure", str(svg), str(png), "--example", str(one), "--out", str(out)],
    )
    alignment.main()
    first = svg.read_bytes(), out.read_bytes()
    alignment.main()
    assert (svg.read_bytes(), out.read_bytes()) == first
    assert ElementTree.fromstring(first[0]).tag.endswith("svg")
    assert png.read_bytes().startswith(b"\x89PNG") and one.read_bytes().startswith(b"\x89PNG")
    assert "9000001" not in out.read_text()
    assert set(json.loads(out.read_text())["models"]) == {"global", "ptacl"}


def test_controls_tell_the_own_cine_from_others_and_from_order(tmp_path):
    """Steps that all people share survive a cine of another person; steps of one's own do not;
    neither survives a permutation.
    """
    rng = np.random.default_rng(0)
    common, people = rng.normal(size=(1, T, D)), 80
    arrays = {
        "test_visits": np.array([f"{9000001 + i}_2" for i in range(people)]),
        "local_valid": np.ones(people, bool),
    }
    for name, steps in (
        ("shared", np.broadcast_to(common, (people, T, D))),
        ("own", rng.normal(size=(people, T, D))),
    ):
        of_people = {f"{modality}_local": steps.astype("f2") for modality in ("ecg", "cmr")}
        np.savez(
            tmp_path / f"{name}.npz", **arrays, **of_people, cmr_local_still=common[0].astype("f2")
        )
    embeddings = {name: {0: tmp_path / f"{name}.npz"} for name in ("shared", "own")}
    result = evaluate(settings("shared", "own"), embeddings=embeddings, seed=0)
    shared, own = (result["models"][name] for name in ("shared", "own"))
    assert shared["share"] == shared["other_share"] == own["share"] == 1
    assert own["other_share"] == pytest.approx(37 / 169, abs=0.04)
    assert (
        shared["beyond_other_difference"] == 0
        and own["beyond_other_difference_low"] > 0.5
        and own["beyond_other_p"] < 0.05
    )
    for entry in (shared, own):
        assert entry["permuted_share"] == pytest.approx(37 / 169, abs=0.04)
        assert (
            entry["permuted_share_low"] <= entry["permuted_share"] <= entry["permuted_share_high"]
        )


def test_a_still_image_leaves_what_needs_no_beating_heart(tmp_path):
    """Where the phases of all people and of the still image are the same, the own cine adds nothing
    to it.
    """
    rng = np.random.default_rng(0)
    common, people = rng.normal(size=(T, D)), 60
    visits = np.array([f"{9000001 + i}_2" for i in range(people)])
    shared = np.broadcast_to(common, (people, T, D)).astype("f2")
    own = rng.normal(size=(people, T, D)).astype("f2")
    stills = {"positions": common, "motion": rng.normal(size=(T, D))}
    files = {}
    for (name, still), steps in zip(stills.items(), (shared, own), strict=True):
        files[name] = {0: tmp_path / f"{name}.npz"}
        arrays = {
            "test_visits": visits,
            "ecg_local": steps,
            "cmr_local": steps,
            "cmr_local_still": still.astype("f2"),
        }
        np.savez(files[name][0], local_valid=np.ones(people, bool), **arrays)
    result = evaluate(settings("positions", "motion"), embeddings=files, seed=0)
    positions, motion = result["models"].values()
    assert positions["still_share"] == 1
    assert positions["beyond_still_difference"] == 0
    assert motion["still_share"] == pytest.approx(37 / 169, abs=0.05)
    assert motion["beyond_still_difference_low"] > 0.5


def truth(path: Path, shift: np.ndarray) -> Path:
    """Timing of people whose cine is later than their ECG by a share of the cycle."""
    visits = [f"{9000001 + i}_2" for i in range(len(shift))]
    cine = {"heart_rate_bpm": 60.0, "systole_ms": 1000 * (0.4 + shift)}
    ecg = {"ecg_rate_bpm": 75.0, "ecg_qt_ms": 0.4 * 800}
    pd.DataFrame({"visit": visits, **cine, **ecg}).to_csv(path, index=False)
    return path


def test_the_shift_of_each_person_is_compared_with_the_true_one(tmp_path):
    """The CMR of every person is `late` phases late, and the truth says so, or speaks of somebody
    else.
    """
    rng = np.random.default_rng(0)
    people = 40
    late = rng.integers(0, 3, people)
    vectors = rng.normal(size=(people, T, D))
    cmr = np.stack([np.roll(own, k, axis=0) for own, k in zip(vectors, late, strict=True)])
    arrays = {
        "ecg_local": vectors.astype("f2"),
        "cmr_local": cmr.astype("f2"),
        "cmr_local_still": vectors[0].astype("f2"),
    }
    visits = np.array([f"{9000001 + i}_2" for i in range(people)])
    np.savez(tmp_path / "e.npz", test_visits=visits, local_valid=np.ones(people, bool), **arrays)
    files = {"ptacl": {0: tmp_path / "e.npz"}}
    steps = phase_similarity.read(tmp_path / "e.npz")
    known = phase_similarity.read_phase_shifts(
        truth(tmp_path / "truth.csv", late / T), visits=steps.visits
    )
    np.testing.assert_allclose(known, late / T, atol=1e-9)
    how = {"embeddings": files, "seed": 0}
    right = evaluate(settings("ptacl"), truth=tmp_path / "truth.csv", **how)["models"]["ptacl"]
    found = phase_similarity.phase_shifts(phase_similarity.cosines(steps.ecg, steps.cmr))
    np.testing.assert_allclose(found, late / T)
    assert right["shift_correlation"] == pytest.approx(1)
    wrong = evaluate(
        settings("ptacl"), truth=truth(tmp_path / "other.csv", rng.permutation(late) / T), **how
    )
    assert abs(wrong["models"]["ptacl"]["shift_correlation"]) < 0.4
    assert "shift_correlation" not in evaluate(settings("ptacl"), **how)["models"]["ptacl"]


def test_numbers_are_rounded_for_the_file(tmp_path):
    """The matrix to five decimals, which are enough to draw it, and the other numbers to six."""
    files = {seed: write(tmp_path / f"{seed}.npz", noise=2.0, seed=seed) for seed in (0, 1)}
    embeddings = {"ptacl": files}
    found = evaluate(settings("ptacl"), embeddings=embeddings, seed=0)["models"]["ptacl"]
    values = [value for row in found["matrix"] for value in row]
    assert values == [round(value, 5) for value in values]
    assert values != [round(value, 4) for value in values]
    assert found["share"] == round(found["share"], 6)
    assert found["share"] != round(found["share"], 5)


def test_the_figure_shows_one_matrix_per_model_from_end_diastole_on(tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(
        "matplotlib.figure.Figure.savefig",
        lambda figure, *_, **__: kept.append(figure),
    )
    first = np.eye(13)
    second = 2 * first - 1
    models = {
        "global": {"title": "Global", "share": 0.219, "matrix": first.tolist()},
        "ptacl": {"title": "PTACL", "share": 1.0, "matrix": second.tolist()},
    }
    heat_maps.draw_models({"models": models}, paths=[tmp_path / "new" / "folder" / "a.png"])
    assert (tmp_path / "new" / "folder").is_dir()
    one, other, bar = kept[0].axes
    assert one.get_title() == "Global\n0.22 near the diagonal"
    assert other.get_title() == "PTACL\n1.00 near the diagonal"
    assert [one.get_ylabel(), one.get_xlabel()] == ["ECG phase", "CMR phase"]
    assert bar.get_ylabel() == "mean cosine"
    for axes, matrix in ((one, first), (other, second)):
        assert [label.get_text() for label in axes.get_xticklabels()] == ["ED", "3", "6", "9", "12"]
        assert [label.get_text() for label in axes.get_yticklabels()] == ["ED", "3", "6", "9", "12"]
        assert axes.get_xticks().tolist() == [0.5, 3.5, 6.5, 9.5, 12.5]
        assert axes.get_yticks().tolist() == [0.5, 3.5, 6.5, 9.5, 12.5]
        mesh = axes.collections[0]
        np.testing.assert_array_equal(np.reshape(mesh.get_array(), (13, 13)), matrix)
        assert mesh.get_clim() == (-1, 1)
        assert axes.yaxis_inverted()
