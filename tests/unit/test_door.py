"""The door, as a job's own process sees it: exit status, terminal and log."""

import subprocess
import sys
from pathlib import Path

import pytest

import recite

SCRIPT = """
import sys
from types import SimpleNamespace
from recite.door import door
from recite.errors import ReciteError

with door(SimpleNamespace(log=[sys.argv[1]], output=["scores.parquet"])):
    print("words of the job")
    {body}
"""


def run(log: Path, body: str) -> subprocess.CompletedProcess[str]:
    """Run a job whose log is `log`."""
    environment = {"PYTHONPATH": str(Path(str(recite.__file__)).parents[1])}
    command = [sys.executable, "-c", SCRIPT.format(body=body), str(log)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_success_says_nothing_on_the_terminal(tmp_path: Path) -> None:
    """A job's chatter belongs in its log."""
    job = run(tmp_path / "log", "pass")
    assert (job.returncode, job.stdout, job.stderr) == (0, "", "")
    assert (tmp_path / "log").read_text() == "words of the job\n"


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    """A traceback would bury what to do."""
    job = run(tmp_path / "log", "raise ReciteError('row 3 of x.parquet is empty; mend it.')")
    assert (job.returncode, job.stdout) == (1, "")
    assert job.stderr == "recite: row 3 of x.parquet is empty; mend it.\n"
    assert job.stderr in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    "body",
    [
        "raise OSError(28, 'full')",
        "raise OSError(122, 'quota')",
        "raise Exception('No space left on device (os error 28)')",
    ],
)
def test_full_disk_is_one_sentence(tmp_path: Path, body: str) -> None:
    """Libraries say it with and without an errno."""
    job = run(tmp_path / "log", body)
    assert job.returncode == 1
    assert job.stderr == (
        "recite: the disk is full: scores.parquet cannot be written; free some space, then run again.\n"
    )


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    """The log may lie on the full disk itself; /dev/full refuses every write."""
    job = run(Path("/dev/full"), "sys.stdout.flush()")
    assert job.returncode != 0
    assert "recite: the disk is full" in job.stderr


def test_a_defect_keeps_its_traceback(tmp_path: Path) -> None:
    """An unforeseen error must be found in the log, and must not exit 0."""
    job = run(tmp_path / "log", "1 / 0")
    assert job.returncode == 1
    assert "ZeroDivisionError" in (tmp_path / "log").read_text()
