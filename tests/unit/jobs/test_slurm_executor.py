"""recite.jobs.slurm_executor: jobs that the SLURM plugin would lose, with the plugin as it is and mended.

`plain` tests fail with a plugin that needs our patch no more. SLURM's commands are scripts that print what is planted.
"""

import asyncio
import logging
import re
import threading
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import snakemake_executor_plugin_slurm as plugin
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry
from throttler import Throttler

from recite.jobs import slurm_executor
from recite.jobs.slurm_executor import ENDED, LOOKS, VERSION, Executor, ended, finished_by_log, mend

ROOT = Path(__file__).resolve().parents[3]
GOES_ON = [
    *("COMPLETING", "CONFIGURING", "EXPEDITING", "PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING"),
    *("RESV_DEL_HOLD", "RUNNING", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT", "STOPPED", "SUSPENDED"),
]
"""All other states that squeue's manual and libslurm's job_state_string name, and one of a later version."""
POLICY = (
    "Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
)


class Resources(dict[str, Any]):
    """A job's resources, by key and by attribute."""

    def __getattr__(self, name: str) -> Any:
        return self.get(name)


class Job:
    """What the plugin asks of a job, and what became of it."""

    name, jobid, wildcards = "scoring", 3, ["mine"]
    rule = SimpleNamespace(name="scoring")
    resources = Resources(slurm_partition="a100", runtime=20, mem_mb=1000)
    restart_times, threads = 2, 1

    def __init__(self) -> None:
        self._attempt = 1
        self.errors: list[str] = []

    @property
    def attempt(self) -> int:
        return self._attempt

    def is_group(self) -> bool:
        return False

    def log_error(self, msg: str, **_: Any) -> None:
        self.errors.append(msg)


class Stage:
    """An executor of the plugin, as it is or mended, without a workflow; and the commands that it finds."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.ended, self.failed, self.submitted = root, [], [], []
        self.said: list[str] = []
        monkeypatch.chdir(root)
        monkeypatch.setenv("PATH", f"{root}:/usr/bin:/bin")
        monkeypatch.setattr(plugin, "query_job_status", plugin.query_job_status)
        monkeypatch.setattr(slurm_executor, "FIRST_PAUSE", 0.01)
        self.commands(
            scontrol="echo MinJobAge = 300 sec", sacct="echo accounting is disabled >&2; exit 1", squeue="true"
        )

    def commands(self, **scripts: str) -> None:
        for name, script in scripts.items():
            (self.root / name).write_text(f"#!/bin/sh\n{script}\n")
            (self.root / name).chmod(0o755)

    def lists(self, command: str = "squeue", **jobs: str) -> None:
        """What squeue or sacct says: state by job's number, `j` before it."""
        self.commands(**{command: "\n".join(f"echo '{job[1:]}|{state}'" for job, state in jobs.items()) or "true"})

    def executor(self, kind: type[plugin.Executor], **settings: Any) -> Any:
        made = object.__new__(kind)
        logger = logging.getLogger("test")
        logger.handlers = [SimpleNamespace(level=30, handle=lambda record: self.said.append(record.getMessage()))]  # type: ignore[list-item]
        settings = {"status_command": "squeue", "status_attempts": 1, "requeue": True, "jobname_prefix": "r"} | settings
        made.workflow = SimpleNamespace(
            executor_settings=plugin.ExecutorSettings(**settings),
            scheduler=SimpleNamespace(
                finish_callback=self.ended.append, error_callback=self.failed.append, submit_callback=lambda job: None
            ),
            workdir_init=self.root,
            remote_execution_settings=SimpleNamespace(immediate_submit=True),
        )
        made.logger, made.lock, made.active_jobs = logger, threading.Lock(), []
        made.wait, made.wait_thread = True, SimpleNamespace(join=lambda: None)
        made._next_seconds_between_status_checks, made._tmpdir = 1, str(self.root)
        made.status_rate_limiter = Throttler(rate_limit=1000, period=1)
        made.__post_init__()
        made.format_job_exec = lambda job: "true"
        made.report_job_submission = lambda info: self.submitted.append(info.external_jobid)
        made.run_job_pre = lambda job: None
        return made

    def look(self, executor: Any, jobs: list[SubmittedJobInfo]) -> list[str]:
        """One look at the queue: numbers of the jobs that are waited for."""

        async def waited() -> list[str]:
            return [job.external_jobid async for job in executor.check_active_jobs(jobs)]

        return asyncio.run(waited())

    def outcome(self, kind: type[plugin.Executor], looks: int = 1, **settings: Any) -> str:
        """What becomes of job 7."""
        executor, job = self.executor(kind, **settings), self.job()
        waited = ["7"]
        for _ in range(looks):
            waited = self.look(executor, [job]) if waited else waited
        return "ended" if self.ended else "failed" if self.failed else "waits" if waited else "lost"

    def job(self, number: str = "7") -> SubmittedJobInfo:
        return SubmittedJobInfo(Job(), external_jobid=number, aux={"slurm_logfile": self.root / f"{number}.log"})

    def refuses(self, words: str, times: int = 3) -> None:
        """Let sbatch say this on its first calls, and take the job then."""
        (self.root / "words").write_text(words)
        count = "echo x >> calls; test $(wc -l < calls) -gt"
        self.commands(sbatch=f"{count} {times} || {{ cat words >&2; exit 1; }}; echo 17")

    @property
    def calls(self) -> int:
        """How often sbatch was called."""
        return len((self.root / "calls").read_text().splitlines())


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path, monkeypatch)


def test_the_version_that_is_pinned() -> None:
    pins = re.findall(r"snakemake-executor-plugin-slurm==(\S+)", (ROOT / "envs/recite.yaml").read_text())
    assert pins == [VERSION] == [version("snakemake-executor-plugin-slurm")]


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Snakemake's entry of the plugin; put back after the test."""
    entry = ExecutorPluginRegistry().get_plugin("slurm")
    before = entry.executor
    yield entry
    entry.executor = before


def test_snakemake_takes_the_mended_one(registered: Any) -> None:
    mend()
    mend()
    assert registered.executor is Executor


def test_another_version_is_left_as_it_is(
    registered: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    warned: list[str] = []
    monkeypatch.setattr(slurm_executor, "version", lambda name: "9.9.9")
    monkeypatch.setattr(slurm_executor.logger, "warning", warned.append)
    before = registered.executor
    mend()
    assert registered.executor is before and len(warned) == 1
    assert "9.9.9" in warned[0] and f"=={VERSION}" in warned[0]


@pytest.mark.parametrize("state", [*ENDED, *GOES_ON])
@pytest.mark.parametrize("requeue", [True, False])
def test_every_state_ends_or_goes_on(stage: Stage, state: str, requeue: bool) -> None:
    stage.lists(j7=state)
    expected = "ended" if state == "COMPLETED" else "failed" if state in ENDED else "waits"
    assert stage.outcome(Executor, requeue=requeue) == expected


@pytest.mark.parametrize(
    ("said", "state"),
    [("CANCELLED by 1000", "CANCELLED"), ("CANCELLED+", "CANCELLED"), ("RUNNING", None), ("", None), (None, None)],
)
def test_states_as_accounting_writes_them(said: str | None, state: str | None) -> None:
    assert ended(said) == state


@pytest.mark.parametrize(
    ("state", "requeue"), [("PREEMPTED", True), ("PREEMPTED", False), ("REVOKED", True), ("NODE_FAIL", True)]
)
def test_plain_waits_for_what_ended(stage: Stage, state: str, requeue: bool) -> None:
    stage.lists(j7=state)
    assert stage.outcome(plugin.Executor, LOOKS + 1, requeue=requeue) == "waits"


def test_plain_waits_for_what_is_cancelled_by_somebody(stage: Stage) -> None:
    stage.lists("sacct", j7="CANCELLED by 0")
    assert stage.outcome(plugin.Executor, LOOKS, status_command="sacct") == "waits"


def test_plain_waits_for_what_is_not_listed(stage: Stage) -> None:
    assert stage.outcome(plugin.Executor, LOOKS + 1) == "waits"


def test_not_listed(stage: Stage) -> None:
    """Gone after some looks, not at once: a controller that starts may not list all yet."""
    executor, job = stage.executor(Executor), stage.job()
    for _ in range(LOOKS - 1):
        assert stage.look(executor, [job]) == ["7"]
    stage.lists(j7="RUNNING")
    assert stage.look(executor, [job]) == ["7"]
    stage.lists()
    for _ in range(LOOKS - 1):
        assert stage.look(executor, [job]) == ["7"]
    assert stage.look(executor, [job]) == [] and stage.failed == [job.job]
    assert "SLURM lists it no more" in job.job.errors[0]


@pytest.mark.parametrize(
    ("log", "outcome"),
    [
        ("Finished jobid: 0\n1 of 1 steps (100%) done\nsrun: x\n", "ended"),
        ("1 of 2 steps (50%) done\nKilled\n", "failed"),
        ("echo '1 of 1 steps (100%) done'\n", "failed"),
        ("", "failed"),
    ],
)
def test_not_listed_but_its_log_says_how_it_ended(stage: Stage, log: str, outcome: str) -> None:
    """To report a finished job as failed would delete what it made."""
    (stage.root / "7.log").write_text(log)
    assert stage.outcome(Executor, LOOKS) == outcome
    assert finished_by_log(stage.root / "7.log") == (outcome == "ended")


@pytest.mark.parametrize(("state", "outcome"), [("COMPLETED", "ended"), ("TIMEOUT", "failed"), ("RUNNING", "waits")])
def test_not_listed_but_accounting_knows(stage: Stage, state: str, outcome: str) -> None:
    """At once where it knows the end."""
    stage.lists("sacct", j7=state)
    assert stage.outcome(Executor) == outcome


def test_the_queue_has_the_last_word(stage: Stage) -> None:
    """Accounting may tell of a job's start before it was requeued."""
    for state in ("PREEMPTED", "NODE_FAIL", "CANCELLED by 0"):
        stage.lists("sacct", j7=state)
        stage.lists(j7="PENDING")
        assert stage.outcome(Executor, 2 * LOOKS, status_command="sacct") == "waits"
    stage.lists()
    assert stage.outcome(Executor, status_command="sacct") == "failed"


def test_other_jobs_of_the_same_look(stage: Stage) -> None:
    stage.lists(j1="RUNNING", j2="COMPLETED", j3="PREEMPTED", j4="FAILED", j5="CANCELLED")
    executor = stage.executor(Executor)
    jobs = {number: stage.job(number) for number in "1234569"}
    assert stage.look(executor, list(jobs.values())) == ["1", "6", "9"]
    assert stage.ended == [jobs["2"].job]
    assert sorted(id(job) for job in stage.failed) == sorted(id(jobs[number].job) for number in "345")
    assert jobs["3"].job.errors == ["SLURM job 3 ended: PREEMPTED. For further error details see the cluster/cloud "
                                    "log and the log files of the involved rule(s)."]  # fmt: skip


def test_tasks_of_arrays_and_other_clusters_are_left_to_the_plugin(stage: Stage) -> None:
    """The queue lists them in other ways."""
    executor = stage.executor(Executor)
    for _ in range(LOOKS + 1):
        assert stage.look(executor, [stage.job("7_2")]) == ["7_2"]
    executor._submitted_job_clusters.add("other")
    for _ in range(LOOKS + 1):
        assert stage.look(executor, [stage.job("7")]) == ["7"]


def test_slurm_away(stage: Stage) -> None:
    """The plugin forgets its jobs; that no accounting answers either makes no difference."""
    stage.commands(scontrol="exit 1", squeue="exit 1")
    assert stage.outcome(plugin.Executor) == "lost"
    assert stage.outcome(Executor, LOOKS + 1) == "waits"
    stage.lists(j7="COMPLETED")
    assert stage.outcome(Executor) == "ended"


def test_squeue_where_sacct_is_there_without_accounting(stage: Stage) -> None:
    """The plugin turns to sacct for good where SLURM soon forgets its jobs."""
    stage.commands(scontrol="echo MinJobAge = 30 sec")
    stage.lists(j7="COMPLETED")
    assert stage.outcome(plugin.Executor) == "lost"
    assert stage.outcome(Executor) == "ended"


def test_slurm_away_between_two_questions(stage: Stage) -> None:
    stage.commands(squeue="test -e asked && exit 1; touch asked")
    assert stage.outcome(Executor) == "waits"


PASSING = [
    f"sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: {POLICY}\n",
    f"sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: {POLICY}\n",
    "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)\n",
    "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n",
]


@pytest.mark.parametrize("words", PASSING)
def test_what_passes_is_waited_for(stage: Stage, words: str) -> None:
    """Said once; no attempt is lost, so nothing is scaled."""
    stage.refuses(words)
    executor, jobs = stage.executor(Executor), [Job(), Job()]
    for job in jobs:
        executor.run_job(job)
    assert (stage.calls, stage.submitted, stage.failed) == (5, ["17", "17"], [])
    assert [(job.attempt, job.errors) for job in jobs] == [(1, []), (1, [])]
    said = [line for line in stage.said if "takes no job now" in line]
    assert len(said) == 1 and words.split(": ")[2].split("\n")[0] in said[0]


def taken_in_silence(stage: Stage) -> Job:
    """Twice sbatch says that time ran out, though at first the job has got in; beside it another is listed."""
    comment = "rule_scoring_wildcards_mine"
    timed_out = "echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2"
    stage.commands(
        sbatch=f"echo x >> calls; echo '17|{comment}' > queue\ntest $(wc -l < calls) = 3 && echo 18 && exit\n"
        f"{timed_out}; exit 1",
        squeue=f"echo '16|{comment}_0'; cat queue",
    )
    return Job()


def test_a_job_that_was_taken_though_the_answer_was_lost(stage: Stage) -> None:
    """It must not run twice; a later attempt of the same job is another one."""
    executor, job = stage.executor(Executor), taken_in_silence(stage)
    executor.run_job(job)
    assert (stage.calls, stage.submitted) == (1, ["17"])
    executor.run_job(job)
    assert (stage.calls, stage.submitted) == (3, ["17", "18"])


def test_plain_runs_it_twice(stage: Stage) -> None:
    executor, job = stage.executor(plugin.Executor), taken_in_silence(stage)
    for _ in range(3):
        executor.run_job(job)
    assert (stage.calls, stage.submitted) == (3, ["18"])


def test_the_pauses_grow(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.refuses(PASSING[0], 7)
    executor, pauses = stage.executor(Executor), []
    monkeypatch.setattr(slurm_executor, "FIRST_PAUSE", 5.0)
    executor._stopped = SimpleNamespace(wait=lambda pause: pauses.append(pause))
    executor.run_job(Job())
    assert pauses == [5, 10, 20, 40, 60, 60, 60] and stage.submitted == ["17"]


@pytest.mark.parametrize("words", PASSING)
def test_plain_loses_an_attempt(stage: Stage, words: str) -> None:
    stage.refuses(words)
    job = Job()
    stage.executor(plugin.Executor).run_job(job)
    assert (stage.calls, stage.failed) == (1, [job])


FINAL = [
    "sbatch: error: invalid partition specified: x\n"
    "sbatch: error: Batch job submission failed: Invalid partition name specified",
    "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
    "sbatch: error: Batch job submission failed: Invalid qos specification",
    f"sbatch: error: QOSMaxWallDurationPerJobLimit\nsbatch: error: {POLICY}",
    f"sbatch: error: {POLICY}",
    "sbatch: error: This site asks for --account",
]


@pytest.mark.parametrize("words", FINAL)
def test_what_does_not_pass_fails_at_once(stage: Stage, words: str) -> None:
    """With SLURM's words, and as if no attempt were left."""
    stage.refuses(words)
    job = Job()
    stage.executor(Executor).run_job(job)
    assert (stage.calls, stage.failed, job.attempt) == (1, [job], 3)
    assert words.split("failed: ")[-1].removeprefix("sbatch: error: ") in job.errors[0]
    assert "sbatch call" not in job.errors[0]


def test_plain_tries_again_what_cannot_pass(stage: Stage) -> None:
    stage.refuses(FINAL[0])
    job = Job()
    stage.executor(plugin.Executor).run_job(job)
    assert (stage.failed, job.attempt) == ([job], 1)


def test_sinfo_away(stage: Stage) -> None:
    """The plugin asks it for the default partition where none is given."""
    stage.refuses("", 0)
    stage.commands(
        sinfo="test -e sinfo-asked && echo 'a100*' && exit; touch sinfo-asked\n"
        "echo 'slurm_load_partitions: Unable to contact slurm controller (connect failure)' >&2; exit 1"
    )
    job = Job()
    job.resources = Resources(runtime=20, mem_mb=1000)
    stage.executor(Executor).run_job(job)
    assert (stage.submitted, stage.failed, job.attempt) == (["17"], [], 1)


def begun(stage: Stage, executor: Any) -> None:
    """Submit five jobs, of which two wait in the threads of the plugin."""
    executor.run_jobs([Job() for _ in range(5)])
    end = time.monotonic() + 60
    while not (stage.root / "calls").exists() or stage.calls < 2:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_ctrl_c_while_jobs_wait_to_be_submitted(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are let go of at once, and all of this run is cancelled, what is under look too."""
    monkeypatch.setattr(slurm_executor, "FIRST_PAUSE", 600.0)
    stage.refuses(PASSING[0], 99)
    stage.commands(scancel='echo "$@" >> cancelled')
    executor = stage.executor(Executor)
    begun(stage, executor)
    executor.cancel()
    assert (stage.calls, stage.submitted, stage.failed) == (2, [], [])
    assert (stage.root / "cancelled").read_text() == f"--name={executor.run_uuid}\n"


def test_plain_submits_after_it_has_cancelled(stage: Stage) -> None:
    """And what is under look, of which its list is empty meanwhile, it does not cancel."""
    stage.commands(sbatch="echo x >> calls; sleep 0.1; echo 17", scancel="echo x >> cancelled")
    executor = stage.executor(plugin.Executor)
    begun(stage, executor)
    executor.cancel()
    assert stage.calls == 5 and len(stage.submitted) == 5 and not (stage.root / "cancelled").exists()


def test_scancel_fails(stage: Stage) -> None:
    stage.commands(scancel="exit 1")
    executor = stage.executor(Executor)
    executor.cancel_jobs([])
    assert "recite doctor" in stage.said[-1]
