"""Control texts of no copy: sampled like the others, in no training row and in no count of the training corpus."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from recite.corpora.planted import known_copies
from recite.corpora.readers import read_built
from recite.corpora.sampling import sample
from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tables.training import CONTROLS, TRAINING_ROWS
from recite.corpora.tokenization import tokenize_corpus
from recite.stages.frequency.indexing import index_corpus
from recite.stages.frequency.measure import count
from recite.stages.frequency.rows import FREQUENCIES
from recite.stages.frequency.stage import INDEX_FILES
from recite.stages.sampling.jobs import gather_candidates, make_corpus
from recite.stages.sampling.stage import training_documents, unseen_files
from recite.study.study import Study
from studies import loaded, shipped

ROWS = 10
REPETITIONS = {"0": 4, "1": 3, "5": 3}
BUILD = {
    "name": "mini",
    "seed": 3,
    "passage_characters": 200,
    "passages_per_file": 2,
    "sources": {"code": {"packages": ["python"], "patterns": ["python/email/*.py"], "documents": 12}},
    "controls": {"source": "code", "repetitions": REPETITIONS},
}
SAMPLING = {"context_tokens": 24, "continuation_tokens": 24, "rows_per_domain": ROWS, "shard_rows": ROWS}


class Made:
    """What the jobs of a study make of a small corpus, by the files that the study hands them."""

    def __init__(self, folder: Path, study: Study) -> None:
        outputs = {name: folder / Path(str(path)).name for name, path in study.outputs("corpus").items()}
        self.documents = {name: path for name, path in outputs.items() if name not in ("controls", "manifest")}
        for name in study.corpora["mini"]["build"]["sources"]:
            if name != "code":
                del outputs[name]
        make_corpus(BUILD, outputs)
        self.controls = outputs["controls"]
        self.training = self.existing(folder, training_documents(study, "mini"))
        wildcards = {"corpus": "mini", "group": "000"}
        handed = study.rules["candidates"].inputs(study, wildcards)["documents"]
        self.sampled = self.existing(folder, handed)  # type: ignore[arg-type]
        self.tokenizer, self.rows = folder / "tokenizer.json", folder / "rows.parquet"
        tokenize_corpus(
            {"row_tokens": 48, "vocabulary": 400}, self.training, self.tokenizer, folder / "config.json", self.rows
        )
        draw = study.rules["candidates"].options(study, wildcards)
        gather_candidates(draw, self.sampled, 0, folder / "candidates", 1)
        self.shard = folder / "control-0000.parquet"
        sample(
            {"corpus": "mini", "domain": "control", **SAMPLING}, [folder / "candidates"], self.tokenizer, [self.shard]
        )
        self.known = known_copies([self.shard], self.controls)

    @staticmethod
    def existing(folder: Path, paths: list[str]) -> list[Path]:
        return [path for path in (folder / Path(path).name for path in paths) if path.exists()]

    def unseen(self) -> list[str]:
        """Texts of no copy."""
        return [document.text for document in read_built(self.documents["unseen"])]


@pytest.fixture(scope="module")
def study() -> Study:
    return loaded(shipped("mini"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, study: Study) -> Made:
    return Made(tmp_path_factory.mktemp("corpus"), study)


def test_unseen_texts_are_sampled_and_known(made: Made) -> None:
    """Prevents a truth of 0 copies that no row carries."""
    rows = SAMPLES.read(made.shard).to_pylist()
    assert sorted(made.known[row["row_id"]] for row in rows) == [0] * 4 + [1] * 3 + [5] * 3
    texts = made.unseen()
    assert len(texts) == 4
    for row in rows:
        is_unseen = any(text.startswith(row["text"].decode()) for text in texts)
        assert is_unseen == (made.known[row["row_id"]] == 0)
        assert row["domain"] == "control"


def test_unseen_texts_are_not_trained_on(made: Made) -> None:
    """Prevents a text of no copy from entering the rows of training, or the texts a tokenizer is trained on."""
    listed = dict(zip(*(CONTROLS.read(made.controls)[name].to_pylist() for name in CONTROLS.names), strict=True))
    trained = TRAINING_ROWS.read(made.rows)["document_id"].to_pylist()
    assert not {name for name, copies in listed.items() if copies == 0} & set(trained)
    assert {name for name, copies in listed.items() if copies == 1} <= set(trained)
    everything = [document.text for path in made.training for document in read_built(path)]
    for text in made.unseen():
        assert not any(text[:50] in other for other in everything)


@pytest.mark.parametrize("by", ["bytes", "own"])
def test_unseen_texts_count_nothing(made: Made, by: str, tmp_path: Path) -> None:
    """Prevents an index of another corpus than the models', and a truth of 0 that the count contradicts."""
    index = [tmp_path / "index" / name for name in INDEX_FILES]
    index[0].parent.mkdir()
    cut = made.tokenizer if by == "own" else None
    layout: dict[str, Any] = {"text": "text", "id": "id", "domain": "domain", "labels": None}
    index_corpus({"layout": layout}, made.training, 0, index, 1, 10**9, cut)
    options = {"family": "pythia", "counting": by, "by": by, "rows_per_domain": None}
    count(options, [made.shard], index, tmp_path / "counts")
    counts = FREQUENCIES.read(tmp_path / "counts")
    found = dict(zip(counts["row_id"].to_pylist(), counts["sequence"].to_pylist(), strict=True))
    assert found == made.known


@pytest.mark.parametrize("name", ["mini", "factorial"])
def test_no_job_but_sampling_is_handed_unseen_texts(name: str) -> None:
    """Prevents a later reader of the corpus from being handed what no model was trained on."""
    study = loaded(shipped(name))
    (path,) = unseen_files(study).values()
    for rule in study.rules.values():
        for wildcards in study.jobs(rule.name)[:1]:
            files = rule.inputs(study, wildcards)
            handed = [file for value in files.values() for file in ([value] if isinstance(value, str) else value)]
            assert (path in handed) == (rule.name in ("candidates", "offset_documents")), rule.name


def test_no_text_of_no_copy(study: Study, tmp_path: Path) -> None:
    """Prevents a corpus without such texts from having no file for them, or other planted texts than with them."""
    other = deepcopy(BUILD)
    other["controls"]["repetitions"] = {key: value for key, value in REPETITIONS.items() if key != "0"}  # type: ignore[index]
    texts: list[list[str]] = []
    for number, build in enumerate((BUILD, other)):
        folder = tmp_path / str(number)
        outputs = {name: folder / name for name in ("code", "control", "repeats", "unseen")}
        outputs = {name: path.with_suffix(".jsonl.zst") for name, path in outputs.items()}
        make_corpus(build, outputs | {"controls": folder / "controls", "manifest": folder / "manifest"})
        texts.append([document.text for document in read_built(outputs["control"])])
    assert texts[0] == texts[1]
    assert [*read_built(tmp_path / "1" / "unseen.jsonl.zst")] == []
