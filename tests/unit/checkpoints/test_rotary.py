"""Rotary embeddings: every form of config.json gives the frequencies that it means, or is refused by name."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaConfig, Olmo3Config
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from peers import logits_of
from recite.checkpoints.inspection import inspect, make_config
from recite.checkpoints.loading import load_checkpoint
from recite.checkpoints.rotary import KEYS, frequencies, rotary_parameters
from recite.errors import ReciteError
from recite.files import read_json, write_json

LLAMA = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 1,
    "intermediate_size": 8,
    "max_position_embeddings": 4096,
}
YARN = {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64, "beta_fast": 32, "beta_slow": 1}
WAVES = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 128}
SHORT = [1.0 + index / 8 for index in range(8)]
LONG = {"short_factor": SHORT, "long_factor": [4.0] * 8, "original_max_position_embeddings": 256}


def turned(theta: float, width: int = 16) -> Tensor:
    """Frequencies of the first paper, pair by pair."""
    return torch.tensor([theta ** (-2 * pair / width) for pair in range(width // 2)], dtype=torch.float64)


@pytest.fixture
def olmo3(tmp_path: Path, checkpoint_folder: Callable[[str], Path]) -> Path:
    """An Olmo 3 of both types of layers, without a rotary key in its config.json."""
    folder = Path(shutil.copytree(checkpoint_folder("olmo3"), tmp_path / "model"))
    config = {key: value for key, value in read_json(folder / "config.json").items() if key not in KEYS}
    types = ["sliding_attention", "full_attention", "sliding_attention"]
    write_json(folder / "config.json", config | {"layer_types": types})
    return folder


FORMS: list[tuple[str, dict[str, Any], Tensor, bool]] = [
    ("old, plain", {"rope_theta": 10000.0, "rope_scaling": None}, turned(1e4), False),
    ("flat with YaRN", {"rope_parameters": {**YARN, "rope_theta": 10000.0}}, turned(1e4), True),
    ("published", {"rope_theta": 10000.0, "rope_scaling": YARN}, turned(1e4), True),
    ("old type key", {"rope_theta": 10000, "rope_scaling": {**YARN, "type": "yarn"}}, turned(1e4), True),
    ("flat, plain", {"rope_parameters": {"rope_type": "default", "rope_theta": 2e4}}, turned(2e4), False),
    ("no key", {}, turned(5e5), False),
    (
        "by type",
        {
            "rope_parameters": {
                "full_attention": {**YARN, "rope_theta": 10000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            }
        },
        turned(1e4),
        True,
    ),
    (
        "by type, theta at the top",
        {"rope_theta": 3e4, "rope_parameters": {"full_attention": YARN, "sliding_attention": {}}},
        turned(3e4),
        True,
    ),
]


@pytest.mark.parametrize(("keys", "plain", "scaled"), [form[1:] for form in FORMS], ids=[form[0] for form in FORMS])
def test_olmo3(olmo3: Path, context: Tensor, keys: dict[str, Any], plain: Tensor, scaled: bool) -> None:
    """transformers turns sliding layers by its default where config.json is of an older form, or forgets YaRN."""
    write_json(olmo3 / "config.json", read_json(olmo3 / "config.json") | keys)
    rotary = load_checkpoint(olmo3, "float32", 8).model.get_submodule("model.rotary_emb")
    torch.testing.assert_close(rotary.sliding_attention_inv_freq.double(), plain, rtol=1e-6, atol=0)
    assert rotary.sliding_attention_attention_scaling == 1.0
    full = rotary.full_attention_inv_freq.double()
    if scaled:
        # YaRN: the first pair turns over 10 times in 64 positions and stays, the last not once and is slowed down.
        assert math.isclose(full[0], plain[0], rel_tol=1e-6) and math.isclose(full[-1], plain[-1] / 8, rel_tol=1e-6)
        assert math.isclose(rotary.full_attention_attention_scaling, 0.1 * math.log(8) + 1, rel_tol=1e-9)
    else:
        torch.testing.assert_close(full, plain, rtol=1e-6, atol=0)


def test_older_forms_are_the_same_model(olmo3: Path, context: Tensor) -> None:
    """Of three forms that say the same, all must give the same logits, and plain rotation others."""
    config = read_json(olmo3 / "config.json")
    found = []
    for name, keys, _, _ in FORMS[:4]:
        write_json(olmo3 / "config.json", config | keys)
        found.append(logits_of(load_checkpoint(olmo3, "float32", 8).model, context))
        assert torch.equal(found[-1], found[min(1, len(found) - 1)]), name
    assert not torch.allclose(found[0], found[1], atol=1e-2)


@pytest.mark.parametrize(
    "parameters",
    [
        {"rope_type": "default"},
        {"rope_type": "linear", "factor": 4.0},
        {"rope_type": "dynamic", "factor": 4.0},
        {"rope_type": "llama3", **WAVES},
        YARN,
        {**YARN, "attention_factor": 1.5, "truncate": False},
        {**YARN, "mscale": 0.707, "mscale_all_dim": 1.0, "beta_fast": 16},
        {"rope_type": "longrope", "factor": 16.0, **LONG},
        {"rope_type": "longrope", **LONG, "attention_factor": 1.2},
    ],
    ids=str,
)
def test_types(parameters: dict[str, Any]) -> None:
    """Each formula is that of transformers, which is held against the same when a model is loaded."""
    raw = LLAMA | {"rope_theta": 5e4, "rope_scaling": parameters}
    found = rotary_parameters(raw, LlamaConfig, "config.json")
    mine, scaling = frequencies(found, 16, 4096)
    kind = parameters["rope_type"]
    if kind == "default":
        expected, factor = turned(5e4), 1.0
    else:
        expected, factor = ROPE_INIT_FUNCTIONS[kind](LlamaConfig.from_dict(raw), torch.device("cpu"))
    torch.testing.assert_close(mine, expected.double(), rtol=1e-5, atol=0)
    assert math.isclose(scaling, factor, rel_tol=1e-6)


@pytest.mark.parametrize(
    ("model_type", "keys", "theta", "share"),
    [
        ("llama", {"rope_theta": 2e4}, 2e4, 1.0),
        ("llama", {"rope_scaling": None}, 1e4, 1.0),
        ("llama", {"rope_scaling": {}, "rope_theta": 3e4}, 3e4, 1.0),
        ("llama", {"rope_parameters": {"rope_theta": 2e4, "type": "default"}}, 2e4, 1.0),
        ("llama", {"rope_parameters": {"rope_theta": 2e4}, "rope_theta": 2e4, "rope_scaling": None}, 2e4, 1.0),
        ("llama", {"rope_scaling": {"type": "default", "factor": 1.0}}, 1e4, 1.0),
        ("llama", {"rope_scaling": {"original_max_position_embeddings": 64}}, 1e4, 1.0),
        ("gpt_neox", {"rotary_emb_base": 2e4, "rotary_pct": 0.5}, 2e4, 0.5),
        ("gpt_neox", {"rope_theta": 2e4, "partial_rotary_factor": 0.5}, 2e4, 0.5),
        ("gpt_neox", {"rope_parameters": {"rope_theta": 2e4, "partial_rotary_factor": 0.5}}, 2e4, 0.5),
        ("gpt_neox", {}, 1e4, 0.25),
        ("olmo", {"rope_theta": 2e4}, 2e4, 1.0),
        ("olmo2", {"rope_theta": 2e4}, 2e4, 1.0),
    ],
)
def test_forms(model_type: str, keys: dict[str, Any], theta: float, share: float) -> None:
    """What a file says at its top level, in rope_scaling or in rope_parameters reaches the config of the class."""
    config, _, rotary = make_config(LLAMA | {"model_type": model_type} | keys, "config.json")
    assert rotary is not None
    assert (rotary["rope_theta"], rotary["partial_rotary_factor"]) == (theta, share)
    assert config.rope_parameters == rotary


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"rope_scaling": {"type": "su", "factor": 2.0}}, "type 'su' cannot be computed here .known: default, linear"),
        ({"rope_scaling": {"type": "mrope", "mrope_section": [1]}}, "type 'mrope' cannot be computed here"),
        ({"rope_scaling": {"factor": 2.0}}, "type 'default' have no place for factor 2.0"),
        ({"rope_scaling": {"type": "linear"}}, "factor of its rotary embeddings is None and not a number above 0"),
        ({"rope_scaling": {"type": "linear", "factor": "2"}}, "factor of its rotary embeddings is '2'"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0, "alpha": 3}}, "'linear' have no place for alpha 3"),
        ({"rope_scaling": {"rope_type": "llama3", **WAVES, "low_freq_factor": None}}, "low_freq_factor .* is None"),
        (
            {"rope_scaling": {"type": "linear", "rope_type": "yarn", "factor": 2.0}},
            "contradicts itself .rope_type 'yarn'",
        ),
        (
            {"rope_theta": 1e4, "rotary_emb_base": 2e4},
            r"contradicts itself .rope_theta 10000.0, rotary_emb_base 20000.0",
        ),
        (
            {"rope_theta": 1e4, "rope_parameters": {"rope_theta": 2e4}},
            r"contradicts itself .rope_theta 20000.0, rope_th",
        ),
        (
            {"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_parameters": {"rope_theta": 1e4}},
            "another rope_scal",
        ),
        (
            {"rope_scaling": {"type": "dynamic", "factor": 2.0, "original_max_position_embeddings": 2048}},
            "'dynamic' have no place for original_max_position_embeddings 2048",
        ),
        ({"rope_theta": True}, "rope_theta of its rotary embeddings is True"),
        ({"rope_theta": 0}, "rope_theta of its rotary embeddings is 0 and not"),
        ({"rope_theta": math.nan}, "rope_theta of its rotary embeddings is nan"),
        ({"rope_scaling": "linear"}, "rope_scaling 'linear' is not understood"),
        ({"rope_parameters": {"full_attention": {"rope_theta": 1e4}}}, "full_attention has no place in LlamaConfig"),
        ({"rope_scaling": {"rope_type": "longrope", **LONG, "short_factor": None}}, "short_factor .* is None"),
    ],
    ids=str,
)
def test_refused(keys: dict[str, Any], sentence: str) -> None:
    """What transformers takes as no scaling at all, or as one of two things that a file says."""
    with pytest.raises(ReciteError, match=f"^config.json.*{sentence}"):
        make_config(LLAMA | keys, "config.json")


def test_refused_by_type_of_layer() -> None:
    """Layers without rotation, and a key beside the types of layers."""
    raw = LLAMA | {"model_type": "olmo3", "layer_types": ["full_attention"]}
    for found, sentence in (
        ({"full_attention": None, "sliding_attention": {}}, "is not understood"),
        ({"full_attention": {}, "factor": 2.0}, f"factor has no place in {Olmo3Config.__name__}"),
    ):
        with pytest.raises(ReciteError, match=sentence):
            make_config(raw | {"rope_parameters": found}, "config.json")


@pytest.mark.parametrize(
    ("family", "keys"),
    [
        ("openllama", {"partial_rotary_factor": 0.5}),
        ("olmo2", {"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}}),
        ("pythia", {"rotary_pct": 0.05}),
        ("pythia", {"rotary_pct": 1.5}),
        ("openllama", {"rope_scaling": {"rope_type": "longrope", **LONG, "short_factor": [1.0] * 7}}),
    ],
)
def test_a_class_that_turns_otherwise(
    family: str, keys: dict[str, Any], tmp_path: Path, checkpoint_folder: Callable[[str], Path]
) -> None:
    """A Llama that turns half of each head is another model than the one that the class makes of it."""
    folder = Path(shutil.copytree(checkpoint_folder(family), tmp_path / "model"))
    config = {key: value for key, value in read_json(folder / "config.json").items() if key not in KEYS}
    write_json(folder / "config.json", config | keys)
    with pytest.raises(
        ReciteError,
        match=r"config\.json( is no config of|: \w+ does not turn positions|: its rotary embeddings)",
    ):
        inspect(folder)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_stored_frequencies(tmp_path: Path, checkpoint_folder: Callable[[str], Path], dtype: torch.dtype) -> None:
    """Older checkpoints carry a table, which transformers ignores: one of another theta tells of another model."""
    folder = Path(shutil.copytree(checkpoint_folder("openllama"), tmp_path / "model"))
    tensors = load_file(folder / "model.safetensors")
    name = "model.layers.1.self_attn.rotary_emb.inv_freq"
    save_file(tensors | {name: turned(1e4).to(dtype)}, folder / "model.safetensors", {"format": "pt"})
    assert load_checkpoint(folder, "float32", 8).parameters == sum(tensor.numel() for tensor in tensors.values())
    config = read_json(folder / "config.json")
    del config["rope_parameters"]
    linear = {"rope_scaling": {"type": "linear", "factor": 4.0}}
    write_json(folder / "config.json", config | linear)  # whose code scaled positions, not the table
    inspect(folder)
    for wrong in ({"rope_theta": 5e5}, {"rope_theta": 2e4}):
        write_json(folder / "config.json", config | wrong)
        with pytest.raises(ReciteError, match=rf"{name} is not what config\.json says of rotary embeddings"):
            inspect(folder)
