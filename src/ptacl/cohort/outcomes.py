"""Stage: dates of diseases, death and follow-up, as outcomes of each visit.

Time zero is the date of the visit. A disease is *before* if its first date is on or before this
day. After it, the time to event ends at the disease, at death, at the loss to follow-up, or at the
end of the hospital data of the participant's nation, whichever is first. UK Biobank does not cut
its data at that end, so later dates are ignored here. No date means that the disease was never
recorded.

Some dates are codes (coding 819). 1902-02-02 (the day of birth) and 1903-03-03 (the year of birth)
are before the visit. 1900-01-01 (no date), 1901-01-01 (before birth), 1909-09-09 and 2037-07-07
(placeholders) say that the disease was recorded, but not when: the participant is then left out of
this disease and counted.

The table has one row per visit and, for each disease, the columns

- `NAME before`: 1, 0, or empty if unknown,
- `NAME years`: time from the visit in years, empty for visits that cannot be followed: with the
  disease before, unknown, or without any follow-up after the visit,
- `NAME event`: 0 end of follow-up, 1 the disease, 2 death.
"""

import argparse
import json
import logging
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ptacl import config, stage
from ptacl.cohort import date_tables, outcome_columns, small_counts, sources, table_source
from ptacl.cohort.date_tables import CENTRE, DEATH, LOST, VISIT
from ptacl.cohort.simulation import outcome_ceiling
from ptacl.disease.discrimination import CENSORED, DIED, EVENT
from ptacl.participants import read as read_participants

LOG = logging.getLogger(__name__)

AT_BIRTH = pd.to_datetime(["1902-02-02", "1903-03-03"])
UNKNOWN = pd.to_datetime(["1900-01-01", "1901-01-01", "1909-09-09", "2037-07-07"])
DAYS_PER_YEAR = 365.25

# Assessment centres (field 54) by code and by name. All others are in England.
NATIONS = {
    "Scotland": ("11004", "11005", "Glasgow", "Edinburgh"),
    "Wales": ("11003", "11022", "11023", "Cardiff", "Swansea", "Wrexham"),
}


def nation(centre: "pd.Series[str]") -> "pd.Series[str]":
    """Return the nation of each participant by the centre of the first assessment.

    The nation is empty if the centre is.
    """
    named = centre.str.strip().str.removesuffix(".0")
    found = pd.Series("England", index=centre.index).where(named != "", "")
    for name, centres in NATIONS.items():
        found[named.isin(centres)] = name
    return found


def before_and_first(
    dates: pd.DataFrame, visit: "pd.Series[pd.Timestamp]"
) -> tuple["pd.Series[float]", "pd.Series[pd.Timestamp]"]:
    """Return whether a disease was before the visit, and its first date.

    `dates` has one column per field. The first is 1, 0, or NaN if it cannot be known.
    """
    at_birth = dates.isin(list(AT_BIRTH)).any(axis=1)
    unknown = dates.isin(list(UNKNOWN)).any(axis=1)
    real = dates.where(~dates.isin([*AT_BIRTH, *UNKNOWN]))
    first = real.min(axis=1)
    before = at_birth | (first <= visit)
    known = before | ~unknown
    return before.astype(float).where(known & visit.notna()), first


def follow(
    before: "pd.Series[float]",
    first: "pd.Series[pd.Timestamp]",
    *,
    visit: "pd.Series[pd.Timestamp]",
    death: "pd.Series[pd.Timestamp]",
    end: "pd.Series[pd.Timestamp]",
) -> pd.DataFrame:
    """Return the columns years and event of a disease.

    `end` is the end of follow-up without death: the loss, or the end of the nation's data.
    """
    last = pd.concat([end, death], axis=1).min(axis=1).where(end.notna())
    event = pd.Series(float(CENSORED), index=visit.index)
    event[(death <= last).to_numpy(bool)] = DIED
    occurs = (first <= last).to_numpy(bool)
    event[occurs] = EVENT
    last = last.where(~occurs, first)
    years = (last - visit).dt.days / DAYS_PER_YEAR
    usable = (before == 0) & (years > 0)
    return pd.DataFrame({"years": years.where(usable), "event": event.where(usable)})


def of_visits(
    visits: Sequence[str], dates: date_tables.DateTable, settings: config.Outcomes
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the outcomes of some visits, one row each, and counts by disease.

    Raises ValueError if a table has no date of the visits, or a nation no end of follow-up.
    """
    index = pd.Index(visits, name="visit")
    people = pd.Index([visit.rpartition("_")[0] for visit in visits])
    instances = np.array([int(visit.rpartition("_")[2]) for visit in visits])
    when = pd.Series(pd.NaT, index=index, dtype="datetime64[ns]")
    for instance in np.unique(instances):
        here = instances == instance
        when[here] = dates.of(VISIT, int(instance)).reindex(people).to_numpy()[here]
    if when.isna().all():
        raise ValueError(
            f"the phenotype tables have no date of the visits: export field {VISIT} (date of "
            "attending the assessment centre) at the instances of cohort.instances"
        )
    table = pd.DataFrame(index=index)
    counts: dict[str, Any] = {"visits": len(visits), "without a date": int(when.isna().sum())}
    follow_up = _follow_up(people, dates, settings, index) if settings.follow_up else None
    for disease in settings.listed:
        if missing := [field for field in disease.fields if not dates.has(field)]:
            raise ValueError(
                f"outcomes.diseases: {disease.name}: no phenotype table has field {missing[0]}: "
                "export it, or remove it"
            )
        of_disease = pd.DataFrame(
            {field: dates.of(field, 0).reindex(people).to_numpy() for field in disease.fields},
            index=index,
        )
        before, first = before_and_first(of_disease, when)
        table[f"{disease.name} before"] = before
        of_counts: dict[str, Any] = {
            "before": int((before == 1).sum()),
            "date unknown": int(before.isna().sum()),
        }
        if not disease.only_before and follow_up is not None:
            death, end = follow_up
            found = follow(before, first, visit=when, death=death, end=end)
            table[f"{disease.name} years"], table[f"{disease.name} event"] = (
                found["years"],
                found["event"],
            )
            of_counts |= {
                "followed": int(found["years"].notna().sum()),
                "after": int((found["event"] == EVENT).sum()),
                "died before it": int((found["event"] == DIED).sum()),
            }
            if found["years"].notna().any():
                of_counts["years, median"] = round(float(found["years"].median()), 2)
        counts[disease.name] = of_counts
    return table.reset_index(), counts


def _follow_up(
    people: "pd.Index[str]",
    dates: date_tables.DateTable,
    settings: config.Outcomes,
    index: "pd.Index[str]",
) -> tuple["pd.Series[pd.Timestamp]", "pd.Series[pd.Timestamp]"]:
    """Return the dates of death and of the end of follow-up."""
    for field, what in ((CENTRE, "the centre of the first assessment"), (DEATH, "date of death")):
        if not dates.has(field):
            raise ValueError(
                f"outcomes: the phenotype tables have no field {field} ({what}), which the "
                "follow-up needs: export it, or set only_before for all diseases"
            )
    death = pd.concat(
        [dates.of(DEATH, instance).reindex(people) for instance in (0, 1)], axis=1
    ).min(axis=1)
    nations = nation(dates.centre.reindex(people).fillna(""))
    if lacking := sorted(set(nations) - {"", *settings.follow_up_ends}):
        raise ValueError(
            f"outcomes.follow_up_ends: no date for {lacking[0]}, where some participants live"
        )
    ends = {name: pd.Timestamp(day) for name, day in settings.follow_up_ends.items()}
    of_nation = pd.to_datetime(nations.map(ends))
    lost = dates.of(LOST, 0).reindex(people)
    end = pd.concat([of_nation, lost], axis=1).min(axis=1).where(of_nation.notna())
    return death.set_axis(index), end.set_axis(index)


def of_table(
    visits: Sequence[str], path: Path, settings: config.Outcomes
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the outcomes that the table of another cohort holds, with counts.

    The table has the columns of this stage itself. Raises ValueError for a missing column.
    """
    rows = table_source.text(path)
    rows.index = pd.Index(rows["participant"] + "_" + rows["visit"])
    columns = []
    for disease in settings.listed:
        columns += outcome_columns.names(disease.name, only_before=disease.only_before)
    if missing := [name for name in columns if name not in rows]:
        raise ValueError(f"{path}: no column {missing[0]!r}, which outcomes.diseases needs")
    values = outcome_columns.read(rows, columns, path=path).reindex(list(visits))
    counts: dict[str, Any] = {"visits": len(visits)}
    for disease in settings.listed:
        of_counts = {"before": int((values[f"{disease.name} before"] == 1).sum())}
        if not disease.only_before:
            event = values[f"{disease.name} event"]
            of_counts |= {"followed": int(event.notna().sum()), "after": int((event == 1).sum())}
        counts[disease.name] = of_counts
    return values.rename_axis("visit").reset_index(), counts


def main() -> None:
    """Run the stage from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", required=True, help="section outcomes, as JSON")
    parser.add_argument("--participants", required=True, type=Path, help="visits.csv")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--tables", nargs="+", type=Path, help="phenotype tables of UK Biobank")
    source.add_argument("--table", type=Path, help="table of another cohort")
    source.add_argument("--simulated", type=Path, help="folder of the simulated cohort")
    parser.add_argument("--simulated-summary", type=Path, help="its summary")
    parser.add_argument(
        "--smallest-count", required=True, type=int, help="smaller counts are hidden in --json"
    )
    parser.add_argument("--out", required=True, type=Path, help="CSV file to write")
    parser.add_argument("--json", required=True, type=Path, help="counts to write")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    settings = config.Outcomes.model_validate_json(args.settings)
    visits = read_participants(args.participants)["visit"].tolist()
    if args.table:
        table, counts = of_table(visits, args.table, settings)
    else:
        tables = args.tables or sources.tables_of(args.simulated)
        fields = set(chain.from_iterable(disease.fields for disease in settings.listed))
        dates = date_tables.read(tables, fields=fields)
        table, counts = of_visits(visits, dates, settings)
        counts["cells that are no date"] = dates.unreadable
        if args.simulated:
            simulation = json.loads(args.simulated_summary.read_text())
            counts["ceiling"] = outcome_ceiling.ceiling(
                config.Simulation.model_validate(simulation["settings"]),
                settings,
                seed=simulation["seed"],
            )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(args.out, index=False, float_format="%.6g", lineterminator="\n")
    args.json.parent.mkdir(parents=True, exist_ok=True)
    hidden = small_counts.hidden(counts, least=args.smallest_count)
    for of_disease in hidden.values():
        if isinstance(of_disease, dict) and isinstance(of_disease.get("followed"), str):
            of_disease.pop("years, median", None)  # of a few people
    args.json.write_text(json.dumps(hidden, indent=1) + "\n")
    LOG.info("outcomes of %d visits", len(table))


if __name__ == "__main__":
    stage.run(main)
