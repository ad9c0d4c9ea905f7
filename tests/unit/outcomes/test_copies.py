"""Rows that no model was trained on: which they are, and that they count in no natural rate."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from recite.errors import ReciteError
from recite.outcomes.copies import copies_of, unseen_rows
from recite.outcomes.draws import DRAWS, read_draws
from recite.outcomes.frame import read_frame
from recite.outcomes.replicates import REPLICATES, read_replicates
from recite.stages.scoring.rows import SCORES
from recite.stages.scoring.summarize import aggregate_scores
from recite.stages.scoring.tables import DISJOINT_SAMPLES, DISTRIBUTION, RATES
from recite.study.checks import check_corpora

KINDS = {"code": "structural", "later": "held_out", "prose": "free_text", "control": "planted"}
OPTIONS: dict[str, Any] = {"memorized": 1.0, "half": 0.5, "unmemorized": 0.0, "confidence": 0.9, "seed": 1}
OPTIONS |= {"resamples": 100, "estimand": "corpus", "corpora": {"a-s": "texts"}, "kinds": {"texts": KINDS}}
OPTIONS |= {"margin_tolerance": {"float32": 0.1}}
DOMAINS = ["code", "code", "later", "later", "later", "prose", "control", "control"]
SAME = {"row_id": range(8), "sequence_id": range(8), "domain": DOMAINS, "inclusion_probability": [0.5] * 8}


def test_unseen_rows_are_held_out_or_of_no_copy() -> None:
    columns = SAME | {"domain": pa.chunked_array([pa.array(DOMAINS).dictionary_encode()])}
    columns |= {name: np.arange(8, dtype=np.uint64) for name in ("row_id", "sequence_id")}
    _, frame = read_frame(pa.table(columns), "a-s", OPTIONS)
    assert frame.rows_of("natural").tolist() == [0, 1, 5] and frame.rows_of("held_out").tolist() == [2, 3, 4]
    assert unseen_rows(frame, copies_of(frame, {6: 0, 7: 3})).tolist() == [2, 3, 4, 6]
    assert unseen_rows(frame, copies_of(frame, {})).tolist() == [2, 3, 4]
    with pytest.raises(ReciteError, match="planted rows that no sample holds"):
        copies_of(frame, {6: 0})


def test_held_out_rows_are_false_recitation(tmp_path: Path) -> None:
    """Prevents what was never trained on from being counted as memorized, or from being lost."""
    hits = [4, 0, 4, 0, 0, 4, 0, 0]
    made = {"hits": hits, "first_mismatch": hits, "generated": [[1] * 4] * 8, "margin": [1.0] * 8}
    about = {"options": {"model": "a-s", "family": "a"}, "continuation_tokens": 4, "parameters": 10, "dtype": "float32"}
    SCORES.write(tmp_path / "scores.parquet", SAME | made, about)
    tables = (RATES, DISTRIBUTION, DISJOINT_SAMPLES, REPLICATES, DRAWS)
    outputs = {table.name: tmp_path / f"{table.name}.parquet" for table in tables}
    aggregate_scores(OPTIONS, [tmp_path / "scores.parquet"], [], None, outputs)
    rates = RATES.read(outputs["rates"]).to_pandas().set_index("domain")
    assert (rates.loc["natural", "n"], rates.loc["natural", "rate"]) == (3, 2 / 3)
    assert rates.loc["later", "rate"] == rates.loc["natural", "false_rate"] == pytest.approx(1 / 3)
    assert DISTRIBUTION.read(outputs["distribution"]).to_pandas()["n"].sum() == 3
    (model,) = read_replicates([outputs["replicates"]])
    assert list(model.natural) == ["code", "prose"]
    assert read_draws([outputs["draws"]])["natural_rate"][0].values[0, 0] == pytest.approx(2 / 3)


def test_a_corpus_that_is_built_has_texts_of_no_copy_instead() -> None:
    entry = {"domains": {"code": "structural", "later": "held_out", "control": "planted"}}
    entry |= {"build": {"sources": {"code": {}, "later": {}}, "controls": {"source": "code"}}}
    with pytest.raises(
        ReciteError, match=r"mine\.domains: later is of kind held_out, which only a corpus that lies in"
    ):
        check_corpora({"mine": entry}, Path("corpora.yaml"))
