"""recite inspect: what a checkpoint is, and an entry that the registry takes and that says what the registry says."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from gguf import GGMLQuantizationType
from huggingface_hub import constants
from tokenizers import processors
from typer.testing import CliRunner, Result

from gguf_files import small_llama, write_gguf
from gguf_tokenizers import byte_level_keys
from hollow_checkpoints import write_sparse
from published_configs import PUBLISHED
from recite.checkpoints.architectures import ARCHITECTURES
from recite.cli import app
from recite.corpora.tokenization import train_tokenizer
from recite.doctor import checkpoint
from recite.files import read_json, write_json
from recite.sources.facts import FACTS
from recite.study.config import check_config
from studies import shipped

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
TEXTS = ["the warranty of the software is the warranty of the author", "def encode(text):\n    return model, rows"] * 4
REGISTERED = {
    "pythia-1.4b": "EleutherAI/pythia-1.4b",
    "openllama-3b": "openlm-research/open_llama_3b",
    "starcoderbase-1b": "bigcode/starcoderbase-1b",
    "olmo1-1b": "allenai/OLMo-1B-hf",
    "olmo2-7b": "allenai/OLMo-2-1124-7B",
    "olmo3-7b": "allenai/Olmo-3-1025-7B",
}
"""Of each family an entry of the registry whose config.json is known."""


def inspected(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["inspect", *arguments])


def told(*arguments: str) -> dict[str, Any]:
    run = inspected(*arguments, "--json")
    assert run.exit_code == 0, run.stderr
    return dict(json.loads(run.stdout))


def entry(output: str) -> tuple[str, dict[str, Any]]:
    """Name and content of the printed entry, which the registry's schema takes as it is."""
    printed = yaml.safe_load(output.partition("For config/models.yaml:")[2])
    check_config(json.loads(json.dumps(printed)), "models", "printed")
    ((name, found),) = printed.items()
    return name, found


@pytest.fixture
def own(tmp_path: Path, checkpoint_folder: Callable[[str], Path]) -> Path:
    """A Llama of one's own with its tokenizer, which may be changed."""
    folder = Path(shutil.copytree(checkpoint_folder("openllama"), tmp_path / "My Model!"))
    train_tokenizer(TEXTS, 300).save(str(folder / "tokenizer.json"))
    return folder


@pytest.mark.parametrize("name", REGISTERED)
def test_entries_of_the_registry(tmp_path: Path, name: str) -> None:
    """What is printed of a published size is what the registry says of it."""
    folder = write_sparse(tmp_path / name, PUBLISHED[REGISTERED[name]], files=2)
    run = inspected(str(folder))
    assert run.exit_code == 0, run.stderr
    printed, found = entry(run.stdout)
    registered = shipped("models")[name]
    assert printed == name
    assert {fact: found[fact] for fact in FACTS} == {fact: registered[fact] for fact in FACTS}
    assert (found["dtype"], found["tokenizer"]) == ("bfloat16", "TOKENIZER")


def test_every_family(family: str, checkpoint_folder: Callable[[str], Path]) -> None:
    found = told(str(checkpoint_folder(family)))
    assert found["class"] == ARCHITECTURES[family].model_class
    assert found["memory"]["weights"] == 4 * found["parameters"] < found["memory"]["batch"]
    assert list(found["stored"]) == ["F32"] and found["head_width"] == 16


def test_what_is_printed(own: Path) -> None:
    run = inspected(str(own), "--rows", "7")
    assert run.exit_code == 0, run.stderr
    for line in (
        "class       LlamaForCausalLM (llama)",
        "heads       3 of width 16, 3 for keys and values",
        "tokenizer   tokenizer.json: BPE, 300 tokens",
        "with a batch of 7 rows of 32 + 32 tokens",
        "proved      config and tensors are those of LlamaForCausalLM; the class is of the architecture table",
        "corpus: CORPUS  # yours to name",
    ):
        assert line in run.stdout
    name, found = entry(run.stdout)
    assert name == "my-model" and found["path"] == str(own) and found["family"] == name
    assert not {"bos", "tokenizer", "dtype", "hub"} & found.keys()
    more = told(str(own), "--rows", "8")["memory"]["batch"] - told(str(own), "--rows", "7")["memory"]["batch"]
    assert more > 0


def test_file_of_a_folder(own: Path) -> None:
    """A safetensors file stands for its folder, as in `load_checkpoint`."""
    assert told(str(own / "model.safetensors")) == told(str(own))


@pytest.mark.parametrize(
    ("settings", "adds", "bos"),
    [
        (None, False, None),
        ({"bos_token": "<|endoftext|>", "add_bos_token": True}, False, 0),
        ({"bos_token": {"content": "<|endoftext|>"}}, True, 0),
        ({"bos_token": "<|endoftext|>", "add_bos_token": False}, True, None),
        ({"bos_token": "<|endoftext|>"}, False, None),
    ],
)
def test_bos(own: Path, settings: dict[str, Any] | None, adds: bool, bos: int | None) -> None:
    """A model that was trained with a token in front must have it, and another must not."""
    tokenizer = train_tokenizer(TEXTS, 300)
    if adds:
        tokenizer.post_processor = processors.TemplateProcessing("<|endoftext|> $A", None, [("<|endoftext|>", 0)])
    tokenizer.save(str(own / "tokenizer.json"))
    if settings is not None:
        write_json(own / "tokenizer_config.json", settings)
    found = told(str(own))
    assert found["bos"]["added"] == (bos is not None)
    ((_, printed),) = found["entry"].items()
    assert printed.get("bos") == bos


def test_gguf(tmp_path: Path) -> None:
    """Everything is in the one file, its tokenizer too."""
    path = tmp_path / "Mine-Q8.gguf"
    keys = byte_level_keys(train_tokenizer(TEXTS, 300), "gpt-2")
    keys |= {"tokenizer.ggml.bos_token_id": 0, "tokenizer.ggml.add_bos_token": True}
    write_gguf(path, small_llama(vocabulary=300), GGMLQuantizationType.Q8_0, keys=keys)
    run = inspected(str(path))
    assert run.exit_code == 0, run.stderr
    assert "Mine-Q8.gguf: BPE of bytes, cut as gpt-2, 300 tokens" in run.stdout
    name, found = entry(run.stdout)
    assert name == "mine-q8" and found["bos"] == 0 and "tokenizer" not in found
    assert [*told(str(path))["stored"]] == ["Q8_0", "F32"]
    write_gguf(path, small_llama(vocabulary=300), GGMLQuantizationType.Q8_0, keys={"tokenizer.ggml.pre": "other"})
    run = inspected(str(path))
    assert "tokenizer   the tokenizer of" in run.stdout and entry(run.stdout)[1]["tokenizer"] == "TOKENIZER"


def cache(folder: Path, own: Path, commits: list[str], main: str | None) -> None:
    """A model in the hub's cache, as its library leaves it."""
    place = folder / "models--owner--My-Model"
    for commit in commits:
        (place / "snapshots" / commit).mkdir(parents=True)
        for file in own.iterdir():
            blob = place / "blobs" / f"{commit}-{file.name}"
            blob.parent.mkdir(exist_ok=True)
            shutil.copy2(file, blob)
            (place / "snapshots" / commit / file.name).symlink_to(Path("../../blobs", blob.name))
    if main:
        (place / "refs").mkdir()
        (place / "refs/main").write_text(main)


def test_hub_cache(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name of the hub is looked up on this machine alone, and the commit that lies here is pinned."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    cache(tmp_path / "hub", own, [COMMIT, "b" * 40], COMMIT)
    name, found = entry(inspected("owner/My-Model").stdout)
    snapshot = tmp_path / "hub/models--owner--My-Model/snapshots" / COMMIT
    assert (name, found["hub"], found["revision"], found["path"]) == (
        "my-model",
        "owner/My-Model",
        COMMIT,
        str(snapshot),
    )
    assert told(f"owner/My-Model@{'b' * 40}")["revision"] == "b" * 40
    assert told(str(snapshot.parents[1]))["revision"] == COMMIT
    (snapshot.parents[1] / "refs/main").unlink()
    run = inspected("owner/My-Model")
    assert run.exit_code == 1 and f"at {COMMIT}, {'b' * 40}; name one of these as owner/My-Model@commit." in run.stderr


@pytest.mark.parametrize("source", ["/nowhere/mine", "owner/absent", "mine.gguf"])
def test_nothing_there(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    run = inspected(source)
    assert (run.exit_code, run.stdout) == (1, "")
    sentence = f"recite: {source} is no folder, no GGUF file and no model in the hub's cache ({tmp_path / 'hub'}); name"
    assert run.stderr.startswith(sentence) and run.stderr.count("\n") == 1


def test_what_cannot_be_run(own: Path) -> None:
    """It is refused in the sentence of registration."""
    write_json(own / "config.json", read_json(own / "config.json") | {"logit_scale": 0.5})
    run = inspected(str(own))
    assert run.exit_code == 1 and "logit_scale" in run.stderr and run.stderr.count("\n") == 1
    (own / "config.json").unlink()
    assert "has no config.json" in inspected(str(own)).stderr


@pytest.mark.parametrize("without", ["", "no projection is found"])
def test_another_class_is_proved(monkeypatch: pytest.MonkeyPatch, without: str) -> None:
    """What no test of the table holds is proved on the checkpoint itself."""
    proof = {"proof": {"layers": 2, "without_heads": without, "without_sublayers": ""}}
    monkeypatch.setattr(checkpoint, "prove_checkpoint", lambda found: proof)
    found: Any = SimpleNamespace(empty=small_llama(), architecture=SimpleNamespace(known=False))
    clauses = checkpoint.proved(found)
    assert "of its first 2 layers are the plain model's" in clauses[1]
    assert clauses[2] == (f"heads are not: {without}" if without else "heads can be replaced")
    assert clauses[3] == "sublayers can be replaced"


def test_a_broken_tokenizer_is_said(own: Path) -> None:
    (own / "tokenizer.json").write_text("{}")
    run = inspected(str(own))
    assert run.exit_code == 0 and "tokenizer.json is not a readable tokenizer" in run.stdout
