"""A peer in a process of its own, which answers one request at a time: allocators and thread pools do not mix.

Requests and answers are lines of JSON on the process's standard input and output; what libraries print goes to its
log. Standard library only: an environment without this project's packages can serve too.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Answer = dict[str, Any]


class Worker:
    """The bench's end. Workers load side by side; each says the versions it runs on once it is ready."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.log, pipe = log, subprocess.PIPE
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=errors, env={**os.environ, **environment}, text=True
            )

    def answer(self) -> Answer:
        """Wait for the next line that the worker writes."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            end = "\n".join(self.log.read_text().splitlines()[-20:])
            raise RuntimeError(f"a worker ended with status {self.process.wait()}; its log ends:\n{end}")
        answer: Answer = json.loads(line)
        return answer

    def ask(self, method: str, **arguments: Any) -> Answer:
        """What `method` of the peer answers, and the `seconds` it took."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([method, arguments]) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()


def serve(load: Callable[[], object], versions: Sequence[str]) -> None:
    """The worker's end: load a peer, then call its methods as asked; CLOCK in its environment says what is timed."""
    clock = time.process_time if os.environ.get("CLOCK") == "processor" else time.perf_counter
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    peer = load()
    channel.write(json.dumps({name: sys.modules[name].__version__ for name in versions}) + "\n")
    for line in sys.stdin:
        method, arguments = json.loads(line)
        start = clock()
        answer = getattr(peer, method)(**arguments)
        answer["seconds"] = clock() - start
        channel.write(json.dumps(answer) + "\n")
