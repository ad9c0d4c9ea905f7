"""recite.tables: what is read is what was declared and written, or a clear error."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recite.comparison.scaling.tables import SCALING
from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tables.training import CONTROLS, TRAINING_ROWS
from recite.errors import ReciteError
from recite.files import RULE
from recite.stages.noise.rows import NOISE_SCORES
from recite.stages.noise.tables import NOISE_RATES
from recite.stages.scoring.rows import SCORES
from recite.stages.scoring.tables import CONTROL_RATES, DISTRIBUTION, RATES
from recite.tables import CATEGORY, TOKENS, Column, Table, read_metadata

DECLARED = [
    CONTROL_RATES,
    DISTRIBUTION,
    NOISE_RATES,
    RATES,
    SCALING,
    SAMPLES,
    NOISE_SCORES,
    SCORES,
    CONTROLS,
    TRAINING_ROWS,
]
THINGS = Table(
    "things",
    (
        Column("id", pa.uint64(), "", "number"),
        Column("kind", CATEGORY, "", "kind"),
        Column("small", pa.uint8(), "token", "small number"),
        Column("share", pa.float64(), "", "share"),
        Column("text", pa.binary(), "byte", "bytes"),
        Column("tokens", TOKENS, "token id", "tokens"),
    ),
)
DATA: dict[str, Any] = {
    "id": [2**64 - 1, 0, 7],
    "kind": ["b", "a", "b"],
    "small": [255, 0, 1],
    "share": [0.1, -1e300, 5e-324],
    "text": [b"\xff\0", b"", b"x"],
    "tokens": [[1, 2**32 - 1], [], [3]],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "things.parquet"


@pytest.fixture
def written(path: Path) -> Path:
    THINGS.write(path, DATA, {"dtype": "float32", "options": {"ä": [1, None]}})
    return path


def test_round_trip(written: Path) -> None:
    """Prevents values at the ends of their types from being changed."""
    assert THINGS.read(written).to_pydict() == DATA
    assert pq.read_schema(written).remove_metadata().equals(THINGS.schema.remove_metadata())


def test_columns_are_written_in_declared_order(path: Path) -> None:
    """Prevents the order of a writer's dict from changing the file."""
    THINGS.write(path, dict(reversed(DATA.items())), {})
    assert THINGS.read(path).column_names == list(DATA)


def test_arrow_tables_and_arrays_are_written(written: Path, path: Path) -> None:
    """Prevents a table that was read from being refused when it is written again."""
    table = THINGS.read(written)
    THINGS.write(path, table, {})
    assert THINGS.read(path).to_pydict() == DATA


def test_reading_some_columns(written: Path) -> None:
    """Prevents whole files from being loaded where one column is asked for."""
    assert THINGS.read(written, ["share", "id"]).to_pydict() == {"share": DATA["share"], "id": DATA["id"]}


def test_metadata_is_returned(written: Path) -> None:
    """Prevents a table from losing what made it."""
    assert read_metadata(written) == {"dtype": "float32", "options": {"ä": [1, None]}}


def test_the_rule_is_named_in_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a table without its record from not saying which rule made it."""
    monkeypatch.setenv(RULE, "scoring")
    THINGS.write(path, DATA, {"dtype": "float32"})
    assert read_metadata(path) == {"dtype": "float32", "rule": "scoring"}
    THINGS.write_batches(path, [THINGS.read(path)], {})
    assert read_metadata(path) == {"rule": "scoring"}


def test_two_writes_give_the_same_bytes(written: Path, tmp_path: Path) -> None:
    """Prevents a time stamp or the order of keys from making equal tables differ."""
    THINGS.write(tmp_path / "other", dict(reversed(DATA.items())), {"options": {"ä": [1, None]}, "dtype": "float32"})
    assert (tmp_path / "other").read_bytes() == written.read_bytes()


def test_empty_tables_round_trip(path: Path) -> None:
    """Prevents a table without rows from losing its types."""
    THINGS.write(path, {name: [] for name in DATA}, {})
    assert THINGS.read(path).to_pydict() == {name: [] for name in DATA}


def test_write_of_a_missing_column(path: Path) -> None:
    """Prevents a table from being written without a declared column."""
    data = {name: values for name, values in DATA.items() if name != "share"}
    with pytest.raises(ReciteError, match=r"things\.parquet: column share of table things is missing"):
        THINGS.write(path, data, {})
    assert not path.exists()


def test_write_of_an_undeclared_column(path: Path) -> None:
    """Prevents a column that no schema explains."""
    with pytest.raises(ReciteError, match=r"things\.parquet: column extra is not declared in table things"):
        THINGS.write(path, DATA | {"extra": [1, 2, 3]}, {})


@pytest.mark.parametrize("name", list(DATA))
def test_write_of_a_null(path: Path, name: str) -> None:
    """Prevents a missing value from being written in any type of column."""
    with pytest.raises(ReciteError, match=rf"things\.parquet: column {name} of table things holds a null"):
        THINGS.write(path, DATA | {name: [DATA[name][0], None, DATA[name][2]]}, {})
    assert not path.exists()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("small", [1, 256, 3]),
        ("small", ["1", "2", "3"]),
        ("id", [1.5, 2.0, 3.0]),
        ("id", [-1, 2, 3]),
        ("id", pa.array([-1, 2, 3])),
        ("share", ["a", "b", "c"]),
        ("kind", [1, 2, 3]),
        ("tokens", [1, 2, 3]),
        ("tokens", pa.array(["a", "b", "c"])),
    ],
)
def test_write_of_another_type(path: Path, name: str, values: Any) -> None:
    """Prevents values from being cut, wrapped or turned into text to fit a column."""
    with pytest.raises(ReciteError, match=r"things\.parquet: .*things does not fit its type"):
        THINGS.write(path, DATA | {name: values}, {})
    assert not path.exists()


def test_write_of_columns_of_unequal_length(path: Path) -> None:
    """Prevents a traceback, or a cut table, where a column is short."""
    with pytest.raises(ReciteError, match=r"things\.parquet"):
        THINGS.write(path, DATA | {"small": [1, 2]}, {})


def test_failed_write_keeps_the_old_table(written: Path) -> None:
    """Prevents a refused table from destroying the one before."""
    before = written.read_bytes()
    with pytest.raises(ReciteError):
        THINGS.write(written, DATA | {"small": [300, 0, 0]}, {})
    assert written.read_bytes() == before


def test_read_of_a_missing_file(path: Path) -> None:
    """Prevents a traceback where a file was deleted."""
    with pytest.raises(ReciteError, match=r"things\.parquet does not exist; run the rule that makes it again"):
        THINGS.read(path)


def test_read_of_a_truncated_file(written: Path) -> None:
    """Prevents a table cut by a full disk from being read as a shorter one, wherever it ends."""
    whole = written.read_bytes()
    for end in (0, 1, 4, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        written.write_bytes(whole[:end])
        with pytest.raises(ReciteError, match=r"things\.parquet is not a whole Parquet file .*: delete it and run"):
            THINGS.read(written)


def test_read_of_a_file_that_is_not_parquet(path: Path) -> None:
    """Prevents a text file under a table's name from ending in a traceback."""
    path.write_text("row_id,domain\n" * 50)
    with pytest.raises(ReciteError, match=r"things\.parquet is not a whole Parquet file"):
        THINGS.read(path)


def test_read_of_missing_and_undeclared_columns(written: Path) -> None:
    """Prevents a file of an older schema from being used, even where only its other columns are read."""
    table = THINGS.read(written)
    pq.write_table(table.drop_columns("share"), written)
    with pytest.raises(ReciteError, match=r"column share of table things is missing; delete the file"):
        THINGS.read(written, ["id"])
    pq.write_table(table.append_column("more", table["id"]), written)
    with pytest.raises(ReciteError, match=r"column more is not declared in table things; delete the file"):
        THINGS.read(written, ["id"])


def test_read_of_another_type(written: Path) -> None:
    """Prevents a column of another type from being read as if it were declared."""
    table = THINGS.read(written)
    pq.write_table(table.set_column(3, "share", table["share"].cast(pa.float32())), written)
    with pytest.raises(ReciteError, match=r"column share of table things is float, declared double; delete the file"):
        THINGS.read(written)


@pytest.mark.parametrize("table", DECLARED, ids=lambda table: table.name)
def test_declared_tables_explain_themselves(table: Table, tmp_path: Path) -> None:
    """Prevents a column without a meaning, a name used twice, and a schema that a file does not keep."""
    names = [column.name for column in table.columns]
    assert len(names) == len(set(names)) > 0
    assert all(column.meaning.strip() for column in table.columns)
    table.write(tmp_path / "empty", {name: [] for name in names}, {})
    kept = pq.read_schema(tmp_path / "empty")
    for column in table.columns:
        field = kept.field(column.name)
        assert field.type == column.type and not field.nullable
        notes = field.metadata
        assert (notes[b"unit"].decode(), notes[b"meaning"].decode()) == (column.unit, column.meaning)
