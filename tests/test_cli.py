from pathlib import Path

import pytest

from ptacl import cli
from ptacl.cli import record_commands


@pytest.mark.parametrize("name", ["README.md", "photo.jpg", "tables.xlsx"])
def test_a_file_of_another_kind_is_told_what_is_read(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("# not a recording")
    assert cli.main(["inspect", str(tmp_path / name)]) == cli.UNREADABLE
    said = capsys.readouterr().err
    assert (
        said.startswith(f"ptacl inspect: {name}: unsupported file type")
        and ".xml" in said
        and ".zip" in said
        and ".nii.gz" in said
    )
    assert said.count("\n") == 1


def test_a_partial_configuration_is_enough(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text("ecg: {wavelet: {level: 7}}\n")
    assert record_commands._settings(tmp_path / "part.yaml").ecg.wavelet.level == 7
