"""Facts that files tell: those that the built model has, read without torch, and a clause for what cannot be read."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gguf import GGMLQuantizationType
from safetensors.torch import load_file, save_file

from gguf_files import small_llama, write_gguf
from hollow_checkpoints import write_sparse
from published_configs import PUBLISHED
from recite.checkpoints.inspection import empty_model, inspect, make_config
from recite.checkpoints.registration import checkpoint_facts
from recite.files import read_json, write_json
from recite.sources.facts import FACTS, Found, config_facts, find_facts
from studies import ROOT


def built(path: Path) -> dict[str, int]:
    """The facts by the model that registration builds."""
    found = inspect(path)
    return checkpoint_facts(found.empty, found.architecture)


def test_families(family: str, checkpoint_folder: Callable[[str], Path]) -> None:
    """A plan by other facts than those of registration would be refuted there."""
    folder = checkpoint_folder(family)
    assert find_facts(folder) == Found(built(folder), "")


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_configs(name: str) -> None:
    """Configs of several years name their facts otherwise, or leave them to their class."""
    raw = PUBLISHED[name]
    config, architecture, _ = make_config(raw, name)
    expected = checkpoint_facts(empty_model(config, architecture), architecture)
    assert config_facts(raw) == {key: value for key, value in expected.items() if key != "parameters"}


def test_gguf(tmp_path: Path) -> None:
    path = tmp_path / "mine.gguf"
    write_gguf(path, small_llama(), GGMLQuantizationType.Q8_0)
    assert find_facts(path) == Found(built(path), "")
    write_gguf(path, small_llama(), GGMLQuantizationType.F16, leave_out="output")
    assert find_facts(path) == Found(built(path), "")


@pytest.mark.parametrize("files", [1, 3])
@pytest.mark.parametrize("name", ["bigcode/starcoderbase-1b", "allenai/OLMo-1B-hf", "HuggingFaceTB/SmolLM2-135M"])
def test_tied_twice(tmp_path: Path, name: str, files: int) -> None:
    """StarCoder's files hold the unembedding too, which is no parameter of its own; its config says nothing of it."""
    folder = write_sparse(tmp_path / "mine", PUBLISHED[name], files, both=True)
    assert find_facts(folder) == Found(built(folder), "")


def test_an_unembedding_of_its_own(tmp_path: Path, checkpoint_folder: Callable[[str], Path]) -> None:
    """Without a word in the config, other bytes than the embedding's are other weights."""
    folder = Path(shutil.copytree(checkpoint_folder("pythia"), tmp_path / "mine"))
    raw = read_json(folder / "config.json")
    raw.pop("tie_word_embeddings", None)
    write_json(folder / "config.json", raw)
    assert find_facts(folder).facts == built(folder)


def test_tables_are_no_parameters(tmp_path: Path, checkpoint_folder: Callable[[str], Path]) -> None:
    """Pythia's files hold masks and rotary tables."""
    folder = Path(shutil.copytree(checkpoint_folder("pythia"), tmp_path / "mine"))
    expected, tensors = built(folder), load_file(folder / "model.safetensors")
    table = tensors["gpt_neox.embed_in.weight"].new_ones(1, 1, 8, 8)
    tables = {"attention.bias": table, "attention.masked_bias": table[0, 0, 0, 0].clone()}
    layers = {f"gpt_neox.layers.0.{name}": value for name, value in tables.items()}
    save_file(tensors | layers, folder / "model.safetensors", {"format": "pt"})
    assert find_facts(folder) == Found(expected, "")


def damage(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 19763\n"


@pytest.mark.parametrize("content", [None, b"", b"\xff" * 40, b"\x09\0\0\0\0\0\0\0{broken}}", POINTER])
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_damaged(tmp_path: Path, checkpoint_folder: Callable[[str], Path], name: str, content: bytes | None) -> None:
    """A study of such a checkpoint starts, and registration says what is wrong; who needs the facts is told it."""
    folder = Path(shutil.copytree(checkpoint_folder("olmo2"), tmp_path / "mine"))
    expected = built(folder)
    damage(folder / name, content)
    found = find_facts(folder)
    left = {} if name == "config.json" else {key: value for key, value in expected.items() if key != "parameters"}
    assert found.facts == left and str(folder) in found.why and not found.why.endswith(".")


def test_what_is_not_told(tmp_path: Path, checkpoint_folder: Callable[[str], Path]) -> None:
    assert find_facts(tmp_path / "none") == Found({}, f"{tmp_path / 'none'} does not exist")
    folder = Path(shutil.copytree(checkpoint_folder("olmo2"), tmp_path / "mine"))
    raw: dict[str, Any] = read_json(folder / "config.json")
    write_json(folder / "config.json", raw | {"num_attention_heads": "many", "vocab_size": None})
    found = find_facts(folder)
    assert found.why == f"{folder} does not tell heads, shared_heads, vocabulary"
    assert set(FACTS) - set(found.facts) == {"heads", "shared_heads", "vocabulary"}
    (tmp_path / "mine.gguf").write_bytes(b"GGUF" + b"\1" * 80)
    assert "mine.gguf cannot be read as a GGUF file" in find_facts(tmp_path / "mine.gguf").why


def test_no_heavy_import(tmp_path: Path) -> None:
    """The Snakefile reads facts in every process: they must cost milliseconds."""
    path = tmp_path / "mine.gguf"
    write_gguf(path, small_llama(), GGMLQuantizationType.Q8_0)
    code = (
        "import sys; from pathlib import Path; from recite.study.models import find_facts;"
        f"assert find_facts(Path({str(path)!r})).why == '';"
        "print([name for name in ('torch', 'transformers', 'numpy', 'gguf', 'tokenizers') if name in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    run = subprocess.run([sys.executable, "-c", code], env=environment, text=True, capture_output=True)
    assert (run.stdout.strip(), run.stderr) == ("[]", "")


def test_shapes_of_a_shard_are_not_counted_twice(tmp_path: Path) -> None:
    """An index names a file for every tensor; each file is opened once."""
    folder = write_sparse(tmp_path / "mine", PUBLISHED["HuggingFaceTB/SmolLM2-135M"], files=4)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) == 4
    assert find_facts(folder).facts["parameters"] == 134515008
