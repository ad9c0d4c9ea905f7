"""Client of the public infini-gram API: counts of token spans in the corpora that it holds.

Every answer is written to a cache as it comes, so that a run that is stopped goes on where it was, and a rerun asks
nothing again. Spans are sent as token ids: the API reads operators in text.
"""

import json
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from recite.errors import ReciteError
from recite.files import atomic
from recite.progress import Progress
from recite.stages.frequency.ngrams import Span

LONGEST_SPAN = 500
"""Tokens that the API takes at most."""
ATTEMPTS = 8
LONGEST_PAUSE = 60.0
TIMEOUT = 30.0
BATCH_SPANS = 1000
BUSY = (408, 425, 429)
"""HTTP status, besides those from 500 on, of an answer that may be another the next time."""


class _NoAnswerError(Exception):
    """No usable answer this time. pause: seconds that the server asks to wait, or 0."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


class PublicIndex:
    """One index of the API, asked for counts over several connections at a bounded rate."""

    def __init__(self, options: Mapping[str, Any], index: str, cache: Path, first_pause: float = 1.0) -> None:
        """`options` give endpoint, connections and requests_per_second; `cache` is a file for this index alone."""
        self.endpoint, self.index, self.cache = options["endpoint"], index, cache
        self.connections, self.interval = options["connections"], 1 / options["requests_per_second"]
        self.first_pause = first_pause
        self.known = _read_cache(cache, index)
        self.turn, self.next_request = threading.Lock(), 0.0
        self.sessions = threading.local()

    def counts(self, spans: Sequence[Span]) -> list[int]:
        """Occurrences of each span; of the empty span all tokens of the index.

        Raises ReciteError for a span of more than LONGEST_SPAN tokens, where the API refuses, or where it gives no
        usable answer in ATTEMPTS tries; what was answered until then is in the cache.
        """
        waiting = [span for span in dict.fromkeys(spans) if span not in self.known]
        for span in waiting:
            if len(span) > LONGEST_SPAN:
                raise ReciteError(
                    f"a span of {len(span)} tokens is longer than the API's {LONGEST_SPAN}; shorten rows."
                )
        self.cache.parent.mkdir(parents=True, exist_ok=True)
        done = Progress(len(waiting), "spans")
        with self.cache.open("a") as cache, ThreadPoolExecutor(self.connections) as pool:
            for start in range(0, len(waiting), BATCH_SPANS):
                batch = [pool.submit(self._count, span, cache) for span in waiting[start : start + BATCH_SPANS]]
                wait(batch, return_when=FIRST_EXCEPTION)
                for future in batch:
                    future.cancel()
                for future in batch:
                    if not future.cancelled():
                        future.result()
                done(len(batch))
        return [self.known[span] for span in spans]

    def _count(self, span: Span, cache: Any) -> None:
        try:
            for attempt in Retrying(
                retry=retry_if_exception_type(_NoAnswerError),
                stop=stop_after_attempt(ATTEMPTS),
                wait=self._pause,
                reraise=True,
            ):
                with attempt:
                    count = self._ask(span)
        except _NoAnswerError as error:
            raise ReciteError(
                f"{self.endpoint} gave no usable answer in {ATTEMPTS} tries ({error}); what was counted is kept in "
                f"{self.cache}: run again later."
            ) from None
        line = json.dumps({"index": self.index, "span": span, "count": count}) + "\n"
        with self.turn:
            cache.write(line)
            cache.flush()
            self.known[span] = count

    def _pause(self, state: RetryCallState) -> float:
        """Seconds before the next try: more each time, and at least what the server asked for."""
        first = self.first_pause
        growing = wait_exponential_jitter(multiplier=first, max=LONGEST_PAUSE, jitter=first)(state)
        error = state.outcome.exception() if state.outcome else None
        return max(growing, error.pause) if isinstance(error, _NoAnswerError) else growing

    def _ask(self, span: Span) -> int:
        """One request."""
        self._take_turn()
        question: dict[str, Any] = {"index": self.index, "query_type": "count", "query_ids": list(span)}
        try:
            answer = self._session().post(self.endpoint, json=question, timeout=TIMEOUT)
            status, body = answer.status_code, answer.content
        except requests.RequestException as error:
            raise _NoAnswerError(type(error).__name__) from None
        if status >= 500 or status in BUSY:
            asked = answer.headers.get("Retry-After", "")
            raise _NoAnswerError(f"HTTP status {status}", min(float(asked), LONGEST_PAUSE) if asked.isdigit() else 0.0)
        try:
            found = json.loads(body)
        except ValueError:
            found = None
        if isinstance(found, dict) and "error" in found:
            raise ReciteError(
                f"{self.endpoint} refuses to count in index {self.index}: {found['error']}; mend the corpora file."
            )
        if status != 200:
            raise ReciteError(f"{self.endpoint} answers with HTTP status {status}; correct the endpoint in the config.")
        count = found.get("count") if isinstance(found, dict) else None
        if type(count) is not int or count < 0 or found.get("approx"):
            raise _NoAnswerError("an answer without an exact count")
        return count

    def _take_turn(self) -> None:
        """Wait until the next request may go out."""
        with self.turn:
            now = time.monotonic()
            mine = max(now, self.next_request)
            self.next_request = mine + self.interval
        time.sleep(mine - now)

    def _session(self) -> requests.Session:
        """The connection of this thread."""
        if not hasattr(self.sessions, "own"):
            self.sessions.own = requests.Session()
        return self.sessions.own


def _read_cache(cache: Path, index: str) -> dict[Span, int]:
    """Counts of an earlier run; what a killed one left half-written is dropped from the file."""
    known: dict[Span, int] = {}
    if not cache.exists():
        return known
    text = cache.read_text()
    whole, _, rest = text.rpartition("\n")
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            entry = json.loads(line)
            if entry["index"] == index:
                known[tuple(entry["span"])] = entry["count"]
        except (ValueError, KeyError, TypeError):
            raise ReciteError(
                f"{cache}, line {number} is no count; delete the line, or the file to ask again."
            ) from None
    if rest:
        with atomic(cache) as temporary:
            temporary.write_text(whole + "\n" if whole else "")
    return known
