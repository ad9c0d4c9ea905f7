"""recite.corpora.making.building: documents cut from installed files, controls planted as often as the table says."""

import json
import random
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import zstandard

from recite.corpora.making import building as corpus
from recite.corpora.making.building import SourceFile, build_corpus, choose_controls, cut_passages, find_files
from recite.corpora.tables.training import CONTROLS
from recite.errors import ReciteError
from recite.files import read_json, sha256_file

OPTIONS = {
    "name": "tiny",
    "seed": 3,
    "passage_characters": 200,
    "passages_per_file": 2,
    "sources": {
        "mail": {"packages": ["python"], "patterns": ["python/email/*.py"], "documents": 12},
        "web": {"packages": ["python"], "patterns": ["python/http/*.py", "python/html/*.py"], "documents": 7},
    },
    "controls": {"source": "mail", "repetitions": {"1": 2, "2": 1, "10": 2}},
}
REPETITIONS = [1, 1, 2, 10, 10]
PLANTED = ("control", "repeats", "unseen")


@pytest.fixture
def options() -> dict[str, Any]:
    return deepcopy(OPTIONS)


class Built:
    """A built corpus, read without the library's readers."""

    def __init__(self, options: dict[str, Any], folder: Path) -> None:
        self.files = {name: folder / f"{name}.jsonl.zst" for name in [*options["sources"], *PLANTED]}
        self.controls, self.manifest = folder / "controls.parquet", folder / "manifest.json"
        build_corpus(options, self.files, self.controls, self.manifest)

    def documents(self, domain: str) -> list[dict[str, str]]:
        with self.files[domain].open("rb") as file:
            text = zstandard.ZstdDecompressor().stream_reader(file).read().decode()
        return [json.loads(line) for line in text.split("\n") if line]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(deepcopy(OPTIONS), tmp_path_factory.mktemp("corpus"))


def test_documents_are_counted_and_labelled(built: Built) -> None:
    """Prevents a domain from having other documents than asked for, or another domain's name."""
    for domain, wanted in (("mail", 12), ("web", 7), ("control", 5), ("repeats", 19)):
        documents = built.documents(domain)
        assert len(documents) == wanted
        assert {document["domain"] for document in documents} == {domain}
        assert all(200 <= len(document["text"]) <= 800 for document in documents)


def test_controls_occur_as_often_as_listed(built: Built) -> None:
    """Prevents a planted truth that is not true: every occurrence is counted by brute force."""
    counts = CONTROLS.read(built.controls).to_pydict()
    listed = dict(zip(counts["document_id"], counts["repetitions"], strict=True))
    texts = {document["id"]: document["text"] for document in built.documents("control")}
    assert listed.keys() == texts.keys() and len(set(texts.values())) == 5
    assert sorted(listed.values()) == REPETITIONS
    everything = [document["text"] for domain in built.files for document in built.documents(domain)]
    natural = [document["text"] for domain in ("mail", "web") for document in built.documents(domain)]
    for document_id, text in texts.items():
        assert sum(text in other for other in everything) == listed[document_id]
        assert not any(text in other or text[:50] in other for other in natural)


def test_document_ids_are_unique(built: Built) -> None:
    """Prevents two documents from sharing a row id."""
    ids = [document["id"] for domain in built.files for document in built.documents(domain)]
    assert len(ids) == len(set(ids))


def test_document_ids_are_unique_where_domains_share_files(options: dict[str, Any], tmp_path: Path) -> None:
    """Prevents the crash of aggregation that a file matching the patterns of two domains caused."""
    options["sources"]["web"] |= {"patterns": ["python/email/*.py"], "documents": 30}
    made = Built(options, tmp_path)
    mail, web = ({document["text"] for document in made.documents(domain)} for domain in ("mail", "web"))
    assert mail & web
    ids = [document["id"] for domain in made.files for document in made.documents(domain)]
    assert len(ids) == len(set(ids))


def test_documents_are_pieces_of_installed_files(built: Built) -> None:
    """Prevents changed or invented text: every natural document is found again in a file of the package."""
    sources = [file.path.read_text() for file in find_files(["python"], ["python/email/*.py"])]
    for document in built.documents("mail"):
        paragraphs = [part for part in document["text"].split("\n\n") if part.strip()]
        assert any(all(paragraph in source for paragraph in paragraphs) for source in sources)


def test_building_twice_gives_the_same_bytes(built: Built, options: dict[str, Any], tmp_path: Path) -> None:
    """Prevents the order of a folder, of keys or the time from entering the corpus."""
    options["sources"]["web"]["patterns"].reverse()
    again = Built(options, tmp_path)
    for name, path in built.files.items():
        assert path.read_bytes() == again.files[name].read_bytes()
    assert built.controls.read_bytes() == again.controls.read_bytes()
    assert built.manifest.read_bytes() == again.manifest.read_bytes()


def test_the_seed_changes_the_choice(built: Built, options: dict[str, Any], tmp_path: Path) -> None:
    """Prevents a seed that does nothing."""
    options["seed"] = 4
    again = Built(options, tmp_path)
    assert built.documents("mail") != again.documents("mail")


def test_manifest_tells_what_was_made(built: Built) -> None:
    """Prevents a manifest that disagrees with the files beside it."""
    manifest = read_json(built.manifest)
    assert manifest["sha256"] == {name: sha256_file(path) for name, path in built.files.items()}
    assert manifest["controls"] == 5
    assert {domain: entry["documents"] for domain, entry in manifest["sources"].items()} == {"mail": 12, "web": 7}
    assert list(manifest["versions"]) == ["python"]


def test_too_few_documents(options: dict[str, Any], tmp_path: Path) -> None:
    """Prevents a domain smaller than its config says."""
    options["sources"]["web"]["documents"] = 500
    with pytest.raises(ReciteError, match=r"corpus tiny: domain web has only \d+ of 500 documents .*; ask for fewer"):
        Built(options, tmp_path)


def test_too_few_control_texts(options: dict[str, Any], tmp_path: Path) -> None:
    """Prevents fewer planted texts than the config says."""
    options["controls"]["repetitions"] = {"4": 300}
    with pytest.raises(ReciteError, match=r"only \d+ of 300 control texts .* domain mail; plant fewer, or add"):
        Built(options, tmp_path)


def test_missing_package(options: dict[str, Any], tmp_path: Path) -> None:
    """Prevents a traceback, or a silently smaller corpus, where a package is not installed."""
    options["sources"]["web"]["packages"] = ["python", "no-such-package"]
    with pytest.raises(ReciteError, match="package no-such-package, a source of the corpus, is not installed; install"):
        Built(options, tmp_path)


def test_files_that_are_not_utf8_are_passed_over(tmp_path: Path) -> None:
    """Prevents a binary file among the matches from stopping the build."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe" * 2000)
    (tmp_path / "text").write_text("\n\n".join(f"{index} " * 40 for index in range(20)))
    files = [SourceFile(name, tmp_path / name) for name in ("binary", "text")]
    options = OPTIONS | {"passage_characters": 64, "controls": {"source": "x", "repetitions": {"3": 1}}}
    assert [control.repetitions for control in choose_controls(options, files, [])] == [3]


def paragraphs(*texts: str) -> str:
    return "\n\n".join(texts) + "\n\n"


def control_file(folder: Path, name: str, third: str) -> SourceFile:
    """A file whose third piece of 64 characters or more is `third`."""
    (folder / name).write_text(paragraphs(f"{name}1 " * 30, f"{name}2 " * 30, third, "end " * 30))
    return SourceFile(name, folder / name)


def test_controls_that_occur_elsewhere_are_not_planted(tmp_path: Path) -> None:
    """Prevents a control whose beginning also stands in a natural document."""
    taken, free = "taken text " * 10, "free text " * 10
    files = [control_file(tmp_path, "a", taken), control_file(tmp_path, "b", free)]
    options = OPTIONS | {"passage_characters": 64, "controls": {"source": "x", "repetitions": {"2": 1}}}
    chosen = choose_controls(options, files, ["before " + taken + " after"])
    assert [control.text for control in chosen] == [free + "\n\n"]


def test_no_control_holds_another(tmp_path: Path) -> None:
    """Prevents a planted text from occurring more often than listed, as part of a later control."""
    inner = "shared paragraph " * 6
    files = [
        control_file(tmp_path, "a", inner),
        control_file(tmp_path, "b", paragraphs("a short heading") + inner),
        control_file(tmp_path, "c", "something else " * 8),
    ]
    options = OPTIONS | {"passage_characters": 64, "controls": {"source": "x", "repetitions": {"2": 2}}}
    first, second = choose_controls(options, files, [])
    assert first.text not in second.text and second.text not in first.text


def parts(text: str, size: int) -> set[str]:
    return {text[start : start + size] for start in range(len(text) - size + 1)}


def test_nothing_of_a_control_occurs_elsewhere(options: dict[str, Any], tmp_path: Path) -> None:
    """Prevents a planted truth that holds of the head alone where windows lie anywhere in a document."""
    options["controls"]["repetitions"] = {"0": 4, "1": 4, "3": 4}
    options["sources"]["web"] |= {"documents": 40, "patterns": ["python/*/*.py"]}
    options["sources"]["mail"]["patterns"] = ["python/*/*.py"]
    options["whole"] = True
    made = Built(options, tmp_path)
    natural = [document["text"] for domain in ("mail", "web") for document in made.documents(domain)]
    texts = [document["text"] for name in ("control", "unseen") for document in made.documents(name)]
    assert len(texts) == 12
    for index, text in enumerate(texts):
        others = "\0".join([*natural, *texts[:index], *texts[index + 1 :]])
        assert all(part not in others and text.count(part) == 1 for part in parts(text, 50))


def test_a_control_that_repeats_itself_is_not_planted(tmp_path: Path) -> None:
    """Prevents a window that occurs more often than its document."""
    files = [
        control_file(tmp_path, "a", "one line twice, " * 5),
        control_file(tmp_path, "b", " ".join(map(str, range(30)))),
    ]
    options = OPTIONS | {"passage_characters": 64, "controls": {"source": "x", "repetitions": {"2": 1}}, "whole": True}
    assert [control.text[:3] for control in choose_controls(options, files, [])] == ["0 1"]


def test_texts_of_no_copy_stand_by_themselves(built: Built, options: dict[str, Any], tmp_path: Path) -> None:
    """Prevents a text of no copy among those to train on, and other planted texts for its sake."""
    options["controls"]["repetitions"] |= {"0": 3}
    made = Built(options, tmp_path)
    assert made.documents("control") == built.documents("control") and built.documents("unseen") == []
    assert made.documents("repeats") == built.documents("repeats")
    counts = CONTROLS.read(made.controls).to_pydict()
    listed = dict(zip(counts["document_id"], counts["repetitions"], strict=True))
    unseen = made.documents("unseen")
    assert [document["domain"] for document in unseen] == ["control"] * 3
    assert [document["id"] for document in unseen] == [name for name, copies in listed.items() if copies == 0]
    others = [document["text"] for name in made.files if name != "unseen" for document in made.documents(name)]
    assert not any(document["text"][:50] in other for document in unseen for other in others)
    manifest = read_json(made.manifest)
    assert (manifest["controls"], manifest["unseen"]) == (5, 3)


def test_find_files_names_and_patterns() -> None:
    """Prevents files of other folders, of site-packages or of other types from being read."""
    found = find_files(["python"], ["python/json/*.py", "python/email/*.rst"])
    names = {file.name for file in found}
    assert {"python/json/decoder.py", "python/json/encoder.py"} <= names
    assert all(name.startswith(("python/json/", "python/email/")) for name in names)
    assert all(file.path.is_file() for file in found)
    assert not [file for file in find_files(["python"], ["*.py"]) if "site-packages" in file.path.parts[-4:]]
    assert all(file.name.startswith("pyyaml/yaml/") for file in find_files(["pyyaml"], ["*/yaml/*.py"]))


def test_cut_passages_by_hand() -> None:
    """Prevents lost paragraphs, lost indentation, a changed order and short rests taken for passages."""
    text = "one two\nthree\n \n\t\n    indented\n      more\n\n\n\nsecond piece\nof text\n\nrest"
    assert cut_passages(text, 20, 9) == ["one two\nthree\n\n    indented\n      more\n\n", "second piece\nof text\n\n"]
    assert cut_passages(text, 20, 1) == ["one two\nthree\n\n    indented\n      more\n\n"]
    assert cut_passages(text, 1000, 9) == []
    assert cut_passages("x" * 100, 20, 9) == ["x" * 80]


@pytest.mark.parametrize("seed", range(5))
def test_cut_passages_properties(seed: int) -> None:
    """Prevents paragraphs from being cut, repeated or put in another order, whatever the text."""
    source = random.Random(seed)
    blocks = [
        "\n".join("  " * source.randrange(3) + f"w{index}.{line}" for line in range(source.randint(1, 4)))
        for index in range(60)
    ]
    size = 40
    pieces = cut_passages("\n\n".join(blocks), size, 1000)
    kept = [block for piece in pieces for block in piece.split("\n\n")[:-1]]
    assert kept == blocks[: len(kept)]
    assert sum(len(block) + 2 for block in blocks[len(kept) :]) < size
    for piece in pieces:
        assert piece.endswith("\n\n") and size <= len(piece) <= 4 * size
        assert len("\n\n".join(piece.split("\n\n")[:-2])) < size
    for most in (1, 3):
        assert cut_passages("\n\n".join(blocks), size, most) == pieces[:most]


def test_metadata_headers_are_dropped(tmp_path: Path) -> None:
    """Prevents the header of a METADATA file, not prose, from being read as documentation."""
    path = tmp_path / "METADATA"
    path.write_text("Name: x\nVersion: 1\n\nThe description.\n\nIts end.\n")
    assert corpus._text(SourceFile("x/METADATA", path)) == "The description.\n\nIts end.\n"


def test_a_domain_whose_files_give_more(options: dict[str, Any], tmp_path: Path) -> None:
    """Prevents few files from giving few documents where their domain says otherwise, and others from giving more."""
    options["sources"]["web"] |= {"patterns": ["python/http/server.py"], "documents": 5, "passages_per_file": 5}
    made = Built(options, tmp_path)
    assert [document["id"][-2:] for document in made.documents("web")] == [f"#{index}" for index in range(5)]
    assert {document["id"][-2:] for document in made.documents("mail")} == {"#0", "#1"}
