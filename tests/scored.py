"""Scores of given rows, as files of the stage of scoring."""

from collections.abc import Sequence
from pathlib import Path

from recite.engine.rows import Rows
from recite.stages.scoring.rows import SCORES


def write_scores(path: Path, rows: Rows, hits: Sequence[int], model: str = "a-s") -> Path:
    """A file that gives each row so many hits."""
    steps = rows.continuation.shape[1]
    columns = {"row_id": rows.ids, "sequence_id": rows.sequences, "domain": rows.domains}
    columns |= {"inclusion_probability": rows.probabilities, "hits": [*hits], "first_mismatch": [*hits]}
    columns |= {"generated": rows.continuation.tolist(), "margin": [1.0] * len(rows.ids)}
    about = {"options": {"model": model, "family": model[0]}, "continuation_tokens": steps, "parameters": 9}
    SCORES.write(path, columns, about | {"weights_sha256": "ab", "dtype": "float32"})
    return path
