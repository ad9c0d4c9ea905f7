"""Limits: the run time and the main memory that a job asks a cluster's scheduler for.

Both follow from the plan of the study, with a margin, and double at every further attempt. They decide nothing of what
a job computes.
"""

from collections.abc import Mapping
from functools import cached_property

from recite.errors import ReciteError
from recite.planning.costs import Machine
from recite.planning.job import Job
from recite.planning.planner import Planner
from recite.study.study import Study

MARGIN = 4
"""How much longer a job may take than planned: the plan rests on one model of one size, on one GPU."""
LEAST_MINUTES = 15
"""For small jobs, whose time is that of a file system and of imports on a busy node."""
UNPLANNED_MINUTES = 8 * 60
"""For jobs of a study that cannot be planned, as its models or corpora say too little of themselves."""
FETCHING_MINUTES = 24 * 60
"""For jobs that download, which no plan counts."""

BASE_MEGABYTES = 2000
"""Imports, and a mini model with its batch."""
WEIGHTS = 3
"""Main memory of a job that runs a model for each byte of its weights: those read, those loaded, and what passes."""
READ = 2
"""The same for each byte of tables that a job sums up, packed on disk."""
READER_MEGABYTES = 500
"""For each process that reads a corpus (`make bench-sampling`: at most 249)."""


class Limits:
    """What the jobs of a study ask for; `machine` is what the plan is made for."""

    def __init__(self, study: Study, machine: Machine | None = None) -> None:
        self.study, self.machine = study, machine or Machine()

    @cached_property
    def jobs(self) -> dict[str, Job]:
        """The plan's jobs by name; none of a study that cannot be planned."""
        try:
            return {job.name: job for job in Planner(self.study, self.machine).jobs}
        except ReciteError:
            return {}

    def job(self, rule: str, wildcards: Mapping[str, str]) -> Job | None:
        """The plan's job for a job of the DAG, or None."""
        return self.jobs.get(self.study.rules[rule].path.format_map(wildcards))

    def minutes(self, rule: str, wildcards: Mapping[str, str], attempt: int) -> int:
        """Run time of a job's attempt, the first being 1."""
        job = self.job(rule, wildcards)
        planned = UNPLANNED_MINUTES if job is None and not self.jobs else LEAST_MINUTES
        if job is not None:
            planned = max(planned, -(-int(MARGIN * job.seconds) // 60))
        if self.study.config["fetch"] and self.study.rules[rule].fetches:
            planned = max(planned, FETCHING_MINUTES)
        return int(planned * 2 ** (attempt - 1))

    def megabytes(self, rule: str, wildcards: Mapping[str, str], attempt: int) -> int:
        """Main memory of a job's attempt, the first being 1."""
        needed = BASE_MEGABYTES
        asked = self.study.rules[rule]
        if asked.runs_model or asked.loads_model:
            needed += WEIGHTS * self.study.weight_bytes(wildcards["model"]) // 10**6
        elif fixed := asked.megabytes(self.study):
            needed = fixed
        elif job := self.job(rule, wildcards):
            read = sum(self.jobs[name].written for name in job.after) if job.held is None else job.held
            needed += READ * read // 10**6 + (job.cores - 1) * READER_MEGABYTES
        return int(needed * 2 ** (attempt - 1))
