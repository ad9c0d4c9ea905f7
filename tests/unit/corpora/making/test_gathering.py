"""Gathering of texts: where they come from, how they are cut, that the same comes out again."""

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from recite.corpora.making.gathering import distinct_pieces, gather
from recite.errors import ReciteError

MODULE = '''import nothing
verses = """
In the [very] beginning was light.
And then it went out again.
"""
raise SystemExit
'''


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """Three domains: a folder, a wheel's module and installed packages."""
    folder = tmp_path / "notes"
    folder.mkdir()
    for index in range(6):
        text = "\n\n".join(f"Paragraph {line} of note {index} ends here, or somewhere else." for line in range(5))
        (folder / f"{index}.txt").write_text(text)
    (folder / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with zipfile.ZipFile(tmp_path / "small.whl", "w") as archive:
        archive.writestr("small/verses.py", MODULE)
    sha256 = hashlib.sha256(MODULE.encode()).hexdigest()
    verses = {"wheel": "small.whl", "member": "small/verses.py", "sha256": sha256, "without": ["[", "]"], "pieces": 9}
    domains = {
        "notes": {"folder": str(folder), "patterns": ["*.txt"], "pieces": 8},
        "verses": verses,
        "licences": {"packages": ["numpy", "attrs"], "patterns": ["*LICENSE*"], "pieces": 5},
    }
    for source in domains.values():
        source["copies"] = 1
    return {"texts": str(tmp_path / "texts"), "seed": 1, "piece_characters": 25, "domains": domains}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_same_texts_again(options: dict[str, Any], tmp_path: Path) -> None:
    """Prevents a study from hanging on names or order of files, or on what an earlier run left."""
    made = gather(options, tmp_path)
    first = contents(tmp_path / "texts")
    assert json.loads(first["gathered.json"]) == made
    assert {domain: found["taken"] for domain, found in made.items()} == {"notes": 8, "verses": 2, "licences": 5}
    assert made["notes"]["distinct"] == 6 * 5
    (tmp_path / "texts/notes/0099.txt").write_text("left")
    (tmp_path / ".texts.partial/notes").mkdir(parents=True)
    for index in range(6):
        (tmp_path / f"notes/{index}.txt").rename(tmp_path / f"notes/{9 - index}-renamed.txt")
    gather(options, tmp_path)
    assert contents(tmp_path / "texts") == first
    assert not (tmp_path / ".texts.partial").exists()
    gather(options | {"seed": 2}, tmp_path)
    assert contents(tmp_path / "texts") != first


def test_a_wheel_is_read_and_not_run(options: dict[str, Any], tmp_path: Path) -> None:
    """A line is a paragraph, marks are left out, and MODULE's last line would end the test."""
    gather(options, tmp_path)
    found = {path.read_text() for path in (tmp_path / "texts/verses").iterdir()}
    assert found == {"In the very beginning was", "And then it went out again."}


def test_passages(options: dict[str, Any], tmp_path: Path) -> None:
    """From where they begin, to a word's end, over the ends of lines; one that is not there is not passed over."""
    verses = options["domains"]["verses"]
    verses |= {"passages": ["was light", "And then"], "passage_characters": 26}
    gather(options | {"piece_characters": 20}, tmp_path)
    found = {path.read_text() for path in (tmp_path / "texts/verses").iterdir()}
    assert found == {"was light. And then it", "And then it went out"}
    verses["passages"] = ["was dark"]
    with pytest.raises(ReciteError, match="no passage begins 'was dark'"):
        gather(options, tmp_path)


def test_pieces() -> None:
    """Prevents a piece across paragraphs, one that ends within a word, and the same words twice."""
    text = "one two three four five six\n\nseven eight\n\none  two\nthree four\n"
    assert distinct_pieces([text, text], 10) == ["one  two\nthree", "four five six", "seven eight"]


def test_copies() -> None:
    """A text counts once for each file that holds it, however often it stands there."""
    texts = ["seven eight\n\nseven eight\n\nnine or ten", "nine  or ten", "eleven or twelve"]
    assert distinct_pieces(texts, 10, copies=2) == ["nine  or ten"]
    assert distinct_pieces(texts, 10) == ["seven eight", "nine  or ten", "eleven or twelve"]


def test_nothing_found(options: dict[str, Any], tmp_path: Path) -> None:
    """What was there before stays."""
    gather(options, tmp_path)
    first = contents(tmp_path / "texts")
    options["domains"]["notes"]["patterns"] = ["*.rst"]
    with pytest.raises(ReciteError, match="domain notes: no text was found"):
        gather(options, tmp_path)
    assert contents(tmp_path / "texts") == first
