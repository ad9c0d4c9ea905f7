"""The results of a study as they lie in a folder, whatever checkout made them: tables say themselves what they hold."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from recite.errors import ReciteError
from recite.provenance.records import read_records

HOME = Path("results")


@dataclass(frozen=True)
class Results:
    """A folder of results with its tables' files by name."""

    folder: Path
    tables: dict[str, Path]

    @property
    def name(self) -> str:
        """The folder's own name, which a page may be given away with."""
        return self.folder.resolve().name

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """The records of its jobs that name their rule; none where they were not brought along."""
        return [record for record in read_records(self.folder).values() if record.keys() >= {"rule", "parameters"}]

    @property
    def figures(self) -> dict[str, Path]:
        """The figures' pictures by name."""
        return {path.stem: path for path in sorted(self.folder.glob("figures/*.png"))}

    def schema(self, table: str) -> pa.Schema:
        """The columns of a table; ReciteError where its file is not whole."""
        try:
            return pq.read_schema(self.tables[table])
        except (pa.ArrowException, OSError) as error:
            raise self._broken(table, error) from None

    def read(self, table: str) -> pd.DataFrame:
        """A table; ReciteError where its file is not whole."""
        try:
            found = pq.read_table(self.tables[table], partitioning=None)
        except (pa.ArrowException, OSError) as error:
            raise self._broken(table, error) from None
        return found.to_pandas()

    def _broken(self, table: str, error: Exception) -> ReciteError:
        first = str(error).splitlines()[0]
        return ReciteError(f"{self.tables[table]} is not a whole Parquet file ({first}); make it or copy it again.")


def open_results(name: str) -> Results:
    """The results in a folder, or those of a study under results/; ReciteError where there are no tables."""
    for folder in (Path(name), HOME / name):
        if tables := {path.stem: path for path in sorted(folder.glob("tables/*.parquet"))}:
            return Results(folder, tables)
    raise ReciteError(
        f"{name} is no folder of finished results, and no study under {HOME}/ is: there is no tables/*.parquet; name "
        "a folder such as results/mini."
    )


def same_columns(a: Results, b: Results, table: str) -> pa.Schema:
    """The columns that a table has in both studies; ReciteError where two versions of the code declared it."""
    schemas = a.schema(table), b.schema(table)
    declared = [{field.name: (str(field.type), unit_of(field)) for field in schema} for schema in schemas]
    names = dict.fromkeys([*declared[0], *declared[1]])
    other = [name for name in names if declared[0].get(name) != declared[1].get(name)]
    if other:
        raise ReciteError(
            f"{a.tables[table]} and {b.tables[table]} are of two versions of the table (other or missing: "
            f"{', '.join(other)}); make one of the studies again by the code of the other."
        )
    return schemas[0]


def unit_of(field: pa.Field) -> str:
    """The unit that a column is declared with; "" for none."""
    return (field.metadata or {}).get(b"unit", b"").decode()
