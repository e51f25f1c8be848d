import json

import numpy as np
import pandas as pd
import pytest
from probed_cohort import PHENOTYPES, evaluate, settings
from tables import wide

from ptacl.evaluation import inputs, regression, saved_probe


def test_table_orders_methods_by_what_they_know(cohort):
    path, embeddings, _ = cohort
    rows = [
        ("cmr", "MAE", "cmr_mae"),
        ("ecg", "Random init", "random"),
        ("ecg", "Global", "global"),
        ("ecg", "PTACL", "ptacl"),
    ]
    table = evaluate(
        settings(rows), participants=path, phenotypes=PHENOTYPES, embeddings=embeddings, seed=0
    )
    assert table["method"].tolist() == ["MAE", "Random init", "Global", "PTACL"]
    assert table["seeds"].tolist() == [1, 1, 1, 2]
    assert (table["n_train"] == 180).all() and (table["n_test"] == 100).all()
    perfect, untrained, baseline, better = (table.iloc[i] for i in range(4))
    assert all(perfect[f"{p}_R2"] == pytest.approx(1, abs=1e-9) for p in [*PHENOTYPES, "mean"])
    assert untrained["mean_R2"] < 0.1 < baseline["mean_R2"] < better["mean_R2"]
    one = embeddings | {"ptacl": {0: embeddings["ptacl"][0]}}  # the seed that the reference has too
    alone = evaluate(
        settings(rows), participants=path, phenotypes=PHENOTYPES, embeddings=one, seed=0
    ).iloc[3]
    assert alone["mean_R2_difference"] == pytest.approx(alone["mean_R2"] - baseline["mean_R2"])
    assert better["mean_R2_difference"] == pytest.approx(alone["mean_R2_difference"])
    assert better["mean_R2_p"] < 0.05
    for _, row in table.iterrows():
        assert row["mean_R2"] == pytest.approx(np.mean([row[f"{p}_R2"] for p in PHENOTYPES]))
        assert row["mean_R2_low"] <= row["mean_R2"] <= row["mean_R2_high"]
    assert (
        table.filter(regex="_(difference|p)").loc[table["method"] == "Global"].isna().all(axis=None)
    )


def test_the_probe_learns_from_training_participants_alone(cohort):
    path, embeddings, participants = cohort
    rows = [("ecg", "Global", "global")]
    before = evaluate(
        settings(rows), participants=path, phenotypes=PHENOTYPES, embeddings=embeddings, seed=0
    )
    held_out = participants["split"] == "validation"
    participants.loc[held_out, PHENOTYPES] *= 100
    participants.loc[~participants["evaluate"], PHENOTYPES] *= 100  # a second visit
    participants.to_csv(path, index=False)
    after = evaluate(
        settings(rows), participants=path, phenotypes=PHENOTYPES, embeddings=embeddings, seed=0
    )
    pd.testing.assert_frame_equal(before, after)


def test_rows_with_the_same_embedding_do_not_differ(cohort):
    path, embeddings, _ = cohort
    rows = [("ecg", "Global", "global"), ("ecg", "Twin", "twin")]
    embeddings |= {"twin": embeddings["global"]}
    table = evaluate(
        settings(rows), participants=path, phenotypes=PHENOTYPES, embeddings=embeddings, seed=0
    )
    twin = table.iloc[1]
    for name in [*PHENOTYPES, "mean"]:
        ends = ["", "_low", "_high"]
        assert (twin[[f"{name}_R2_difference{end}" for end in ends]] == 0).all()
        assert twin[f"{name}_R2_p"] == 1


def test_stage_writes_the_same_table_twice(cohort, tmp_path, monkeypatch):
    path, embeddings, _ = cohort
    arguments = [
        "regression",
        "--settings",
        settings([("ecg", "Global", "global"), ("ecg", "MAE", "ecg_mae")]).model_dump_json(),
    ]
    arguments += [
        "--phenotypes",
        json.dumps({"names": PHENOTYPES}),
        "--participants",
        str(path),
        "--seed",
        "3",
    ]
    arguments += ["--embeddings", json.dumps(embeddings, default=str)]
    arguments += ["--probes", "{}"]
    written = []
    for out in (tmp_path / "new" / "a.csv", tmp_path / "b.csv"):
        monkeypatch.setattr("sys.argv", [*arguments, "--out", str(out)])
        regression.main()
        written.append(out.read_bytes())
    assert written[0] == written[1]
    table = pd.read_csv(tmp_path / "b.csv")
    names = ["input", "method", "evaluation", "model", "paper"]
    assert table.columns[:5].tolist() == names
    numbers = ["phenotype", "statistic", "reference", "value", "low", "high", "p", "p_holm"]
    assert table.columns[-8:].tolist() == numbers
    assert set(table["phenotype"]) == {*PHENOTYPES, "mean"}


def test_a_saved_probe_is_used_and_gives_the_table_of_one_that_is_fitted(cohort, tmp_path):
    path, embeddings, _ = cohort
    chosen = settings([("ecg", "Global", "global"), ("ecg", "PTACL", "ptacl")])
    how = {"participants": path, "phenotypes": PHENOTYPES, "embeddings": embeddings, "seed": 0}
    fitted = regression.evaluate(chosen, probes={}, **how)
    train = inputs.read_participants(path, split="train", phenotypes=PHENOTYPES)
    test = inputs.read_participants(path, split="test", phenotypes=PHENOTYPES)
    files = {}
    for model in ("global", "ptacl"):
        for seed, embedding in embeddings[model].items():
            seen, unseen = (
                inputs.read_embedding(embedding, array="ecg", visits=s.visits).astype(np.float64)
                for s in (train, test)
            )
            probe = saved_probe.fit(
                seen, unseen, train=train, test=test, names=PHENOTYPES, settings=chosen, seed=0
            )
            file = files.setdefault(model, {})[seed] = tmp_path / f"{model}-{seed}.json"
            file.write_text(json.dumps({"ecg": probe}))
    pd.testing.assert_frame_equal(regression.evaluate(chosen, probes=files, **how), fitted)
    stored = json.loads(files["global"][0].read_text())
    stored["ecg"]["phenotypes"][0]["intercept"] += 100
    files["global"][0].write_text(json.dumps(stored))
    changed = wide(regression.evaluate(chosen, probes=files, **how))
    assert changed.loc[0, "LVEDV_R2"] < 0 < wide(fitted).loc[0, "LVEDV_R2"]


def test_missing_visits_are_counted_not_named(cohort, tmp_path):
    path, _, participants = cohort
    np.savez(
        tmp_path / "short.npz",
        visits=participants["visit"].to_numpy(dtype=str)[:-5],
        ecg=np.zeros((296, 2), np.float32),
    )
    with pytest.raises(ValueError, match="lacks 4 of 280 visits") as error:
        evaluate(
            settings([("ecg", "Global", "global")]),
            participants=path,
            phenotypes=PHENOTYPES,
            embeddings={"global": {0: tmp_path / "short.npz"}},
            seed=0,
        )
    assert "9000" not in str(error.value)


@pytest.mark.parametrize(
    ("rows", "reference", "message"),
    [
        ([("ecg", "MAE", "ecg_mae")], "Global", "Global is not an ECG row"),
        ([("ecg", "Global", "unknown")], "Global", "no embeddings of unknown"),
        ([("ecg", "Global", "ptac")], "Global", "no embeddings of ptac"),
    ],
)
def test_wrong_settings_say_what_is_wrong(cohort, rows, reference, message):
    path, embeddings, _ = cohort
    with pytest.raises(ValueError, match=message):
        evaluate(
            settings(rows, reference),
            participants=path,
            phenotypes=PHENOTYPES,
            embeddings=embeddings,
            seed=0,
        )


def test_a_phenotype_without_training_values_is_refused(cohort):
    path, embeddings, participants = cohort
    participants.loc[participants["split"] == "train", "LVM"] = np.nan
    participants.to_csv(path, index=False)
    with pytest.raises(ValueError, match="no value in the training split"):
        evaluate(
            settings([("ecg", "Global", "global")]),
            participants=path,
            phenotypes=PHENOTYPES,
            embeddings=embeddings,
            seed=0,
        )
