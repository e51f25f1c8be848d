"""Many files are embedded in parts, in several processes, and again only what is missing."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import recordings
from model_by_hand import write_model

from ptacl import cli, many
from ptacl.inference import Model


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return Model.load(write_model(tmp_path / "model"))


@pytest.fixture
def ecgs(tmp_path: Path) -> list[Path]:
    """Five ECGs in two folders, of which the second cannot be used."""
    paths = [tmp_path / f"ecgs/{i % 2}/{9000001 + i}_20205_2_0.xml" for i in range(5)]
    for path, bpm in zip(paths, (60, 64, 68, 72, 76), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        leads = recordings.counts(recordings.synthetic_mv(recordings.beat_times(bpm)))
        path.write_text(recordings.cardiosoft(leads), encoding="latin-1")
    paths[1].write_text("<html/>")
    return sorted(paths)


@pytest.mark.parametrize(("processes", "ending"), [(1, ".parquet"), (2, ".parquet"), (1, ".csv")])
def test_table_is_that_of_the_model(
    processes: int,
    ending: str,
    model: Model,
    ecgs: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(many, "_PART", 2)
    out = tmp_path / f"out{ending}"
    table = many.embed(model, ecgs, modality="ecg", out=out, processes=processes)
    expected = model.embed(ecgs).reset_index()
    pd.testing.assert_frame_equal(table, expected)
    stored = pd.read_parquet(out) if ending == ".parquet" else pd.read_csv(out)
    np.testing.assert_allclose(stored.iloc[:, 2:], expected.iloc[:, 2:], rtol=1e-6)
    assert stored["reason"].fillna("").ne("").sum() == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ecgs", "model", out.name]


def test_only_missing_parts_are_computed(
    model: Model, ecgs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The marks in a finished part show that it was used; a file that changed is read again."""
    monkeypatch.setattr(many, "_PART", 2)
    parts = tmp_path / "out.parquet.parts"
    parts.mkdir()
    for files in (ecgs[:2], ecgs[2:4]):
        marked = model.embed(files).reset_index().assign(e0=np.float32(7))
        key = many._key(files, modality="ecg", digest=model.digest)
        marked.to_parquet(parts / f"{key}.parquet", index=False)
    ecgs[3].write_text("<html>changed</html>")
    table = many.embed(model, ecgs, modality="ecg", out=tmp_path / "out.parquet")
    assert (table["e0"] == 7).tolist() == [True, True, False, False, False]
    assert table["reason"].ne("").tolist() == [
        path.read_text(encoding="latin-1").startswith("<html") for path in ecgs
    ]


def test_an_interrupted_call_keeps_its_parts(
    model: Model, ecgs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second part fails: the first one is kept, and the next call completes the table."""
    monkeypatch.setattr(many, "_PART", 2)
    out = tmp_path / "out.parquet"
    scan = ecgs[3].with_suffix(".zip")
    with pytest.raises(ValueError, match=r"--modality cmr"):
        many.embed(model, [*ecgs[:3], scan], modality="ecg", out=out)
    assert len(list((tmp_path / "out.parquet.parts").glob("*.parquet"))) == 1
    assert not out.exists()
    many.embed(model, ecgs[:3], modality="ecg", out=out)
    assert len(pd.read_parquet(out)) == 3


def test_files_of_folders_and_of_lists(model: Model, ecgs: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "ecgs"
    for name in ("notes.txt", "1/table.csv", "seg_sa.nii.gz", "1/sa.nii.gz"):
        (folder / name).touch()
    assert many.found([folder], modality="ecg") == ecgs
    assert many.found([ecgs[0], folder / "1"], modality="ecg") == [
        ecgs[0],
        *(path for path in ecgs if path.parent.name == "1"),
    ]
    (folder / "1/table.json").write_text("{}")
    assert folder / "1/table.csv" in many.found([folder], modality="ecg")
    assert many.found([folder], modality="cmr") == [folder / "1/sa.nii.gz"]
    slices = tmp_path / "slices"
    slices.mkdir()
    assert many.found([slices], modality="cmr") == [slices]
    with pytest.raises(ValueError, match=r"slices: no file in this folder ends in one of \.xml"):
        many.found([slices], modality="ecg")
    (tmp_path / "list.txt").write_text("ecgs/a.xml\n\n/data/b.xml\n")
    assert many.listed(tmp_path / "list.txt") == [tmp_path / "ecgs/a.xml", Path("/data/b.xml")]
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(ValueError, match="the list is empty: give one path per line"):
        many.listed(tmp_path / "empty.txt")


def test_the_command_reads_folders_and_lists(
    model: Model, ecgs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "e.parquet"
    common = ["--model", str(model.folder), "--out", str(out)]
    assert cli.main(["embed", str(tmp_path / "ecgs"), *common, "--processes", "2"]) == 3
    assert pd.read_parquet(out)["input"].tolist() == [str(path) for path in ecgs]
    (tmp_path / "list.txt").write_text("".join(f"{path}\n" for path in ecgs[:1]))
    assert cli.main(["embed", "--files", str(tmp_path / "list.txt"), *common]) == 0
    assert len(pd.read_parquet(out)) == 1
    capsys.readouterr()
    assert cli.main(["embed", *common]) == 2
    assert "no files: name files or folders, or a list with --files" in capsys.readouterr().err
