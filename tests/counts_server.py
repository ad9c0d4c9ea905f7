"""A server on this machine that answers as the public infini-gram API does, from local indexes."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from recite.stages.frequency.ngrams import Index, Span


class Fault(NamedTuple):
    """What is answered instead: HTTP status, body, headers; after a pause, in seconds, or never if `drops`."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    pause: float = 0.0
    drops: bool = False


class CountsServer:
    """Indexes by name, and what goes wrong.

    faults: answers to the next requests, first to last. always: span -> its fault, if any. asked: the spans of all
    requests. times: when each of them came, by time.monotonic.
    """

    def __init__(self, indexes: Mapping[str, Index]) -> None:
        self.indexes = indexes
        self.faults: list[Fault] = []
        self.always: Callable[[Span], Fault | None] = lambda span: None
        self.asked: list[Span] = []
        self.times: list[float] = []
        self.turn = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"counts": self}))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, question: Mapping[str, object]) -> Fault:
        """The answer to one request, as the API's documentation gives it."""
        span = tuple(question["query_ids"])  # type: ignore[arg-type]
        with self.turn:
            self.asked.append(span)
            self.times.append(time.monotonic())
            fault = self.faults.pop(0) if self.faults else self.always(span)
            if fault:
                return fault
            name = question["index"]
            if question["query_type"] != "count":
                found: dict[str, object] = {"error": f"Invalid query_type: {question['query_type']}"}
            elif name not in self.indexes:
                found = {"error": f"Invalid index: {name}"}
            elif len(span) > 500:
                found = {"error": "Please limit your input to <= 500 tokens!"}
            else:
                (count,) = self.indexes[str(name)].counts([span])
                found = {"count": count, "approx": False, "token_ids": list(span), "tokens": [], "latency": 0.1}
        return Fault(body=json.dumps(found).encode())


class _Handler(BaseHTTPRequestHandler):
    """One connection, kept open between requests."""

    counts: CountsServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = self.counts.answer(question)
        time.sleep(answer.pause)
        if answer.drops:
            self.close_connection = True
            return
        try:
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        """No line a request on the tests' output."""
