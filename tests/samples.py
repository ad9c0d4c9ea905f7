"""Sample shards of given rows."""

from pathlib import Path

from recite.corpora.tables.samples import SAMPLES
from recite.engine.rows import Rows


def write_shard(path: Path, rows: Rows) -> Path:
    """A sample shard of these rows."""
    count = len(rows.ids)
    columns = {"row_id": rows.ids, "sequence_id": rows.sequences, "domain": rows.domains}
    columns |= {"context": rows.context.tolist(), "continuation": rows.continuation.tolist()}
    columns |= {"document_id": ["d"] * count, "source_file": ["f"] * count, "text": [b""] * count}
    columns |= {"context_bytes": [0] * count}
    columns |= {"source_row": rows.ids, "window_start": [0] * count, "inclusion_probability": rows.probabilities}
    SAMPLES.write(path, columns, {})
    return path
