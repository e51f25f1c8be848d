import errno
import subprocess
import sys

import pytest

from ptacl import stage


def raising(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("x.csv has no column LVEF: rerun"), "error: x.csv has no column LVEF: rerun"),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "a/9000001_2.xml"),
            "error: a/[participant]_2.xml: no such file",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "results/store"),
            "error: results/store: the disk is full",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "results"),
            "error: results: no permission",
        ),
    ],
)
def test_what_can_be_mended_is_one_line_and_status_2(error, line, capsys):
    with pytest.raises(SystemExit) as ended:
        stage.run(raising(error))
    written = capsys.readouterr().err
    assert ended.value.code == 2 and written.startswith(line) and written.count("\n") == 1


def test_a_fault_of_the_program_keeps_its_traceback():
    with pytest.raises(KeyError):
        stage.run(raising(KeyError("x")))


def test_a_real_stage_ends_so(tmp_path):
    command = [
        "--settings",
        '{"batch_size": 4, "crops": 1, "phases": false}',
        "--participants",
        tmp_path / "p.csv",
        "--model",
        tmp_path / "none",
        "--out",
        tmp_path / "o",
    ]
    run = subprocess.run(
        [sys.executable, "-m", "ptacl.evaluation.embed", *map(str, command)],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2 and run.stderr.count("\n") == 1
    assert run.stderr.startswith("error: ") and "train the model first" in run.stderr


def test_a_full_disk_says_so(capsys):
    """A real one: /dev/full takes no byte."""

    def main():
        with open("/dev/full", "wb") as file:
            file.write(b"x")

    with pytest.raises(SystemExit) as ended:
        stage.run(main)
    assert ended.value.code == 2 and "the disk is full" in capsys.readouterr().err


def test_a_stage_keeps_its_memory(monkeypatch):
    order = []
    monkeypatch.setattr(stage.memory, "keep", lambda: order.append("keep"))
    stage.run(lambda: order.append("main"))
    assert order == ["keep", "main"]
