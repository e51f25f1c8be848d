"""A trained model of a finished run, used from its folder: in Python, on the command line, in the
notebook.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from project import ROOT, Project

from ptacl import cli

pytestmark = pytest.mark.pipeline

USE = """
import json, sys
from pathlib import Path
import numpy as np
import ptacl

results = Path(sys.argv[1])
stored = np.load(results / "private/embeddings/ptacl-0.npz")
row = {visit: i for i, visit in enumerate(stored["visits"].tolist())}
model = ptacl.Model.load(results / "models/ptacl-0")
simulated = results / "private/simulated"
ecgs = sorted([*simulated.rglob("*_20205_*.xml")])
cines = sorted(p for p in (simulated / "nifti").iterdir())
found = {"bad": 0}
for modality, array, files in (("ecg", "ecg_whole", ecgs), ("cmr", "cmr", cines)):
    table = model.embed(files, modality=modality)
    same = []
    for path, (_, line) in zip(files, table.iterrows(), strict=True):
        participant, _, instance, *_ = path.name.split("_")
        if line["reason"]:
            found["bad"] += 1
            assert line.drop("reason").isna().all()
        elif f"{participant}_{instance}" in row:
            expected = stored[array][row[f"{participant}_{instance}"]]
            same.append(bool(np.array_equal(line.drop("reason").to_numpy(np.float32), expected)))
    found[modality] = [len(same), sum(same)]
good = [p for p, reason in zip(ecgs, model.embed(ecgs)["reason"], strict=True) if not reason]
alone = model.embed(good[3]).iloc[0, 1:].to_numpy(np.float32)
found["alone"] = bool(np.array_equal(alone, model.embed(good).iloc[3, 1:].to_numpy(np.float32)))
gallery = ptacl.Gallery.load(results / "private/embeddings/ptacl-0.npz")
nearest = model.retrieve(good[:2], gallery, num=3)
found["ranks"] = nearest["rank"].tolist()
found["ordered"] = bool((nearest.groupby("input")["similarity"].diff().dropna() <= 0).all())
bad = [p for p in ecgs if p not in good]
predicted = model.predict(bad[:1])
found["all_bad"] = [len(model.retrieve(bad[:2], gallery)), int(predicted["value"].notna().sum())]
try:
    model.embed(np.zeros((2, 12, 5000)), modality="cmr")
except ValueError as error:
    found["refused"] = str(error)
predicted = model.predict(good[:2])
found["phenotypes"] = len(predicted)
above, below = predicted["low"] < predicted["value"], predicted["value"] < predicted["high"]
found["within"] = bool((above & below).all())
print(json.dumps(found))
"""


def test_a_trained_model_is_used_from_its_folder_alone(finished: Project) -> None:
    """Embeddings from files are byte-identical to those of the pipeline, whatever company a file is
    in.
    """
    environment = os.environ | {"PYTHONPATH": str(finished.folder / "src")}
    command = [sys.executable, "-c", USE, str(finished.folder / "results")]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-3000:]
    found = json.loads(run.stdout)
    for modality in ("ecg", "cmr"):
        count, same = found[modality]
        assert count >= 15 and same == count
    assert (
        found["bad"] >= 5
        and found["alone"]
        and found["ranks"] == [1, 2, 3, 1, 2, 3]
        and found["ordered"]
    )
    assert found["phenotypes"] == 20 and found["within"]
    assert (
        found["all_bad"] == [2, 0]
        and found["refused"] == "an array can only hold ECGs: give the files of cines"
    )


def test_the_lines_of_the_readme_and_the_model_card_run(finished: Project, tmp_path: Path) -> None:
    participants = pd.read_csv(finished.folder / "results/private/participants.csv", dtype=str)
    source = next(
        (finished.folder / "results/private/simulated").rglob(
            f"{participants.participant[0]}_20205_2_0.xml"
        )
    )
    folder = finished.folder / "results/models/ptacl-0"
    texts = [
        (ROOT / "README.md").read_text(),
        (folder / "README.md").read_text().replace("FOLDER", str(folder)),
    ]
    for number, text in enumerate(texts):
        lines = next(
            block
            for block in re.findall(r"```python\n(.*?)```", text, flags=re.S)
            if "Model.load" in block
        )
        place = tmp_path / str(number)
        place.mkdir()
        shutil.copy(source, place / "ecg.xml")
        (place / "results").symlink_to(finished.folder / "results")
        environment = os.environ | {"PYTHONPATH": str(finished.folder / "src")}
        run = subprocess.run(
            [sys.executable, "-c", lines],
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr[-2000:]


def test_commands_that_use_a_model(
    finished: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tables in both forms, a drawing a file, bad files as rows with a reason, and the exit status
    of inspect.
    """
    results = finished.folder / "results"
    participants = pd.read_csv(results / "private/participants.csv", dtype=str)
    files = {p.name[:7]: p for p in (results / "private/simulated").rglob("*_20205_2_0.xml")}
    good = [str(files[p]) for p in participants.participant.unique()[:2]]
    bad = tmp_path / "9000099_20205_2_0.xml"
    bad.write_text("<html/>")
    capsys.readouterr()

    def ptacl(*arguments: str | Path) -> tuple[int, str, str]:
        """Exit status, and the text of both streams."""
        status = cli.main([*map(str, arguments), "--model", str(results / "models/ptacl-0")])
        return (status, *capsys.readouterr())

    status, _, _ = ptacl("embed", *good, "--out", tmp_path / "e.parquet")
    assert status == 0
    assert pd.read_parquet(tmp_path / "e.parquet").shape == (2, 18)  # input, reason, 16 numbers
    status, _, said = ptacl(
        "predict", *good, bad, "--out", tmp_path / "p.csv", "--plot", tmp_path / "plots"
    )
    assert status == 3
    assert "unreadable file: XML with root element html, which is none of" in said
    table = pd.read_csv(tmp_path / "p.csv")
    assert (
        len(table) == 30
        and table["reason"].notna().sum() == 10
        and table["value"].isna().sum() == 10
    )
    assert table["out_of_distribution"].isna().sum() == 10
    assert len(list((tmp_path / "plots").glob("*.png"))) == 2
    gallery = results / "private/embeddings/ptacl-0.npz"
    status, told, _ = ptacl("retrieve", good[0], "--gallery", gallery, "--num", "2")
    assert status == 0 and told.count("\n") == 3
    status, _, said = ptacl("retrieve", good[0], "--gallery", gallery.with_name("global-0.npz"))
    assert status == 2 and "gallery was made by another model" in said
    assert ptacl("embed", bad)[0] == 2
    status, _, said = ptacl("embed", good[0], "--out", tmp_path / "e.xlsx")
    assert status == 2 and "name a .csv or .parquet file" in said
    cine = next((results / "private/simulated").rglob("*_20209_2_0.zip"))
    status, _, said = ptacl("predict", cine)
    assert status == 2 and "add --modality cmr" in said
    (tmp_path / "folder").mkdir()
    shutil.copy(good[0], tmp_path / "folder")
    status, told, _ = ptacl("predict", tmp_path / "folder")
    assert status == 0 and told.count("\n") == 11
    for text in (said, told):
        assert "Traceback" not in text


def test_the_notebook_runs_from_its_first_cell_to_its_last(
    finished: Project, tmp_path: Path
) -> None:
    """Its code in order, in the folder of the results; each figure is drawn."""
    cells = json.loads((ROOT / "docs/explore.ipynb").read_text())["cells"]
    assert all(not cell.get("outputs") for cell in cells), (
        "results belong to a run: clear the outputs"
    )
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    drawn = tmp_path / "figure"
    save = f"for n in plt.get_fignums(): plt.figure(n).savefig(f'{drawn}{{n}}.png')"
    script = f"import matplotlib\nmatplotlib.use('agg')\n{code}\n{save}"
    environment = os.environ | {"PYTHONPATH": str(finished.folder / "src")}
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=finished.folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert len(list(tmp_path.glob("figure*.png"))) == 2
