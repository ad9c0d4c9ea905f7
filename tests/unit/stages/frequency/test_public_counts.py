"""The public index against a server that answers from a real local one, and that fails in every known way."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from counts_server import CountsServer, Fault
from recite.errors import ReciteError
from recite.stages.frequency import public_counts
from recite.stages.frequency.ngrams import Index, Span, build_index, units_of
from recite.stages.frequency.public_counts import ATTEMPTS, LONGEST_SPAN, PublicIndex

NAME = "v4_texts"
TEXTS = ["the cat sat on the mat", "the dog sat on the cat", "x" * 700]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("index")
    build_index(TEXTS, units_of(None), folder, threads=1, gigabytes=1)
    return Index([folder])


@pytest.fixture
def server(index: Index) -> Iterator[CountsServer]:
    made = CountsServer({NAME: index})
    yield made
    made.close()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "made" / "cache.jsonl"


def client(server: CountsServer, cache: Path, connections: int = 2, rate: float = 10_000) -> PublicIndex:
    options = {"endpoint": server.address, "connections": connections, "requests_per_second": rate}
    return PublicIndex(options, NAME, cache, first_pause=0.01)


def span(text: str) -> Span:
    return tuple(text.encode())


SPANS = [span(text) for text in ("the", "cat", "sat on", "nowhere", "the", "t", "mat")]


@pytest.mark.parametrize("connections", [1, 4])
def test_counts_equal_the_index(
    server: CountsServer, index: Index, cache: Path, connections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prevents counts that differ from the index's, in another order, or that ask for one span twice."""
    source = np.random.default_rng(1)
    drawn = [
        span(TEXTS[i % 2][a : a + b])
        for i, (a, b) in enumerate(zip(source.integers(0, 20, 300), source.integers(1, 6, 300), strict=True))
    ]
    spans = [*SPANS, *drawn, ()]
    told: list[int] = []
    monkeypatch.setattr("recite.stages.frequency.public_counts.BATCH_SPANS", 50)
    monkeypatch.setattr("recite.stages.frequency.public_counts.Progress", lambda total, unit: told.append)
    assert client(server, cache, connections).counts(spans) == index.counts(spans)
    assert len(server.asked) == len(set(spans)) == sum(told) and max(told) == 50


FAULTS = {
    "too many requests": Fault(429, b"slow down"),
    "busy": Fault(503, b"<html>"),
    "internal error": Fault(500),
    "bad gateway": Fault(502, b"{}"),
    "connection dropped": Fault(drops=True),
    "not JSON": Fault(body=b"<html>maintenance</html>"),
    "empty": Fault(),
    "half of JSON": Fault(body=b'{"count": 12'),
    "a list": Fault(body=b"[12]"),
    "no count": Fault(body=b'{"latency": 3}'),
    "a count in words": Fault(body=b'{"count": "12"}'),
    "a negative count": Fault(body=b'{"count": -1, "approx": false}'),
    "an estimate": Fault(body=b'{"count": 12, "approx": true}'),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_one_fault_is_survived(server: CountsServer, index: Index, cache: Path, fault: Fault) -> None:
    """Prevents an answer that is no count from being taken for one, or from ending the run."""
    server.faults = [fault] * 3
    assert client(server, cache, connections=1).counts(SPANS) == index.counts(SPANS)
    assert server.asked[:4] == [SPANS[0]] * 4
    assert not server.faults


def test_time_out(server: CountsServer, index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a server that does not answer from stopping the run."""
    monkeypatch.setattr(public_counts, "TIMEOUT", 0.5)
    server.faults = [Fault(pause=2)]
    assert client(server, cache, connections=1).counts(SPANS) == index.counts(SPANS)


def test_waits_as_long_as_the_server_asks(server: CountsServer, cache: Path) -> None:
    """Prevents a retry before the time that a 429 names; a date in place of seconds is not waited for."""
    server.faults = [Fault(429, headers=(("Retry-After", "1"),)), Fault(429, headers=(("Retry-After", "Mon"),))]
    client(server, cache, connections=1).counts(SPANS[:1])
    first, second, third = server.times
    assert second - first >= 1
    assert third - second < 1


def test_waits_grow(server: CountsServer, cache: Path) -> None:
    """Prevents a failing server from being asked at a constant pace."""
    server.faults = [Fault(503)] * (ATTEMPTS - 1)
    client(server, cache, connections=1).counts(SPANS[:1])
    waits = np.diff(server.times)
    assert len(waits) == ATTEMPTS - 1
    assert (waits >= 0.01 * 2.0 ** np.arange(ATTEMPTS - 1)).all()


def test_rate(server: CountsServer, cache: Path) -> None:
    """Prevents more requests than allowed, however many connections there are."""
    client(server, cache, connections=4, rate=20).counts([(number,) for number in range(20)])
    assert max(server.times) - min(server.times) >= 19 / 20 * 0.95


def test_gives_up_and_goes_on(server: CountsServer, index: Index, cache: Path) -> None:
    """Prevents what was counted before an outage from being lost or asked again."""
    server.always = lambda asked: Fault(503) if asked == span("nowhere") else None
    with pytest.raises(
        ReciteError, match=rf"no usable answer in {ATTEMPTS} tries \(HTTP status 503\).*run again later"
    ):
        client(server, cache, connections=1).counts(SPANS)
    known = {tuple(json.loads(line)["span"]) for line in cache.read_text().splitlines()}
    assert known >= set(SPANS[:3])
    server.always, server.asked = lambda asked: None, []
    assert client(server, cache, connections=1).counts(SPANS) == index.counts(SPANS)
    assert set(server.asked) == set(SPANS) - known
    assert span("nowhere") in server.asked


def test_a_rerun_asks_nothing(server: CountsServer, index: Index, cache: Path) -> None:
    """Prevents requests for spans that the cache holds, and answers of another index from being taken."""
    client(server, cache).counts(SPANS)
    lines = [json.loads(line) | {"index": "another", "count": 99} for line in cache.read_text().splitlines()]
    cache.write_text("".join(json.dumps(line) + "\n" for line in lines) + cache.read_text())
    server.asked = []
    assert client(server, cache).counts(SPANS) == index.counts(SPANS)
    assert server.asked == []


def test_killed_while_writing(server: CountsServer, index: Index, cache: Path) -> None:
    """Prevents half a line from ending the next run, or from being joined with its first one."""
    client(server, cache).counts(SPANS)
    whole = cache.read_bytes()
    cache.write_bytes(whole[:-7])
    assert client(server, cache).counts(SPANS) == index.counts(SPANS)
    assert sorted(cache.read_text().splitlines()) == sorted(whole.decode().splitlines())


@pytest.mark.parametrize("line", ["garbage", '{"index": "v4_texts", "count": 3}', "[1, 2]"])
def test_broken_cache(server: CountsServer, cache: Path, line: str) -> None:
    """Prevents a damaged cache from being believed in part."""
    client(server, cache).counts(SPANS[:1])
    cache.write_text(cache.read_text() + line + "\n")
    with pytest.raises(ReciteError, match=r"cache\.jsonl, line 2 is no count; delete the line"):
        client(server, cache)


def test_refusal(server: CountsServer, cache: Path) -> None:
    """Prevents a wrong name of an index, which no retry mends, from being asked for again and again."""
    server.indexes = {}
    with pytest.raises(ReciteError, match=r"refuses to count in index v4_texts: Invalid index: v4_texts; mend"):
        client(server, cache, connections=1).counts(SPANS)
    assert server.asked.count(SPANS[0]) == 1


def test_wrong_address(server: CountsServer, cache: Path) -> None:
    """Prevents a wrong endpoint from ending in a traceback or in retries."""
    server.faults = [Fault(404, b"<html>not found</html>")]
    with pytest.raises(ReciteError, match="HTTP status 404; correct the endpoint"):
        client(server, cache, connections=1).counts(SPANS)
    assert server.asked.count(SPANS[0]) == 1


def test_nobody_answers(cache: Path) -> None:
    """Prevents a machine without network from ending in a traceback."""
    options = {"endpoint": "http://127.0.0.1:9/", "connections": 1, "requests_per_second": 1000}
    with pytest.raises(ReciteError, match=r"no usable answer in 8 tries \(ConnectionError\)"):
        PublicIndex(options, NAME, cache, first_pause=0.001).counts([(1,)])


def test_too_long(server: CountsServer, index: Index, cache: Path) -> None:
    """Prevents a request that the API refuses; its longest span is counted."""
    longest = span("x" * LONGEST_SPAN)
    assert client(server, cache).counts([longest]) == index.counts([longest]) == [201]
    with pytest.raises(ReciteError, match="a span of 501 tokens is longer than the API's 500"):
        client(server, cache).counts([(*longest, 1)])
    assert len(server.asked) == 1
