"""A GPU that PyTorch cannot use is an error, and a machine without one trains on the CPU.

nvidia-smi is a mock: a script with its output. PyTorch is the real one, without a driver.
"""

import logging
import sys
from pathlib import Path

import pytest
import torch

from ptacl import cli
from ptacl.learning import devices, processes

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU can be used here")
L4 = "NVIDIA L4, 535.129.03"


@pytest.fixture
def mock_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two GPUs of one kind, as nvidia-smi prints them."""
    script = tmp_path / "bin/nvidia-smi"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\nprint({L4!r})\nprint({L4!r})\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent), prepend=":")


def test_without_a_gpu_one_line_is_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    caplog.set_level(logging.INFO)
    with processes.started() as device:
        assert device.type == "cpu"
    assert [record.getMessage() for record in caplog.records] == [
        "no NVIDIA GPU was found: running on the CPU"
    ]
    assert devices.describe() == "the CPU; no NVIDIA GPU was found"


@pytest.mark.usefixtures("mock_driver")
def test_a_gpu_that_pytorch_cannot_use_is_an_error() -> None:
    with pytest.raises(ValueError) as error, processes.started():
        pass
    text = str(error.value)
    assert text.startswith("this machine has NVIDIA L4 (driver 535.129.03), but PyTorch ")
    assert torch.__version__ in text and "requirements-cuda12.lock" in text
    assert "--set-resources train:gpu=0 embed:gpu=0" in text


@pytest.mark.usefixtures("mock_driver")
def test_a_job_that_asked_for_no_gpu_uses_the_cpu() -> None:
    with processes.started(gpus=0) as device:
        assert device.type == "cpu"


@pytest.mark.usefixtures("mock_driver")
def test_gpus_that_the_user_hides_are_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's own words for CUDA_VISIBLE_DEVICES=""."""

    def hidden() -> None:
        raise RuntimeError("No CUDA GPUs are available")

    monkeypatch.setattr(torch.cuda, "init", hidden)
    assert devices.kind(gpus=1) == "cpu"


@pytest.mark.usefixtures("mock_driver")
def test_the_check_says_so(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(root / "config.yaml")]) == 2
    said = capsys.readouterr()
    assert "cannot use it" in said.err and "NVIDIA L4" in said.out
