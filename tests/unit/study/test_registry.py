"""Checkpoints of the registry beside the paper's: their numbers give their parameters in the class they are of."""

from typing import Any

import pytest
import transformers
from accelerate import init_empty_weights

from studies import shipped

CLASSES = {
    "pythia": "GPTNeoX",
    "gpt-neox": "GPTNeoX",
    "hubble": "Llama",
    "smollm2": "Llama",
    "smollm3": "SmolLM3",
    "amber": "Llama",
    "k2": "Llama",
    "olmoe": "Olmoe",
    "starcoder2": "Starcoder2",
    "llama": "Llama",
    "mistral": "Mistral",
    "qwen2.5": "Qwen2",
    "gemma": "Gemma2",
}
"""How names begin -> class of transformers."""
MORE: dict[str, dict[str, Any]] = {
    "hubble": {"mlp_bias": True},
    "gemma": {"head_dim": 256},
    "mistral": {"head_dim": 128},
}
TIED = ("smollm", "starcoder2", "gemma")
PAPER = ("pythia", "openllama", "starcoder", "olmo1", "olmo2", "olmo3")
REGISTRY = {name: entry for name, entry in shipped("models").items() if entry.get("family") not in PAPER}


@pytest.mark.parametrize("name", [name for name, entry in REGISTRY.items() if "parameters" in entry])
def test_numbers_give_the_parameters(name: str) -> None:
    """Prevents a number that was read wrongly from going into plans and laws of scaling."""
    entry = REGISTRY[name]
    begin = next(begin for begin in CLASSES if name.startswith(begin))
    settings = {
        "vocab_size": entry["vocabulary"],
        "hidden_size": entry["width"],
        "num_hidden_layers": entry["layers"],
        "num_attention_heads": entry["heads"],
        "num_key_value_heads": entry["shared_heads"],
        "intermediate_size": entry["feed_forward"],
        "tie_word_embeddings": name.startswith(TIED),
        "pad_token_id": None,
    }
    if CLASSES[begin] == "GPTNeoX":
        del settings["num_key_value_heads"]
    config = getattr(transformers, f"{CLASSES[begin]}Config")(**settings | MORE.get(begin, {}))
    with init_empty_weights():
        model = transformers.AutoModelForCausalLM.from_config(config)
    model.tie_weights()
    assert sum(parameter.numel() for parameter in model.parameters()) == entry["parameters"]


def test_numbers_are_whole_or_absent() -> None:
    """Half of what a plan needs is as little as none of it, and is no more than a memory of it."""
    facts = {"layers", "width", "heads", "shared_heads", "feed_forward", "vocabulary", "parameters"}
    assert all(len(facts & entry.keys()) in (0, 7) for entry in REGISTRY.values())
