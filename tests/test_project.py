"""The project's own files: environments in step, exclusions explained, no id anywhere."""

import re
import subprocess
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
# numbers that could be ids of UK Biobank participants; the pattern of its own audit of public
# repositories
PARTICIPANT_ID = re.compile(rb"(?<![\d.])(?:10[0-9]{5}|[1-5][0-9]{6}|6[0-4][0-9]{5}|650{5})(?!\d)")


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    return [ROOT / p for p in listed.decode().split("\0") if p and (ROOT / p).is_file()]


def test_no_tracked_file_holds_a_number_like_a_participant_id() -> None:
    hits = [
        f"{p.relative_to(ROOT)}: {m.group().decode()}"
        for p in tracked()
        for m in PARTICIPANT_ID.finditer(p.read_bytes())
    ]
    assert not hits


def test_no_tracked_file_holds_a_path_of_a_machine_or_a_package_host() -> None:
    pattern = re.compile(
        r"(?:^|[\s\"'=])/(?:work|root|farm)/|pypi\.org|pythonhosted|deb\.debian|registry\.npmjs"
    )
    files = [
        p
        for p in tracked()
        if p.suffix in {".py", ".smk", ".yaml", ".md", ".lock", ".toml", ".sh", ""}
        and p != Path(__file__)
    ]
    hits = [
        f"{p.relative_to(ROOT)}: {m.group()}"
        for p in files
        for m in pattern.finditer(p.read_text())
    ]
    assert not hits


def versions(lock: str = "requirements.lock") -> dict[str, str]:
    lines = (ROOT / "envs" / lock).read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_lock_holds_every_dependency_at_a_version_in_its_range() -> None:
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [
        r for extra in project["optional-dependencies"].values() for r in extra
    ]
    locked = versions()
    for text in wanted:
        requirement = Requirement(text)
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        assert name in locked, f"{name} is not in the lock"
        assert requirement.specifier.contains(locked[name]), f"{text} excludes {locked[name]}"


def test_the_versions_for_cuda_12_differ_only_in_pytorch() -> None:
    ours, older = versions(), versions("requirements-cuda12.lock")
    assert {name for name in ours | older if ours.get(name) != older.get(name)} == {"torch"}
    assert older["torch"] == "2.10.0"


def test_conda_environment_and_container_install_the_lock() -> None:
    conda = yaml.safe_load((ROOT / "envs" / "environment.yaml").read_text())
    pip = next(d["pip"] for d in conda["dependencies"] if isinstance(d, dict))
    assert pip == ["--constraint requirements.lock", "--editable ..[slurm,tensorboard]"]
    container = (ROOT / "envs" / "Containerfile").read_text()
    assert "ARG LOCK=envs/requirements.lock" in container
    assert '--constraint "/opt/ptacl/$LOCK"' in container
    python = re.search(r"FROM python:(\S+)-slim", container).group(1)
    assert f"python={python}" in conda["dependencies"]


def test_every_reason_and_flag_is_explained() -> None:
    from typing import get_args

    from ptacl.config.ecg import EcgFlag
    from ptacl.exclusions import Reason

    text = (ROOT / "docs" / "exclusions.md").read_text()
    explained = re.findall(r"^\| ([^|]+?) \|", text, flags=re.M)
    sources = "".join(
        (ROOT / "src/ptacl" / name).read_text() for name in ("ecg/quality.py", "cmr/examine.py")
    )
    flags = re.findall(
        r'"([a-z][\w\s]+)": ', " ".join(re.findall(r"doubts = \{(.*?)\}", sources, flags=re.S))
    )
    assert len(flags) == 7
    assert set(get_args(EcgFlag)) <= set(explained)
    assert {reason.value for reason in Reason} <= set(explained) and set(flags) <= set(explained)
    settings = yaml.safe_load((ROOT / "config.yaml").read_text())
    for name in re.findall(r"`((?:ecg|cmr|cohort)\.[\w.]+)`", text):
        place = settings
        for key in name.split("."):
            assert key in place, name
            place = place[key]
