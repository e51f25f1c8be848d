"""A copy of the project that a test may run and change."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
# the trainings of tests are so short that each should only have one core
SIDE_BY_SIDE = ["--set-threads", "train=1", "embed=1", "--resources", "gpu=4"]


class Project:
    """A copy of the project that a test may change, with its own results."""

    def __init__(
        self, folder: Path, *, like: "Project | None" = None, exists: bool = False
    ) -> None:
        self.folder = folder
        if exists:
            return
        if like:
            shutil.copytree(like.folder, folder)
            return
        for name in ("src", "workflow", "profiles", "envs"):
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        for name in ("Snakefile", "config.yaml", "tests/tiny.yaml"):
            shutil.copy(ROOT / name, folder)

    def snakemake(self, *arguments: str, check: bool = True) -> str:
        environment = os.environ | {
            "PYTHONPATH": f"{self.folder / 'src'}:{self.folder}",
            "COLUMNS": "200",
        }
        command = [sys.executable, "-m", "snakemake", *arguments, "--configfile", "tiny.yaml"]
        if "--cores" in arguments:
            command += SIDE_BY_SIDE
        run = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True
        )
        assert not check or run.returncode == 0, run.stdout[-3000:] + run.stderr[-6000:]
        return run.stdout + run.stderr

    def jobs(self, *arguments: str) -> list[str]:
        """Jobs that a run starts: the rule with its wildcards."""
        text = self.snakemake(*arguments)
        found = re.findall(
            r"^(?:local)?(?:rule|checkpoint) (\w+):\n((?:    .*\n)*)", text, flags=re.M
        )
        named = []
        for rule, body in found:
            wildcards = re.search(r"wildcards: (.*)", body)
            named.append(
                " ".join(
                    [rule, *re.findall(r"=([^,\s]+)", wildcards.group(1) if wildcards else "")]
                )
            )
        return sorted(n for n in named if n not in ("all", "data", "embeddings"))

    def planned(self) -> list[str]:
        return self.jobs("--dry-run")

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) >= 1, f"{file} has no {old!r}"
        path.write_text(text.replace(old, new, 1))

    def configure(self, **sections: dict) -> None:
        """Change settings in tiny.yaml."""
        path = self.folder / "tiny.yaml"
        path.write_text(yaml.safe_dump(merge(yaml.safe_load(path.read_text()), sections)))


def checkout(target: Path) -> None:
    """The files that a checkout would have."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode != 0:
        pytest.skip("no git checkout: files of the project cannot be told from others")
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def merge(base: dict, other: dict) -> dict:
    return base | {
        k: merge(base.get(k) or {}, v) if isinstance(v, dict) else v for k, v in other.items()
    }


def rules(jobs: list[str]) -> set[str]:
    return {job.split()[0] for job in jobs}
