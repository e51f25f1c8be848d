"""Say why a cohort is empty: what the files and tables hold, and what to change."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import pandas as pd

from ptacl.cohort.inventory import BulkFile
from ptacl.cohort.phenotypes import PhenotypeTable
from ptacl.cohort.sources import Listed


def nothing_paired(listed: Listed, instances: Collection[int]) -> str:
    """Say why no visit has both an ECG and a cine."""
    ecgs, cines = ({file.participant for file in files} for files in (listed.ecgs, listed.cines))
    found = (
        f"no visit has both an ECG and a cine (ECGs: {_by_instance(listed.ecgs)}; cines: "
        f"{_by_instance(listed.cines)})"
    )
    if ecgs & cines:
        return (
            f"{found}, although {len(ecgs & cines):,} participants have both: name instances that "
            f"have both in cohort.instances, which is {sorted(instances)}"
        )
    return (
        f"{found}, and no participant has both: check that both folders belong to the same UK "
        "Biobank application, because ids differ between applications"
    )


def _by_instance(files: Sequence[BulkFile]) -> str:
    counts = Counter(file.instance for file in files)
    return ", ".join(f"{count:,} of instance {k}" for k, count in sorted(counts.items())) or "none"


def no_phenotype(
    tables: Sequence[str], names: Sequence[str], manifest: pd.DataFrame, found: PhenotypeTable
) -> str:
    """Say why none of the paired visits has a value of any phenotype in `names`."""
    where = ", ".join(tables)
    if unread := unreadable(found.unreadable, names=names):
        return f"{where}: no cell of a phenotype is a number ({unread}): give numbers"
    visits = [visit.split("_") for visit in found.values[list(names)].dropna(how="all").index]
    if not visits:
        return f"{where}: all cells of the phenotypes are empty: {', '.join(names)}"
    if {visit[0] for visit in visits} & set(manifest["participant"]):
        return (
            f"{where}: the tables have phenotypes of {_instances(visit[1] for visit in visits)}, "
            f"but the paired visits are of {_instances(manifest['instance'])}: export the columns "
            "of these instances"
        )
    return (
        f"{where}: the tables have no row for any of the {len(manifest):,} paired visits: use "
        "tables and files of the same UK Biobank application, because ids differ between "
        "applications"
    )


def _instances(numbers: Iterable[int | str]) -> str:
    return "instance " + ", ".join(map(str, sorted({int(number) for number in numbers})))


def unreadable(counts: Mapping[str, Mapping[str, int]], *, names: Sequence[str]) -> str:
    """List the cells of the columns in `names` that are not numbers; empty if there are none."""
    return "; ".join(
        f"{name}: " + ", ".join(f"{n:,} cells with {why}" for why, n in counts[name].items())
        for name in names
        if counts.get(name)
    )
