"""A trained study whose windows lie anywhere in a document: its models are trained on all that is sampled."""

from pathlib import Path

import pytest

from recite.corpora.readers import read_built
from recite.corpora.sampling import sample
from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tables.training import TRAINING_ROWS
from recite.corpora.tokenization import tokenize_corpus
from recite.corpora.tokenizer import load_tokenizer
from recite.errors import ReciteError
from recite.stages.sampling.jobs import gather_candidates, make_corpus
from recite.study.study import Study
from studies import loaded, shipped

BUILD = {
    "name": "mini",
    "seed": 3,
    "passage_characters": 300,
    "passages_per_file": 2,
    "sources": {"code": {"packages": ["python"], "patterns": ["python/email/*.py"], "documents": 20}},
    "controls": {"source": "code", "repetitions": {"1": 2}},
}
ROW_TOKENS = 1200
DRAWN = {"context_tokens": 12, "continuation_tokens": 12, "rows_per_domain": 15, "shard_rows": 15}


@pytest.fixture(scope="module")
def study() -> Study:
    config = shipped("mini")
    sampling = {"window": "offset", "context_tokens": 12, "continuation_tokens": 12, "characters_per_token": 8}
    return loaded(config, training={"row_tokens": ROW_TOKENS}, sampling=sampling)


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("corpus")
    found = {name: folder / f"{name}.jsonl.zst" for name in ("code", "control", "repeats", "unseen")}
    make_corpus(BUILD, found | {"controls": folder / "controls", "manifest": folder / "manifest"})
    return found


def tokenize(study: Study, documents: dict[str, Path], folder: Path, row_tokens: int = ROW_TOKENS) -> tuple[Path, Path]:
    """The tokenizer and the training rows that a job of the study makes."""
    options = study.rules["tokenization"].options(study, {"family": "pythia"})
    assert options["whole"] is True and options["row_tokens"] == ROW_TOKENS
    trained = [path for name, path in documents.items() if name != "unseen"]
    made = folder / "tokenizer.json", folder / "rows.parquet"
    tokenize_corpus({**options, "row_tokens": row_tokens}, trained, made[0], folder / "config.json", made[1])
    return made


def test_windows_lie_in_documents_trained_on(study: Study, documents: dict[str, Path], tmp_path: Path) -> None:
    """Prevents a row that is called forgotten because no model has seen it."""
    tokenizer, rows = tokenize(study, documents, tmp_path)
    encoder = load_tokenizer(tokenizer)
    trained = TRAINING_ROWS.read(rows).to_pydict()
    seen = dict(zip(trained["document_id"], trained["tokens"], strict=True))
    texts = {document.id: document.text for path in documents.values() for document in read_built(path)}
    for name, tokens in seen.items():
        assert encoder.encode([texts[name]])[0][0] == tokens
    assert len(seen) == len(texts) and len({len(tokens) for tokens in seen.values()}) > 5
    draw = study.rules["candidates"].options(study, {"corpus": "mini", "group": "000"})
    gather_candidates(draw, [documents["code"]], 0, tmp_path / "candidates", 1)
    shard = tmp_path / "code-0000.parquet"
    sample({"corpus": "mini", "domain": "code", **DRAWN}, [tmp_path / "candidates"], tokenizer, [shard])
    sampled = SAMPLES.read(shard).to_pylist()
    assert sum(row["window_start"] > 0 for row in sampled) > 10
    for row in sampled:
        text, start, tokens = texts[row["document_id"]], row["window_start"], seen[row["document_id"]]
        assert text[start:].startswith(row["text"].decode())
        window = [*row["context"], *row["continuation"]]
        assert any(tokens[place : place + len(window)] == window for place in range(len(tokens)))


def test_planted_truth_holds_of_whole_documents(study: Study) -> None:
    """Prevents controls of which only the head is known to occur nowhere else from being sampled anywhere."""
    assert study.rules["corpus"].options(study, {})["whole"] is True


def test_a_document_that_is_longer_than_a_training_row(
    study: Study, documents: dict[str, Path], tmp_path: Path
) -> None:
    """Prevents windows from lying where no model was trained; the sentence tells what would do."""
    with pytest.raises(ReciteError, match=r"document \S+ has \d+ tokens, training\.row_tokens is 64: with"):
        tokenize(study, documents, tmp_path, row_tokens=64)
    assert not (tmp_path / "rows.parquet").exists()


def test_heads_are_trained_on_as_they_are_sampled() -> None:
    """Prevents a study of windows at the head from making other training rows."""
    study = loaded(shipped("mini"))
    assert "whole" not in study.rules["tokenization"].options(study, {"family": "pythia"})
    assert "whole" not in study.rules["corpus"].options(study, {})
