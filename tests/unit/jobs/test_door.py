"""The door, as a job's own process sees it: exit status, terminal and log."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import recite

SCRIPT = """
import sys
from types import SimpleNamespace
from pathlib import Path
from recite.door import door
from recite.errors import ReciteError
from recite.fingerprint import fingerprint

class Params(dict):
    code = fingerprint(Path(__file__))

job = SimpleNamespace(
    log=[sys.argv[1]], output=["results/tiny/rates.csv"], input=[], params=Params(), wildcards={{}}, rule="scoring",
    threads=1, config={{"study": "tiny"}},
)
with door(job):
    print("words of the job")
    {body}
"""


def run(root: Path, body: str, log: str = "log") -> subprocess.CompletedProcess[str]:
    """Run a job whose log is `log`, in a checkout `root` that pins no packages."""
    for folder in ("scripts", "envs"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "envs/recite.yaml").touch()
    (root / "scripts/scoring.py").write_text(SCRIPT.format(body=body))
    environment = {"PYTHONPATH": str(Path(str(recite.__file__)).parents[1])}
    command = [sys.executable, "scripts/scoring.py", log]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)


def test_success_says_nothing_on_the_terminal(tmp_path: Path) -> None:
    """A job's chatter belongs in its log."""
    job = run(tmp_path, "pass")
    assert (job.returncode, job.stdout, job.stderr) == (0, "", "")
    assert (tmp_path / "log").read_text() == "words of the job\n"


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    """A traceback would bury what to do."""
    job = run(tmp_path, "raise ReciteError('row 3 of x.parquet is empty; mend it.')")
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
    job = run(tmp_path, body)
    assert job.returncode == 1
    assert job.stderr == (
        "recite: the disk is full: results/tiny/rates.csv cannot be written; free some space, then run again.\n"
    )


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    """The log may lie on the full disk itself; /dev/full refuses every write."""
    job = run(tmp_path, "sys.stdout.flush()", log="/dev/full")
    assert job.returncode != 0
    assert "recite: the disk is full" in job.stderr


def test_a_defect_keeps_its_traceback(tmp_path: Path) -> None:
    """An unforeseen error must be found in the log, and must not exit 0."""
    job = run(tmp_path, "1 / 0")
    assert job.returncode == 1
    assert "ZeroDivisionError" in (tmp_path / "log").read_text()


def test_what_a_job_did_is_recorded(tmp_path: Path) -> None:
    """A result without a record cannot be audited; one of a job that failed would vouch for what is not there."""
    record = tmp_path / "results/tiny/records/rates.csv.json"
    job = run(tmp_path, "Path(job.output[0]).write_text('1')")
    assert (job.returncode, job.stderr) == (0, "")
    made = json.loads(record.read_text())
    assert made["rule"] == "scoring" and made["outputs"]["rates.csv"]["bytes"] == 1
    assert run(tmp_path, "raise ReciteError('no.')").returncode == 1
    assert not record.exists()


def test_a_job_that_need_not_run_ends_well(tmp_path: Path) -> None:
    """Its inputs were made anew and are the same: its block is left out, and Snakemake must find the outputs there."""
    output, kept = tmp_path / "results/tiny/rates.csv", tmp_path / "results/tiny/records/.kept/rates.csv"
    assert run(tmp_path, "Path(job.output[0]).write_text('1')").returncode == 0
    kept.parent.mkdir()
    output.rename(kept)
    job = run(tmp_path, "Path(job.output[0]).write_text('1')")
    assert (job.returncode, job.stdout, job.stderr) == (0, "", "")
    assert output.read_text() == "1" and not kept.exists()
    assert (tmp_path / "log").read_text().startswith("nothing to do: inputs, parameters, code and packages are those")
