"""A terminal: what a program shows on one, as it stands there in the end."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

TOKEN = re.compile(r"\x1b\[(\??[\d;]*)([A-Za-z])|\r|\n|[^\x1b\r\n]")
SECONDS = 120
"""For programs that take a few: the machine may do much else."""


def _take_terminal() -> None:
    """In a new process: its input is its terminal, and Ctrl-C ends it even where tests run in the background."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """A terminal with a program in it. Lines that have scrolled away are kept, as a terminal's window keeps them."""

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str], columns: int = 150, rows: int = 24
    ) -> None:
        self.columns, self.written, self.end = columns, b"", time.monotonic() + SECONDS
        self.outer, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.modes = termios.tcgetattr(inner)
        self.inner = inner
        self.program = subprocess.Popen(
            command,
            cwd=folder,
            env={"TERM": "xterm", **environment},
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )

    def until(self, ready: Callable[[], object]) -> None:
        """Read what is written until something is true."""
        while not ready():
            assert time.monotonic() < self.end, self.text
            self._read(0.05)

    def finish(self) -> int:
        """Read to the end; the program's exit status."""
        self.until(lambda: self.program.poll() is not None)
        while self._read(0.1):
            pass
        return self.program.wait()

    def interrupt(self) -> None:
        """Ctrl-C."""
        os.write(self.outer, b"\x03")

    def close(self) -> None:
        if self.program.poll() is None:
            os.killpg(self.program.pid, signal.SIGKILL)
            self.program.wait()
        os.close(self.outer)
        os.close(self.inner)

    def _read(self, seconds: float) -> bool:
        if not select.select([self.outer], [], [], seconds)[0]:
            return False
        self.written += os.read(self.outer, 2**16)
        return True

    @property
    def lines(self) -> list[str]:
        """What stands there down to the last word, a line longer than the terminal's width on several."""
        shown, row, column = [""], 0, 0
        for found in TOKEN.finditer(self.written.decode(errors="replace")):
            number = int(found[1]) if (found[1] or "").isdigit() else 1
            if found[0] == "\r":
                column = 0
            elif found[0] == "\n":
                row += 1
            elif found[2] == "A":
                row = max(0, row - number)
            elif found[2] == "K":
                shown[row] = "" if found[1] == "2" else shown[row][:column]
            elif found[2] is None:
                row, column = (row + 1, 0) if column == self.columns else (row, column)
                shown += [""] * (row + 1 - len(shown))
                shown[row] = shown[row].ljust(column)[:column] + found[0] + shown[row][column + 1 :]
                column += 1
            shown += [""] * (row + 1 - len(shown))
        return "\n".join(line.rstrip() for line in shown).rstrip("\n").splitlines()

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def as_found(self) -> bool:
        """Whether the terminal is as before: its modes, its cursor to be seen, its colour plain."""
        hidden = self.written.rfind(b"\x1b[?25l") > self.written.rfind(b"\x1b[?25h")
        coloured = [found[1] for found in re.finditer(rb"\x1b\[([\d;]*)m", self.written)][-1:]
        return termios.tcgetattr(self.inner) == self.modes and not hidden and coloured in ([], [b"0"], [b""])
