"""The time left, as told while a run is under way."""

import importlib.util
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from ptacl import check_needs, config

ROOT = Path(__file__).parents[1]
_SPEC = importlib.util.spec_from_file_location("progress", ROOT / "workflow/progress.py")
progress = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(progress)


def test_a_training_is_expected_in_proportion_to_its_arithmetic() -> None:
    estimate = progress.Estimate({"small": 10.0, "large": 40.0}, {}, guess=False)
    assert math.isnan(estimate.seconds("train", "large"))
    estimate.add("train", "small", 5.0)
    assert estimate.seconds("train", "large") == 20.0
    assert estimate.seconds("train", "random") == 0.0
    estimate.add("train", "random", 3000.0)
    assert estimate.seconds("train", "large") == 20.0


def test_arithmetic_alone_is_a_guess_where_it_may_be() -> None:
    assert progress.Estimate({"large": 40.0}, {}, guess=True).seconds("train", "large") == 40.0


def test_this_run_counts_and_earlier_runs_until_then() -> None:
    before = {
        "train": {"small-0": 30.0, "large-1": 120.0},
        "embed": {"small-0": 4.0, "large-0": 6.0},
    }
    estimate = progress.Estimate({"small": 10.0, "large": 40.0}, before, guess=True)
    assert (estimate.seconds("train", "small"), estimate.seconds("embed", "large")) == (30.0, 5.0)
    estimate.add("train", "small", 10.0)
    estimate.add("embed", "small", 1.0)
    assert (estimate.seconds("train", "large"), estimate.seconds("embed", "large")) == (40.0, 1.0)


def test_costs_of_the_default_rows_are_those_that_check_tells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = config.load(ROOT / "config.yaml")
    costs = progress.costs(settings)
    assert costs["ptacl"] == costs["global"] > costs["cmr_mae"] > 0 and "ecg_random" not in costs
    # Both on a machine of the same speed.
    monkeypatch.setattr(check_needs, "rate", lambda: progress.FLOPS / check_needs.SHARE_CPU)
    visits = settings.simulation.participants
    told = check_needs.needs(settings, visits=visits, seconds={}, cores=1)["trainings"]
    assert told.keys() == costs.keys()
    for name, text in told.items():
        assert text == f"{check_needs.hours(costs[name])} on the CPU of this machine, estimate"
    three = progress.costs(settings.model_copy(update={"seeds": [0, 1, 2]}))
    assert three["ptacl"] == pytest.approx(costs["ptacl"])


def test_files_of_earlier_runs_and_of_killed_jobs(tmp_path: Path) -> None:
    for name, text in {
        "train/ptacl-0": "s\th:m:s\n12.5\t0:00:12\n",
        "tables": "s\n3\n",
        "embed/x-0": "",
        "embed/y-0": "s\n-\n",
    }.items():
        (tmp_path / f"{name}.tsv").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.tsv").write_text(text)
    assert progress.seconds_before(tmp_path) == {"train": {"ptacl-0": 12.5}, "tables": {"": 3.0}}
    assert progress.seconds_before(tmp_path / "none") == {}


def test_time_left_is_bound_by_work_and_by_the_longest_chain() -> None:
    seconds, before = {"a": 10.0, "b": 10.0, "c": 5.0, "d": 1.0}, {"c": ["a", "done"], "d": ["c"]}
    how = {
        "seconds": seconds.get,
        "before": lambda job: before.get(job, []),
        "on_gpu": "ab".__contains__,
        "gpus": math.inf,
    }
    assert progress.left("abcd", **how, spent={}, at_once=1) == 26
    assert progress.left("abcd", **how, spent={}, at_once=8) == 16
    assert progress.left("abcd", **how, spent={"a": 4.0, "b": 99.0}, at_once=8) == 12
    assert progress.left("abcd", **how | {"gpus": 1}, spent={}, at_once=8) == 20
    assert progress.left([], **how, spent={}, at_once=0) == 0


def test_the_line_says_what_it_does_not_know() -> None:
    noon = time.mktime((2026, 1, 5, 12, 0, 0, 0, 0, -1))
    assert progress.line(300, [], now=noon) == "About 5 min left, until 12:05."
    assert (
        progress.line(60, ["embed", "embed"], now=noon)
        == "About 60 s left, until 12:01, without 1 stage of which none has run yet."
    )
    assert progress.line(15 * 3600, [], now=noon) == "About 15.0 h left, until Tue 03:00."
    assert "Nothing is known" in progress.line(0, ["embed"], now=noon)


@dataclass(eq=False)
class Job:
    jobid: int
    rule: SimpleNamespace
    wildcards_dict: dict[str, str]


def job(number: int, rule: str, **wildcards: str) -> Job:
    return Job(number, SimpleNamespace(name=rule), wildcards)


def test_events_become_lines_and_an_error_costs_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [
        job(1, "train", model="small"),
        job(2, "train", model="large"),
        job(3, "all"),
        job(4, "data"),
    ]
    dag = SimpleNamespace(needrun_jobs=lambda: iter(jobs), dependencies={j: {} for j in jobs})
    told, clock = [], [1000.0]
    monkeypatch.setattr(progress.time, "time", lambda: clock[0])
    estimate = progress.Estimate({"small": 10.0, "large": 40.0}, {}, guess=False)
    follower = progress._Follower(
        SimpleNamespace(dag=dag, global_resources={"gpu": 4}), estimate, tell=told.append
    )

    def event(name: str, **values: object) -> None:
        follower.handle(logging.makeLogRecord({"event": name, **values}))

    event("job_started", jobs=[1])
    clock[0] += 20
    event("job_finished", job_id=1)
    event("progress", done=1, total=3)
    assert len(told) == 1 and told[0].startswith("About 80 s left")
    event("progress", done=1, total=3)
    assert len(told) == 1, "jobs that end together share a line"
    monkeypatch.setattr(logging, "raiseExceptions", False)
    event("job_started")
    event("job_started", jobs=[2])
    clock[0] += 30
    event("progress", done=1, total=3)
    assert told[1].startswith("About 50 s left")
    event("job_error", jobid=2)
    clock[0] += 60
    event("progress", done=1, total=3)
    assert told[2].startswith("About 80 s left")
