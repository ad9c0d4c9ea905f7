"""Jobs as forks of one process: they look like the interpreter's own runs, end with who waits, and leave nothing."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recite.jobs import forks

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every job loads its libraries itself")

STARTER = """
import sys, time
from pathlib import Path
from recite.jobs import forks
forks.LIBRARIES = ("json",)
forks.fork_jobs(forks.FEW + 1)
folder = Path(sys.executable.split()[-1])
while not (folder / forks.ADDRESS).exists():
    time.sleep(0.05)
print(sys.executable, flush=True)
sys.stdin.read()
"""
"""Starts a server, says what stands for the interpreter then, and waits for its own end."""
WHAT_IT_SEES = """
import os, sys
print(sys.argv, os.getcwd(), os.environ["SEEN"], __name__, __file__, sys.modules["__main__"].__file__)
print(sys.stdin.read(), os.getppid(), file=sys.stderr)
"""


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def gone(process: int) -> bool:
    status = Path(f"/proc/{process}/status")
    return not status.exists() or "\nState:\tZ" in status.read_text()


@pytest.fixture
def starter(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A process that has started a server, and the command that stands for the interpreter."""
    monkeypatch.setenv("PYTHONPATH", str(Path(forks.__file__).parents[2]))
    process = subprocess.Popen(
        [sys.executable, "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process, shlex.split(process.stdout.readline())
    process.kill()
    process.communicate()


def script(folder: Path, text: str) -> str:
    path = folder / "a script.py"
    path.write_text(text)
    return str(path)


def test_a_fork_is_like_a_run_of_the_interpreter(
    starter: tuple[subprocess.Popen[str], list[str]], tmp_path: Path
) -> None:
    path = script(tmp_path, WHAT_IT_SEES)
    runs = [
        subprocess.run(
            [*command, path, "more"],
            input="given",
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=os.environ | {"SEEN": "it"},
        )
        for command in (starter[1], [sys.executable])
    ]
    assert runs[0].stdout == runs[1].stdout
    assert f" __main__ {path} {path}\n" in runs[0].stdout
    words = [run.stderr.split() for run in runs]
    assert words[0][0] == words[1][0] == "given"
    assert words[0][1] != words[1][1] == str(os.getpid()), "the fork's parent is the server"


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("pass", 0, ""),
        ("raise SystemExit", 0, ""),
        ("import sys; sys.exit(3)", 3, ""),
        ("raise SystemExit('a sentence')", 1, "a sentence"),
        ("1 / 0", 1, "ZeroDivisionError"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 1, "was killed"),
    ],
)
def test_the_end_of_a_fork_is_the_programs_own(
    starter: tuple[subprocess.Popen[str], list[str]], tmp_path: Path, text: str, status: int, said: str
) -> None:
    run = subprocess.run([*starter[1], script(tmp_path, text)], capture_output=True, text=True)
    assert run.returncode == status
    assert said in run.stderr


def test_a_fork_ends_with_the_program_that_waits_for_it(
    starter: tuple[subprocess.Popen[str], list[str]], tmp_path: Path
) -> None:
    path = script(tmp_path, "import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    program = subprocess.Popen([*starter[1], path], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    fork = int(program.stdout.readline())
    assert not gone(fork)
    program.kill()
    wait_for(lambda: gone(fork))
    program.communicate()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_the_server_ends_with_who_started_it_and_leaves_nothing(
    starter: tuple[subprocess.Popen[str], list[str]], tmp_path: Path, end: signal.Signals
) -> None:
    process, command = starter
    folder, path = Path(command[-1]), script(tmp_path, "import os; print(os.getppid())")
    server = int(subprocess.run([*command, path], capture_output=True, text=True, check=True).stdout)
    process.send_signal(end)
    wait_for(lambda: gone(server) and not folder.exists())
    alone = subprocess.run([*command, path], capture_output=True, text=True, check=True).stdout
    assert alone == f"{os.getpid()}\n", "without a server the program is the interpreter"


def test_few_jobs_start_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sys.executable
    monkeypatch.setattr(subprocess, "Popen", None)
    forks.fork_jobs(forks.FEW)
    assert sys.executable == before
