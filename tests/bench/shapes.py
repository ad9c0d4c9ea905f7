"""The models of the benches: shapes of published ones, with random weights."""

from pathlib import Path
from typing import Any

import torch
import transformers

CONTEXT = STEPS = 32
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SHAPES: dict[str, dict[str, Any]] = {
    "Llama 135M": {"model_type": "llama", "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536}
    | {"num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True},
    "GPT-NeoX 70M": {"model_type": "gpt_neox", "vocab_size": 50304, "hidden_size": 512, "intermediate_size": 2048}
    | {"num_hidden_layers": 6, "num_attention_heads": 8},
    "Llama 3B": {"model_type": "llama", "vocab_size": 32000, "hidden_size": 3200, "intermediate_size": 8640}
    | {"num_hidden_layers": 26, "num_attention_heads": 32},
    "GPT-NeoX 6.9B": {"model_type": "gpt_neox", "vocab_size": 50432, "hidden_size": 4096, "intermediate_size": 16384}
    | {"num_hidden_layers": 32, "num_attention_heads": 32, "rotary_pct": 0.25},
}
"""The third and fourth are for a GPU: OpenLLaMA 3B, Pythia 6.9B."""


def save_random(name: str, dtype: str, folder: Path) -> int:
    """Save a checkpoint of random weights, always the same; how many parameters it has."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(**SHAPES[name])
    with torch.device(DEVICE):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    model.save_pretrained(folder)
    parameters: int = model.num_parameters()
    del model
    if DEVICE == "cuda":
        torch.cuda.empty_cache()
    return parameters
