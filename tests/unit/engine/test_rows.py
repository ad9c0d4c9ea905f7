"""Sampled rows as arrays, against the tables' own lists."""

from pathlib import Path

import numpy as np
import pytest
import torch

from recite.corpora.tables.samples import SAMPLES
from recite.engine.rows import Rows, read_rows, taken, together
from recite.errors import ReciteError
from recite.tables import BATCH
from recite.tables.lists import as_lists

ROWS, CONTEXT, STEPS = BATCH + 1000, 5, 3
"""More rows than are read at a time."""


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two shards whose rows are of two domains in turn; token ids up to the largest of 32 bits without a sign's."""
    rng = np.random.default_rng(2)
    tokens = rng.integers(0, 2**31, (2 * ROWS, CONTEXT + STEPS)).astype(np.uint32)
    ids = rng.integers(0, 2**64, (2, 2 * ROWS), np.uint64)
    paths = []
    for place, own in enumerate((slice(0, ROWS), slice(ROWS, 2 * ROWS))):
        columns = {"row_id": ids[0][own], "sequence_id": ids[1][own], "domain": ["code", "prose"] * (ROWS // 2)}
        columns |= {"document_id": ["d"] * ROWS, "source_file": ["f"] * ROWS, "source_row": np.arange(ROWS)}
        columns |= {"window_start": np.arange(ROWS), "text": [b""] * ROWS, "context_bytes": np.zeros(ROWS, np.int64)}
        columns |= {"context": as_lists(tokens[own, :CONTEXT]), "continuation": as_lists(tokens[own, CONTEXT:])}
        columns["inclusion_probability"] = rng.random(ROWS)
        paths.append(tmp_path_factory.mktemp("samples") / f"mixed-{place:04d}.parquet")
        SAMPLES.write(paths[-1], columns, {})
    return paths


def listed(shards: list[Path]) -> list[tuple[object, ...]]:
    """Every row as the table has it."""
    names = ("row_id", "sequence_id", "domain", "inclusion_probability", "context", "continuation")
    tables = [SAMPLES.read(path) for path in shards]
    return [row for table in tables for row in zip(*(table[name].to_pylist() for name in names), strict=True)]


def lines_of(rows: Rows) -> list[tuple[object, ...]]:
    return list(zip(*(column.tolist() for column in rows), strict=True))


def test_rows_are_those_of_the_tables(shards: list[Path]) -> None:
    """Prevents a row that is lost, moved or cut where a shard is read in pieces, and a token id that wraps around."""
    rows = read_rows(shards)
    assert lines_of(rows) == listed(shards)
    assert rows.context.dtype == rows.continuation.dtype == torch.int32 and rows.ids.dtype == np.uint64


@pytest.mark.parametrize("most", [1, 700, ROWS])
def test_first_of_each_domain(shards: list[Path], most: int) -> None:
    """Prevents a count that starts anew with a shard, a piece of one, or another domain's row."""
    seen = {"code": 0, "prose": 0}
    expected = []
    for row in listed(shards):
        seen[str(row[2])] += 1
        if seen[str(row[2])] <= most:
            expected.append(row)
    assert lines_of(read_rows(shards, most)) == expected


def test_rows_of_given_ids(shards: list[Path]) -> None:
    """Prevents a neighbour of a large id from being taken for it, and a failure where nothing is found."""
    every = listed(shards)
    wanted = every[::997]
    assert lines_of(read_rows(shards, among=[int(str(row[0])) for row in wanted])) == wanted
    none = read_rows(shards, among=[])
    assert len(none.ids) == 0 and none.context.shape == (0, CONTEXT)


def test_parts_together(shards: list[Path]) -> None:
    """Prevents a column that is left behind."""
    both = together([read_rows(shards[:1]), read_rows(shards[1:])])
    assert lines_of(both) == listed(shards)
    assert lines_of(taken(both, [ROWS, 2])) == [listed(shards)[place] for place in (ROWS, 2)]


def test_a_shard_that_is_damaged(shards: list[Path], tmp_path: Path) -> None:
    """Prevents rows of half a file, and a traceback."""
    damaged = tmp_path / "half.parquet"
    damaged.write_bytes(shards[0].read_bytes()[:10_000])
    for path, said in ((damaged, "is not a whole Parquet file"), (tmp_path / "none.parquet", "does not exist")):
        with pytest.raises(ReciteError, match=said):
            read_rows([shards[0], path])
