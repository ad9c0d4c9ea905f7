"""Planted rows and the number of copies that each of them is known to have in the corpus."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tables.training import CONTROLS
from recite.errors import ReciteError


def known_copies(planted: Sequence[Path], controls: Path) -> dict[int, int]:
    """row_id -> known repetition count, 0 for none, of every row of some sample shards of the planted domains."""
    rows = pa.concat_tables([SAMPLES.read(path, ["row_id", "document_id"]) for path in planted])
    table = CONTROLS.read(controls)
    counts = dict(zip(table["document_id"].to_pylist(), table["repetitions"].to_pylist(), strict=True))
    known = dict(zip(rows["row_id"].to_pylist(), rows["document_id"].to_pylist(), strict=True))
    for document in known.values():
        if document not in counts:
            raise ReciteError(f"{controls} does not list planted document {document}; make the corpus again.")
    return {row_id: counts[document] for row_id, document in known.items()}
