"""Data sets that the library `datasets` reads, of every builder: the sample of JSON lines, whoever reads what."""

import csv
import io
import json
import os
import pickle
import random
import subprocess
import sys
import tarfile
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict

from gathering import candidates_of
from hub import Hub
from recite.corpora import readers
from recite.corpora.candidates import gather
from recite.corpora.inventory import files_of_group, take_inventory
from recite.corpora.readers import Document, Layout, Skipped, read_documents
from recite.corpora.tables.candidates import CANDIDATES
from recite.errors import ReciteError
from recite.files import read_json
from recite.tables import read_metadata

Docs = list[dict[str, str]]
DRAW = {"seed": 5, "corpus": "small", "most": 12, "excerpt": 60, "place": "head"}
LABELS = {"prose": "prose", "lists": "lists"}
FIELDS = Layout("text", "id", "kind", labels=LABELS)
MEMBERS = Layout("txt", "json.id", "json.kind", labels=LABELS)
SPLIT = {"config": None, "split": "train", "streaming": False, "options": {}}


def documents() -> Docs:
    """Documents of two domains and a third that is none; some are empty, some look like numbers, dates or no value."""
    draw = random.Random(1)
    made = []
    for index in range(90):
        words = draw.choices(["the", "of", '"and",', "straße", "in\n\nto"], k=draw.randint(3, 30))
        text = {3: "", 7: "12", 11: "NA", 13: "2020-01-01"}.get(index % 40, " ".join(words))
        made.append({"id": f"{index:03d}", "kind": ["prose", "lists", "other"][index % 3], "text": text})
    return made


def write_csv(path: Path, docs: Docs) -> None:
    with path.with_suffix(".csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["kind", "text", "id", "n"])
        writer.writeheader()
        writer.writerows(document | {"n": "1"} for document in docs)


def write_tsv(path: Path, docs: Docs) -> None:
    with path.with_suffix(".tsv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["kind", "text", "id"], delimiter="\t")
        writer.writeheader()
        writer.writerows(docs)


def write_json(path: Path, docs: Docs) -> None:
    path.with_suffix(".jsonl").write_text("".join(json.dumps(document) + "\n" for document in docs))


def write_parquet(path: Path, docs: Docs) -> None:
    pq.write_table(pa.Table.from_pylist(docs), path.with_suffix(".parquet"), row_group_size=7)


def write_arrow(path: Path, docs: Docs) -> None:
    table = pa.Table.from_pylist(docs)
    with pa.OSFile(str(path.with_suffix(".arrow")), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)


def write_tar(path: Path, docs: Docs) -> None:
    with tarfile.open(path.with_suffix(".tar"), "w") as archive:
        for document in docs:
            fields = json.dumps({key: document[key] for key in ("id", "kind")})
            for suffix, data in (("txt", document["text"].encode()), ("json", fields.encode())):
                member = tarfile.TarInfo(f"{document['id']}.{suffix}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


WRITERS: dict[str, tuple[str | None, Callable[[Path, Docs], None], Layout]] = {
    "csv": ("csv", write_csv, FIELDS),
    "tsv": ("csv", write_tsv, FIELDS),
    "json": ("json", write_json, FIELDS),
    "parquet": ("parquet", write_parquet, FIELDS),
    "arrow": ("arrow", write_arrow, FIELDS),
    "webdataset": ("webdataset", write_tar, MEMBERS),
    "by its names": (None, write_csv, FIELDS),
    "json by its names": (None, write_json, FIELDS),
}


def entry(folder: Path, groups: int = 1, builder: str | None = None, **dataset: Any) -> dict[str, Any]:
    """What a study hands to the stage."""
    chosen = SPLIT | dataset | ({} if builder is None else {"builder": builder})
    return {"corpus": "small", "folder": str(folder), "groups": groups, "dataset": chosen}


def gathered(
    place: Path, options: dict[str, Any], layout: Layout, threads: int = 1
) -> tuple[list[dict[str, Any]], Any]:
    """Candidates of all groups by key, within the bounds of all, and what was skipped, by reason."""
    rows, skipped = candidates_of(place, options, layout, DRAW, threads)
    smallest = []
    for domain in LABELS:
        smallest += sorted((row for row in rows if row["domain"] == domain), key=lambda row: row["key"])[: DRAW["most"]]
    return smallest, skipped


def without_source(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if not key.startswith("source")} for row in rows]


def written(folder: Path, write: Callable[[Path, Docs], None], docs: Docs, files: int, seed: int) -> Path:
    """The documents in a seeded order in so many files."""
    folder.mkdir()
    mixed = random.Random(seed).sample(docs, len(docs))
    for index in range(files):
        write(folder / f"part-{index}", mixed[index::files])
    return folder


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], Any]:
    """The sample of the documents as JSON lines, by the readers of `files`."""
    folder = tmp_path_factory.mktemp("reference")
    write_json(folder / "all", documents())
    gather(DRAW, {"all.jsonl": folder / "all.jsonl"}, FIELDS, folder / "candidates.parquet", 1)
    skipped = read_metadata(folder / "candidates.parquet")["skipped"]
    rows = CANDIDATES.read(folder / "candidates.parquet").to_pylist()
    assert {reason: found["count"] for reason, found in skipped.items()} == {
        "empty text": 3,
        "label other is not a domain of the corpus": 29,
    }
    ordered = sorted(rows, key=lambda row: (row["domain"] == "lists", row["key"]))
    kept = [row for domain in LABELS for row in [row for row in ordered if row["domain"] == domain][: DRAW["most"]]]
    return kept, {reason: found["count"] for reason, found in skipped.items()}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(("files", "groups", "seed"), [(1, 1, 1), (5, 2, 2)])
def test_every_builder_gives_the_sample_of_json_lines(
    tmp_path: Path, reference: tuple[Any, Any], name: str, files: int, groups: int, seed: int
) -> None:
    """The sample must hang on the documents alone: not on the format, the order, the split of files or of jobs."""
    builder, write, layout = WRITERS[name]
    folder = written(tmp_path / "data", write, documents(), files, seed)
    rows, skipped = gathered(tmp_path / "out", entry(folder, groups, builder), layout)
    assert without_source(rows) == without_source(reference[0])
    assert skipped == reference[1]


@pytest.mark.parametrize(("shards", "groups", "threads"), [(1, 1, 1), (3, 1, 2), (4, 3, 1)])
def test_what_the_library_saved(
    tmp_path: Path, reference: tuple[Any, Any], shards: int, groups: int, threads: int
) -> None:
    """A split on disk, alone or beside others, in any number of files."""
    mixed = random.Random(shards).sample(documents(), 90)
    saved = DatasetDict({"train": Dataset.from_list(mixed), "test": Dataset.from_list(documents()[:5])})
    saved.save_to_disk(str(tmp_path / "data"), num_shards={"train": shards, "test": 1})
    rows, skipped = gathered(tmp_path / "out", entry(tmp_path / "data", groups), FIELDS, threads)
    assert without_source(rows) == without_source(reference[0]) and skipped == reference[1]
    assert {row["source_file"] for row in rows} == {"train"}
    assert all(mixed[row["source_row"]]["id"] == row["document_id"] for row in rows)
    alone, _ = gathered(tmp_path / "alone", entry(tmp_path / "data/train", groups), FIELDS)
    assert alone == rows


@pytest.mark.parametrize("groups", [1, 4])
def test_split_and_row_name_a_document_without_identifier(tmp_path: Path, groups: int) -> None:
    """Identifiers must not hang on who reads what."""
    docs = documents()
    Dataset.from_list(docs).save_to_disk(str(tmp_path / "data"), num_shards=3)
    rows, _ = gathered(tmp_path / str(groups), entry(tmp_path / "data", groups), FIELDS._replace(id=None))
    assert len(rows) == 24
    for row in rows:
        assert row["document_id"] == f"train:{row['source_row']}"
        assert docs[row["source_row"]]["text"].startswith(row["excerpt"])
        assert docs[row["source_row"]]["kind"] == row["domain"]


def test_pointers_lead_to_the_row_of_the_file(tmp_path: Path) -> None:
    """What a trace prints must be found again: the file within the folder and the row in it."""
    folder = written(tmp_path / "data", write_csv, documents(), 3, seed=4)
    rows, _ = gathered(tmp_path / "out", entry(folder, 2, "csv"), FIELDS._replace(id=None))
    for row in rows:
        with (folder / row["source_file"]).open(newline="") as file:
            document = list(csv.DictReader(file))[row["source_row"]]
        assert row["document_id"] == f"{row['source_file']}:{row['source_row']}"
        assert document["text"].startswith(row["excerpt"]) and document["kind"] == row["domain"]


@pytest.mark.parametrize(("sample_by", "texts"), [("line", ["a b", "c", "d"]), ("document", ["a b\nc\n\nd\n"])])
def test_builder_text(tmp_path: Path, sample_by: str, texts: list[str]) -> None:
    """A document is a line, or a whole file."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/notes[1].txt").write_text("a b\nc\n\nd\n")
    options = entry(tmp_path / "data", builder="text", options={"sample_by": sample_by})
    take_inventory(options, tmp_path / "inventory.json", fetch=False)
    ((name, rows),) = files_of_group(tmp_path / "inventory.json", 0).items()
    skipped = Skipped()
    found = [*read_documents(rows, name, Layout("text", path="^()", labels={"": "notes"}), skipped)]
    assert [document.text for document in found] == texts
    assert {document.source for document in found} == {"notes[1].txt"}
    assert skipped.counts == ({"empty text": 1} if sample_by == "line" else {})


@pytest.mark.parametrize("kind", ["saved", "files"])
def test_several_splits_and_labels_that_are_numbers(tmp_path: Path, kind: str) -> None:
    """Texts planted so and so often in one split and never in the other, by the number of copies."""
    splits = {"train": [1, 4, 1, 16], "test": [0, 0]}
    rows = {
        name: [{"text": f"{name} {i}", "duplicates": n} for i, n in enumerate(copies)]
        for name, copies in splits.items()
    }
    if kind == "saved":
        DatasetDict({name: Dataset.from_list(docs) for name, docs in rows.items()}).save_to_disk(str(tmp_path / "data"))
    else:
        (tmp_path / "data").mkdir()
        for name, docs in rows.items():
            (tmp_path / f"data/{name}.jsonl").write_text("".join(json.dumps(document) + "\n" for document in docs))
    layout = Layout("text", domain="duplicates", labels={"0": "never", "1": "once", "4": "often", "16": "often"})
    take_inventory(entry(tmp_path / "data", split="train+test"), tmp_path / "inventory.json", fetch=False)
    found = [
        (document.domain, document.text)
        for name, share in files_of_group(tmp_path / "inventory.json", 0).items()
        for document in read_documents(share, name, layout, Skipped())
    ]
    copies = {"once": ["train 0", "train 2"], "often": ["train 1", "train 3"], "never": ["test 0", "test 1"]}
    assert sorted(found) == sorted((domain, text) for domain, texts in copies.items() for text in texts)


def test_a_folder_behind_a_link(tmp_path: Path) -> None:
    """A corpus may lie on another disk, whole or in part, with a link in its place."""
    folder = written(tmp_path / "data", write_csv, documents(), 2, seed=1)
    (folder / "part-1.csv").rename(tmp_path / "elsewhere.csv")
    (folder / "part-1.csv").symlink_to(tmp_path / "elsewhere.csv")
    (tmp_path / "link").symlink_to(folder)
    take_inventory(entry(tmp_path / "link"), tmp_path / "inventory.json", fetch=False)
    shares = files_of_group(tmp_path / "inventory.json", 0)
    assert set(shares) == {"part-0.csv", "part-1.csv"}
    found = [document for name, share in shares.items() for document in read_documents(share, name, FIELDS, Skipped())]
    assert len(found) == sum(bool(document["text"]) and document["kind"] != "other" for document in documents())


def test_a_missing_field_is_counted(tmp_path: Path) -> None:
    """A row without text is skipped, and named; rows that all lack it are an error."""
    (tmp_path / "data").mkdir()
    lines = [{"id": "1", "kind": "prose", "text": "some"}, {"id": "2", "kind": "prose", "text": None}]
    (tmp_path / "data/a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    take_inventory(entry(tmp_path / "data"), tmp_path / "inventory.json", fetch=False)
    ((name, rows),) = files_of_group(tmp_path / "inventory.json", 0).items()
    skipped = Skipped()
    assert [document.id for document in read_documents(rows, name, FIELDS, skipped)] == ["1"]
    assert skipped.first == {"field text is not text": "a.jsonl, row 1"}
    with pytest.raises(ReciteError, match=r"^a\.jsonl: none of its 2 documents can be read.*missing field body"):
        list(read_documents(rows, name, FIELDS._replace(text="body"), Skipped()))


def refused(tmp_path: Path, sentence: str, **more: Any) -> None:
    with pytest.raises(ReciteError, match=sentence) as caught:
        take_inventory(entry(tmp_path / "data", **more), tmp_path / "inventory.json", fetch=False)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "inventory.json").exists()


def test_a_script_is_refused(tmp_path: Path) -> None:
    """What a data set brings must not be executed."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/data.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\n")
    refused(tmp_path, r"^corpus small: .*/data cannot be read by .* scripts are no longer supported.*; mend it")
    assert not (tmp_path / "executed").exists()


class Trap:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["rows.pkl", "rows.pickle", "rows.pt"])
def test_a_pickle_is_refused(tmp_path: Path, name: str) -> None:
    """A pickle executes what it holds."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_bytes(pickle.dumps(Trap(tmp_path / "executed")))
    refused(tmp_path, r"^corpus small: .*/data cannot be read by the library datasets \(.*\); mend it")
    assert not (tmp_path / "executed").exists()


def test_nothing_in_an_archive_is_unpickled(tmp_path: Path) -> None:
    """Members that only an unpickler reads are no texts, and stay as they are."""
    (tmp_path / "data").mkdir()
    with tarfile.open(tmp_path / "data/a.tar", "w") as archive:
        for suffix, data in (("txt", b"some text"), ("pth", pickle.dumps(Trap(tmp_path / "executed")))):
            member = tarfile.TarInfo(f"one.{suffix}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    take_inventory(entry(tmp_path / "data", builder="webdataset"), tmp_path / "inventory.json", fetch=False)
    ((name, rows),) = files_of_group(tmp_path / "inventory.json", 0).items()
    layout = Layout("txt", "__key__", path="^()", labels={"": "prose"})
    assert [document.text for document in read_documents(rows, name, layout, Skipped())] == ["some text"]
    with pytest.raises(ReciteError, match=r"none of its 1 documents can be read.*row 0: not UTF-8"):
        list(read_documents(rows, name, layout._replace(text="pth"), Skipped()))
    assert not (tmp_path / "executed").exists()


def test_other_kinds_are_refused(tmp_path: Path) -> None:
    """Builders that were not tried here are not taken because the library has them."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.xml").write_text("<a>some</a>")
    refused(
        tmp_path, r"is of the library's kind xml, which is not read here \(read are csv, json, text, parquet, arrow"
    )


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    """The splits that there are must be said, whoever made them."""
    written(tmp_path / "data", write_csv, documents(), 1, seed=1)
    refused(tmp_path, r"has no split dev \(its splits: train\); correct `split`", split="dev")
    written(tmp_path / "other", write_csv, documents(), 1, seed=1)
    DatasetDict({"one": Dataset.from_list(documents())}).save_to_disk(str(tmp_path / "data"))
    refused(tmp_path, r"has no split train \(its splits: one\); correct `split`")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """A defect of a file is an error that names it, and how to go on."""
    folder = written(tmp_path / "data", write_csv, documents(), 3, seed=1)
    (folder / "part-1.csv").write_bytes(b'text,id,kind\n"caf\xe9",1,prose\n')
    take_inventory(entry(folder, builder="csv"), tmp_path / "inventory.json", fetch=False)
    with pytest.raises(ReciteError, match=r"1 of 3 files cannot be read.*without.*part-1\.csv cannot be read by the"):
        gather(DRAW, files_of_group(tmp_path / "inventory.json", 0), FIELDS, tmp_path / "candidates.parquet", 1)
    options = entry(folder, builder="csv") | {"without": ["part-1.csv"]}
    take_inventory(options, tmp_path / "inventory.json", fetch=False)
    assert set(read_json(tmp_path / "inventory.json")["without"]) == {"part-1.csv"}
    gather(DRAW, files_of_group(tmp_path / "inventory.json", 0), FIELDS, tmp_path / "candidates.parquet", 1)


def test_the_hub_is_not_asked_without_leave(tmp_path: Path) -> None:
    """Reading from the hub is fetching."""
    options = entry(tmp_path / "data", streaming=True) | {"hub": "owner/name", "revision": "a" * 40}
    with pytest.raises(ReciteError, match=r"corpus small is not there: .* set `fetch: true` in the study"):
        take_inventory(options, tmp_path / "inventory.json", fetch=False)


READ = """
import json, sys
from pathlib import Path
from recite.corpora.inventory import files_of_group, take_inventory
from recite.corpora.readers import Document, Layout, Skipped, read_documents
from recite.errors import ReciteError
options, inventory = json.loads(sys.argv[1]), Path(sys.argv[2])
try:
    take_inventory(options, inventory, fetch=True)
except ReciteError as error:
    sys.exit(str(error))
layout = Layout("text", "id", "kind", labels={"prose": "prose", "lists": "lists"})
shares = [share for group in range(options["groups"]) for share in files_of_group(inventory, group).items()]
print(json.dumps([document for name, share in shares for document in read_documents(share, name, layout, Skipped())]))
"""


def read_from(hub: Hub, folder: Path, **dataset: Any) -> subprocess.CompletedProcess[str]:
    """Inventory and documents of a data set of a hub, which the library asks for in a process of its own."""
    options = entry(folder / "data", groups=2, **dataset) | {"hub": "owner/name", "revision": hub.commit}
    environment = os.environ | {"HF_ENDPOINT": hub.address, "HF_HOME": str(folder / "home")}
    environment |= {"PYTHONPATH": str(Path(readers.__file__).parents[3])}
    command = [sys.executable, "-c", READ, json.dumps(options), str(folder / "inventory.json")]
    return subprocess.run(command, env=environment, text=True, capture_output=True)


@pytest.mark.parametrize("streaming", [True, False])
def test_a_data_set_of_the_hub(tmp_path: Path, streaming: bool) -> None:
    """Read over the network or fetched, by the pinned commit alone; names do not hang on who reads what."""
    write_json(tmp_path / "zero", documents()[:50])
    write_json(tmp_path / "one", documents()[50:])
    files = {f"data/train-{n}.jsonl": (tmp_path / f"{n}.jsonl").read_bytes() for n in ("zero", "one")}
    hub = Hub("a" * 40, {"datasets/owner/name": files})
    try:
        run = read_from(hub, tmp_path, streaming=streaming)
        assert run.returncode == 0, run.stderr
        paths = [request.path for request in hub.requests if "owner/name" in request.path]
    finally:
        hub.close()
    expected = {document["id"] for document in documents() if document["text"] and document["kind"] != "other"}
    found = [Document(*document) for document in json.loads(run.stdout)]
    assert sorted(document.id for document in found) == sorted(expected)
    assert all(hub.commit in path for path in paths)
    assert (tmp_path / "data").exists() is not streaming
    shards = {"train/00000", "train/00001"}
    assert {document.source for document in found} == (shards if streaming else set(files))


def test_a_script_of_the_hub_is_refused(tmp_path: Path) -> None:
    """Nor must what lies on the hub be executed."""
    script = f"open({str(tmp_path / 'executed')!r}, 'w')\n".encode()
    hub = Hub("a" * 40, {"datasets/owner/name": {"name.py": script, "data/train.jsonl": b'{"text": "some"}\n'}})
    try:
        run = read_from(hub, tmp_path, streaming=True)
    finally:
        hub.close()
    assert run.returncode == 1
    assert (
        run.stderr.strip()
        .splitlines()[-1]
        .startswith("corpus small: owner/name cannot be read by the library datasets")
    )
    assert "scripts are no longer supported" in run.stderr and not (tmp_path / "executed").exists()


@pytest.mark.parametrize("kind", ["saved", "csv", "json", "parquet", "webdataset"])
def test_memory_does_not_grow_with_the_data_set(tmp_path: Path, kind: str) -> None:
    """A corpus is larger than any memory."""

    def peak(rows: int) -> int:
        folder = tmp_path / f"{kind}-{rows}"
        docs = [{"id": str(index), "kind": "prose", "text": "word " * 2000} for index in range(rows)]
        if kind == "saved":
            Dataset.from_list(docs).save_to_disk(str(folder))
        else:
            written(folder, WRITERS[kind][1], docs, 1, seed=1)
        del docs
        take_inventory(entry(folder), tmp_path / "inventory.json", fetch=False)
        shares = files_of_group(tmp_path / "inventory.json", 0)
        layout = FIELDS if kind == "saved" else WRITERS[kind][2]
        before = pa.total_allocated_bytes()
        tracemalloc.start()
        held = 0
        for name, share in shares.items():
            for number, _ in enumerate(read_documents(share, name, layout, Skipped())):
                if number % 50 == 0:
                    held = max(held, pa.total_allocated_bytes() - before)
        found = tracemalloc.get_traced_memory()[1] + held
        tracemalloc.stop()
        return found

    peak(200)  # what is made once
    small, large = peak(1000), peak(5000)
    assert large < small + 8e6 and large < 60e6
