"""The long campaign (`make faults`): kills at random moments, a full disk, a memory limit, each
with the real thing.
"""

import csv
import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from phantom import IMAGE, T, encode, series, write_nifti
from project import Project
from storage import NO_LIMITS

from ptacl import config

pytestmark = pytest.mark.slow
KILLS = 12


def products(project: Project) -> dict[str, bytes]:
    """Bytes of what a run makes, but for logs and times: stores, lists, models, embeddings,
    tables.
    """
    results = project.folder / "results"
    kinds = {".safetensors", ".csv", ".json", ".npz", ".npy", ".tex", ".md"}
    found = {
        str(p.relative_to(results)): p.read_bytes()
        for p in results.rglob("*")
        if p.is_file()
        and (p.suffix in kinds or "store.zarr" in p.parts)
        and "benchmarks" not in p.parts
    }
    for name in found:
        if name.startswith("training/"):  # losses of every epoch, and how long it took
            table = pd.read_csv(io.BytesIO(found[name]))
            found[name] = table.drop(columns=[c for c in table if "second" in c]).to_csv().encode()
    # A map's name holds the folder of its stores.
    named = {
        re.sub(r"(ptacl-map-\w+)-\w{8}-", r"\1-", name): content for name, content in found.items()
    }
    return {
        name: content
        for name, content in named.items()
        if not re.search(r"log|provenance|simulated/", name)
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("whole") / "project")
    project.snakemake("--cores", "2")
    return project


def test_kills_at_random_moments_change_nothing(whole: Project, tmp_path: Path) -> None:
    """The whole tree of processes dies, time and again; what the last call finishes is what an
    undisturbed run makes.
    """
    project = Project(tmp_path / "project")
    moments = np.random.default_rng(0).uniform(3, 25, KILLS)
    environment = os.environ | {"PYTHONPATH": f"{project.folder / 'src'}:{project.folder}"}
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--cores",
        "2",
        "--rerun-incomplete",
        "--configfile",
        "tiny.yaml",
    ]
    for moment in moments:
        run = subprocess.Popen(
            command,
            cwd=project.folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            run.wait(timeout=moment)
            break
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
        project.snakemake("--unlock", check=False)
        _wait_for_orphans(project)
    project.snakemake("--cores", "2", "--rerun-incomplete")
    expected, found = products(whole), products(project)
    assert len(expected) > 40
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


def _wait_for_orphans(project: Project) -> None:
    """A job that outlived its scheduler is killed too, and gone before the next call starts."""
    for _ in range(100):
        listed = subprocess.run(
            ["pgrep", "-f", f"{project.folder}|results/"], capture_output=True, text=True
        ).stdout.split()
        mine = [int(pid) for pid in listed if _folder(int(pid)) == project.folder]
        if not mine:
            return
        for pid in mine:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
    raise AssertionError("processes of a killed run are still there")


def _folder(pid: int) -> Path | None:
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd"))
    except OSError:
        return None


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 2 MiB in memory."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(path)],
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"no right to mount a small disk: {mounted.stderr.strip()}")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def cine_stage(
    folder: Path,
    members: list[dict[str, str]],
    out: Path,
    *,
    settings: config.Cmr,
    limit: int | None = None,
):
    """Run the stage on a shard as the rule does, in a process of its own, under a limit of address
    space in bytes.
    """
    with (folder / "0.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["visit", "cmr", "segmentation"])
        writer.writeheader()
        writer.writerows(members)
    files = {
        "members": folder / "0.csv",
        "store": out / "0",
        "manifest": out / "0.json",
        "sheet": out / "0.png",
    }
    options = [text for name, path in files.items() for text in (f"--{name}", str(path))]
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "ptacl.cmr.prepare",
            *options,
            "--settings",
            config.dump(settings),
            "--storage",
            NO_LIMITS,
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
        if limit
        else None,
    )


@pytest.fixture
def settings(root: Path) -> config.Cmr:
    return config.load(root / "config.yaml").cmr.model_copy(
        update={"frames": T, "min_slices": 6, "size": 32}
    )


def test_a_full_disk_ends_in_one_line_and_the_next_run_finishes(
    small_disk: Path, tmp_path: Path, settings: config.Cmr
) -> None:
    rng = np.random.default_rng(0)
    members = []
    for number in range(400):
        image = IMAGE + rng.integers(0, 200, IMAGE.shape, dtype=np.int16)
        path = write_nifti(tmp_path / f"{9000001 + number}" / "sa.nii.gz", image)
        members.append({"visit": f"{9000001 + number}_2", "cmr": str(path), "segmentation": ""})
    run = cine_stage(tmp_path, members, small_disk, settings=settings)
    assert run.returncode == 2 and "Traceback" not in run.stderr
    assert "the disk is full" in run.stderr.splitlines()[-1]
    assert not (small_disk / "0.json").exists()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    run = cine_stage(tmp_path, members, small_disk, settings=settings)
    assert run.returncode == 0, run.stderr
    assert len(json.loads((small_disk / "0.json").read_text())["visits"]) == len(members)


def bombs(folder: Path) -> dict[str, Path]:
    """Small files that claim or hold gigabytes."""
    folder.mkdir()
    found = {
        "padded": folder / "padded.nii.gz",
        "header": folder / "header.nii.gz",
        "zip": folder / "a.zip",
        "images": folder / "b.zip",
    }
    path = write_nifti(folder / "good.nii.gz", IMAGE)
    subprocess.run(
        f"(gzip -dc '{path}'; head -c 3500000000 /dev/zero) | gzip -1 > '{found['padded']}'",
        shell=True,
        check=True,
    )
    raw = bytearray(
        subprocess.run(["gzip", "-dc", str(path)], capture_output=True, check=True).stdout
    )
    raw[42:50] = np.array([2000, 2000, 20, 50], "<i2").tobytes()
    found["header"].write_bytes(raw)
    files = list(series(IMAGE).items())
    with zipfile.ZipFile(found["zip"], "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(60):
            archive.writestr(f"{number}.dcm", encode(files[number % len(files)][1]) + bytes(2**26))
    with zipfile.ZipFile(found["images"], "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        noise = np.random.default_rng(0).integers(0, 2, (2000, 2000)).astype(np.int16)
        for number in range(400):
            data = files[number % len(files)][1]
            data.Rows, data.Columns, data.InstanceNumber, data.TriggerTime = (
                2000,
                2000,
                number,
                number,
            )
            data.SeriesDescription, data.SeriesInstanceUID = "CINE_segmented_SAX_b1", "1.2.3.1"
            data.ImagePositionPatient, data.PixelData = [0, 0, 0], noise.tobytes()
            archive.writestr(f"{number}.dcm", encode(data))
    return found


def test_bad_files_stay_within_the_memory_of_the_rule(
    tmp_path: Path, settings: config.Cmr, root: Path
) -> None:
    declared = re.search(r"mem_mb=(\d+)", (root / "workflow/rules/cmr.smk").read_text())
    assert declared
    paths = bombs(tmp_path / "bombs") | {
        "good": write_nifti(tmp_path / "good" / "sa.nii.gz", IMAGE)
    }
    members = [
        {"visit": f"{9000001 + k}_2", "cmr": str(path), "segmentation": ""}
        for k, path in enumerate(paths.values())
    ]
    run = cine_stage(
        tmp_path, members, tmp_path / "out", settings=settings, limit=int(declared[1]) * 2**20
    )
    assert run.returncode == 0, run.stderr
    manifest = json.loads((tmp_path / "out" / "0.json").read_text())
    assert manifest["visits"] == [members[-1]["visit"]]
    reasons = {row["visit"]: row["detail"] for row in manifest["excluded"]}
    assert len(reasons) == len(paths) - 1 and "MemoryError" not in " ".join(reasons.values())
