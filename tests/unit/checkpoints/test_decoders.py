"""Decoders without a row in the architecture table: parts found by structure and proved, or refused by name."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from decoders import DECODERS, REFUSED, VOCABULARY, WITHOUT_HEADS, WITHOUT_SUBLAYERS, saved, small_model
from recite.checkpoints.architectures import ARCHITECTURES
from recite.checkpoints.inspection import empty_model, inspect, make_config
from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.checkpoints.shallow import layer_kinds, shallow
from recite.checkpoints.structure import found_parts
from recite.checkpoints.turns import check_turns
from recite.engine.continuation import continue_greedily
from recite.engine.proof import prove_checkpoint
from recite.engine.proof.own import PROMPT, STEPS, TOLERANCE, same, unmodified
from recite.engine.residuals import Unkept, forward
from recite.errors import ReciteError
from recite.files import read_json, sha256_file, write_json

CONFIGS = Path(__file__).parents[2] / "decoder_configs.jsonl"
"""config.json in the form of published checkpoints, with the keys that such files carry beside those of the class."""


def recorded(folder: Path) -> Path:
    """The record of a proved checkpoint."""
    files = {path.name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)} for path in folder.iterdir()}
    record = folder.parent / "record.json"
    write_json(record, {"path": str(folder), "files": files, **prove_checkpoint(inspect(folder))})
    return record


@pytest.mark.parametrize("model_type", [*DECODERS, *WITHOUT_HEADS])
def test_proved(model_type: str, tmp_path: Path) -> None:
    """A class whose parts are found wrong is measured wrong, and nobody sees it."""
    model = small_model(model_type)
    own = unmodified(model)
    record = recorded(saved(model, tmp_path / "mine"))
    proof = read_json(record)["proof"]
    assert bool(proof["without_heads"]) == (model_type in WITHOUT_HEADS)
    assert bool(proof["without_sublayers"]) == (model_type in WITHOUT_SUBLAYERS)
    checkpoint = load_checkpoint(record, "float32", 8)
    with torch.inference_mode():
        assert same(forward(checkpoint, own.tokens, Unkept(), own.tokens.shape[1]), own.logits)
    found = continue_greedily(checkpoint, own.tokens[:, :PROMPT], STEPS, 4)
    clear = found.margin > TOLERANCE * own.logits.abs().max()
    assert clear.any() and torch.equal(found.tokens[clear], own.generated[clear])


@pytest.mark.parametrize("model_type", WITHOUT_HEADS)
def test_heads_that_are_mixed(model_type: str, tmp_path: Path) -> None:
    """A head's number would be that of another's output as well."""
    record = recorded(saved(small_model(model_type), tmp_path / "mine"))
    checkpoint = load_checkpoint(record, "float32", 8)
    sentence = r"^heads of \w+ cannot be replaced \(heads and their width cannot be proved: .*side by side"
    with pytest.raises(ReciteError, match=sentence):
        checkpoint.attention_output(0)


@pytest.mark.parametrize("model_type", REFUSED)
def test_refused(model_type: str, tmp_path: Path) -> None:
    """What the engine cannot run is said before anything is measured, with the part that it lacks."""
    folder = saved(small_model(model_type), tmp_path / "mine")
    with pytest.raises(ReciteError, match=REFUSED[model_type][1]):
        prove_checkpoint(inspect(folder))


def test_parts_of_the_table(family: str, checkpoint_folder: Callable[[str], Path]) -> None:
    """What structure says of a class is what its row says."""
    row = ARCHITECTURES[family]
    found = found_parts(replace(row, known=False), inspect(checkpoint_folder(family)).empty, "here")
    assert replace(found, known=True, width_of_head=None) == row and found.width_of_head == 16


def test_classes_of_the_table_need_no_proof(family: str, checkpoint_folder: Callable[[str], Path]) -> None:
    """Their registration reads no weight."""
    assert prove_checkpoint(inspect(checkpoint_folder(family))) == {}


def test_record_without_a_proof(tmp_path: Path) -> None:
    """A record of an older version, or of another version of transformers, proves nothing."""
    record = recorded(saved(small_model("qwen2"), tmp_path / "mine"))
    made = read_json(record)
    for proof in ({}, {"proof": made["proof"] | {"transformers": "5.0"}}):
        write_json(record, {key: value for key, value in made.items() if key != "proof"} | proof)
        with pytest.raises(ReciteError, match=r"holds no proof that Qwen2ForCausalLM of .*; delete that record"):
            load_checkpoint(record, "float32", 8)


@pytest.mark.parametrize(
    ("model_type", "more", "count"),
    [
        ("qwen2", {"num_hidden_layers": 6}, 2),
        ("smollm3", {"num_hidden_layers": 6, "no_rope_layers": [1, 1, 1, 0, 1, 1]}, 4),
        ("gemma2", {"num_hidden_layers": 6, "layer_types": ["sliding_attention", "full_attention"] * 3}, 2),
        ("deepseek_v3", {"num_hidden_layers": 5, "first_k_dense_replace": 2}, 3),
        ("gpt2", {"n_layer": 5}, 2),
    ],
)
def test_proof_by_the_first_layers(model_type: str, more: dict[str, Any], count: int, tmp_path: Path) -> None:
    """Half of a large model is not read for a proof, and a kind of layer that begins late is not passed over."""
    found = inspect(saved(small_model(model_type, **more), tmp_path / "mine"))
    few = shallow(found)
    path = found.architecture.layers
    assert few.config.num_hidden_layers == count and few.layers == found.layers > count
    assert layer_kinds(few.empty, path) == layer_kinds(found.empty, path)[:count]
    assert set(layer_kinds(few.empty, path)) == set(layer_kinds(found.empty, path))
    proof = prove_checkpoint(found)["proof"]
    assert (proof["layers"], proof["of"], proof["without_heads"]) == (count, found.layers, "")


def test_layers_that_all_differ(tmp_path: Path) -> None:
    """Where every layer computes by its own number, every layer is proved."""
    found = inspect(saved(small_model("gpt2", scale_attn_by_inverse_layer_idx=True), tmp_path / "mine"))
    assert shallow(found) is found


def test_weights_that_are_not_all_there(tmp_path: Path) -> None:
    """An expert that is missing would be made up."""
    from safetensors.torch import load_file, save_file

    folder = saved(small_model("mixtral"), tmp_path / "mine")
    weights = load_file(folder / "model.safetensors")
    assert any(".experts.1." in name for name in weights)
    few = {name: tensor for name, tensor in weights.items() if "layers.1.block_sparse_moe.experts.1.w2" not in name}
    few = few if len(few) < len(weights) else {n: t for n, t in weights.items() if "1.mlp.experts.1.down_proj" not in n}
    assert len(few) == len(weights) - 1
    save_file(few, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ReciteError, match=r"experts.down_proj is put together of 4608 numbers, by its config of 6144"):
        inspect(folder)


@pytest.mark.parametrize(
    ("model_type", "change", "sentence"),
    [
        ("qwen2", {"logit_scale": 0.5}, "says logit_scale 0.5, which Qwen2ForCausalLM takes as 1"),
        ("gpt2", {"rope_theta": 5e5}, "says rope_theta 500000.0, which GPT2LMHeadModel has no place for"),
        ("mistral", {"rope_scaling": {"rope_type": "su", "factor": 4.0}}, "is no config of|cannot be computed here"),
        ("qwen2", {"auto_map": {"AutoModelForCausalLM": "modeling.Own"}}, "is code of its own"),
        ("qwen2", {"model_type": "qwen9"}, "architecture 'qwen9' is no decoder that transformers 5"),
        ("mistral", {"num_hidden_layers": 2}, "no place for tensors"),
    ],
)
def test_configs(model_type: str, change: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    """What a class would not heed is as wrong without a row as with one."""
    folder = saved(small_model(model_type), tmp_path / "mine")
    config = read_json(folder / "config.json")
    if "rope_scaling" in change:
        config.pop("rope_parameters")
    write_json(folder / "config.json", config | change)
    with pytest.raises(ReciteError, match=sentence):
        inspect(folder)


@pytest.mark.parametrize("line", CONFIGS.read_text().splitlines(), ids=lambda line: json.loads(line)["name"])
def test_config_in_a_published_form(line: str) -> None:
    """Keys that change nothing do not keep a checkpoint out, and its parts are found at its full size."""
    name, raw = json.loads(line).values()
    config, architecture, rotary = make_config(raw, name)
    empty = empty_model(config, architecture)
    found = found_parts(architecture, empty, name)
    assert found.attention_output and found.width_of_head and len(empty.get_submodule(found.layers)) > 10
    if rotary is not None:
        check_turns(rotary, empty, name)
    with pytest.raises(ReciteError, match=f"^{name} says use_mrope True, which "):
        make_config(raw | {"use_mrope": True}, name)


def test_positions_that_are_turned_otherwise(tmp_path: Path) -> None:
    """A table of frequencies that is not the config's gives other logits at every position."""
    found = inspect(saved(small_model("mistral"), tmp_path / "mine"))
    found.empty.model.rotary_emb.inv_freq *= 2
    with pytest.raises(ReciteError, match=r"MistralForCausalLM does not turn positions by"):
        found.check_rotary(found.empty)


def test_windows(tmp_path: Path) -> None:
    """Layers with a window would see more than the model's, under whatever name its config has for that."""
    checkpoint = load_checkpoint(saved(small_model("cwm"), tmp_path / "mine"), "float32", 8)
    tokens = torch.zeros(2, 40, dtype=torch.int64)
    with pytest.raises(ReciteError, match=r"longer than the model's sliding_window \(32\)"):
        continue_greedily(checkpoint, tokens, 4, 4)
    with pytest.raises(ReciteError, match=r"attention of CwmAttention is given a window of 32, which is not heeded"):
        forward(checkpoint, tokens, Unkept(), 1)


def test_rows_hold_for_other_precisions(tmp_path: Path) -> None:
    """What was proved in float32 is run in the study's precision."""
    checkpoint = load_checkpoint(recorded(saved(small_model("gemma2"), tmp_path / "mine")), "bfloat16", 8)
    assert isinstance(checkpoint, Checkpoint)
    tokens = torch.randint(0, VOCABULARY, (4, 12), generator=torch.Generator().manual_seed(2))
    assert continue_greedily(checkpoint, tokens, 4, 4).margin.isfinite().all()
