"""Rows of data sets as the library `datasets` reads them: what it saved, files of its builders, the hub's.

Nothing that executes is read: the library refuses data sets that come with a script, its builder of pickles is not
among BUILDERS, and what a WebDataset's archive holds for an unpickler stays bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, Final, NamedTuple

import pyarrow as pa

from recite.corpora.readers.columns import NOT_UTF8, paths_in, read_columns, rows_of, values_of
from recite.corpora.readers.layout import Document, Layout, Skipped
from recite.corpora.readers.reading import Reading
from recite.errors import ReciteError

BUILDERS: Final = {
    "csv": ("*.csv", "*.tsv"),
    "json": ("*.json", "*.jsonl"),
    "text": ("*.txt",),
    "parquet": ("*.parquet",),
    "arrow": ("*.arrow",),
    "webdataset": ("*.tar",),
}
"""The library's builders that are used -> what their files are called."""
OWN = ("parquet", "arrow")
"""Builders whose files are read by `read_columns`: the library would hold several groups of rows of one."""
CHUNK_ROWS = 500
"""Rows of a table in CSV that are held at once."""
UNPICKLED = "pth"
"""Members of an archive that WebDataset's builder would hand to an unpickler."""


class Rows(NamedTuple):
    """Some rows of a split.

    source: what pointers to its documents name, a file within the corpus or the split. opening: what is opened, the
    arguments of `load_dataset` or, as `saved`, the folder of a split that the library saved. files: what it rests on
    here, none where it is read from the hub. Read are shard `shard` of `shards`, or the saved rows `first` to `end`.
    """

    source: str
    opening: Mapping[str, Any]
    files: tuple[Path, ...] = ()
    bytes: int = 0
    shard: int = 0
    shards: int = 1
    first: int = 0
    end: int = 0

    def documents(self, layout: Layout, skipped: Skipped) -> Iterator[Document]:
        """Documents of the rows, which are numbered within the source.

        Memory is that of some rows, or of 10 MB of JSON; of JSON that is no lines, which the library holds whole, of a
        file. Raises ReciteError for what the library cannot read, and where all rows lack what the layout names.
        """
        reading = Reading(self.source, layout, skipped)
        if "saved" in self.opening:
            return reading.documents(reading.rows(self._columns, self.first))
        if self.files and self.opening["path"] in OWN:
            return reading.documents(reading.rows(partial(read_columns, self.files[0], self.source)))
        return reading.documents(reading.objects(self._objects(layout)))

    def _columns(self, fields: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """The values of fields of each row of a split that was saved, which is mapped, not read, into memory."""
        with told(self.source):
            split = library().load_from_disk(self.opening["saved"], keep_in_memory=False).with_format("arrow")
            paths = paths_in(self.source, split.features.arrow_schema, fields)
            step = rows_of(self.bytes, self.end - self.first)
            for start in range(self.first, self.end, step):
                for batch in split[start : min(start + step, self.end)].to_batches():
                    yield from zip(*(values_of(batch, keys) for keys in paths), strict=True)

    def _objects(self, layout: Layout) -> Iterator[dict[str, Any]]:
        """Every row by the names of its fields; bytes that are UTF-8 are texts."""
        options = dict(self.opening["options"])
        if self.opening["path"] == "csv":  # else a column's type, and what counts as empty, would hang on its values
            fields = [name for name in (layout.text, layout.id, layout.domain) if name is not None]
            options |= {"converters": dict.fromkeys(fields, str), "na_filter": False, "chunksize": CHUNK_ROWS}
        with told(self.source), TemporaryDirectory() as notes:
            given = {key: value for key, value in self.opening.items() if key != "options"}
            split = library().load_dataset(**given, **options, streaming=True, cache_dir=notes)
            if self.shards > 1:
                split = split.shard(self.shards, self.shard)
            for row in split:
                yield {name: _as_text(value) if type(value) is bytes else value for name, value in row.items()}


def library() -> ModuleType:
    """The library, which says nothing, tells nobody what is loaded and unpickles nothing; its import takes a second."""
    import datasets
    from datasets.packaged_modules.webdataset.webdataset import WebDataset

    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    WebDataset.DECODERS.pop(UNPICKLED, None)
    return datasets


@contextmanager
def told(source: str) -> Iterator[None]:
    """Say in one sentence what the library cannot read."""
    try:
        yield
    except (ReciteError, pa.ArrowCancelled):
        raise
    except Exception as error:
        cause = error if error.__cause__ is None or isinstance(error.__cause__, AttributeError) else error.__cause__
        lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
        reason = (lines[0] if lines else type(cause).__name__).rstrip(".")
        raise ReciteError(
            f"{source} cannot be read by the library datasets ({reason}); mend it or the corpus's `dataset` entry, or "
            "make JSON lines or Parquet files of it and name these by `files`."
        ) from None


def _as_text(value: bytes) -> Any:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return NOT_UTF8
