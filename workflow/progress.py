"""Estimate how long a run will still take, and log it after each job.

The estimate uses the durations of jobs of the same rule in this run and in earlier ones.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ptacl import config, training_cost

FLOPS = 50e9  # operations per second of a small training on two cores, until one has been measured
_EVERY_S = 5  # jobs that end within this time share a line
_ON_GPU = ("train", "embed")
_NO_WORK = ("all", "data", "embeddings")  # rules that only collect outputs


def follow(workflow: Any, settings: config.Config, *, benchmarks: Path, guess: bool) -> None:
    """Log the time left after each job of this run, through the log of Snakemake."""
    from snakemake.logging import logger

    estimate = Estimate(costs(settings), seconds_before(benchmarks), guess=guess)
    logger.addHandler(_Follower(workflow, estimate, tell=logger.info))


def costs(settings: config.Config) -> dict[str, float]:
    """Return the estimated seconds of a training by model, for one seed.

    They are computed from operation counts. Their ratios hold on any machine.
    """
    visits = settings.simulation.participants  # another cohort changes all models alike
    works = training_cost.trainings(settings, visits=visits)
    return {
        name: work.seconds(FLOPS) / max(len(settings.seeds_of(name)), 1)
        for name, work in works.items()
    }


def seconds_before(benchmarks: Path) -> dict[str, dict[str, float]]:
    """Return the seconds of jobs of earlier runs.

    They are grouped by rule, and by the model or shard in the name of their file.
    """
    found: dict[str, dict[str, float]] = {}
    for path in benchmarks.rglob("*.tsv"):
        rule, *of = path.relative_to(benchmarks).with_suffix("").parts
        try:
            found.setdefault(rule, {})["/".join(of)] = float(
                path.read_text().split("\n")[1].split("\t")[0]
            )
        except (ValueError, IndexError):
            continue  # the file of a killed job
    return found


class Estimate:
    """Estimate the seconds of jobs that have not run yet.

    Jobs of a rule are expected to take as long as the known jobs of this rule. The time of a
    training is proportional to its operation count.
    """

    def __init__(
        self, costs: Mapping[str, float], before: Mapping[str, Mapping[str, float]], *, guess: bool
    ) -> None:
        self.costs = costs
        self.guess = guess  # whether operation counts predict seconds on this machine
        self.known: dict[str, list[tuple[float, float]]] = {}
        for rule, jobs in before.items():
            amounts = [self._amount(rule, job.rpartition("-")[0]) for job in jobs]
            self.known[rule] = list(zip(amounts, jobs.values(), strict=True))
        self.fresh: set[str] = set()

    def add(self, rule: str, model: str, seconds: float) -> None:
        """Add a finished job of this run; earlier runs no longer count for its rule."""
        if rule not in self.fresh:
            self.fresh.add(rule)
            self.known[rule] = []
        self.known[rule].append((self._amount(rule, model), seconds))

    def seconds(self, rule: str, model: str) -> float:
        """Return the expected seconds of one job, or NaN if nothing is known."""
        amount = self._amount(rule, model)
        known = [(a, s) for a, s in self.known.get(rule, []) if a]  # only models that are trained
        if known:
            return amount * sum(s for _, s in known) / sum(a for a, _ in known)
        return amount if rule == "train" and (self.guess or not amount) else math.nan

    def _amount(self, rule: str, model: str) -> float:
        return self.costs.get(model, 0.0) if rule == "train" else 1.0


def left(
    jobs: Iterable[Any],
    *,
    seconds: Callable[[Any], float],
    before: Callable[[Any], Iterable[Any]],
    spent: Mapping[Any, float],
    at_once: float,
    on_gpu: Callable[[Any], bool],
    gpus: float,
) -> float:
    """Return the seconds until `jobs` are done.

    This is the time of all work with `at_once` jobs at a time, but at least the time that the GPUs
    or the longest chain of jobs need. `before` returns the jobs for which a job waits. `spent`
    holds the seconds for which running jobs have run.
    """
    rest = {job: max(seconds(job) - spent.get(job, 0.0), 0.0) for job in jobs}
    ends: dict[Any, float] = {}

    def end(job: Any) -> float:
        if job not in ends:
            ends[job] = rest[job] + max(
                (end(other) for other in before(job) if other in rest), default=0.0
            )
        return ends[job]

    gpu = sum(seconds for job, seconds in rest.items() if on_gpu(job))
    return max(sum(rest.values()) / max(at_once, 1.0), gpu / gpus, max(map(end, rest), default=0.0))


def line(seconds: float, unknown: Iterable[str], *, now: float) -> str:
    """Return the message: the rounded time left and the time of day of the end.

    `unknown` holds the rules of which no job has run, so that their duration is not known.
    """
    number = len(set(unknown))
    if number and seconds < 1:
        return "Nothing is known yet of how long the jobs left take."
    until = time.localtime(now + seconds)
    text = (
        f"{seconds / 3600:.1f} h"
        if seconds >= 5400
        else f"{seconds / 60:.0f} min"
        if seconds >= 90
        else f"{seconds:.0f} s"
    )
    day = "" if seconds < 43200 else time.strftime("%a ", until)
    beside = (
        f", without {number} stage{'s' * (number > 1)} of which none has run yet" if number else ""
    )
    return f"About {text} left, until {day}{time.strftime('%H:%M', until)}{beside}."


class _Follower(logging.Handler):
    """Handle the events of Snakemake, in the thread that writes them."""

    def __init__(self, workflow: Any, estimate: Estimate, *, tell: Callable[[str], None]) -> None:
        super().__init__()
        self.workflow, self.estimate, self.tell = workflow, estimate, tell
        self.started: dict[int, float] = {}
        self.ended: set[int] = set()
        self.told, self.busy, self.begin = -math.inf, 0.0, math.nan
        gpus = workflow.global_resources.get("gpu")
        self.gpus = float(getattr(gpus, "value", gpus) or math.inf)

    def emit(self, record: logging.LogRecord) -> None:
        """Process an event; an error here must not end the run."""
        try:
            self._take(str(getattr(record, "event", "")), record)
        except Exception:
            self.handleError(record)

    def _take(self, event: str, record: Any) -> None:
        now = time.time()
        if event == "job_started":
            self.begin = now if math.isnan(self.begin) else self.begin
            self.started.update(dict.fromkeys(record.jobs, now))
        elif event == "job_finished" and record.job_id in self.started:
            self.ended.add(record.job_id)
            job = next(
                (job for job in self.workflow.dag.needrun_jobs() if job.jobid == record.job_id),
                None,
            )
            seconds = now - self.started.pop(record.job_id)
            self.busy += seconds
            if job is not None:
                self.estimate.add(job.rule.name, _model(job), seconds)
        elif event == "job_error" and record.jobid in self.started:
            self.busy += now - self.started.pop(record.jobid)
        elif event == "progress" and record.done < record.total and now - self.told >= _EVERY_S:
            self.told = now
            self.tell(self._line(now))

    def _line(self, now: float) -> str:
        jobs = [
            j
            for j in self.workflow.dag.needrun_jobs()
            if j.jobid not in self.ended and j.rule.name not in _NO_WORK
        ]
        expected = {job: self.estimate.seconds(job.rule.name, _model(job)) for job in jobs}
        running = {job: now - self.started[job.jobid] for job in jobs if job.jobid in self.started}
        at_once = (self.busy + sum(running.values())) / max(now - self.begin, 1.0)
        seconds = left(
            jobs,
            seconds=lambda job: 0.0 if math.isnan(expected[job]) else expected[job],
            before=lambda job: self.workflow.dag.dependencies[job],
            spent=running,
            at_once=at_once,
            on_gpu=lambda job: job.rule.name in _ON_GPU,
            gpus=self.gpus,
        )
        return line(seconds, (job.rule.name for job in jobs if math.isnan(expected[job])), now=now)


def _model(job: Any) -> str:
    return str(job.wildcards_dict.get("model", ""))
