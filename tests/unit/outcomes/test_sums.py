"""Sums over bags of rows that are read domain by domain, against those of all rows at once."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from recite.errors import ReciteError
from recite.outcomes.frame import read_frame
from recite.outcomes.means import bags_of
from recite.outcomes.rows import Outcomes
from recite.outcomes.sums import read_blocks, summed
from recite.tables import CATEGORY, Column, Table
from recite.tables.lists import as_lists

TABLE = Table(
    "layered",
    (
        Column("row_id", pa.uint64(), "", "row"),
        Column("domain", CATEGORY, "", "domain"),
        Column("first", pa.list_(pa.float32()), "", "by layer"),
        Column("second", pa.list_(pa.uint8()), "", "by layer"),
    ),
)
KINDS = {"code": "structural", "prose": "free_text", "empty": "free_text"}
OPTIONS = {
    "corpora": {"a-s": "mini"},
    "kinds": {"mini": KINDS},
    "estimand": "corpus",
    "seed": 3,
    "resamples": 50,
}
ROWS, LAYERS = 20_000, 3


@pytest.fixture
def rows() -> dict[str, np.ndarray]:
    """Rows of two domains, mixed, with numbers of any size: their sums hang on the order of addition."""
    rng = np.random.default_rng(5)
    return {
        "row_id": rng.permutation(ROWS).astype(np.uint64),
        "sequence_id": rng.integers(0, ROWS, ROWS).astype(np.uint64),
        "domain": np.array(["code", "prose"], object)[rng.integers(0, 2, ROWS)],
        "first": (rng.standard_normal((ROWS, LAYERS)) * 10.0 ** rng.integers(-6, 6, (ROWS, 1))).astype(np.float32),
        "second": rng.integers(0, 33, (ROWS, LAYERS)).astype(np.uint8),
    }


def outcomes_of(rows: dict[str, np.ndarray]) -> Outcomes:
    names = {name: pa.array(rows[name]) for name in ("row_id", "sequence_id")}
    names |= {"domain": pa.chunked_array([pa.array(rows["domain"]).dictionary_encode().cast(CATEGORY)])}
    table = pa.table(names | {"inclusion_probability": np.full(len(rows["row_id"]), 0.5)})
    order, frame = read_frame(table, "a-s", OPTIONS)
    nothing = np.zeros(len(order))
    return Outcomes("a-s", "a", 9, 0, 0.0, 32, frame, nothing, nothing, nothing)


def write(folder: Path, rows: dict[str, np.ndarray], cuts: list[int]) -> list[Path]:
    """Files of the rows, cut at some places."""
    paths = []
    for start, stop in zip([0, *cuts], [*cuts, len(rows["row_id"])], strict=True):
        own = {name: values[start:stop] for name, values in rows.items() if name != "sequence_id"}
        columns = own | {name: as_lists(own[name]) for name in ("first", "second")}
        paths.append(folder / f"{start}.parquet")
        TABLE.write(paths[-1], columns, {})
    return paths


@pytest.mark.parametrize("cuts", [[], [1, 9_000, 9_001]])
def test_sums_are_those_of_all_rows_to_the_last_bit(
    tmp_path: Path, rows: dict[str, np.ndarray], cuts: list[int]
) -> None:
    """Prevents other bytes where files are cut, or domains mixed, in another way."""
    outcomes = outcomes_of(rows)
    order = np.lexsort((rows["row_id"], [[*KINDS].index(domain) for domain in rows["domain"]]))
    whole = np.column_stack([rows["first"][order], rows["second"][order]])
    every = np.arange(ROWS)
    groups = [bags_of(outcomes.frame, chosen, OPTIONS) for chosen in (every, every[::7], every[:5], every[-3:])]
    blocks = read_blocks(TABLE, write(tmp_path, rows, cuts), ["first", "second"], outcomes)
    found = summed(blocks, groups, lambda columns: np.column_stack([*columns.values()]))
    for bags, sums in zip(groups, found, strict=True):
        assert np.array_equal(sums, bags.sums(whole))
        assert np.array_equal(bags.means(sums), bags.means(bags.sums(whole)), equal_nan=True)


def test_more_rows_are_passed_over(tmp_path: Path, rows: dict[str, np.ndarray]) -> None:
    """Prevents a row that was not asked for from being summed up, and one that was from being left out."""
    kept = rows["row_id"] % 3 == 0
    some = {name: values[kept] for name, values in rows.items()}
    outcomes, paths = outcomes_of(some), write(tmp_path, rows, [5_000])
    blocks = {
        name: values
        for block in read_blocks(TABLE, paths, ["first"], outcomes, more=True)
        for name, values in {block.rows.start: block.columns["first"]}.items()
    }
    found = np.concatenate([blocks[start] for start in sorted(blocks)])
    by_id = dict(zip(rows["row_id"].tolist(), rows["first"].tolist(), strict=True))
    assert found.tolist() == [by_id[row] for row in outcomes.frame.row_ids.tolist()]
    with pytest.raises(ReciteError, match="holds other rows than were scored"):
        list(read_blocks(TABLE, paths, ["first"], outcomes))
