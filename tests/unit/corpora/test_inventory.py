"""Inventory: every file that a pattern names is in one group, groups are of like size, creation order is nothing."""

import os
import random
from pathlib import Path
from typing import Any

import pytest

from recite.corpora.inventory import files_of_group, left_out, take_inventory
from recite.errors import ReciteError
from recite.files import read_json


def make(folder: Path, sizes: dict[str, int]) -> None:
    """Files of given sizes."""
    for name, size in sizes.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)


def entry(folder: Path, patterns: list[str], groups: int = 1, **more: Any) -> dict[str, Any]:
    """What a study hands to the stage."""
    return {"corpus": "notes", "folder": str(folder), "patterns": patterns, "groups": groups, **more}


def groups_of(folder: Path, patterns: list[str], groups: int = 1) -> list[dict[str, int]]:
    """The groups of an inventory."""
    inventory = folder.with_suffix(".json")
    take_inventory(entry(folder, patterns, groups), inventory, fetch=False)
    return read_json(inventory)["groups"]


NESTED = {
    "data/a.jsonl.zst": 5,
    "data/deep/er/b.jsonl.zst": 7,
    "data/c.jsonl.zst.1a2b": 9,
    "other/d.json.gz": 11,
    "README.md": 2,
}


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["*.jsonl.zst"], ["data/a.jsonl.zst", "data/deep/er/b.jsonl.zst"]),
        (["data/*.jsonl.zst"], ["data/a.jsonl.zst", "data/deep/er/b.jsonl.zst"]),
        (["data/a.*"], ["data/a.jsonl.zst"]),
        (["other/*.gz", "data/*/b.*"], ["data/deep/er/b.jsonl.zst", "other/d.json.gz"]),
        (["*/d.json.gz", "other/*"], ["other/d.json.gz"]),
        (["**/*.md"], ["README.md"]),
        (["**/*.zst", "README.md"], ["README.md", "data/a.jsonl.zst", "data/deep/er/b.jsonl.zst"]),
        (["*.zst*"], ["data/a.jsonl.zst", "data/c.jsonl.zst.1a2b", "data/deep/er/b.jsonl.zst"]),
    ],
)
def test_patterns(tmp_path: Path, patterns: list[str], names: list[str]) -> None:
    """A corpus in nested folders must not be read in part, nor a file twice that two patterns name."""
    make(tmp_path / "corpus", NESTED)
    assert groups_of(tmp_path / "corpus", patterns) == [{name: NESTED[name] for name in names}]


def test_groups_are_balanced_and_complete(tmp_path: Path) -> None:
    """One job that reads nearly all, or a file that none or two of them read."""
    source = random.Random(4)
    sizes = {f"part/{index:02d}.jsonl": source.randrange(0, 3000) for index in range(40)}
    make(tmp_path / "corpus", sizes)
    groups = groups_of(tmp_path / "corpus", ["*.jsonl"], 6)
    assert sorted(name for group in groups for name in group) == sorted(sizes)
    assert {name: size for group in groups for name, size in group.items()} == sizes
    loads = [sum(group.values()) for group in groups]
    assert max(loads) - min(loads) <= max(sizes.values()) / 4


def test_empty_files_are_shared_out_too(tmp_path: Path) -> None:
    """Files of no bytes must not leave a group, which is a job, without any."""
    make(tmp_path / "corpus", {f"{index}.jsonl": 0 for index in range(5)})
    assert sorted(len(group) for group in groups_of(tmp_path / "corpus", ["*"], 3)) == [1, 2, 2]


def test_creation_order_is_nothing(tmp_path: Path) -> None:
    """Directories list their files in any order; a group that changes with it would be read again."""
    sizes = {f"{index % 3}/{index}.gz": index // 4 for index in range(24)}
    found = []
    for seed in range(3):
        names = random.Random(seed).sample(sorted(sizes), len(sizes))
        make(tmp_path / f"corpus{seed}", {name: sizes[name] for name in names})
        found.append(groups_of(tmp_path / f"corpus{seed}", ["*.gz"], 5))
    assert found[0] == found[1] == found[2]


def test_links_are_followed(tmp_path: Path) -> None:
    """A corpus may be linked to as a whole, by folder or by file, and all of it must be found."""
    make(tmp_path / "disk", {"train/a.jsonl": 3, "more/b.jsonl": 4, "c.jsonl": 5})
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "train").symlink_to(tmp_path / "disk" / "train")
    (corpus / "c.jsonl").symlink_to(tmp_path / "disk" / "c.jsonl")
    (corpus / "dangling.jsonl").symlink_to(tmp_path / "nowhere")
    assert groups_of(corpus, ["*.jsonl"]) == [{"c.jsonl": 5, "train/a.jsonl": 3}]
    (tmp_path / "whole").symlink_to(tmp_path / "disk")
    assert list(groups_of(tmp_path / "whole", ["*.jsonl"])[0]) == ["c.jsonl", "more/b.jsonl", "train/a.jsonl"]


def test_links_in_a_circle(tmp_path: Path) -> None:
    """A link to a folder that holds it must not give every file many names."""
    make(tmp_path / "corpus", {"a/a.jsonl": 3, "b/b.jsonl": 4})
    (tmp_path / "corpus" / "a" / "up").symlink_to(tmp_path / "corpus")
    (tmp_path / "corpus" / "c").symlink_to(tmp_path / "corpus" / "b")
    assert groups_of(tmp_path / "corpus", ["*"]) == [{"a/a.jsonl": 3, "b/b.jsonl": 4}]


def test_hidden_files_are_no_part_of_a_corpus(tmp_path: Path) -> None:
    """What a download tool notes beside its files is not text of the corpus."""
    make(tmp_path / "corpus", {"a.jsonl": 3, ".cache/notes/a.jsonl": 4, ".b.jsonl": 5})
    assert groups_of(tmp_path / "corpus", ["*"]) == [{"a.jsonl": 3}]


def test_files_of_group(tmp_path: Path) -> None:
    """A job must be given the files of its own group, by the names that identify their documents."""
    make(tmp_path / "corpus", {"x/a.jsonl": 3, "x/b.jsonl": 9, "c.jsonl": 5})
    inventory = tmp_path / "out" / "corpus.json"
    take_inventory(entry(tmp_path / "corpus", ["*.jsonl"], 2), inventory, fetch=False)
    found = [files_of_group(inventory, group) for group in range(2)]
    assert found == [
        {"x/b.jsonl": tmp_path / "corpus/x/b.jsonl"},
        {n: tmp_path / "corpus" / n for n in ("c.jsonl", "x/a.jsonl")},
    ]
    assert read_json(inventory)["corpus"] == "notes"


@pytest.mark.parametrize(
    ("patterns", "groups", "sentence"),
    [
        (["a.jsonl", "*.parquet"], 1, r"corpus notes: no file of .*corpus matches '\*\.parquet'; correct `patterns`"),
        (["*.jsonl"], 4, r"corpus notes has 3 files for 4 groups; lower `groups`\."),
    ],
)
def test_mistakes(tmp_path: Path, patterns: list[str], groups: int, sentence: str) -> None:
    """A part of the corpus that is not there must not be found out after days of reading the rest."""
    make(tmp_path / "corpus", {"a.jsonl": 3, "b.jsonl": 9, "c.jsonl": 5})
    with pytest.raises(ReciteError, match=sentence):
        take_inventory(entry(tmp_path / "corpus", patterns, groups), tmp_path / "out.json", fetch=False)
    assert not (tmp_path / "out.json").exists()


def test_files_are_left_out_by_name(tmp_path: Path) -> None:
    """Prevents broken files from stopping a study for good, from being left out unsaid, and any other beside them."""
    sizes = {"a[1].jsonl": 3, "a1.jsonl": 4, "x/a1.jsonl": 5, "x/été.jsonl": 6}
    make(tmp_path / "corpus", sizes)
    made = entry(tmp_path / "corpus", ["*.jsonl"], without=["a[1].jsonl", "./x/e\u0301te\u0301.jsonl"])
    take_inventory(made, tmp_path / "out.json", fetch=False)
    assert [*files_of_group(tmp_path / "out.json", 0)] == ["a1.jsonl", "x/a1.jsonl"]
    assert left_out(tmp_path / "out.json") == {"a[1].jsonl": 3, "x/été.jsonl": 6}
    take_inventory(entry(tmp_path / "corpus", ["*.jsonl"]), tmp_path / "out.json", fetch=False)
    assert left_out(tmp_path / "out.json") == {} and "without" not in read_json(tmp_path / "out.json")


def test_the_others_stay_in_their_groups(tmp_path: Path) -> None:
    """Prevents one broken file from moving all others to other jobs, which read them again; or a job without any."""
    make(tmp_path / "corpus", {f"{index}.jsonl": 9 - index for index in range(6)})
    for without in ([], ["0.jsonl", "4.jsonl"]):
        made = entry(tmp_path / "corpus", ["*.jsonl"], 3, **({"without": without} if without else {}))
        take_inventory(made, tmp_path / "out.json", fetch=False)
        found = [{*files_of_group(tmp_path / "out.json", group)} - {*without} for group in range(3)]
        assert found == [
            {"0.jsonl", "5.jsonl"} - {*without},
            {"1.jsonl", "4.jsonl"} - {*without},
            {"2.jsonl", "3.jsonl"},
        ]
    made = entry(tmp_path / "corpus", ["*.jsonl"], 3, without=["2.jsonl", "3.jsonl"])
    take_inventory(made, tmp_path / "out.json", fetch=False)
    assert sorted(len(files_of_group(tmp_path / "out.json", group)) for group in range(3)) == [1, 1, 2]
    made = entry(tmp_path / "corpus", ["*.jsonl"], 3, without=[f"{index}.jsonl" for index in range(4)])
    with pytest.raises(ReciteError, match=r"corpus notes has 2 files for 3 groups; lower `groups`"):
        take_inventory(made, tmp_path / "out.json", fetch=False)


@pytest.mark.parametrize("name", ["b.jsonl", "a*.jsonl", "x/", "a1.txt", str(Path.home())])
def test_what_is_left_out_is_there(tmp_path: Path, name: str) -> None:
    """Prevents a slip in a name from leaving a file in, or a pattern from leaving out more than was meant."""
    make(tmp_path / "corpus", {"a1.jsonl": 4, "x/a1.jsonl": 5, "a1.txt": 6})
    with pytest.raises(ReciteError, match=r"`without` names .*, which is no file that `patterns` match; correct it"):
        take_inventory(
            entry(tmp_path / "corpus", ["*.jsonl"], without=["a1.jsonl", name]), tmp_path / "out.json", fetch=False
        )
    assert not (tmp_path / "out.json").exists()


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """Prevents a traceback hours later, when identifiers are made of the name."""
    (tmp_path / "corpus").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/corpus/\xe9.jsonl")).touch()
    with pytest.raises(ReciteError, match=r"corpus notes: the name of file '.*' is not UTF-8; rename it"):
        take_inventory(entry(tmp_path / "corpus", ["*.jsonl"]), tmp_path / "out.json", fetch=False)


def test_missing_folder(tmp_path: Path) -> None:
    """The sentence names the folder and both ways out."""
    with pytest.raises(ReciteError, match=r"corpus notes is not there: .*nowhere does not exist; put it there, or set"):
        take_inventory(entry(tmp_path / "nowhere", ["*"]), tmp_path / "out.json", fetch=False)
    assert list(tmp_path.iterdir()) == []
