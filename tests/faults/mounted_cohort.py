"""The cohort of the fixture `source` as one of files."""

import csv
from pathlib import Path

from ptacl import config
from ptacl.cohort import manifest, sources


def cohort(settings: config.Config, folder: Path) -> config.Cohort:
    """The settings of the simulated files as a cohort of files."""
    found = {
        "source": "files",
        "ecg_folders": [str(folder / "ecg")],
        "cmr_folders": [str(folder / "nifti")],
        "phenotype_tables": [str(folder / "phenotypes/table_exporter.csv")],
        "shards": 1,
        "test_fraction": 0.4,
    }
    return settings.cohort.model_copy(update=found)


def members(settings: config.Config, folder: Path) -> list[dict[str, str]]:
    """The list of one shard with all visits."""
    of = cohort(settings, folder)
    pairs = manifest.build(of, sources.locate(of, simulated=None, summary=None), withdrawn=set())[1]
    (text,) = manifest.shard_lists(pairs.pairs, shards=1, version="")
    return list(csv.DictReader(text.splitlines()))
