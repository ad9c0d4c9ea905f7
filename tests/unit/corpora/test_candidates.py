"""Candidates against an exhaustive reference, for any split, order, number of workers and restart."""

import hashlib
import itertools
import json
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard

from recite.corpora import candidates
from recite.corpora.candidates import Smallest, gather
from recite.corpora.readers import Layout
from recite.corpora.tables.candidates import CANDIDATES
from recite.errors import ReciteError
from recite.tables import read_metadata

DRAW = {"seed": 5, "corpus": "small", "most": 20, "excerpt": 40, "place": "head"}
LAYOUT = Layout("text", "id", "domain", labels={"prose": "prose", "lists": "lists"})
Docs = list[dict[str, str]]


def documents() -> Docs:
    """Sixty documents of each of three domains, one of which is no domain of the corpus."""
    draw = random.Random(1)
    made = []
    for index, domain in itertools.product(range(60), ["prose", "lists", "other"]):
        text = " ".join(draw.choices(["the", "of", "and", "straße", "in"], k=draw.randint(3, 40)))
        made.append({"id": f"{domain}/{index}", "domain": domain, "text": text})
    return made


def write(path: Path, docs: Docs) -> Path:
    """A corpus file of these documents."""
    text = "".join(json.dumps(document) + "\n" for document in docs)
    path.write_bytes(zstandard.compress(text.encode()))
    return path


def files_of(folder: Path, pieces: Sequence[Docs]) -> dict[str, Path]:
    """A corpus of these files."""
    folder.mkdir(exist_ok=True)
    names = [f"{index}.jsonl.zst" for index in range(len(pieces))]
    return {name: write(folder / name, piece) for name, piece in zip(names, pieces, strict=True)}


def key_of(document: dict[str, str]) -> int:
    """The key, written out again: the first 8 bytes, little-endian, of BLAKE2b over the joined parts."""
    digest = hashlib.blake2b(f"5\x1fsmall\x1f{document['id']}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def gathered(folder: Path, pieces: Sequence[Docs], threads: int = 1, **draw: Any) -> Path:
    """The candidates of a corpus of these files."""
    files = files_of(folder, pieces)
    gather(DRAW | draw, files, LAYOUT, folder / "candidates.parquet", threads)
    return folder / "candidates.parquet"


def without_source(path: Path) -> list[dict[str, Any]]:
    """Rows but for the file and line that they come from."""
    return CANDIDATES.read(path).drop_columns(["source_file", "source_row"]).to_pylist()


@pytest.mark.parametrize("most", [20, 60, 500])
def test_equals_an_exhaustive_reference(tmp_path: Path, most: int) -> None:
    """A bound that falls too far would lose documents that belong to the sample."""
    docs = documents()
    path = gathered(tmp_path / "corpus", [docs], most=most)
    rows, made = CANDIDATES.read(path).to_pylist(), read_metadata(path)
    place = 0
    for domain in ("lists", "prose"):
        ordered = sorted((document for document in docs if document["domain"] == domain), key=key_of)
        for document in ordered[:most]:
            row = rows[place]
            assert (row["key"], row["domain"], row["document_id"]) == (key_of(document), domain, document["id"])
            cut = document["text"][:40].rsplit(" ", 1)[0] if len(document["text"]) > 40 else document["text"]
            assert row["excerpt"] == cut and row["start"] == 0
            assert row["whole"] == (len(document["text"]) <= 40)
            assert docs[row["source_row"]] == document and row["source_file"] == "0.jsonl.zst"
            place += 1
        assert made["bounds"][domain] == (key_of(ordered[most - 1]) if most <= 60 else None)
        assert made["documents"][domain] == 60
    assert place == len(rows)
    skip = {"count": 60, "first": "0.jsonl.zst, row 2, byte "}
    found = made["skipped"]["label other is not a domain of the corpus"]
    assert found["count"] == skip["count"] and found["first"].startswith("0.jsonl.zst, row 2, byte")


@pytest.mark.parametrize("threads", [1, 2])
def test_every_file_is_counted(tmp_path: Path, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a corpus takes hours; its log says how far it is."""
    told: list[int] = []

    def progress(total: int, unit: str) -> Any:
        assert (total, unit) == (3, "files")
        return told.append

    monkeypatch.setattr(candidates, "Progress", progress)
    docs = documents()
    gathered(tmp_path / "corpus", [docs[:60], docs[60:90], docs[90:]], threads)
    assert told == [1, 1, 1]


@pytest.mark.parametrize("cuts", [(90,), (1, 2, 100), (30, 60, 90, 120)])
@pytest.mark.parametrize("threads", [1, 2])
def test_any_split_gives_the_whole(tmp_path: Path, cuts: tuple[int, ...], threads: int) -> None:
    """File boundaries, their order and the number of workers must not change what is kept, nor its bytes."""
    docs = documents()
    whole = gathered(tmp_path / "whole", [docs])
    pieces = [docs[first:last] for first, last in itertools.pairwise((0, *cuts, len(docs)))]
    for name, order in (("forth", pieces), ("back", pieces[::-1])):
        split = gathered(tmp_path / name, order, threads)
        assert without_source(split) == without_source(whole)
        assert read_metadata(split)["bounds"] == read_metadata(whole)["bounds"]
        assert read_metadata(split)["documents"] == read_metadata(whole)["documents"]
    assert (
        gathered(tmp_path / "again", pieces, 3 - threads).read_bytes()
        == (tmp_path / "forth/candidates.parquet").read_bytes()
    )


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are done are not read again, and the result is that of an undisturbed run."""
    docs = documents()
    pieces = [docs[first : first + 45] for first in range(0, 180, 45)]
    undisturbed = gathered(tmp_path / "undisturbed", pieces)
    folder, read = tmp_path / "killed", []
    files = files_of(folder, pieces)
    collect = candidates.collect

    def dies_at_the_third(draw: Any, name: str, *rest: Any) -> dict[str, int]:
        if len(read) == 2:
            raise KeyboardInterrupt
        read.append(name)
        return collect(draw, name, *rest)

    monkeypatch.setattr(candidates, "collect", dies_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        gather(DRAW, files, LAYOUT, folder / "candidates.parquet", 1)
    assert not (folder / "candidates.parquet").exists()
    monkeypatch.setattr(
        candidates, "collect", lambda draw, name, *rest: read.append(name) or collect(draw, name, *rest)
    )
    gather(DRAW, files, LAYOUT, folder / "candidates.parquet", 1)
    assert read == sorted(files)
    assert (folder / "candidates.parquet").read_bytes() == undisturbed.read_bytes()
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_parts_of_other_files_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part's bound came from all files of its run; were one replaced, the part would lack documents."""
    docs = documents()
    folder = tmp_path / "corpus"
    files = files_of(folder, [docs[:90], docs[90:]])
    collect = candidates.collect

    def dies_at_the_second(draw: Any, name: str, *rest: Any) -> dict[str, int]:
        if name == "1.jsonl.zst":
            raise KeyboardInterrupt
        return collect(draw, name, *rest)

    monkeypatch.setattr(candidates, "collect", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        gather(DRAW, files, LAYOUT, folder / "candidates.parquet", 1)
    monkeypatch.setattr(candidates, "collect", collect)
    write(files["0.jsonl.zst"], docs[45:90])
    gather(DRAW, files, LAYOUT, folder / "candidates.parquet", 1)
    fresh = gathered(tmp_path / "fresh", [docs[45:90], docs[90:]])
    assert without_source(folder / "candidates.parquet") == without_source(fresh)


def test_excerpts_at_an_offset(tmp_path: Path) -> None:
    """An excerpt must be a true span that starts at a word, within the document, and not always at its head."""
    docs = {document["id"]: document["text"] for document in documents()}
    rows = CANDIDATES.read(gathered(tmp_path / "corpus", [documents()], place="offset")).to_pylist()
    for row in rows:
        text = docs[row["document_id"]]
        assert text[row["start"] :][:40].startswith(row["excerpt"]) and (row["whole"] or len(row["excerpt"]) > 20)
        assert row["start"] == 0 or row["excerpt"].startswith(" ")
        assert row["whole"] == (row["start"] + 40 >= len(text))
    assert len({row["start"] for row in rows}) > 5


@pytest.mark.parametrize(
    ("text", "excerpt", "whole"),
    [
        ("one two three", "one two three", True),
        ("one two three four", "one two", False),
        ("one two  \n threefour", "one two", False),
        ("x" * 30, "x" * 13, False),
        ("on " + "x" * 30, "on " + "x" * 10, False),
        ("  indented text that goes on", "  indented", False),
    ],
)
def test_no_word_is_cut_that_need_not_be(text: str, excerpt: str, whole: bool) -> None:
    """Half a word has other tokens than the whole; a text without spaces must not be lost for that."""
    assert candidates._excerpt(text, 0, 13) == (excerpt, whole)


def test_no_more_keys_in_memory_than_twice_the_sample() -> None:
    """Keys of a corpus of billions of documents would not fit."""
    smallest, draw = Smallest(10), random.Random(2)
    keys = [draw.getrandbits(64) for _ in range(5000)]
    for key in keys:
        smallest.take("prose", key)
        assert len(smallest.keys["prose"]) <= 20
    assert smallest.settled() == {"prose": sorted(keys)[9]}


def test_nothing_to_read(tmp_path: Path) -> None:
    """A corpus without files, or with a lost one, must not give an empty sample silently."""
    with pytest.raises(ReciteError, match="corpus small has no files"):
        gather(DRAW, {}, LAYOUT, tmp_path / "candidates.parquet", 1)
    with pytest.raises(ReciteError, match=r"lost\.jsonl\.zst does not exist; put the corpus's files there"):
        gather(DRAW, {"lost.jsonl.zst": tmp_path / "lost.jsonl.zst"}, LAYOUT, tmp_path / "candidates.parquet", 1)


def test_a_damaged_file_is_named_by_any_worker(tmp_path: Path) -> None:
    """A ReciteError of a worker must come through as one."""
    files = files_of(tmp_path / "corpus", [documents(), documents()])
    files["1.jsonl.zst"].write_bytes(files["1.jsonl.zst"].read_bytes()[:-9])
    for threads in (1, 2):
        with pytest.raises(ReciteError, match=r"1\.jsonl\.zst ends within a zstd frame"):
            gather(DRAW, files, LAYOUT, tmp_path / "candidates.parquet", threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_all_broken_files_are_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    """Prevents a run for each broken file; without them, named, the rest is read, and the result says so."""
    pieces = [documents()[at : at + 18] for at in range(0, 180, 18)]
    files = files_of(tmp_path / "corpus", pieces)
    files["2.jsonl.zst"].write_bytes(files["2.jsonl.zst"].read_bytes()[:-9])
    files["5.jsonl.zst"].write_bytes(b"")
    files["7.jsonl.zst"].unlink()
    files["7.jsonl.zst"].mkdir()
    made = tmp_path / "candidates.parquet"
    with pytest.raises(ReciteError) as error:
        gather(DRAW, files, LAYOUT, made, threads)
    said = str(error.value)
    assert said.startswith("corpus small: 3 of 10 files cannot be read; mend them, or go on without them by naming")
    reasons = [said.find(reason) for reason in ("2.jsonl.zst ends within", "5.jsonl.zst is empty", "7.jsonl.zst does")]
    assert reasons == sorted(reasons) and min(reasons) > 0 and "\n" not in said and not made.exists()
    broken = {name: 1 for name in ("2.jsonl.zst", "5.jsonl.zst", "7.jsonl.zst")}
    rest = {name: path for name, path in files.items() if name not in broken}
    with monkeypatch.context() as patch:
        patch.setattr(candidates, "collect", None)  # what was read is kept
        gather(DRAW, rest, LAYOUT, made, threads, broken)
    sound = [piece for at, piece in enumerate(pieces) if at not in (2, 5, 7)]
    assert without_source(made) == without_source(gathered(tmp_path / "sound", sound))
    assert read_metadata(made)["without"] == broken and len(read_metadata(made)["files"]) == 7


def test_all_missing_files_are_named_at_once(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("a.jsonl", "b.jsonl")}
    with pytest.raises(ReciteError, match=r"a\.jsonl, .*b\.jsonl do not exist; put"):
        gather(DRAW, files, LAYOUT, tmp_path / "candidates.parquet", 1)


PEAK = """
import json, resource, sys
from pathlib import Path
from recite.corpora.candidates import gather
from recite.corpora.readers import Layout
path, many = Path(sys.argv[1]), int(sys.argv[2])
with path.open("w") as file:
    for index in range(many):
        file.write(json.dumps({"id": str(index), "domain": "prose", "text": f"word {index} " * 20}) + "\\n")
draw = {"seed": 1, "corpus": "c", "most": 2000, "excerpt": 1024, "place": "head"}
layout = Layout("text", "id", "domain", labels={"prose": "prose"})
gather(draw, {path.name: path}, layout, path.with_suffix(".parquet"), 1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    """Twenty times the documents, the same memory."""

    def peak(many: int) -> float:
        command = [sys.executable, "-c", PEAK, str(tmp_path / f"{many}.jsonl"), str(many)]
        run = subprocess.run(
            command, env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True, check=True
        )
        return int(run.stdout) / 1024

    assert peak(200_000) < peak(10_000) + 40
