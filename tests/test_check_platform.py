"""Time and cost on the machines of UK Biobank's platform."""

import re
from pathlib import Path

import pytest

from ptacl import check_needs, check_platform, cli, config, training_cost

L4, T4, CPU = "mem2_ssd2_gpu1_v2_x16", "mem2_ssd1_gpu_x16", "mem2_ssd1_v2_x16"


@pytest.fixture(scope="module")
def paper(root: Path) -> config.Config:
    return config.stack(root / "config.yaml", root / "workflow/config/paper.yaml")


def test_times_are_those_of_the_same_gpu_elsewhere_and_costs_follow(paper: config.Config) -> None:
    found = check_platform.facts(
        paper, visits=34_000, seconds={"ecg": 0.05, "cmr": 0.1}, prices={L4: 1.5, CPU: 0.5}
    )
    works = training_cost.trainings(paper, visits=34_000)
    total = sum(work.flops for work in works.values())
    hours = check_needs.gpu_seconds(total)["NVIDIA L4"] / 3600
    assert found[f"{L4} (L4 24 GB)"] == (
        f"trainings about {hours:.1f} h, £{1.5 * hours:.2f} at £1.50 per hour"
    )
    prepared = 0.15 * 34_000 / 16
    assert found[f"{CPU} (no GPU)"] == (
        f"preparation at least {prepared / 60:.1f} min; the mount can be slower, "
        f"£{0.5 * prepared / 3600:.2f} at £0.50 per hour"
    )
    assert "no bfloat16" in found[f"{T4} (T4 16 GB)"]
    assert [name for name, text in found.items() if "no bfloat16" in text] == [f"{T4} (T4 16 GB)"]


def test_they_are_shown_on_the_platform_or_with_a_price(
    paper: config.Config, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"visits": 100, "seconds": {}, "prices": {}}
    assert check_platform.section(paper, **given) == {}
    ukb = config.stack(root / "config.yaml", root / "workflow/config/ukb.yaml")
    assert len(*check_platform.section(ukb, **given).values()) == 3
    assert cli.main(["check", str(root / "tests/tiny.yaml"), "--price", f"{L4}=2"]) == 0
    assert re.search(rf"{L4} .*£[\d.]+ at £2.00 per hour", capsys.readouterr().out)


@pytest.mark.parametrize("text", [L4, f"{L4}=", f"{L4}=free", f"{L4}=-1", "mem9=1"])
def test_a_wrong_price_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^--price"):
        check_platform.prices([text])
