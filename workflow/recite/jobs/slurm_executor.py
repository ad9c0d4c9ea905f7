"""Snakemake's SLURM plugin, mended where it loses jobs; `mend` puts this in its place.

All that we change of the plugin is here. It is for one version: `tests/unit/jobs/test_slurm_executor.py` shows each of
these faults with the plugin as it is, and so fails with a version that needs this no more.

- A job that ended PREEMPTED, REVOKED, "CANCELLED by 1000", or by its node though it may be requeued, or that SLURM no
  longer lists, is waited for for ever.
- While SLURM does not say how jobs are, it forgets those that run.
- A job that SLURM does not take now loses its attempts within seconds; so does one that it will never take; one that it
  takes without being able to say so runs twice.
- Ctrl-C leaves alone what is under look or still to be submitted, which then runs without a head.
"""

import re
import subprocess
import threading
from collections import Counter
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import snakemake_executor_plugin_slurm as plugin
from snakemake.logging import logger
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

from recite.jobs.refusals import passes, words_of

VERSION = "2.8.0"
"""Of the plugin, as in envs/recite.yaml."""
ENDED = (
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "LAUNCH_FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "RECONFIG_FAIL",
    "REVOKED",
    "TIMEOUT",
)
"""States in which SLURM will do nothing more with a job. In all others (PENDING, CONFIGURING, RUNNING, RESIZING,
SIGNALING, STAGE_OUT, COMPLETING, SUSPENDED, STOPPED, REQUEUED, REQUEUE_FED, REQUEUE_HOLD, RESV_DEL_HOLD, SPECIAL_EXIT,
and what later versions may add) it runs, will run, or is held until somebody lets it run."""
LOOKS = 2
"""How often in a row a job is not listed before it is taken as gone: a controller that starts may not list all yet."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 60.0
"""Seconds between two tries to submit a job that SLURM does not take yet; each is twice the one before."""
_query = plugin.query_job_status


def mend() -> None:
    """Let Snakemake use the mended plugin, if it is of the version that this is for."""
    found = version("snakemake-executor-plugin-slurm")
    if found == VERSION:
        ExecutorPluginRegistry().get_plugin("slurm").executor = Executor
    else:
        logger.warning(
            f"snakemake-executor-plugin-slurm {found} is used as it is and may lose jobs: Recite mends {VERSION} only "
            f"(pip install snakemake-executor-plugin-slurm=={VERSION})"
        )


def ended(state: str | None) -> str | None:
    """The state, as one word, if SLURM will do nothing more with the job. Accounting adds by whom it was cancelled."""
    word = re.match(r"[A-Z_]+", state or "")
    return word[0] if word and word[0] in ENDED else None


def finished_by_log(path: Path) -> bool:
    """Whether the Snakemake that ran in a job wrote that all was done; its words reach the log before SLURM ends it."""
    try:
        lines = path.read_text(errors="replace")
    except OSError:
        return False
    return re.search(r"^\d+ of \d+ steps \(100%\) done$", lines, re.MULTILINE) is not None


class Executor(plugin.Executor):
    """The plugin's executor, which loses no job."""

    def __post_init__(self, *given: Any, **named: Any) -> None:
        self._states: dict[str, str] | None = None
        self._unlisted: Counter[str] = Counter()
        self._stopped = threading.Event()
        self._refused = threading.local()
        self._said: set[str] = set()
        self._numbers: set[str] = set()
        plugin.query_job_status = self._remember
        super().__post_init__(*given, **named)

    async def _remember(self, command: str, log: Any) -> Any:
        """The plugin's question to SLURM. The answer is kept; what the plugin would leave to SLURM it is not told."""
        self._states, seconds = await _query(command, log)
        if self._states is None:
            return None, None
        left = ("PREEMPTED", "NODE_FAIL") if self.workflow.executor_settings.requeue else ("PREEMPTED",)
        return {job: state for job, state in self._states.items() if state not in left}, seconds

    async def check_active_jobs(self, active_jobs: list[Any]) -> AsyncIterator[Any]:
        """Jobs that go on; those that ended are reported. After the plugin's look, what it would wait for is judged."""
        self._states = None
        looked = super().check_active_jobs(active_jobs)
        waiting = [job async for job in looked]
        if self._states is None:
            waiting = active_jobs
        doubtful = [job for job in waiting if self._doubtful(job)]
        ends = await self._ends(doubtful) if doubtful else {}
        for job in waiting:
            end = ends.get(job.external_jobid)
            if end is None:
                yield job
            elif end == "COMPLETED":
                self.report_job_success(job)
            else:
                self.report_job_error(job, msg=f"SLURM job {job.external_jobid} ended: {end}. ", aux_logs=[_log(job)])

    def _doubtful(self, job: Any) -> bool:
        """Whether a job may have ended; tasks of arrays and jobs of other clusters are listed in other ways."""
        number = job.external_jobid
        if self._submitted_job_clusters or not number.isdigit():
            return False
        state = (self._states or {}).get(number)
        if state is None or ended(state):
            return True
        del self._unlisted[number]
        return False

    async def _ends(self, doubtful: list[Any]) -> dict[str, str | None]:
        """How each job ended; None where it goes on, or that is not certain yet.

        Accounting may be late, and the queue forgets: the queue has the last word on what it still knows.
        """
        queue, _ = await _query(plugin.query_job_status_squeue(self.run_uuid), self.logger)
        if queue is None:
            return {}
        books, _ = await _query(plugin.query_job_status_sacct(self.run_uuid), self.logger)
        return {job.external_jobid: self._end(job, queue, books or {}) for job in doubtful}

    def _end(self, job: Any, queue: dict[str, str], books: dict[str, str]) -> str | None:
        number = job.external_jobid
        if number in queue:
            del self._unlisted[number]
            return ended(queue[number])
        if end := ended(books.get(number)):
            return end
        self._unlisted[number] += 1
        if self._unlisted[number] < LOOKS:
            return None
        return "COMPLETED" if finished_by_log(Path(_log(job))) else "SLURM lists it no more, and it did not finish"

    def run_job(self, job: Any) -> None:
        """Submit a job, in a thread of its own; while SLURM takes none, wait."""
        pause = FIRST_PAUSE
        while True:
            self._refused.words = None
            super().run_job(job)
            words = self._refused.words
            if words is None:
                return
            if words not in self._said:
                self._said.add(words)
                self.logger.warning(f"SLURM takes no job now: {words}. Jobs wait until it does, and lose no attempt.")
            if self._stopped.wait(pause) or self._taken(job):
                return
            pause = min(2 * pause, LONGEST_PAUSE)

    def _taken(self, job: Any) -> bool:
        """Whether SLURM has taken a job though its answer was lost; it is then waited for like any other."""
        kind, wildcards = "group" if job.is_group() else "rule", plugin.get_job_wildcards(job)
        comment = f"{kind}_{job.name}" + (f"_wildcards_{wildcards}" if wildcards else "")
        command = ["squeue", "--noheader", "--states=all", f"--name={self.run_uuid}", "--format=%i|%k"]
        listed = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
        for number, found in (line.split("|", 1) for line in listed.splitlines() if "|" in line):
            if found == comment and number not in self._numbers:
                log = self.slurm_logdir / f"{kind}_{job.name}" / wildcards / f"{number}.log"
                aux = {"slurm_logfile": log}
                self._report_job_submission_threadsafe(SubmittedJobInfo(job, external_jobid=number, aux=aux))
                return True
        return False

    def _report_job_submission_threadsafe(self, job_info: Any) -> None:
        self._numbers.add(job_info.external_jobid)
        super()._report_job_submission_threadsafe(job_info)

    def _report_job_error_threadsafe(self, job_info: Any, msg: str) -> None:
        words = words_of(msg)
        if words is not None and passes(words):
            self._refused.words = words
            return
        if words is not None:
            job = job_info.job
            # Not by the property, which would ask anew for what this attempt needs and so free more than it took.
            job._attempt = max(job.attempt, job.restart_times + 1)
            msg = f"SLURM does not take this job, and would not later: {words}. "
        super()._report_job_error_threadsafe(job_info, msg)

    def cancel(self) -> None:
        """Submit nothing more, then cancel all."""
        self._stopped.set()
        self._job_submission_executor.shutdown(wait=True, cancel_futures=True)
        super().cancel()

    def shutdown(self) -> None:
        self._stopped.set()
        super().shutdown()

    def cancel_jobs(self, active_jobs: list[Any]) -> None:
        """Cancel all jobs of this run, by the name that only they have, whether they are under look or not."""
        clusters = ["--clusters=all"] if self._submitted_job_clusters else []
        command = ["scancel", f"--name={self.run_uuid}", *clusters]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.SubprocessError) as error:
            self.logger.warning(f"Jobs may go on ({' '.join(command)}: {error}); recite doctor names them.")


def _log(job: Any) -> str:
    return str(job.aux["slurm_logfile"])
