"""Tables with declared schemas: one module a table, checked on write and on read.

A stage imports only the tables it uses, so that declaring a new one elsewhere does not
change the stage's code fingerprint.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recite.errors import ReciteError
from recite.files import RULE, atomic, canonical_json

METADATA_KEY = b"recite"
ROWS_OF_A_GROUP = 2**16
"""What a filtered reading of a sorted file skips or takes as a whole."""
BATCH, BUFFER = 2**13, 2**18
"""Rows that are read at a time, and bytes of a column of them."""
CATEGORY = pa.dictionary(pa.int32(), pa.string())
TOKENS = pa.list_(pa.uint32())


class Column(NamedTuple):
    """One column: its name, Arrow type, unit ("" for none) and meaning in one sentence.

    finite: whether all of its numbers must be, as they are unless the meaning says where one is NaN or infinite.
    """

    name: str
    type: pa.DataType
    unit: str
    meaning: str
    finite: bool = True


@dataclass(frozen=True)
class Table:
    """A table's declared schema. No column may hold a null."""

    name: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """Names of the columns, in their order."""
        return [column.name for column in self.columns]

    @property
    def schema(self) -> pa.Schema:
        fields = []
        for column in self.columns:
            notes = {"unit": column.unit, "meaning": column.meaning}
            fields.append(pa.field(column.name, column.type, nullable=False, metadata=notes))
        return pa.schema(fields)

    def write(self, path: Path, data: pa.Table | Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Write `data` (columns by name) atomically, with `metadata` and the job's rule in the file's own metadata.

        Raises ReciteError where a column is missing, undeclared, null, of another type, or not finite where it must be.
        """
        columns = {name: data[name] for name in (data.column_names if isinstance(data, pa.Table) else data)}
        self._check_names(list(columns), path)
        try:
            arrays = [_as_array(columns[column.name], column.type) for column in self.columns]
        except (pa.ArrowException, OverflowError) as error:
            raise ReciteError(f"{path}: a column of table {self.name} does not fit its type: {error}") from None
        for column, array in zip(self.columns, arrays, strict=True):
            if array.null_count:
                raise ReciteError(f"{path}: column {column.name} of table {self.name} holds a null.")
            self._check_finite(column, array, path)
        if len({len(array) for array in arrays}) > 1:
            raise ReciteError(f"{path}: the columns of table {self.name} have different lengths.")
        table = pa.Table.from_arrays(arrays, schema=self.schema.with_metadata(_note(metadata)))
        with atomic(path) as temporary:
            pq.write_table(table, temporary, compression="zstd")

    def write_lines(self, path: Path, lines: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any]) -> None:
        """The same from lines, values by column each; values of other names are left out."""
        self.write(path, {name: [line[name] for line in lines] for name in self.names}, metadata)

    def write_batches(self, path: Path, batches: Iterable[pa.Table], metadata: Mapping[str, Any]) -> None:
        """Write tables of the declared schema one after the other, atomically; one at a time is in memory."""
        schema = self.schema.with_metadata(_note(metadata))
        with atomic(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for batch in batches:
                for column in self.columns:
                    self._check_finite(column, batch[column.name], path)
                writer.write_table(batch.select(self.names).cast(schema), row_group_size=ROWS_OF_A_GROUP)

    def read(self, path: Path, columns: Sequence[str] | None = None, filters: pc.Expression | None = None) -> pa.Table:
        """Read the file, or only `columns` and the rows of `filters`, after checking its schema."""
        names = list(columns) if columns else None
        with _whole(path):
            found = pq.read_schema(path)
            table = pq.read_table(path, columns=names, filters=filters, partitioning=None)
        self._check_types(found, path)
        self._check_all_finite(table, path)
        return table

    def read_batches(self, path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Some columns of the file, some thousand rows at a time, after checking its schema."""
        with _whole(path):
            file = pq.ParquetFile(path, buffer_size=BUFFER)
        with file:
            self._check_types(file.schema_arrow, path)
            batches = file.iter_batches(BATCH, columns=list(columns), use_threads=False)
            while True:
                with _whole(path):
                    batch = next(batches, None)
                if batch is None:
                    return
                table = pa.Table.from_batches([batch])
                self._check_all_finite(table, path)
                yield table

    def count(self, path: Path) -> int:
        """How many rows the file has."""
        with _whole(path):
            return int(pq.read_metadata(path).num_rows)

    def _check_types(self, found: pa.Schema, path: Path) -> None:
        self._check_names(found.names, path)
        for column in self.columns:
            if found.field(column.name).type != column.type:
                raise ReciteError(
                    f"{path}: column {column.name} of table {self.name} is {found.field(column.name).type}, "
                    f"declared {column.type}; delete the file and run again."
                )

    def _check_all_finite(self, table: pa.Table, path: Path) -> None:
        for column in self.columns:
            if column.name in table.column_names:
                self._check_finite(column, table[column.name], path)

    def _check_finite(self, column: Column, values: pa.Array | pa.ChunkedArray, path: Path) -> None:
        """Refuse NaN and infinity in a column of numbers, or of lists of numbers, that may hold none."""
        numbers = pc.list_flatten(values) if pa.types.is_list(column.type) else values
        if not column.finite or not pa.types.is_floating(numbers.type):
            return
        if not pc.all(pc.is_finite(numbers), skip_nulls=False, min_count=0).as_py():
            raise ReciteError(
                f"{path}: column {column.name} of table {self.name} holds a number that is not finite; delete the file "
                "if it is there, and look for what its rule reads that is damaged."
            )

    def _check_names(self, names: list[str], path: Path) -> None:
        for name in self.names:
            if name not in names:
                raise ReciteError(
                    f"{path}: column {name} of table {self.name} is missing; delete the file and run again."
                )
        for name in names:
            if name not in self.names:
                raise ReciteError(
                    f"{path}: column {name} is not declared in table {self.name}; delete the file and run again."
                )


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Within the block a file that is not there, or is damaged, is refused."""
    try:
        yield
    except FileNotFoundError:
        raise ReciteError(f"{path} does not exist; run the rule that makes it again.") from None
    except (pa.ArrowInvalid, OSError) as error:
        first = str(error).splitlines()[0]
        raise ReciteError(
            f"{path} is not a whole Parquet file ({first}); it is truncated or damaged: "
            "delete it and run again, and only what depends on it is made anew."
        ) from None


def read_metadata(path: Path) -> dict[str, Any]:
    """What the writer of a table noted about its making: rule, options, digests, device, dtype."""
    return json.loads(pq.read_schema(path).metadata[METADATA_KEY])


def _note(metadata: Mapping[str, Any]) -> dict[bytes, bytes]:
    """What goes into a file's own metadata; no rule where no job writes it."""
    rule = {"rule": os.environ[RULE]} if RULE in os.environ else {}
    return {METADATA_KEY: canonical_json({**rule, **metadata}).encode()}


def _as_array(values: Any, type_: pa.DataType) -> pa.Array | pa.ChunkedArray:
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values if values.type == type_ else values.cast(type_)
    if pa.types.is_dictionary(type_):
        return pa.array(list(values), pa.string()).dictionary_encode().cast(type_)
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
        return pa.array(values).cast(type_)
    if pa.types.is_integer(type_) and any(isinstance(value, float) for value in values):
        raise pa.ArrowInvalid(f"a number with a fraction is no {type_}")
    return pa.array(values, type_)
