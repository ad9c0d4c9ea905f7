"""A planted truth: models that are trained on rows whose beginnings are known recite from there, not from beside."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recite.checkpoints.training import train_model
from recite.corpora.tables.training import TRAINING_ROWS
from recite.corpora.tokenization import train_tokenizer
from recite.files import write_json
from recite.stages.offsets.measure import score_offsets
from recite.stages.offsets.rows import BEGINNINGS
from recite.stages.offsets.summarize import aggregate_offsets
from recite.stages.offsets.tables import OFFSET_CHANGES, OFFSETS

DOCUMENTS, ROW, STEPS, CONTEXT = 8, 24, 8, 8
RECIPE = {"seed": 4, "learning_rate": 0.01, "order": "shuffled", "epochs": 150, "batch_rows": 8, "bos": False}
PLACES = [0, 4, ROW - STEPS, ROW, ROW + 4, 2 * ROW]
SUMMARY = {
    "seed": 1,
    "corpora": {"a-s": "mini"},
    "kinds": {"mini": {"prose": "free_text"}},
    "estimand": "texts",
    "confidence": 0.95,
    "resamples": 400,
    "memorized": 1.0,
}


@pytest.fixture(scope="module")
def documents() -> list[list[int]]:
    """Three rows long each, of random tokens: none can be guessed from another."""
    return np.random.default_rng(1).integers(1, 257, (DOCUMENTS, 3 * ROW)).tolist()


@pytest.mark.parametrize("family", ["pythia", "starcoder"])
def test_recited_from_where_training_rows_begin(tmp_path: Path, documents: list[list[int]], family: str) -> None:
    """Every document's first two rows were trained on, each for itself; the third was not.

    Recited from a row's beginning; not across two rows, and not where no model was trained. A model of rotary positions
    recites from within a row too, one of learned positions, which it saw at other places, does not.
    """
    train_tokenizer(["to be or not to be"], 300).save(str(tmp_path / "tokenizer.json"))
    write_json(tmp_path / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})
    rows = [tokens[start : start + ROW] for tokens in documents for start in (0, ROW)]
    TRAINING_ROWS.write(tmp_path / "rows", {"document_id": [str(at) for at in range(len(rows))], "tokens": rows}, {})
    shape = {"layers": 2, "width": 32, "heads": 4}
    files = tmp_path / "rows", tmp_path / "tokenizer.json", tmp_path / "tokenizer_config.json"
    train_model({"family": family, "shape": shape, "recipe": RECIPE}, *files, tmp_path / "model", threads=1)
    columns: dict[str, Any] = {"row_id": range(DOCUMENTS), "domain": ["prose"] * DOCUMENTS, "tokens": documents}
    columns |= {"inclusion_probability": [0.1] * DOCUMENTS, "whole": [True] * DOCUMENTS}
    BEGINNINGS.write(tmp_path / "beginnings", columns, {})
    run = {"model": "a-s", "family": family, "bos": None, "batch_rows": 8, "dtype": "float32"}
    run |= {"places": PLACES, "contexts": [CONTEXT], "steps": STEPS}
    score_offsets(run, [tmp_path / "beginnings"], tmp_path / "model", None, tmp_path / "scores", threads=1)
    outputs = {table.name: tmp_path / table.name for table in (OFFSETS, OFFSET_CHANGES)}
    aggregate_offsets(SUMMARY, [tmp_path / "scores"], outputs)
    natural = [line for line in OFFSETS.read(outputs["offsets"]).to_pylist() if line["domain"] == "natural"]
    rate = {line["place"]: line["rate"] for line in natural}
    assert rate[0] >= 0.75 and rate[ROW] >= 0.75
    assert rate[ROW - STEPS] == 0 and rate[2 * ROW] == 0
    shifted = (rate[4], rate[ROW + 4])
    assert min(shifted) >= 0.5 if family == "pythia" else max(shifted) <= 0.25
    changes = [
        line for line in OFFSET_CHANGES.read(outputs["offset_changes"]).to_pylist() if line["domain"] == "natural"
    ]
    (far,) = [line for line in changes if line["place"] == 2 * ROW]
    assert far["lost"] == rate[0] * DOCUMENTS and far["gained"] == 0 and far["change_high"] < 0
