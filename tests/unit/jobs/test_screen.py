"""recite.jobs.screen: what stands on a real terminal (a pseudo-terminal) while lines are drawn and others write."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import recite
from terminals import Terminal

LIBRARY = Path(str(recite.__file__)).parents[1]
PROGRAM = """
import os, signal, subprocess, sys, time
from pathlib import Path
from recite.jobs.screen import Screen
from recite.jobs.status import Running, Status

looks = 0

def look():
    global looks
    looks += 1
    jobs = [Running(f"scoring/model-{number}/part-0000", 0.5, "100 of 200 rows, " + "x" * 200) for number in range(8)]
    return Status(Path("results/tiny"), jobs, 20 + looks)

screen = Screen(look, 0.05)
"""
WRITING = """
while looks < 3:
    time.sleep(0.05)
subprocess.run(["sh", "-c", "echo 'recite: row 3 of x.parquet is empty; mend it.' >&2"])
while looks < 6:
    time.sleep(0.05)
print("A warning of a library, longer than the terminal is wide: " + "and on " * 30 + "END", file=sys.stderr)
os.write(2, b"\\x1b[31mError in rule noise:\\x1b[0m\\n    log: results/tiny/logs/noise.log\\nbegun")
time.sleep(0.3)
screen.close()
print("Complete log: .snakemake/log/x", file=sys.stderr)
"""


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[Callable[[str], Terminal]]:
    """Runs a program on a terminal of 100 columns."""
    opened: list[Terminal] = []

    def start(program: str) -> Terminal:
        (tmp_path / "program.py").write_text(program)
        command = [sys.executable, "program.py"]
        opened.append(Terminal(command, tmp_path, {**os.environ, "PYTHONPATH": str(LIBRARY)}, columns=100))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


def test_words_come_above_the_lines(shown: Callable[[str], Terminal]) -> None:
    """What a job, a library or Snakemake writes must stand there whole, whenever it is written."""
    terminal = shown(PROGRAM + WRITING)
    assert terminal.finish() == 0
    long = "A warning of a library, longer than the terminal is wide: " + "and on " * 30 + "END"
    assert terminal.lines == [
        "recite: row 3 of x.parquet is empty; mend it.",
        *(long[first : first + 100].rstrip() for first in range(0, len(long), 100)),
        "Error in rule noise:",
        "    log: results/tiny/logs/noise.log",
        "begun",
        *(line for line in terminal.lines if line.startswith("results/tiny: ")),
        "Complete log: .snakemake/log/x",
    ]
    assert sum(line.startswith("results/tiny: ") for line in terminal.lines) == 1
    assert terminal.as_found


def test_lines_are_drawn_in_place(shown: Callable[[str], Terminal]) -> None:
    """A line for each of the first jobs, none wider than the terminal, drawn again and not below each other."""
    terminal = shown(PROGRAM + "time.sleep(600)")
    terminal.until(lambda: terminal.written.count(b"results/tiny: 3") > 3 and "more" in terminal.lines[-1])
    assert len(terminal.lines) == 10
    assert [line.split()[1] for line in terminal.lines[1:9]] == [f"scoring/model-{n}/part-0000:" for n in range(8)]
    assert all(len(line) <= 100 for line in terminal.lines) and "…" in terminal.lines[1]
    terminal.program.kill()
    terminal.finish()
    assert terminal.as_found, "a killed program must not leave a terminal without a cursor"


def test_a_mistake_in_what_is_drawn_stops_nothing(shown: Callable[[str], Terminal]) -> None:
    """Nobody would read the pipe that stands for the terminal: what writes to it would wait for ever."""
    writing = "print('w' * 99999, file=sys.stderr)\nscreen.close()\nprint('end')"
    terminal = shown(PROGRAM.replace("    looks += 1", "    1 / 0") + writing)
    assert terminal.finish() == 0
    assert "ZeroDivisionError" in terminal.text and terminal.text.count("w" * 100) >= 999
    assert terminal.lines[-1] == "end" and terminal.as_found
