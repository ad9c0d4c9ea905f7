"""recite.stages.counterfactual.halving: which texts a sibling is not trained on, by brute force."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from recite.corpora.tables.training import TRAINING_ROWS
from recite.corpora.windows import rows_that_hold
from recite.engine.rows import Rows
from recite.files import sha256_file
from recite.stages.counterfactual.halving import halve
from recite.stages.counterfactual.rows import HALVES
from samples import write_shard

LENGTH = 6
Row = list[int]


def texts() -> tuple[list[Row], list[Row]]:
    """Training rows, and sampled windows that stand in them: once, often, at their ends, two in one, and in none."""
    made = np.random.default_rng(5).integers(0, 50, (60, LENGTH)).tolist()
    single, copied, ends, tied, unseen = made[:20], made[20:30], made[30:40], made[40:50], made[50:]
    rows = single + copied * 3
    rows += [[1, 2, *window] for window in ends] + [[*window, 3] for window in ends]
    # a chain: each window stands in a row with the next
    rows += [first + second for first, second in pairwise(tied[:5])]
    rows += tied[5:]
    rows += [[7] * 9, [7] * 9, [8] * 3]  # of no sampled window; one shorter than a window
    return rows, single[:15] + copied + [copied[0]] + ends + tied + unseen


def split(folder: Path, seed: int, rows: list[Row], windows: list[Row]) -> dict[str, Path]:
    """The files of one seed."""
    folder.mkdir(exist_ok=True)
    columns = {"document_id": [str(place) for place in range(len(rows))], "tokens": rows}
    TRAINING_ROWS.write(folder / "rows.parquet", columns, {})
    ids, tokens = list(range(100, 100 + len(windows))), torch.tensor(windows)
    sampled = Rows(ids, ids, ["code"] * len(ids), [1.0] * len(ids), tokens[:, :3], tokens[:, 3:])
    shard = write_shard(folder / "shard.parquet", sampled)
    made = {name: folder / f"{name}.parquet" for name in ("halves", "without_a", "without_b")}
    halve({"seed": seed}, folder / "rows.parquet", [shard], *made.values())
    return made


def left(path: Path) -> list[Row]:
    return TRAINING_ROWS.read(path)["tokens"].to_pylist()


def stands_in(window: Row, row: Row) -> bool:
    return any(row[start : start + len(window)] == window for start in range(len(row)))


@pytest.mark.parametrize("seed", range(5))
def test_what_is_left_out_is_nowhere(tmp_path: Path, seed: int) -> None:
    """Prevents a text from being seen by a sibling that is taken not to have seen it: no row holds it at any place."""
    rows, windows = texts()
    made = split(tmp_path, seed, rows, windows)
    without = {half: left(made[f"without_{half}"]) for half in "ab"}
    table = HALVES.read(made["halves"]).to_pylist()
    assert [line["row_id"] for line in table] == list(range(100, 100 + len(windows)))
    for line, window in zip(table, windows, strict=True):
        (other,) = {"a", "b"} - {line["half"]}
        assert not any(stands_in(window, row) for row in without[line["half"]])
        assert line["held"] == sum(stands_in(window, row) for row in without[other])
        assert line["held"] == sum(stands_in(window, row) for row in rows)
    assert {line["held"] for line in table} == {0, 1, 2, 3}
    assert {line["half"] for line in table} == {"a", "b"}


@pytest.mark.parametrize("seed", range(5))
def test_halves_are_complements(tmp_path: Path, seed: int) -> None:
    """Prevents a row that both siblings see, or neither: together they are the training, copies and all, in order."""
    rows, windows = texts()
    made = split(tmp_path, seed, rows, windows)
    parts = [left(made[f"without_{half}"]) for half in "ab"]
    counts = [Counter(map(tuple, part)) for part in parts]
    assert not counts[0].keys() & counts[1].keys()
    assert counts[0] + counts[1] == Counter(map(tuple, rows))
    for half in "ab":
        places = [int(name) for name in TRAINING_ROWS.read(made[f"without_{half}"])["document_id"].to_pylist()]
        assert places == sorted(places) and len(places) > len(rows) / 5


def test_rows_that_are_tied_are_of_one_half(tmp_path: Path) -> None:
    """Prevents the ends of a chain of shared windows from being parted, whatever the seed."""
    rows, windows = texts()
    seen = set()
    for seed in range(8):
        made = split(tmp_path, seed, rows, windows)
        halves = HALVES.read(made["halves"])["half"].to_pylist()
        (half,) = {halves[windows.index(rows[place][:LENGTH])] for place in range(70, 74)}
        seen.add(half)
        # the text that is sampled twice is of one half, too
        assert halves[windows.index(rows[20])] == halves[25]
    assert seen == {"a", "b"}


def test_the_order_of_rows_decides_nothing(tmp_path: Path) -> None:
    """Prevents a text's half from hanging on what stands beside it; another seed halves otherwise."""
    rows, windows = texts()
    made = split(tmp_path / "one", 3, rows, windows)
    again = split(tmp_path / "again", 3, rows, windows)
    assert [sha256_file(path) for path in made.values()] == [sha256_file(path) for path in again.values()]
    turned = split(tmp_path / "turned", 3, rows[::-1], windows[::-1])
    halves = [HALVES.read(files["halves"])["half"].to_pylist() for files in (made, turned)]
    assert halves[0] == halves[1][::-1]
    assert left(made["without_a"]) == left(turned["without_a"])[::-1]
    other = split(tmp_path / "other", 4, rows, windows)
    assert HALVES.read(other["halves"])["half"].to_pylist() != halves[0]


def test_halves_are_about_as_large(tmp_path: Path) -> None:
    """Prevents a coin that is not fair: of 1,000 texts each half has 500, within five standard errors."""
    windows = np.random.default_rng(2).integers(0, 500, (1000, LENGTH)).tolist()
    made = split(tmp_path, 1, windows[:500], windows)
    halves = HALVES.read(made["halves"])["half"].to_pylist()
    for part in (halves[:500], halves[500:]):  # trained on, and in name only
        assert abs(part.count("a") - 250) < 5 * np.sqrt(500) / 2


def test_windows_in_rows_of_no_length() -> None:
    """Prevents a window of more tokens than any row from stopping the job."""
    assert rows_that_hold([(1, 2, 3)], np.zeros((4, 2), int)) == {} == rows_that_hold([], np.zeros((4, 2), int))
