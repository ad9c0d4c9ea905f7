"""What long jobs say of themselves, and what `recite status` makes of it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor
from typer.testing import CliRunner

import recite
from recite.checkpoints.loading import load_checkpoint
from recite.cli import app
from recite.engine.continuation import continue_greedily
from recite.engine.decoding import decode
from recite.engine.interventions.noise import ResidualNoise
from recite.jobs import screen, status
from recite.progress import Progress
from recite.stages.compressibility.measure import sufficient_suffixes
from recite.stages.heads.measure.ablation import effects
from recite.stages.heads.measure.continuations import ablate_heads
from recite.stages.recovery.measure import compared

LIBRARY = Path(str(recite.__file__)).parents[1]


class Clock:
    """A clock that is set."""

    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Prevents a line for every batch, a speed by the last batch alone, and lines that a log cannot hold."""
    clock = Clock()
    done = Progress(12_000, clock=clock)
    for seconds, rows in ((10, 500), (29.9, 500), (30.5, 500), (59, 1000), (61, 500), (90, 0), (1000, 6000)):
        clock.seconds = 1000 + seconds
        done(rows)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        "1,500 of 12,000 rows, 49.2 a second, 0:03:34 left",
        "3,000 of 12,000 rows, 49.2 a second, 0:03:03 left",
        "9,000 of 12,000 rows, 9.0 a second, 0:05:33 left",
    ]
    for line in lines:
        moment = datetime.fromisoformat(line.split(" ", 1)[0])
        assert moment.tzinfo is not None and abs((datetime.now().astimezone() - moment).total_seconds()) < 60
        assert "\r" not in line


@pytest.mark.parametrize(
    ("seconds", "rows", "words"),
    [
        (2000, 1, "1 of 5,000,000 rows, 0.0005 a second, 2777777:13:20 left"),
        (30, 5_000_000, "5,000,000 of 5,000,000 rows, 166,666.7 a second, 0:00:00 left"),
    ],
)
def test_slow_and_fast(capsys: pytest.CaptureFixture[str], seconds: float, rows: int, words: str) -> None:
    """A speed of 0.0 a second or 1.67e+05 says nothing."""
    clock = Clock()
    done = Progress(5_000_000, clock=clock)
    clock.seconds += seconds
    done(rows)
    line = capsys.readouterr().out
    assert line.split(" ", 1)[1] == words + "\n"
    assert status.LINE.findall(line) == [(words, f"{rows:,}", "5,000,000")]


def test_every_stage_counts_all_that_it_does(checkpoint_folder: Callable[[str], Path], context: Tensor) -> None:
    """A total that is never reached, or overshot, gives a wrong time left."""
    checkpoint = load_checkpoint(checkpoint_folder("pythia"), "float32", 4)
    text, counted = context[:6, :20], [0]
    prompt, true = text[:, :12], text[:, 12:]

    def done(rows: int) -> None:
        counted[0] += rows

    heads = torch.tensor([0, 2])
    noise = ResidualNoise(checkpoint, 0, range(6), 0.1, 1, "token", "prompt")
    calls: list[tuple[Callable[[], Any], int]] = [
        (lambda: continue_greedily(checkpoint, prompt, 8, 4, done=done), 6),
        (lambda: continue_greedily(checkpoint, prompt, 8, 4, draft=true, to_the_end=False, done=done), 6),
        (lambda: sufficient_suffixes(checkpoint, prompt, true, 4, done=done), 6 * 12),
        (lambda: compared(checkpoint, prompt, noise, 0, 4, done), 6),
        (lambda: list(decode(checkpoint, text, 8, 4, done)), 6),
        (lambda: list(ablate_heads(checkpoint, prompt, true, 4, chosen={1: heads}, done=done)), 6 * 2),
        (lambda: effects(checkpoint, text, 8, 4, range(1, 3), done=done), 2 * 6 * 2 * checkpoint.heads),
    ]
    for call, expected in calls:
        counted[0] = 0
        call()
        assert counted[0] == expected


SCRIPT = """
import os, sys, time
from types import SimpleNamespace
from pathlib import Path
from recite import progress
from recite.jobs.door import door
from recite.provenance.fingerprint import fingerprint

class Params(dict):
    run, modules, code = "recite.progress:Progress", (), fingerprint(("recite.progress",))

job = SimpleNamespace(
    log=[sys.argv[1]], output=["results/watched/x.csv"], input=[], params=Params(), wildcards={}, rule="scoring",
    threads=1, config={"study": "watched"},
)
with door(job):
    clock = SimpleNamespace(seconds=0.0)
    done = progress.Progress(400, clock=lambda: clock.seconds)
    for clock.seconds in (40, 80):
        done(100)
    Path(sys.argv[2]).touch()
    time.sleep(600)
"""


@contextmanager
def working(root: Path, name: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A job whose log is `name`, half done and at work until it is killed."""
    log, ready = root / "results/watched/logs" / name, root / "ready"
    log.parent.mkdir(parents=True, exist_ok=True)
    (root / "envs").mkdir(exist_ok=True)
    (root / "envs/recite.yaml").touch()
    (root / "job.py").write_text(SCRIPT)
    command = [sys.executable, "job.py", str(log.relative_to(root)), str(ready)]
    with subprocess.Popen(command, cwd=root, env=os.environ | {"PYTHONPATH": str(LIBRARY)}) as job:
        try:
            while not ready.exists():
                assert job.poll() is None
                time.sleep(0.05)
            yield job
        finally:
            job.kill()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a study, of which nothing has run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").symlink_to(LIBRARY.parent / "config")
    text = (LIBRARY.parent / "config/mini.yaml").read_text()
    (tmp_path / "watched.yaml").write_text(re.sub("^study: mini$", "study: watched", text, flags=re.MULTILINE))
    return tmp_path


def said() -> list[str]:
    found = CliRunner().invoke(app, ["status", "--configfile", "watched.yaml"])
    assert found.exit_code == 0, found.output
    return found.output.splitlines()


def test_status(root: Path) -> None:
    """Only jobs that run are shown: not those that ended, whatever their logs say last, nor one that was killed."""
    assert said() == ["results/watched: no job runs"]
    ended = root / "results/watched/logs/noise/m/code-0000.log"
    ended.parent.mkdir(parents=True)
    ended.write_text("2026-01-01T00:00:00+00:00 5 of 10 rows, 1.0 a second, 0:00:05 left\n")
    assert said() == ["results/watched: no job runs"]
    with working(root, "scoring/m/code-0000.log") as job:
        heading, line = said()
        assert heading == "results/watched: 1 job runs"
        words = r"scoring/m/code-0000: 50%, 200 of 400 rows, 2\.5 a second, 0:01:20 left \(last word \d:\d\d:\d\d ago\)"
        assert re.fullmatch(words, line)
        job.kill()
        job.wait()
        assert said() == ["results/watched: no job runs"]


def test_a_job_without_a_line_yet(root: Path) -> None:
    """Loading takes minutes: the job must be seen meanwhile."""
    with working(root, "scoring/m/code-0000.log"):
        log = root / "results/watched/logs/scoring/m/code-0000.log"
        log.write_text("m: 400 rows in batches of 64 on cpu\n")
        assert said()[1].startswith("scoring/m/code-0000: no line of progress yet (last word ")


def test_file_systems_without_locks(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There a job is known by when it last wrote."""
    log = root / "results/watched/logs/lens/m/code-0000.log"
    log.parent.mkdir(parents=True)
    log.write_text("x\n")

    def refuse(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    assert len(said()) == 2
    os.utime(log, (time.time() - 400, time.time() - 400))
    assert said() == ["results/watched: no job runs"]


def test_watching(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal there is a bar for every job, drawn anew until it is interrupted, which is no error."""
    with working(root, "scoring/m/code-0000.log"):
        console, looks = Console(force_terminal=True, width=140, record=True), [0]
        monkeypatch.setattr(screen, "Live", lambda **named: _live(console=console, **named))

        def pause(_: float) -> None:
            looks[0] += 1
            if looks[0] == 2:
                raise KeyboardInterrupt

        monkeypatch.setattr(screen.time, "sleep", pause)
        found = CliRunner().invoke(app, ["status", "--configfile", "watched.yaml", "--watch"])
    assert found.exit_code == 0 and looks == [2]
    shown = console.export_text()
    assert shown.count("scoring/m/code-0000: 50%, 200 of 400 rows") >= 2 and "━━━" in shown


_live = screen.Live
