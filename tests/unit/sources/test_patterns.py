"""recite.sources.patterns against the shell's own globs, and each name as it stands."""

import os
import unicodedata
from pathlib import Path

import pytest

from recite.errors import ReciteError
from recite.sources.patterns import files_below, matching, plain_patterns

NAMES = [
    "a.jsonl",
    "deep/b.jsonl",
    "deep/er/c.jsonl",
    "deep/er/still/d.jsonl",
    "deeper/c.jsonl",
    "other.txt",
    "part 1.jsonl",
    "part1.jsonl",
    "part[1].jsonl",
    "part[2].jsonl",
    "what?.jsonl",
    "whats.jsonl",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


@pytest.mark.parametrize(
    "pattern",
    [
        "**/*.jsonl",
        "**/**/*.jsonl",
        "deep/**/*.jsonl",
        "**/er/**/*.jsonl",
        "**/c.jsonl",
        "**/part[12].jsonl",
        "**/[!p]*.jsonl",
        "deep/**/er/**/c.jsonl",
    ],
)
def test_two_stars_are_those_of_the_shell(folder: Path, pattern: str) -> None:
    """Prevents files at the top, or right below a folder, from being left out without a word."""
    expected = {path.relative_to(folder).as_posix() for path in folder.glob(pattern) if path.is_file()}
    assert matching(files_below(folder), pattern) == sorted(expected) != []


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.jsonl", [name for name in NAMES if name.endswith(".jsonl")]),
        ("deep/*.jsonl", ["deep/b.jsonl", "deep/er/c.jsonl", "deep/er/still/d.jsonl"]),
        ("**", NAMES),
        ("deep/**", ["deep/b.jsonl", "deep/er/c.jsonl", "deep/er/still/d.jsonl"]),
        ("deep**/c.jsonl", ["deep/er/c.jsonl", "deeper/c.jsonl"]),
        ("./**/c.jsonl", ["deep/er/c.jsonl", "deeper/c.jsonl"]),
        ("./a.jsonl", ["a.jsonl"]),
        ("part[1].jsonl", ["part[1].jsonl"]),
        ("part[12].jsonl", ["part1.jsonl"]),
        ("part[[]?].jsonl", ["part[1].jsonl", "part[2].jsonl"]),
        ("part[2].jsonl", ["part[2].jsonl"]),
        ("part 1.jsonl", ["part 1.jsonl"]),
        ("what?.jsonl", ["what?.jsonl"]),
        ("A.jsonl", []),
        ("deep/", []),
        ("{a,other}.jsonl", []),
        ("../a.jsonl", []),
    ],
)
def test_names(pattern: str, names: list[str]) -> None:
    """Prevents a file of its very name from being passed over for what its characters stand for, and today's patterns,
    whose star crosses folders, from meaning something else."""
    assert matching(NAMES, pattern) == names


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_of_either_form(form: str) -> None:
    """Prevents files of a Mac, whose accents are characters of their own, from being missed; names stay as they are."""
    name = unicodedata.normalize(form, "données/été 1.jsonl")
    for other in ("NFC", "NFD"):
        for pattern in ("données/été 1.jsonl", "données/é?é *.jsonl", "**/été*"):
            assert matching([name, "other"], unicodedata.normalize(other, pattern)) == [name]


def test_plain_patterns_are_few() -> None:
    """Prevents a hub from being asked for a file twice."""
    assert plain_patterns("*.jsonl") == ["*.jsonl"]
    assert plain_patterns("**/*.jsonl") == plain_patterns("**/**/*.jsonl") == ["*.jsonl", "*/*.jsonl"]


def test_a_folder_that_may_not_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a part of a corpus from being left out without a word for want of a right."""
    listed = os.scandir

    def refuse(place: str) -> object:
        if str(place).endswith("er"):
            raise PermissionError(13, "Permission denied", place)
        return listed(place)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ReciteError, match=r"deep/er cannot be listed \(Permission denied\); correct its rights"):
        files_below(folder)
