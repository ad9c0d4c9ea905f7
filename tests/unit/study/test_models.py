"""The models of a study: an entry of two lines is enough, and what it leaves open is filled in."""

from pathlib import Path
from typing import Any

import pytest

from recite.corpora.special_tokens import BOS_ID
from recite.errors import ReciteError
from recite.study.models import registered_models
from recite.study.study import Study
from studies import NOTES, loaded, own_study, shipped


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The claims file is found from the root."""
    monkeypatch.chdir(Path(__file__).resolve().parents[3])


def options(study: Study, rule: str, **wildcards: str) -> dict[str, Any]:
    """What a job of a rule is told."""
    return study.rules[rule].options(study, wildcards)


def test_entry_of_two_lines(tmp_path: Path) -> None:
    """A model of one's own must not need what only published checkpoints have."""
    study = loaded(own_study(tmp_path, {"mine": {"corpus": "notes", "path": "/data/mine"}}, {"notes": NOTES}))
    model = study.models["mine"]
    assert (model.name, model.family, model.corpus) == ("mine", "mine", "notes")
    assert (model.bos, model.layers, model.dtype, model.gpus, model.size) == (None, None, None, 1, None)
    assert model.tokenizer == "tokenizer.json"
    entry = {"corpus": "notes", "family": "mine", "path": "/data/mine", "tokenizer": "tokenizer.json"}
    assert options(study, "registration", model="mine") == {"model": "mine", **entry}
    tokenizer = options(study, "family_tokenizer", family="mine", file="tokenizer.json")
    assert tokenizer == {"model": "mine", **entry}
    assert options(study, "scoring", model="mine")["dtype"] == "float32"
    assert study.weight_bytes("mine") == 0


def test_default_path(tmp_path: Path) -> None:
    """An entry of one line is looked for where all weights lie."""
    study = loaded(own_study(tmp_path, {"mine": {"corpus": "notes"}}, {"notes": NOTES}))
    assert options(study, "registration", model="mine")["path"] == "data/models/mine"
    assert options(study, "inventory", corpus="notes")["folder"] == "data/corpora/notes"


@pytest.mark.parametrize(
    ("tokenizer", "name"),
    [("tokenizer.model", "tokenizer.model"), ("/data/own/tok.json", "tok.json"), ("sub/tok.json", "tok.json")],
)
def test_name_of_the_tokenizer(tmp_path: Path, tokenizer: str, name: str) -> None:
    """A path in the entry must not become a path in the results, nor a SentencePiece file be called .json."""
    study = loaded(own_study(tmp_path, {"mine": {"corpus": "notes", "tokenizer": tokenizer}}, {"notes": NOTES}))
    assert study.models["mine"].tokenizer == name


def test_settings_of_an_entry(tmp_path: Path) -> None:
    """The begin-of-sequence token of an entry may be the one with id 0, which is not none."""
    mine = {"corpus": "notes", "bos": 0, "dtype": "bfloat16", "gpus": 2, "layers": 4, "parameters": 1000}
    mine["gpu_model"] = "a100"
    registry = {"mine": mine, "other": {"corpus": "notes"}}
    study = loaded(own_study(tmp_path, registry, {"notes": NOTES}, scoring={"batch_rows": "auto"}))
    assert study.models["mine"].bos == 0 and study.models["other"].bos is None
    assert options(study, "scoring", model="mine")["bos"] == 0
    assert [options(study, "batching", model=name)["context_tokens"] for name in registry] == [33, 32]
    assert options(study, "scoring", model="mine")["dtype"] == "bfloat16"
    assert (study.models["mine"].gpus, study.models["mine"].gpu_model) == (2, "a100")
    assert study.models["other"].gpu_model is None
    assert not {"gpus", "gpu_model"} & options(study, "registration", model="mine").keys()
    assert study.weight_bytes("mine") == 2000


def test_a_study_overrules_the_precision_of_an_entry(tmp_path: Path) -> None:
    """Order of precision: the study's for the model, the entry's, the study's for all."""
    registry = {name: {"corpus": "notes", "dtype": "float16"} for name in ("one", "two")} | {
        "three": {"corpus": "notes"}
    }
    scoring = {"batch_rows": 8, "dtype": "bfloat16", "dtypes": {"one": "float32"}}
    study = loaded(own_study(tmp_path, registry, {"notes": NOTES}, scoring=scoring))
    found = [options(study, "scoring", model=name)["dtype"] for name in registry]
    assert found == ["float32", "float16", "bfloat16"]


def test_family_of_two_corpora() -> None:
    """Models of a family share their sample: rows of one corpus would be scored as if the other had held them."""
    registry = {
        "small": {"family": "own", "corpus": "notes", "gpus": 1, "tokenizer": "tokenizer.json"},
        "large": {"family": "own", "corpus": "web", "gpus": 1, "tokenizer": "tokenizer.json"},
    }
    sentence = r"^models\.yaml: large and small are of family own, but of the corpora web and notes; .*another family"
    with pytest.raises(ReciteError, match=sentence):
        registered_models(["small", "large"], registry, "models.yaml")
    assert set(registered_models(["large"], registry, "models.yaml")) == {"large"}


def test_families_of_one_corpus(tmp_path: Path) -> None:
    """Two families may share a corpus: its files are read once, each cuts them into tokens of its own."""
    registry = {"one": {"corpus": "notes"}, "two": {"corpus": "notes"}}
    study = loaded(own_study(tmp_path, registry, {"notes": NOTES}))
    assert list(study.families) == ["one", "two"] and list(study.domains) == ["notes"]


def test_trained_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """A family without a begin-of-sequence token must not be given one, whose id is 0."""
    study = loaded(shipped("mini"))
    assert study.models["openllama-s"].bos == BOS_ID == 0
    assert study.models["pythia-s"].bos is None
    assert (study.models["pythia-l"].layers, study.models["pythia-l"].size, study.models["pythia-l"].gpus) == (
        6,
        "l",
        0,
    )
    assert study.models["pythia-l"].tokenizer == "tokenizer.json"
