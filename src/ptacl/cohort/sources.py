"""Where the input of a cohort is, and which files it has."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ptacl import config
from ptacl.cohort import inventory, table_source
from ptacl.cohort.inventory import BulkFile
from ptacl.cohort.phenotypes import PhenotypeTable


@dataclass(frozen=True)
class Sources:
    """Locations of the input.

    `version` changes if the files change but keep their names and sizes.
    """

    ecg_folders: Sequence[str]
    cmr_folders: Sequence[str]
    tables: Sequence[str]
    withdrawals: Sequence[str]
    version: str


def locate(settings: config.Cohort, *, simulated: Path | None, summary: Path | None) -> Sources:
    """Return the folders and tables of the settings, or those of the simulated cohort."""
    if settings.source != "simulated":
        return Sources(
            settings.ecg_folders,
            settings.cmr_folders,
            settings.phenotype_tables,
            settings.withdrawals,
            version="",
        )
    if simulated is None or summary is None:
        raise ValueError(
            "cohort.source is simulated: give --simulated and --simulated-summary, or set "
            "source: files"
        )

    def existing(*names: str) -> list[str]:
        return [str(simulated / name) for name in names if (simulated / name).is_dir()]

    withdrawals = sorted(map(str, (simulated / "withdrawals").glob("*")))
    return Sources(
        existing("ecg", "Bulk/Electrocardiogram"),
        existing("nifti", "Bulk/Heart MRI"),
        list(map(str, tables_of(simulated))),
        [*withdrawals, *settings.withdrawals],
        version=simulation_version(json.loads(summary.read_text())),
    )


def tables_of(simulated: Path) -> list[Path]:
    """Return the phenotype tables of the simulated cohort."""
    return sorted((simulated / "phenotypes").glob("*"))


def simulation_version(summary: Mapping[str, Any]) -> str:
    """Return a hash of everything that a simulated file depends on, except its id.

    This is the code version, the seed, and all settings except the number of participants and the
    incidence of diseases, which only changes tables.
    """
    others = dict(summary["settings"])
    for name in ("participants", "incidence"):
        others.pop(name, None)
    text = json.dumps([summary["version"], summary["seed"], others], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Listed:
    """The files of the input, and the values and splits that a table of files also has."""

    ecgs: list[BulkFile]
    cines: list[BulkFile]
    instances: list[int]
    values: PhenotypeTable | None = None
    splits: Mapping[str, str] = field(default_factory=dict)


def list_files(settings: config.Cohort, source: Sources) -> Listed:
    """List the ECG and cine files of a cohort, in its folders or in its table."""
    if settings.table:
        found = table_source.read(Path(settings.table), phenotypes=settings.phenotypes)
        instances = sorted({file.instance for file in (*found.ecgs, *found.cines)})
        return Listed(found.ecgs, found.cines, instances, found.values, found.splits)
    ecgs = inventory.find_ecgs(source.ecg_folders)
    cines = inventory.find_cines(source.cmr_folders, default_instance=settings.default_instance)
    return Listed(ecgs, cines, settings.instances)
