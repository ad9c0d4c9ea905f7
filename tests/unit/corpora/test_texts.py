"""Texts of a folder: every file a document, its path its identifier, its first folder its domain."""

import random
from pathlib import Path
from typing import Any

import pytest

from gathering import candidates_of
from recite.corpora.candidates import gather
from recite.corpora.inventory import files_of_group, take_inventory
from recite.corpora.readers import Layout, Skipped, Texts, read_documents, texts
from recite.errors import ReciteError
from recite.study.corpora import ALONE, FIRST_LEVEL, TEXTS

DRAW = {"seed": 5, "corpus": "notes", "most": 10, "excerpt": 40, "place": "head"}
ONE = Layout("text", path=ALONE, labels={"": "notes"})
TWO = Layout("text", path=FIRST_LEVEL, labels={"law": "law", "code": "code"})


def make(folder: Path) -> dict[str, str]:
    """Texts of three folders and none, and what is no text; name -> text of those in UTF-8."""
    draw = random.Random(1)
    made = {}
    for index in range(40):
        place = ["law/", "code/deep/er/", "other/", ""][index % 4]
        made[f"{place}{index:02d}.{['txt', 'md', 'py'][index % 3]}"] = " ".join(draw.choices(["der", "Fuß", "x"], k=30))
    made |= {"law/empty.txt": "", "law/windows.txt": "a\r\nb", "law/mark.txt": "\ufeffmarked", "law/a [1].txt": "odd"}
    for name, text in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    (folder / "law/latin.txt").write_bytes("Fu\xdf".encode("latin-1"))
    (folder / "law/picture.png").write_bytes(b"\x89PNG")
    (folder / ".hidden.txt").write_text("hidden")
    return made


def entry(folder: Path, groups: int = 1, **more: Any) -> dict[str, Any]:
    return {"corpus": "notes", "folder": str(folder), "patterns": [*TEXTS], "groups": groups, "whole": True, **more}


def gathered(
    place: Path, options: dict[str, Any], layout: Layout, threads: int = 1
) -> tuple[list[dict[str, Any]], Any]:
    """Candidates of all groups by key, and the number of skipped by reason."""
    rows, skipped = candidates_of(place, options, layout, DRAW, threads)
    ordered = sorted(rows, key=lambda row: row["key"])
    domains = sorted({row["domain"] for row in rows})
    return [row for name in domains for row in [row for row in ordered if row["domain"] == name][:10]], skipped


def test_every_text_is_a_document(tmp_path: Path) -> None:
    """Texts must come as they stand, under the name by which they are found again."""
    made = make(tmp_path / "data")
    take_inventory(entry(tmp_path / "data"), tmp_path / "inventory.json", fetch=False)
    skipped = Skipped()
    shares = files_of_group(tmp_path / "inventory.json", 0)
    found = [document for name, share in shares.items() for document in read_documents(share, name, ONE, skipped)]
    assert len(shares) == 15  # of three texts each
    assert {document.id: document.text for document in found} == {
        name: text.removeprefix("\ufeff") for name, text in made.items() if text
    }
    assert all(document[1::2] == ("notes", 0) and document.source == document.id for document in found)
    assert skipped.counts == {"empty text": 1, "not UTF-8": 1}
    assert skipped.first["not UTF-8"] == "law/latin.txt, row 0"


@pytest.mark.parametrize("layout", [ONE, TWO])
def test_any_share_gives_the_same_sample(tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample must not hang on who reads what; what is in no domain's folder is counted."""
    make(tmp_path / "data")
    rows, skipped = gathered(tmp_path / "one", entry(tmp_path / "data"), layout)
    assert gathered(tmp_path / "many", entry(tmp_path / "data", groups=5), layout, threads=2) == (rows, skipped)
    monkeypatch.setattr("recite.corpora.shares.MOST_TEXTS", 1)
    assert gathered(tmp_path / "each", entry(tmp_path / "data"), layout) == (rows, skipped)
    if layout is TWO:
        assert {row["domain"]: row["source_file"].split("/")[0] for row in rows} == {"law": "law", "code": "code"}
        assert skipped["label other is not a domain of the corpus"] == 10
        assert skipped["label 03.txt is not a domain of the corpus"] == 1


def test_one_pattern_of_several_may_match_nothing(tmp_path: Path) -> None:
    """Patterns that nobody typed must not be refused; a folder without any text is."""
    (tmp_path / "data").mkdir()
    options, inventory = entry(tmp_path / "data"), tmp_path / "inventory.json"
    with pytest.raises(ReciteError, match=r"no file of .*/data matches '\*\.txt' or '\*\.md' or '\*\.py'; correct"):
        take_inventory(options, inventory, fetch=False)
    (tmp_path / "data/a.md").write_text("some")
    take_inventory(options, inventory, fetch=False)
    assert [*files_of_group(inventory, 0).values()] == [Texts(tmp_path / "data", ("a.md",))]
    with pytest.raises(ReciteError, match=r"`without` names 'b\.md', which is no file"):
        take_inventory(options | {"without": ["b.md"]}, inventory, fetch=False)


def test_a_text_larger_than_memory_should_hold_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file that is no text must not end the job."""
    (tmp_path / "a.txt").write_text("some")
    (tmp_path / "b.txt").write_text("so much more")
    monkeypatch.setattr(texts, "LONGEST_TEXT", 5)
    skipped = Skipped()
    found = Texts(tmp_path, ("a.txt", "b.txt")).documents(ONE, skipped)
    assert [document.text for document in found] == ["some"]
    assert skipped.counts == {"too long a file": 1}


def test_a_lost_text_is_named(tmp_path: Path) -> None:
    """What was listed and is gone must be said, not left out."""
    make(tmp_path / "data")
    take_inventory(entry(tmp_path / "data"), tmp_path / "inventory.json", fetch=False)
    (tmp_path / "data/law/00.txt").unlink()
    with pytest.raises(ReciteError, match=r"data/law/00\.txt does not exist; put the corpus's files there"):
        gather(DRAW, files_of_group(tmp_path / "inventory.json", 0), ONE, tmp_path / "candidates.parquet", 1)
