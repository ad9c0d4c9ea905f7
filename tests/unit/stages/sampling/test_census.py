"""The mini study samples all that its corpus holds: as shipped, on the text of this environment."""

from pathlib import Path

import pyarrow as pa
import pytest

from recite.corpora.sampling import sample
from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tokenization import tokenize_corpus
from recite.corpora.tokenizer import load_tokenizer
from recite.stages.sampling.jobs import gather_candidates, make_corpus
from recite.stages.sampling.stage import training_documents
from recite.study.study import Study
from studies import loaded, shipped

ROWS = 150
GROUP = {"corpus": "mini", "group": "000"}


@pytest.fixture(scope="module")
def study() -> Study:
    return loaded(shipped("mini"))


@pytest.fixture(scope="module")
def root(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study's corpus and candidates."""
    root = tmp_path_factory.mktemp("mini")
    outputs = {name: root / str(path) for name, path in study.outputs("corpus").items()}
    make_corpus(study.rules["corpus"].options(study, {}), outputs)
    rule = study.rules["candidates"]
    documents = [root / path for path in rule.inputs(study, GROUP)["documents"]]
    gather_candidates(rule.options(study, GROUP), documents, 0, root / "candidates", 1)
    return root


def test_as_many_rows_as_documents(study: Study) -> None:
    """Prevents a domain with more documents than rows, and planted texts fewer than the rows of other domains."""
    build = study.corpora["mini"]["build"]
    assert {source["documents"] for source in build["sources"].values()} == {ROWS}
    assert sum(build["controls"]["repetitions"].values()) == ROWS
    assert study.config["sampling"]["rows_per_domain"] == ROWS
    assert list(study.domains["mini"]) == [*build["sources"], "control"]


@pytest.mark.parametrize("vocabulary", [960, 1024, 1152])
def test_every_document_is_sampled(study: Study, root: Path, vocabulary: int, tmp_path: Path) -> None:
    """Prevents a tokenizer under which a document is too short, so that a sample is a chance one, or none."""
    family = next(
        family
        for family in study.families
        if study.rules["tokenization"].options(study, {"family": family})["vocabulary"] == vocabulary
    )
    options = study.rules["tokenization"].options(study, {"family": family})
    documents = [root / path for path in training_documents(study, "mini")]
    tokenizer = tmp_path / "tokenizer.json"
    tokenize_corpus(options, documents, tokenizer, tmp_path / "config.json", tmp_path / "rows")
    assert len(load_tokenizer(tokenizer).vocabulary) == vocabulary
    for domain in study.domains["mini"]:
        shards = [tmp_path / f"{name}.parquet" for name in study.shards_of(domain)]
        drawn = study.rules["sampling"].options(study, {"family": family, "domain": domain})
        sample(drawn, [root / "candidates"], tokenizer, shards)
        rows = pa.concat_tables([SAMPLES.read(shard) for shard in shards])
        assert len(set(rows["document_id"].to_pylist())) == ROWS
        assert set(rows["inclusion_probability"].to_pylist()) == {1.0}
