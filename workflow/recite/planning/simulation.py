"""A plan's jobs scheduled on servers: how long they take together, and what they wait for.

List scheduling: whenever a job ends, all jobs that are ready and fit are started, the longest first; a job's GPUs and
cores lie on one server, the fullest that has room. A job that does not fit is passed by others. Nothing is random.
"""

import heapq
from collections.abc import Sequence
from typing import NamedTuple

from recite.errors import ReciteError
from recite.planning.costs import Machine
from recite.planning.job import Job


class Run(NamedTuple):
    """When and where a job ran, in seconds from the start of the study."""

    job: Job
    server: int
    start: float
    end: float


class Schedule(NamedTuple):
    """Runs in the order of their starts; `chain` is the costliest chain of jobs that wait for each other."""

    runs: list[Run]
    gpus: int
    cores: int
    chain: list[Job]

    @property
    def makespan(self) -> float:
        """Seconds from the first start to the last end."""
        return max((run.end for run in self.runs), default=0.0)

    @property
    def gpu_seconds(self) -> float:
        return sum(run.job.gpus * run.job.seconds for run in self.runs)

    @property
    def idle(self) -> float | None:
        """Share of the GPUs' time in which they have no job; None without GPUs or time."""
        there = self.gpus * self.makespan
        return 1 - self.gpu_seconds / there if there else None

    @property
    def bounds(self) -> dict[str, float]:
        """What no schedule can beat, in seconds: the work of GPUs and of cores shared out evenly, and the chain."""
        return {
            "GPU work": self.gpu_seconds / self.gpus if self.gpus else 0.0,
            "core work": sum(run.job.cores * run.job.seconds for run in self.runs) / self.cores,
            "critical path": sum(job.seconds for job in self.chain),
        }


class _Waiting:
    """Jobs that have not started: those that are ready in heaps, the longest first, apart by what they take."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = jobs
        index_of = {job.name: index for index, job in enumerate(jobs)}
        self.missing = [len(set(job.after)) for job in jobs]
        self.followers: list[list[int]] = [[] for _ in jobs]
        self.heaps: dict[tuple[int, int], list[tuple[float, int]]] = {}
        for index, job in enumerate(jobs):
            for name in dict.fromkeys(job.after):
                self.followers[index_of[name]].append(index)
            if not job.after:
                self._ready(index)

    def done(self, index: int) -> None:
        """A job has ended: what waited for it alone is ready."""
        for follower in self.followers[index]:
            self.missing[follower] -= 1
            if not self.missing[follower]:
                self._ready(follower)

    def take(self, servers: "_Servers") -> tuple[int, int] | None:
        """Index and server of the longest job that is ready and fits, of equal ones the first; or None."""
        waiting = [(heap[0], needs) for needs, heap in self.heaps.items() if heap]
        for _, needs in sorted(waiting):
            server = servers.room(*needs)
            if server is not None:
                return heapq.heappop(self.heaps[needs])[1], server
        return None

    def _ready(self, index: int) -> None:
        job = self.jobs[index]
        heapq.heappush(self.heaps.setdefault((job.gpus, job.cores), []), (-job.seconds, index))


class _Servers:
    def __init__(self, machine: Machine) -> None:
        self.gpus = [machine.gpus] * machine.servers
        self.cores = [machine.cores] * machine.servers

    def room(self, gpus: int, cores: int) -> int | None:
        """The fullest server that can take a job, so that whole servers stay free for jobs of many GPUs."""
        fitting = [index for index, free in enumerate(self.gpus) if free >= gpus and self.cores[index] >= cores]
        return min(fitting, key=lambda index: (self.gpus[index], self.cores[index], index)) if fitting else None

    def take(self, server: int, job: Job) -> None:
        self.gpus[server] -= job.gpus
        self.cores[server] -= job.cores

    def free(self, server: int, job: Job) -> None:
        self.gpus[server] += job.gpus
        self.cores[server] += job.cores


def simulate(jobs: Sequence[Job], machine: Machine) -> Schedule:
    """Schedule `jobs`, whose names are unique. Raises ReciteError for a job that no server can hold."""
    machine.check()
    for job in jobs:
        if job.gpus > machine.gpus or job.cores > machine.cores:
            raise ReciteError(
                f"job {job.name} needs {job.gpus} GPUs and {job.cores} cores of one server, which has {machine.gpus} "
                f"and {machine.cores}; raise --gpus or --cores."
            )
    waiting, servers = _Waiting(jobs), _Servers(machine)
    now = 0.0
    runs: list[Run] = []
    running: list[tuple[float, int, int]] = []
    while len(runs) < len(jobs) or running:
        while taken := waiting.take(servers):
            index, server = taken
            servers.take(server, jobs[index])
            runs.append(Run(jobs[index], server, now, now + jobs[index].seconds))
            heapq.heappush(running, (runs[-1].end, index, server))
        if not running:
            raise ValueError("jobs wait for one another in a circle")
        now = running[0][0]
        while running and running[0][0] == now:
            _, index, server = heapq.heappop(running)
            servers.free(server, jobs[index])
            waiting.done(index)
    return Schedule(runs, machine.servers * machine.gpus, machine.servers * machine.cores, costliest_chain(runs))


def costliest_chain(runs: Sequence[Run]) -> list[Job]:
    """The chain of jobs, each waiting for the one before, that takes longest; runs of earlier jobs start earlier."""
    best: dict[str, tuple[float, str | None]] = {}
    jobs = {run.job.name: run.job for run in runs}
    for job in jobs.values():
        before = max(job.after, key=lambda name: best[name][0], default=None)
        best[job.name] = (best[before][0] if before else 0.0) + job.seconds, before
    chain = []
    last = max(best, key=lambda name: best[name][0], default=None)
    while last:
        chain.append(jobs[last])
        last = best[last][1]
    return chain[::-1]
