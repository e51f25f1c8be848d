"""Made-up inputs of the report: the evaluation stages run on embeddings of known quality,
everything else is written by hand.
"""

import json
from pathlib import Path
from typing import Any

import made_up_diseases
import numpy as np
import pandas as pd

from ptacl import config
from ptacl.evaluation import alignment, heat_maps, labels, regression, retrieval

ROOT = Path(__file__).parents[2]
PEOPLE, TRAIN = 420, 270
# noise of the ECG and the CMR embedding of each model, and noise of its steps over the cycle
QUALITY = {
    "ecg_random": (8.0, 8.0, None),
    "ecg_mae": (1.5, 1.0, None),
    "cmr_mae": (1.0, 0.5, None),
    "global": (1.25, 0.6, 6.0),
    "ptacl": (1.18, 0.6, 1.5),
    "global_retrieval": (1.27, 0.6, 6.0),
    "ptacl_retrieval": (1.22, 0.6, 1.4),
    "cmr_random": (8.0, 8.0, None),
}


def settings() -> config.Config:
    """The default configuration without the rows of Centred PTACL, which follow the same rules."""
    loaded = config.load(ROOT / "config.yaml")
    tables = {}
    for name in ("regression", "retrieval", "alignment"):
        section = getattr(loaded, name)
        rows = [row for row in section.rows if row.model != "ptacl_centred"]
        tables[name] = section.model_copy(update={"rows": rows})
    return loaded.model_copy(update=tables)


def with_embeddings(chosen: config.Config, table: str) -> Any:
    """A section of the evaluation with its rows that need nothing but embeddings."""
    section = getattr(chosen, table)
    rows = [row for row in section.rows if len(getattr(row, "features", [""])) == 1 and row.model]
    return section.model_copy(update={"rows": rows})


def write(folder: Path) -> Path:
    """All inputs of tables and page below `folder`; their names are those of the workflow."""
    chosen = settings()
    names = [p.name for p in chosen.cohort.phenotypes]
    participants, embeddings = _embeddings(folder / "private", names)
    common = {
        "participants": participants,
        "phenotypes": names,
        "embeddings": embeddings,
        "seed": 0,
    }
    fewer = {"bootstrap": 200}
    rows = with_embeddings(chosen, "regression").model_copy(update=fewer)
    table = regression.evaluate(rows, probes={}, **common)
    table.to_csv(folder / "regression.csv", index=False)
    few = config.LabelFractions(fractions=[0.2, 1.0], draws=2)
    labels.evaluate(few, rows, **common).to_csv(folder / "labels.csv", index=False)
    made_up_diseases.write(folder, chosen, participants, embeddings, train=TRAIN)
    rows = with_embeddings(chosen, "retrieval").model_copy(update=fewer)
    retrieval.evaluate(rows, **common).to_csv(folder / "retrieval.csv", index=False)
    result, _ = alignment.evaluate(
        with_embeddings(chosen, "alignment").model_copy(update=fewer),
        embeddings=embeddings,
        seed=0,
        truth=_truth(folder / "private/truth.csv"),
    )
    (folder / "alignment.json").write_text(json.dumps(result))
    heat_maps.draw_models(result, paths=[folder / "alignment.svg"])
    _flow(folder)
    (folder / "simulated.json").write_text(
        json.dumps({"ceiling": {name: 0.55 + 0.02 * i for i, name in enumerate(names)}})
    )
    for run, epochs, start in (
        ("ecg_mae", 30, 0.9),
        ("cmr_mae", 30, 0.05),
        *((name, 8, 3.4) for name in QUALITY if QUALITY[name][2]),
    ):
        _metrics(folder / "training" / f"{run}-0.csv", epochs=epochs, start=start)
    _benchmarks(folder / "benchmarks")
    return folder


def arguments(inputs: Path, out: Path) -> list[str]:
    """Command line of the page for inputs that :func:`write` made."""
    files = {
        name: inputs / name
        for name in ("flow.json", "flow.svg", "regression.csv", "retrieval.csv", "alignment.json")
    }
    command = [
        "page",
        "--config",
        settings().model_dump_json(),
        "--flow",
        files["flow.json"],
        "--flow-svg",
        files["flow.svg"],
    ]
    command += [
        "--regression",
        files["regression.csv"],
        "--retrieval",
        files["retrieval.csv"],
        "--alignment",
        files["alignment.json"],
    ]
    command += ["--alignment-svg", inputs / "alignment.svg", "--ceiling", inputs / "simulated.json"]
    command += ["--labels", inputs / "labels.csv", "--outcomes"]
    command += [inputs / "outcomes.csv", inputs / "outcomes.json", inputs / "of_cohort.json"]
    metrics = {
        path.stem.removesuffix("-0"): {0: str(path)}
        for path in sorted((inputs / "training").glob("*.csv"))
    }
    command += ["--metrics", json.dumps(metrics)]
    return [str(word) for word in [*command, "--benchmarks", inputs / "benchmarks", "--out", out]]


def _embeddings(folder: Path, names: list[str]) -> tuple[Path, dict[str, dict[int, Path]]]:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    visits = np.array([f"{9000001 + i}_2" for i in range(PEOPLE)])
    cause = rng.normal(size=(PEOPLE, 8))
    table = pd.DataFrame(
        {"visit": visits, "participant": [v[:7] for v in visits], "evaluate": True}
    )
    table["split"] = np.where(np.arange(PEOPLE) < TRAIN, "train", "test")
    for name in names:
        table[name] = 100 + 10 * (cause @ rng.normal(size=8) + rng.normal(size=PEOPLE))
    table.to_csv(folder / "participants.csv", index=False)
    paths = {}
    for model, (ecg, cmr, steps) in QUALITY.items():
        arrays = {
            "visits": visits,
            "ecg": cause + ecg * rng.normal(size=cause.shape),
            "cmr": cause + cmr * rng.normal(size=cause.shape),
        }
        arrays["ecg_whole"] = cause + 0.8 * (arrays["ecg"] - cause)
        if steps is not None:
            arrays |= {
                "ecg_projected": arrays["ecg"],
                "ecg_whole_projected": arrays["ecg_whole"],
                "cmr_projected": arrays["cmr"],
                "test_visits": visits[TRAIN:],
            }
            phase = (
                np.cumsum(rng.normal(size=(1, 13, 24)), axis=1)
                if model == "ptacl"
                else rng.normal(size=(1, 13, 24))
            )
            arrays |= {
                f"{m}_local": (phase + steps * rng.normal(size=(PEOPLE - TRAIN, 13, 24))).astype(
                    "f2"
                )
                for m in ("ecg", "cmr")
            }
            arrays["cmr_local_still"] = phase[0].astype("f2")
            arrays["local_valid"] = np.arange(PEOPLE - TRAIN) != 3
        paths[model] = {0: folder / f"{model}-0.npz"}
        np.savez(paths[model][0], **arrays)
    return folder / "participants.csv", paths


def _truth(path: Path) -> Path:
    """Timing of systole in the cycles of ECG and cine, by visit."""
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"visit": [f"{9000001 + i}_2" for i in range(PEOPLE)]})
    for modality, systole in (("", "systole_ms"), ("ecg_", "ecg_qt_ms")):
        rate = "ecg_rate_bpm" if modality else "heart_rate_bpm"
        table[rate] = rng.normal(62, 5, PEOPLE)
        table[systole] = rng.normal(400, 20, PEOPLE)
    table.to_csv(path, index=False)
    return path


def _flow(folder: Path) -> None:
    steps = [
        {
            "step": "found",
            "title": "Visits with an ECG or a cine",
            "visits": 612,
            "participants": 600,
            "excluded": {},
        },
        {
            "step": "kept",
            "title": "Consent not withdrawn",
            "visits": 606,
            "participants": 594,
            "excluded": {"withdrawn": 6},
        },
        {
            "step": "usable",
            "title": "ECG and cine usable",
            "visits": 427,
            "participants": 420,
            "excluded": {"flat lead": 1},
        },
    ]
    splits = {"train": (248, 243), "validation": (27, 27), "test": (152, 150)}
    counts = {split: {"visits": v, "participants": p} for split, (v, p) in splits.items()}
    tables = {
        "unreadable": {"LVM": {"unit": 2, "not a number": 1}},
        "implausible": {"LVEF": 1, "LVM": 0},
    }
    tables |= {"inconsistent": {"LV": 2, "RV": 0}, "repeated": 4}
    (folder / "flow.json").write_text(
        json.dumps({"steps": steps, "splits": counts, "tables": tables})
    )
    box = (
        '<rect x="8" y="8" width="884" height="184" rx="6" fill="#eef3fa" '
        'stroke="#34558b"/><text x="30" y="60">612 visits</text>'
    )
    (folder / "flow.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 200" font-size="15">{box}</svg>'
    )


def _metrics(path: Path, *, epochs: int, start: float) -> None:
    path.parent.mkdir(exist_ok=True)
    epoch = np.arange(1, epochs + 1)
    train = start * (0.45 + 0.55 * np.exp(-epoch / epochs * 4))
    columns = {
        "epoch": epoch,
        "step": 8 * epoch,
        "learning_rate": 1e-3,
        "train_loss": train,
        "validation_loss": train * 1.04 + 0.01,
    }
    if "mae" not in path.stem:
        columns |= {
            "train_global": train,
            "validation_global": train * 1.04,
            "train_global_chance": np.log(32),
        }
        columns |= {"validation_global_chance": np.log(27)}
    if "ptacl" in path.stem:
        for split in ("train", "validation"):
            columns |= {f"{split}_local": 2.2, f"{split}_local_chance": np.log(13)}
    table = pd.DataFrame(columns | {"seconds": 3.2, "samples_per_second": 81.0})
    table.assign(chosen=(epoch == epochs).astype(float)).to_csv(path, index=False)


def _benchmarks(folder: Path) -> None:
    head = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    jobs = {
        "simulate": (148.2, "812.4"),
        "prepare_ecg/0": (3.1, "402.0"),
        "prepare_ecg/1": (3.4, "411.5"),
        "page": (0.4, "-"),
    }
    jobs |= {
        "prepare_cmr/0": (41.0, "900.1"),
        "train/ecg_mae-0": (88.1, "1200.0"),
        "train/global-0": (61.0, "1310.2"),
    }
    for name, (seconds, memory) in jobs.items():
        path = folder / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{head}{seconds}\t0:00:01\t{memory}\t0\t0\t0\t0\t0\t99\t{seconds}\n")
