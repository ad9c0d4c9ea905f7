"""Corpora in their short forms: two or three lines say as much as a whole entry."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from recite.corpora.readers import Layout
from recite.errors import ReciteError
from recite.planning.costs import Machine
from recite.planning.planner import Planner
from recite.stages.sampling.stage import layout
from recite.study.corpora import ALONE, FIRST_LEVEL, TEXTS
from recite.study.study import Study
from studies import ROOT, load, own_study, shipped


@pytest.fixture
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The claims file is found from the root."""
    monkeypatch.chdir(ROOT)


def study_of(folder: Path, entry: dict[str, Any], name: str = "my-notes", **more: Any) -> Study:
    """A study of one model on one corpus."""
    return load(own_study(folder, {"mine": {"corpus": name} | more}, {name: entry}), "own.yaml")


def inventory_options(study: Study, name: str = "my-notes") -> dict[str, Any]:
    return study.rules["inventory"].options(study, {"corpus": name})


def test_a_folder_of_texts_in_one_line(tmp_path: Path, at_root: None) -> None:
    """What nobody typed: one domain called as the corpus, free text of no class, the usual patterns."""
    study = study_of(tmp_path, {"texts": "/data/notes"})
    assert study.domains == {"my-notes": {"my_notes": "free_text"}}
    assert study.text_classes == {"my-notes": {"my_notes": "my-notes: my_notes"}}
    assert inventory_options(study) == {
        "corpus": "my-notes",
        "folder": "/data/notes",
        "patterns": [*TEXTS],
        "groups": 1,
        "whole": True,
    }
    assert Layout(**layout(study, "my-notes")) == Layout("text", path=ALONE, labels={"": "my_notes"})


def test_a_folder_of_texts_at_home(tmp_path: Path, at_root: None) -> None:
    """A path is what it is in a shell."""
    assert inventory_options(study_of(tmp_path, {"texts": "~/notes"}))["folder"] == str(Path("~/notes").expanduser())


def test_domains_of_texts_are_folders(tmp_path: Path, at_root: None) -> None:
    """Of several domains the first folder says which."""
    texts = {"folder": "/data/notes", "patterns": ["*.tex"], "groups": 3}
    study = study_of(tmp_path, {"texts": texts, "domains": {"law": "free_text", "code": "structural"}})
    assert Layout(**layout(study, "my-notes")) == Layout("text", path=FIRST_LEVEL)
    assert study.rules["candidates"].options(study, {"corpus": "my-notes", "group": "000"})["layout"]["labels"] == {
        "law": "law",
        "code": "code",
    }
    assert study.corpora["my-notes"]["classes"] == {"law": "other", "code": "other"}
    assert inventory_options(study)["patterns"] == ["*.tex"] and len(study.jobs("candidates")) == 3


def test_a_data_set_in_two_lines(tmp_path: Path, at_root: None) -> None:
    """A folder that the library reads, or one of the hub at a commit."""
    study = study_of(tmp_path, {"dataset": {"folder": "/data/saved", "text": "body"}})
    opened = {"config": None, "split": "train", "streaming": False, "options": {}}
    assert inventory_options(study) == {"corpus": "my-notes", "folder": "/data/saved", "groups": 1, "dataset": opened}
    assert layout(study, "my-notes") == {"text": "body", "path": ALONE, "labels": {"": "my_notes"}}
    hub = {"name": "owner/name", "revision": "a" * 40, "config": "en", "streaming": True, "domain": "kind"}
    study = study_of(tmp_path, {"dataset": hub, "domains": {"mail": "free_text", "code": "structural"}})
    options = inventory_options(study)
    assert options["folder"] == "data/corpora/my-notes" and options["hub"] == "owner/name"
    assert options["dataset"] == opened | {"config": "en", "streaming": True}
    csv = {"folder": "/data/csv", "builder": "csv", "delimiter": ";"}
    assert inventory_options(study_of(tmp_path, {"dataset": csv}))["dataset"] == opened | {
        "builder": "csv",
        "options": {"sep": ";"},
    }


def test_files_of_one_domain(tmp_path: Path, at_root: None) -> None:
    """Labels need not be found where there is nothing to tell apart."""
    study = study_of(tmp_path, {"files": {"patterns": ["*.jsonl"]}})
    assert layout(study, "my-notes") == {"text": "text", "path": ALONE, "labels": {"": "my_notes"}}


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({}, r"my-notes must say how it is made \(build\) or where it lies \(files, texts or dataset\), one of them"),
        ({"texts": "a", "files": {"patterns": ["*"]}}, r"my-notes must say how it is made"),
        ({"texts": {"patterns": ["*"]}}, r"my-notes\.texts: key 'folder' is missing"),
        ({"texts": ["a"]}, r"my-notes\.texts: \['a'\] is not of type"),
        ({"dataset": {"folder": "a", "streaming": True}}, r"my-notes\.dataset: what is read from the hub .* add them"),
        ({"dataset": {"name": "o/n", "revision": "main"}}, r"my-notes\.dataset\.revision: 'main' does not match"),
        ({"dataset": {"folder": "a", "builder": "pandas"}}, r"my-notes\.dataset\.builder: 'pandas' is not one of"),
        (
            {"dataset": {"folder": "a", "trust_remote_code": True}},
            r"my-notes\.dataset: unknown key 'trust_remote_code'",
        ),
        ({"dataset": {"folder": "a", "delimiter": ";"}}, r"my-notes\.dataset: only builder csv has a delimiter"),
        ({"dataset": {"folder": "a", "sample_by": "line"}}, r"my-notes\.dataset: only builder text has sample_by"),
        (
            {"dataset": {"folder": "a"}, "domains": {"a": "free_text", "b": "free_text"}},
            r"my-notes\.dataset must find a document's domain in a field",
        ),
        ({"texts": "a", "domains": {"a": "planted"}}, r"my-notes\.domains: a is of kind planted, which only a corpus"),
    ],
)
def test_mistakes(tmp_path: Path, at_root: None, entry: dict[str, Any], sentence: str) -> None:
    """Prevents a short form from being taken for another, or from hiding what is wrong."""
    with pytest.raises(ReciteError, match=rf"corpora\.yaml: {sentence}"):
        study_of(tmp_path, entry)


def test_a_plan_weighs_what_lies_there(tmp_path: Path, at_root: None) -> None:
    """Nobody should have to type what the disk says."""
    (tmp_path / "notes").mkdir()
    for name, size in {"a.txt": 3000, "b.md": 500, "c.png": 70_000}.items():
        (tmp_path / "notes" / name).write_bytes(b"x" * size)
    facts = shipped("models")["smollm2-135m"]
    study = study_of(tmp_path, {"texts": str(tmp_path / "notes")}, **{k: v for k, v in facts.items() if k != "corpus"})
    assert Planner(study, Machine()).text_bytes("my-notes") == 3500
    study = study_of(tmp_path, {"texts": "/nowhere"}, **{k: v for k, v in facts.items() if k != "corpus"})
    with pytest.raises(
        ReciteError, match=r"a plan needs gigabytes; add it to its entry .* or put its files there first"
    ):
        Planner(study, Machine()).text_bytes("my-notes")


def test_every_corpus_and_model_of_the_registry(tmp_path: Path, at_root: None) -> None:
    """Entries that no study of config/ names must be sound all the same."""
    registry, corpora = shipped("models"), shipped("corpora")
    assert {entry["corpus"] for entry in registry.values()} <= set(corpora)
    for name, entry in registry.items():
        study = load(own_study(tmp_path, {name: entry}, {entry["corpus"]: corpora[entry["corpus"]]}), "own.yaml")
        assert list(study.models) == [name]
    assert yaml.safe_load((tmp_path / "models.yaml").read_text())
