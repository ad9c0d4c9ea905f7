"""Snakemake on a terminal, and where there is none: how far it is, and every word of what fails."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import CONFIG, Checkout

from checkouts import REPOSITORY
from terminals import Terminal

SENTENCE = "row 3 of table.parquet is empty; " + "look for what is damaged, " * 10 + "and mend it."
SNAKEFILE = f"""
import sys
from types import SimpleNamespace
sys.path.insert(0, "{REPOSITORY}/workflow")
from recite.jobs import terminal


onstart:
    terminal.show(workflow, "results/x", SimpleNamespace(jobs={{}}))


onsuccess:
    terminal.end()


onerror:
    terminal.end()


rule all:
    input:
        expand("results/x/{{name}}", name=["a", "b", "c"]),


rule job:
    output:
        "results/x/{{name}}",
    log:
        "results/x/logs/job/{{name}}.log",
    message:
        "Do {{wildcards.name}}"
    shell:
        '''
        trap 'exit 130' INT  # bash by itself goes on where a command in it has just ended
        exec 3> {{log}}; flock -s 3
        echo '2026-01-01T00:00:00+00:00 50 of 200 rows, 2.5 a second, 0:01:00 left' >&3
        while [ ! -e go ]; do sleep 0.1; done
        if [ {{wildcards.name}} = b ]; then echo 'recite: {SENTENCE}' | tee -a {{log}} >&2; exit 1; fi
        touch {{output}}
        '''
"""
COMMAND = (sys.executable, "-m", "snakemake", "--show-failed-logs", "--keep-going")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    return tmp_path


@pytest.fixture
def terminal(folder: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts a command on a terminal, in a folder with three jobs that wait for a file `go`."""
    opened: list[Terminal] = []

    def start(*command: str) -> Terminal:
        opened.append(Terminal(command, folder, os.environ))
        return opened[-1]

    yield start
    for made in opened:
        made.close()


def whole(text: str) -> str:
    """The text without the ends of the terminal's lines."""
    return "".join(text.split())


def test_a_failing_job(terminal: Callable[..., Terminal], folder: Path) -> None:
    """How far the run and its jobs are, drawn in place; of what fails every word, and nothing of what does not."""
    shown = terminal(*COMMAND, "--cores", "2")
    shown.until(lambda: "0 of 3 jobs done; 2 jobs run" in shown.text and shown.text.count("2.5 a second") == 2)
    heading, *jobs = shown.lines[-3:]
    assert heading == "results/x: 0 of 3 jobs done; 2 jobs run"
    assert all("job/" in line and ": 25%, 50 of 200 rows, 2.5 a second, 0:01:00 left (last" in line for line in jobs)
    (folder / "go").touch()
    assert shown.finish() == 1
    assert whole(SENTENCE) in whole(shown.text) and "log: results/x/logs/job/b.log (check log" in shown.text
    assert "Error in rule job:" in shown.text, shown.text
    assert "results/x: 2 of 3 jobs done; no job runs, 1 failed" in shown.lines, shown.text
    words = next(path.read_text() for path in (folder / ".snakemake/log").glob("*.log"))
    for of_every_job in ("Do a", "Finished jobid", "steps (", "Select jobs"):
        assert of_every_job in words and of_every_job not in shown.text
    assert shown.as_found


def test_an_interrupted_run(terminal: Callable[..., Terminal], folder: Path) -> None:
    """Ctrl-C ends the run as it does without lines, and the terminal is as it was."""
    shown = terminal(*COMMAND, "--cores", "3")
    shown.until(lambda: "0 of 3 jobs done; 3 jobs run" in shown.text)
    shown.interrupt()
    assert shown.finish() != 0
    assert "Terminating processes on user request" in shown.text and "Traceback" not in shown.text
    assert shown.as_found


def test_without_a_terminal(folder: Path) -> None:
    """In a file Snakemake's words are as they are, and the line of the study comes between them now and then."""
    (folder / "go").touch()
    script = "import recite.jobs.terminal as t; t.INTERVAL = 0; from snakemake.cli import main; main()"
    command = [sys.executable, "-c", script, *COMMAND[3:], "--cores", "1"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow")}
    run = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = run.stdout.decode()
    assert run.returncode == 1 and f"recite: {SENTENCE}" in text and "\x1b" not in text
    assert "Do a" in text and "1 of 4 steps (25%) done" in text
    assert "results/x: 1 of 3 jobs done" in text and "results/x: 2 of 3 jobs done" in text


def test_another_process_sees_the_same(terminal: Callable[..., Terminal], folder: Path) -> None:
    """`recite status` tells of a run elsewhere what its own terminal does."""
    shown = terminal(*COMMAND, "--cores", "2")
    shown.until(lambda: shown.text.count("2.5 a second") == 2)
    script = (
        "from pathlib import Path; from recite.jobs.course import read_course; from recite.jobs.status import look;"
        "study = Path('results/x'); print(look(study, {}, read_course(study)))"
    )
    environment = {"PYTHONPATH": str(REPOSITORY / "workflow")}
    told = subprocess.run([sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, text=True)
    assert told.stdout.splitlines()[0] == "results/x: 0 of 3 jobs done; 2 jobs run"
    assert [line.split(" (last")[0] for line in told.stdout.splitlines()[1:]] == [
        line.lstrip("━╸╺ ").split(" (last")[0] for line in shown.lines[-2:]
    ]


def test_the_tiny_study(fresh: Checkout) -> None:
    """The study itself: a job's own sentence above lines with what the plan says is left."""
    fresh.edit(CONFIG, "rows_per_domain: 12", "rows_per_domain: 20")
    target = "results/tiny/samples/pythia/licences-0000.parquet"
    shown = Terminal(
        [".venv/bin/snakemake", "--cores=2", f"--configfile={CONFIG}", "--", target], fresh.root, os.environ
    )
    try:
        shown.until(lambda: "results/tiny: 0 of " in shown.text and "corpus: for 0:00:0" in shown.text)
        assert " left; 1 job runs" in shown.text
        assert shown.finish() == 1
        assert "recite: domain licences of corpus tiny has only" in shown.text
        assert "log: results/tiny/logs/" in shown.text and shown.as_found
    finally:
        shown.close()
