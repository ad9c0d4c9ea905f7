"""Columns of Parquet files and Arrow streams, row by row."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc
import pyarrow.parquet as pq

from recite.errors import ReciteError

BATCH_BYTES = 1 << 22
MOST_ROWS = 1024
READ_BYTES = 1 << 20
NOT_UTF8: Final = object()
"""Stands for a text that is not UTF-8."""
AS_BYTES = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}
END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


def read_columns(path: Path, name: str, fields: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """The values of `fields`, dotted paths into structs, of each row; texts that are not UTF-8 are NOT_UTF8.

    About BATCH_BYTES are held at once. Raises ReciteError for a file that is not a whole Parquet file or
    Arrow stream, and for one that lacks a field.
    """
    kind, batches = ("Parquet file", _parquet) if name.endswith(".parquet") else ("Arrow stream", _arrow)
    paths = [field.split(".") for field in fields]
    try:
        for batch in batches(path, name, paths):
            yield from zip(*(_values(batch, keys) for keys in paths), strict=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        cause = str(error).partition("\n")[0]
        raise ReciteError(f"{name} is not a whole {kind} ({cause}); delete it and fetch or make it again.") from None


def _parquet(path: Path, name: str, paths: list[list[str]]) -> Iterator[pa.RecordBatch]:
    # pre_buffer would hold whole columns of a row group
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=READ_BYTES) as file:
        _require(name, file.schema_arrow, paths)
        groups = [file.metadata.row_group(index) for index in range(file.num_row_groups)]
        rows = min(
            (_batch_rows(group.total_byte_size, group.num_rows) for group in groups if group.num_rows), default=1
        )
        yield from file.iter_batches(rows, columns=[".".join(keys) for keys in paths], use_threads=False)


def _arrow(path: Path, name: str, paths: list[list[str]]) -> Iterator[pa.RecordBatch]:
    """Slices of the batches of a memory-mapped stream; its pages do not count as the process's own memory."""
    with pa.memory_map(str(path)) as source:
        schema = pa.ipc.open_stream(source).schema
        _require(name, schema, paths)
        source.seek(0)
        options = pa.ipc.IpcReadOptions(
            included_fields=sorted({schema.get_field_index(keys[0]) for keys in paths}), use_threads=False
        )
        for batch in pa.ipc.open_stream(source, options=options):
            rows = _batch_rows(batch.nbytes, batch.num_rows)
            yield from (batch.slice(start, rows) for start in range(0, batch.num_rows, rows))
        # the reader takes the end of the file, or a length that was damaged to 0, for the end of the stream
        end = source.tell()
        source.seek(max(0, end - len(END_OF_STREAM)))
        if source.read() != END_OF_STREAM:
            raise pa.ArrowInvalid("its end is not the stream's end marker")


def _batch_rows(size: int, rows: int) -> int:
    """Rows of about BATCH_BYTES together, given how many bytes how many rows have."""
    return max(1, min(MOST_ROWS, BATCH_BYTES * rows // max(size, 1)))


def _require(name: str, schema: pa.Schema, paths: list[list[str]]) -> None:
    for keys in paths:
        inner: Any = schema
        for key in keys:
            index = inner.get_field_index(key) if isinstance(inner, pa.Schema | pa.StructType) else -1
            if index < 0:
                raise ReciteError(
                    f"{name} has no column {'.'.join(keys)}, or has it twice (its columns: {', '.join(schema.names)}); "
                    "correct the fields that the corpus's entry names, or replace the file."
                )
            inner = inner.field(index).type


def _values(batch: pa.RecordBatch, keys: list[str]) -> list[Any]:
    column = batch.column(keys[0])
    if len(keys) > 1:
        column = pc.struct_field(column, keys[1:])
    # a damaged offset would end the process; as bytes, so that one text that is not UTF-8 is not the file's defect
    checked = column.view(AS_BYTES[column.type]) if column.type in AS_BYTES else column
    checked.validate(full=True)
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return NOT_UTF8
