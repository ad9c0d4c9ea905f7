"""A peer in a process of its own, which answers one request at a time: allocators and thread pools do not mix.

Requests and answers are lines of JSON on the process's standard input and output; whatever libraries print goes to
its log. Standard library only: an environment without this project's packages can serve too.
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
    """The bench's end. A worker loads while others load; `ready` waits for it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **environment},
                text=True,
            )

    def ready(self) -> Answer:
        """Wait until the peer is loaded; the versions it runs on."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            end = "\n".join(self.log.read_text().splitlines()[-20:])
            raise RuntimeError(f"a worker ended with status {self.process.wait()}; the end of its log:\n{end}")
        answer: Answer = json.loads(line)
        return answer

    def ask(self, method: str, **arguments: Any) -> Answer:
        """What `method` of the peer answers, and `seconds`, the time it took."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"method": method, "arguments": arguments}) + "\n")
        self.process.stdin.flush()
        return self.ready()

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()


def serve(load: Callable[[], object], versions: Sequence[str]) -> None:
    """The worker's end: load a peer, then call its methods as asked until the bench ends it."""
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    peer = load()
    channel.write(json.dumps({name: sys.modules[name].__version__ for name in versions}) + "\n")
    for line in sys.stdin:
        request = json.loads(line)
        start = time.perf_counter()
        answer = getattr(peer, request["method"])(**request["arguments"])
        answer["seconds"] = time.perf_counter() - start
        channel.write(json.dumps(answer) + "\n")
