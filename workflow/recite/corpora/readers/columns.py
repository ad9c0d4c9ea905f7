"""Columns of Parquet files, Arrow files and Arrow streams, row by row."""

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
AS_BYTES = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}
ARROW_FILE = b"ARROW1"
"""What an Arrow file begins with, which Feather calls its second version; a stream does not."""

Paths = list[list[str]]


def read_columns(path: Path, name: str, fields: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """The values of `fields`, names or dotted paths into structs, of each row; texts that are not UTF-8 are NOT_UTF8.

    About BATCH_BYTES are held at once. Raises ReciteError for a file that is not a whole Parquet file, Arrow file or
    Arrow stream, and for one that lacks a field.
    """
    is_parquet = name.lower().endswith(".parquet")
    kind, batches = ("Parquet file", _parquet) if is_parquet else ("Arrow file or stream", _arrow)
    try:
        for paths, batch in batches(path, name, fields):
            yield from zip(*(values_of(batch, keys) for keys in paths), strict=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        cause = str(error).partition("\n")[0]
        raise ReciteError(f"{name} is not a whole {kind} ({cause}); delete it and fetch or make it again.") from None


def _parquet(path: Path, name: str, fields: Sequence[str]) -> Iterator[tuple[Paths, pa.RecordBatch]]:
    # pre_buffer would hold whole columns of a row group
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=READ_BYTES) as file:
        paths = paths_in(name, file.schema_arrow, fields)
        groups = [file.metadata.row_group(index) for index in range(file.num_row_groups)]
        rows = min((rows_of(group.total_byte_size, group.num_rows) for group in groups if group.num_rows), default=1)
        for batch in file.iter_batches(rows, columns=[".".join(keys) for keys in paths], use_threads=False):
            yield paths, batch


def _arrow(path: Path, name: str, fields: Sequence[str]) -> Iterator[tuple[Paths, pa.RecordBatch]]:
    """Slices of the batches of a memory-mapped file or stream; its pages do not count as the process's own memory."""
    with pa.memory_map(str(path)) as source:
        is_file = source.read(len(ARROW_FILE)) == ARROW_FILE
        source.seek(0)
        schema = (pa.ipc.open_file if is_file else pa.ipc.open_stream)(source).schema
        paths = paths_in(name, schema, fields)
        source.seek(0)
        options = pa.ipc.IpcReadOptions(
            included_fields=sorted({schema.get_field_index(keys[0]) for keys in paths}), use_threads=False
        )
        for batch in (_file_batches if is_file else _stream_batches)(source, options):
            rows = rows_of(batch.nbytes, batch.num_rows)
            yield from ((paths, batch.slice(start, rows)) for start in range(0, batch.num_rows, rows))


def _file_batches(source: pa.NativeFile, options: pa.ipc.IpcReadOptions) -> Iterator[pa.RecordBatch]:
    reader = pa.ipc.open_file(source, options=options)
    yield from (reader.get_batch(index) for index in range(reader.num_record_batches))


def _stream_batches(source: pa.NativeFile, options: pa.ipc.IpcReadOptions) -> Iterator[pa.RecordBatch]:
    """Those of a stream, which may end without its end's marker: a writer that was not closed leaves none."""
    yield from pa.ipc.open_stream(source, options=options)
    # the reader takes a length that was damaged to 0 for the end, and does not look at what follows
    if source.tell() != source.size():
        raise pa.ArrowInvalid("it goes on behind the stream's end")


def rows_of(size: int, rows: int) -> int:
    """Rows of about BATCH_BYTES together, given how many bytes how many rows have."""
    return max(1, min(MOST_ROWS, BATCH_BYTES * rows // max(size, 1)))


def paths_in(name: str, schema: pa.Schema, fields: Sequence[str]) -> Paths:
    """The names of columns, and of fields within, that the fields' names stand for."""
    found = [_path(schema, field) for field in fields]
    for field, path in zip(fields, found, strict=True):
        if not path:
            raise ReciteError(
                f"{name} has no column {field}, or has it twice (its columns: {', '.join(schema.names)}); "
                "correct the fields that the corpus's entry names, or replace the file."
            )
    return found


def _path(inner: Any, field: str) -> list[str]:
    """The names that lead to a field, of which one that holds dots itself goes before a path; none if it is absent."""
    head, rest = field, ""
    while head and isinstance(inner, pa.Schema | pa.StructType):
        index = inner.get_field_index(head)
        if index >= 0 and not rest:
            return [head]
        path = _path(inner.field(index).type, rest) if index >= 0 else []
        if path:
            return [head, *path]
        head = head.rpartition(".")[0]
        rest = field[len(head) + 1 :]
    return []


def values_of(batch: pa.RecordBatch, keys: list[str]) -> list[Any]:
    """The values of a column, or of the field within it that `keys` lead to."""
    column = batch.column(keys[0])
    if len(keys) > 1:
        column = pc.struct_field(column, keys[1:])
    # a damaged offset would end the process
    _as_bytes(column).validate(full=True)
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        return [_value(scalar) for scalar in column]


def _as_bytes(column: pa.Array) -> pa.Array:
    """Texts as bytes, so that one that is not UTF-8 is not the file's defect."""
    if isinstance(column, pa.DictionaryArray):
        return pa.DictionaryArray.from_arrays(column.indices, _as_bytes(column.dictionary))
    return column.view(AS_BYTES[column.type]) if column.type in AS_BYTES else column


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return NOT_UTF8
