"""The container's steps in a clean root folder of Debian, then the wheel in the environment that
they leave.

No builder of images is needed, only root and debootstrap: the folder holds what the steps put there
and nothing of this machine.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from project import ROOT, checkout

RELEASE = {
    "python:3.11-slim": ("bookworm", "python3.11")
}  # of Debian, whose Python is that of the image
FEW = [
    "--config",
    "simulation={participants: 12, defects: 0}",
    "cohort={shards: 1, test_fraction: 0.4}",
]

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

# run in a mount namespace of its own: $1 is the root folder, $2 folders that pip reads, the rest
# the command
ENTER = """
root=$1; IFS=:; for path in /proc /dev $2; do
  mkdir -p "$root$path" && mount --rbind "$path" "$root$path" || exit 9
done; unset IFS; shift 2
exec chroot "$root" /usr/bin/env -i HOME=/root PIP_BREAK_SYSTEM_PACKAGES=1 \\
  PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin "$@"
"""


class Clean:
    """A root folder with Debian's Python, and commands in it."""

    def __init__(self, folder: Path, release: str) -> None:
        self.folder, self.place = folder, "/"
        packages = "python3-pip,python-is-python3,ca-certificates"
        made = self._do(
            "debootstrap",
            "--variant=minbase",
            f"--include={packages}",
            release,
            str(folder),
            check=False,
        )
        if not (folder / "usr/bin/pip3").exists():
            pytest.skip(f"no clean Debian could be laid out, is a mirror in reach? {made[-300:]}")
        shutil.copy("/etc/resolv.conf", folder / "etc")
        options = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True
        ).stdout
        found = [Path(p) for p in re.findall(r"(?<=[ '/])(/[\w/.-]+)", options) if Path(p).is_dir()]
        self.indexes = sorted(
            {str(p.parent if p.name == "simple" else p) for p in found}
        )  # an index is next to its files
        values = re.findall(r"^(?::env:|global)\.([\w-]+)='(.*)'$", options, flags=re.M)
        kept = {
            key: value
            for key, value in values
            if key in ("index-url", "extra-index-url", "find-links")
        }
        (folder / "etc/pip.conf").write_text(
            "\n".join(["[global]", *(f"{k} = {v}" for k, v in kept.items()), ""])
        )
        bundle = Path("/etc/ssl/certs/ca-certificates.crt")
        if bundle.is_file():
            shutil.copy(bundle, folder / "etc/ssl/certs")

    def run(self, *command: str, check: bool = True) -> str:
        """Output of a command in the folder, at the present working directory."""
        inside = ["sh", "-c", 'cd "$0" && exec "$@"', self.place, *command]
        return self._do(
            "unshare",
            "-m",
            "sh",
            "-c",
            ENTER,
            "enter",
            str(self.folder),
            ":".join(self.indexes),
            *inside,
            check=check,
        )

    @staticmethod
    def _do(*command: str, check: bool = True) -> str:
        done = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"}
        )
        text = done.stdout + done.stderr
        assert not check or done.returncode == 0, text[-4000:]
        return text


def steps() -> list[tuple[str, str]]:
    """Instructions of the container file with their arguments."""
    text = (ROOT / "envs/Containerfile").read_text().replace("\\\n", " ")
    return [
        tuple(line.split(maxsplit=1))
        for line in text.splitlines()
        if line.strip() and not line.startswith("#")
    ]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clean]:
    """After all steps of the container file, in their order."""
    if os.geteuid() != 0 or not shutil.which("debootstrap") or not shutil.which("unshare"):
        pytest.skip("a clean root folder needs root, debootstrap and unshare")
    folder = tmp_path_factory.mktemp("clean") / "root"
    try:
        made = None
        defaults: dict[str, str] = {}
        for word, argument in steps():
            if word == "FROM":
                release, python = RELEASE[argument]
                made = Clean(folder, release)
                assert (folder / "usr/bin" / python).exists()
            elif word == "COPY":
                assert argument.split() == [".", "/opt/ptacl"]
                checkout(folder / "opt/ptacl")
            elif word == "ARG":
                name, _, value = argument.partition("=")
                defaults[name] = value
            elif word == "RUN":
                made.run("env", *(f"{k}={v}" for k, v in defaults.items()), "sh", "-c", argument)
            elif word == "WORKDIR":
                made.place = argument
            else:
                assert word == "CMD", f"nothing is known of {word}"
        yield made
    finally:
        assert str(folder) not in Path("/proc/mounts").read_text(), (
            "a mount was left: what it shows would be deleted"
        )
        shutil.rmtree(folder, ignore_errors=True)


def test_the_command_of_the_container_runs(clean: Clean) -> None:
    command = yaml.safe_load(dict(steps())["CMD"])
    assert "prepare_cmr" in clean.run(*command, "-n")
    text = clean.run(*command[:1], "data", *command[1:], *FEW)
    assert (
        "Minutes by stage" in text
        and (clean.folder / "opt/ptacl/results/private/participants.csv").is_file()
    )


def test_pip_takes_what_conda_hands_it(clean: Clean) -> None:
    """Conda writes these lines into a file of requirements and runs pip in the folder of
    environment.yaml.
    """
    entries = yaml.safe_load((ROOT / "envs/environment.yaml").read_text())["dependencies"]
    lines = next(entry["pip"] for entry in entries if isinstance(entry, dict))
    (clean.folder / "opt/ptacl/envs/condaenv.txt").write_text("\n".join(lines) + "\n")
    inside = "cd /opt/ptacl/envs && pip install --dry-run -r condaenv.txt"
    assert re.search(r"Would install .*\bptacl-", clean.run("sh", "-c", inside))


def test_the_wheel_suffices_where_nothing_else_is(clean: Clean, tmp_path: Path) -> None:
    """Built from the sdist, installed in place of the sources, with only its own
    dependencies.
    """
    checkout(tmp_path / "source")
    build = "import sys, setuptools.build_meta as b; print(b.build_sdist(sys.argv[1]))"
    subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)],
        cwd=tmp_path / "source",
        check=True,
        capture_output=True,
    )
    sdist = next(tmp_path.glob("ptacl-*.tar.gz"))
    shutil.copy(sdist, clean.folder / "srv")
    clean.place = "/srv"
    clean.run("pip", "uninstall", "--yes", "ptacl")
    shutil.rmtree(clean.folder / "opt/ptacl")
    clean.run("pip", "wheel", "--no-deps", f"/srv/{sdist.name}")
    wheel = next((clean.folder / "srv").glob("ptacl-*.whl"))
    clean.run("pip", "install", "--no-deps", f"/srv/{wheel.name}")
    assert "No broken requirements" in clean.run("pip", "check")
    assert "workflow" in clean.run("ptacl", "--help")
    assert "Model" in clean.run("python3", "-c", "import ptacl; print(ptacl.Model, ptacl.__file__)")
    clean.run("ptacl", "simulate", "my_cohort", "--participants", "2", "--processes", "1")
    clean.run("ptacl", "workflow", "my_study")
    clean.place = "/srv/my_study"
    assert "Minutes by stage" in clean.run(
        *shlex.split("snakemake data --cores 2 --resources gpu=1"), *FEW
    )
