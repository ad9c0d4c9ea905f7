"""recite.outages: what the SLURM plugin asks and does while the controller is away."""

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import snakemake_executor_plugin_slurm as plugin

from recite.outages import WAIT, remembering, wait_through_outages


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real plugin, as the Snakefile changes it; put back after the test."""
    monkeypatch.setattr(plugin, "get_min_job_age", plugin.get_min_job_age)
    monkeypatch.setattr(plugin, "get_submit_command", plugin.get_submit_command)
    monkeypatch.setattr(plugin.validation, "get_min_job_age", plugin.validation.get_min_job_age)
    wait_through_outages(plugin)
    wait_through_outages(plugin)


def commands(folder: Path, **scripts: str) -> None:
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)


def test_the_last_answer_is_remembered() -> None:
    answers = iter([None, 300, None, 200, None])
    ask = remembering(lambda: next(answers))
    assert [ask() for _ in range(5)] == [None, 300, 300, 200, 200]


@pytest.mark.usefixtures("patched")
def test_the_plugin_stays_with_squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the controller's answer it would turn to sacct, which knows nothing where there is no accounting."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    commands(tmp_path, scontrol="echo MinJobAge = 300 sec")
    assert plugin.validation.get_min_job_age() == plugin.get_min_job_age() == 300
    commands(tmp_path, scontrol="exit 1")
    assert plugin.get_min_job_age() == 300


@pytest.mark.usefixtures("patched")
def test_jobs_are_submitted_when_the_controller_answers(tmp_path: Path) -> None:
    """A submission that fails costs a job one of its attempts."""
    job = SimpleNamespace(resources={}, threads=1)
    given = {"run_uuid": "run", "slurm_logfile": "a.log", "comment_str": "rule_a", "account": "", "partition": "-p b"}
    command = plugin.get_submit_command(job, given | {"workdir": str(tmp_path)})
    assert command.startswith(f"{WAIT}; sbatch --parsable ") and command.count("scontrol") == 1
    commands(tmp_path, scontrol="test -e up", sleep="touch up; date +%s.%N >> slept", sbatch="test -e up && echo 17")
    environment = os.environ | {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    run = subprocess.run(command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "17\n", "")
    assert len((tmp_path / "slept").read_text().splitlines()) == 1
