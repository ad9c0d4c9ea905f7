"""A model of one's own is a corpus and a path: plan, blocks of layers and doctor take the rest from its files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import yaml
from gguf import GGMLQuantizationType
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from gguf_files import small_llama, write_gguf
from gguf_tokenizers import byte_level_keys, sentencepiece_keys
from recite.checkpoints.loading import load_checkpoint
from recite.checkpoints.registration import register
from recite.cli import app
from recite.corpora.family_tokenizer import copy_tokenizer
from recite.corpora.tokenization import train_tokenizer
from recite.doctor.study import examine
from recite.errors import ReciteError
from recite.files import read_json
from recite.planning.costs import Machine
from recite.planning.planner import Planner
from recite.sources.facts import FACTS
from recite.stages.heads.asked import blocks
from recite.study.study import Study
from studies import NOTES, ROOT, load, own_study

TEXTS = ["the warranty of the software is the warranty of the author", "def encode(text):\n    return model, rows"] * 4
CORPUS = NOTES | {"files": NOTES["files"] | {"gigabytes": 0.001}}
Maker = Callable[[Path, Path], Path]


def folder(place: Path, source: Path) -> Path:
    """One safetensors file, its config and tokenizer."""
    shutil.copytree(source, place / "mine")
    train_tokenizer(TEXTS, 300).save(str(place / "mine/tokenizer.json"))
    return place / "mine"


def sharded(place: Path, source: Path) -> Path:
    """Several files and their index."""
    made = folder(place, source)
    tensors = load_file(made / "model.safetensors")
    (made / "model.safetensors").unlink()
    split = split_torch_state_dict_into_shards(tensors, max_shard_size=60_000)
    for name, held in split.filename_to_tensors.items():
        save_file({tensor: tensors[tensor] for tensor in held}, made / name, {"format": "pt"})
    assert len(split.filename_to_tensors) > 1
    index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
    (made / "model.safetensors.index.json").write_text(json.dumps(index))
    return made


def cached(place: Path, source: Path) -> Path:
    """A commit in the hub's cache, where files are links."""
    made, repository = folder(place, source), place / "hub/models--owner--mine"
    (repository / "snapshots").mkdir(parents=True)
    made.rename(repository / "blobs")
    snapshot = repository / "snapshots" / ("c" * 40)
    snapshot.mkdir()
    for file in (repository / "blobs").iterdir():
        (snapshot / file.name).symlink_to(Path("../../blobs", file.name))
    return snapshot


def packed(place: Path, source: Path) -> Path:
    """A GGUF file with its tokenizer."""
    keys = byte_level_keys(train_tokenizer(TEXTS, 300), "gpt-2")
    write_gguf(place / "mine.gguf", small_llama(vocabulary=300), GGMLQuantizationType.F32, keys=keys)
    return place / "mine.gguf"


FORMS = {"folder": folder, "sharded": sharded, "cache": cached, "gguf": packed}


@pytest.fixture(params=FORMS)
def own(request: pytest.FixtureRequest, tmp_path: Path, checkpoint_folder: Callable[[str], Path]) -> Path:
    """A model of one's own in each of the forms that it may have."""
    made: Path = FORMS[request.param](tmp_path, checkpoint_folder("openllama"))
    return made


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the config files and a corpus."""
    (tmp_path / "config").symlink_to(ROOT / "config")
    monkeypatch.chdir(tmp_path)
    Path("data/corpora/notes").mkdir(parents=True)
    Path("data/corpora/notes/a.jsonl").write_text("{}\n")


def study_of(tmp_path: Path, path: Path, **entry: Any) -> Study:
    """A study with an entry of two lines, whose layers are ablated one by one."""
    sections = {"ablation": {"layers_per_job": 1}, "scoring": {"batch_rows": "auto"}}
    registry = {"mine": {"corpus": "notes", "path": str(path), **entry}}
    config = own_study(tmp_path, registry, {"notes": CORPUS}, **sections)
    Path("study.yaml").write_text(yaml.safe_dump(config))
    return load(config, "study.yaml")


def test_two_lines(own: Path, tmp_path: Path) -> None:
    """All that is told by the files is there before anything runs; jobs are told what the entry says, and no more."""
    study = study_of(tmp_path, own)
    known = study.models["mine"].facts
    assert known is not None and set(known) == set(FACTS) and study.models["mine"].unknown == ""
    assert study.weight_bytes("mine") == 4 * known["parameters"]
    layers = known["layers"]
    assert blocks(study, "mine") == {layer: layer + 1 for layer in range(layers)}
    assert not set(FACTS) & study.rules["registration"].options(study, {"model": "mine"}).keys()
    assert Planner(study, Machine()).facts("mine")._asdict() == known
    assert list(examine(study, full=False)) == []
    run = CliRunner().invoke(app, ["plan", "--configfile", "study.yaml"])
    assert run.exit_code == 0 and "mine" in run.stdout


def test_registration_agrees(own: Path, tmp_path: Path) -> None:
    """What is planned by is what is registered, with the tokenizer that the study is sampled by."""
    study = study_of(tmp_path, own)
    name = study.models["mine"].tokenizer
    assert name == "tokenizer.json"
    options = study.rules["family_tokenizer"].options(study, {"family": "mine", "file": name})
    copy_tokenizer(options, tmp_path / name, fetch=False)
    register(study.rules["registration"].options(study, {"model": "mine"}), tmp_path / name, tmp_path / "r.json", False)
    record = read_json(tmp_path / "r.json")
    assert {fact: record[fact] for fact in FACTS} == study.models["mine"].facts
    assert load_checkpoint(tmp_path / "r.json", "float32", 8).parameters == record["parameters"]


def test_typed_facts_come_first(own: Path, tmp_path: Path) -> None:
    """They are held against the files at registration, and by the doctor before."""
    study = study_of(tmp_path, own, layers=7)
    assert study.models["mine"].layers == 7 and len(blocks(study, "mine")) == 7
    assert any("the models file says layers 7" in finding.what for finding in examine(study, full=False))


@pytest.mark.parametrize("path", ["/nowhere/mine", "/nowhere/mine.gguf"])
def test_a_wrong_path(tmp_path: Path, path: str) -> None:
    """Whoever needs what the files tell says that they are not there; the doctor too, and goes on."""
    with pytest.raises(
        ReciteError, match=rf"layers of mine is not known \({path} does not exist\); put its files there,"
    ):
        study_of(tmp_path, Path(path))
    config = own_study(tmp_path, {"mine": {"corpus": "notes", "path": path}}, {"notes": CORPUS})
    Path("study.yaml").write_text(yaml.safe_dump(config))
    run = CliRunner().invoke(app, ["plan", "--configfile", "study.yaml"])
    assert (run.exit_code, run.stdout) == (1, "")
    assert run.stderr.startswith("recite: model mine: a plan needs layers, width") and run.stderr.count("\n") == 1
    assert f"({path} does not exist); put its files there, or add them to its entry" in run.stderr
    study = load(config, "study.yaml")
    assert study.models["mine"].tokenizer == "tokenizer.json"
    findings = [finding.what for finding in examine(study, full=False)]
    assert len(findings) == 2 and f"model mine: no weights at {path}" in findings


def test_a_tokenizer_that_a_gguf_file_lacks(tmp_path: Path) -> None:
    """Another file may hold it; a GGUF file may be named as one too."""
    train_tokenizer(TEXTS, 300).save("other.json")
    write_gguf(tmp_path / "mine.gguf", small_llama(vocabulary=300), GGMLQuantizationType.F32)
    findings = [finding.what for finding in examine(study_of(tmp_path, tmp_path / "mine.gguf"), full=False)]
    assert len(findings) == 1 and "cannot be made from it (it holds none)" in findings[0]
    assert not [*examine(study_of(tmp_path, tmp_path / "mine.gguf", tokenizer=str(tmp_path / "other.json")), False)]
    held = packed(tmp_path / "data", tmp_path).rename(tmp_path / "held.gguf")
    assert not [*examine(study_of(tmp_path, tmp_path / "mine.gguf", tokenizer=str(held)), False)]


def test_a_tokenizer_of_sentencepiece(tmp_path: Path) -> None:
    """It is put into the study as what it is, under the name that says so."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS),
        model_prefix=str(tmp_path / "other"),
        model_type="bpe",
        vocab_size=300,
        byte_fallback=True,
        normalization_rule_name="identity",
        minloglevel=2,
    )
    keys = sentencepiece_keys(tmp_path / "other.model")
    write_gguf(tmp_path / "mine.gguf", small_llama(vocabulary=300), GGMLQuantizationType.F32, keys=keys)
    study = study_of(tmp_path, tmp_path / "mine.gguf")
    name = study.models["mine"].tokenizer
    assert name == "tokenizer.model"
    assert study.jobs("family_tokenizer") == [{"family": "mine", "file": name}]
    copy_tokenizer(study.rules["family_tokenizer"].options(study, {"family": "mine", "file": name}), Path(name), False)
    register(study.rules["registration"].options(study, {"model": "mine"}), Path(name), Path("r.json"), False)
    assert [*examine(study, full=False)] == []
