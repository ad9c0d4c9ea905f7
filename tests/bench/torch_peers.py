"""The peers that run on torch alone, as workers: python -m bench.torch_peers PEER FOLDER DTYPE ROWS STEPS."""

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import transformers
from torch import nn

from bench.worker import Answer, serve
from peers import generate
from recite.checkpoints.loading import load_checkpoint
from recite.engine.continuation import continue_greedily
from recite.engine.decoding import decode
from recite.kernels.packing import pack
from recite.stages.compressibility.measure import sufficient_suffixes
from recite.stages.heads.measure.continuations import ablate_heads
from recite.stages.lens.layers import decoded_layers

Rows = list[list[int]]


class Engine:
    """What this project decodes with."""

    def __init__(self, folder: str, dtype: str, rows: int, steps: int) -> None:
        self.checkpoint, self.rows, self.steps = load_checkpoint(folder, dtype, rows), rows, steps

    def score(self, context: Rows, draft: Rows | None = None) -> Answer:
        """Greedy tokens of each row and their margins."""
        guess = None if draft is None else torch.tensor(draft)
        found = continue_greedily(self.checkpoint, torch.tensor(context), self.steps, self.rows, draft=guess)
        return {"tokens": found.tokens.tolist(), "margin": found.margin.tolist()}

    def decode(self, context: Rows, clean: Rows, stride: int) -> Answer:
        """Decode the first and every `stride`-th layer after it, and the last, at the tokens of a continuation."""
        text = torch.cat([torch.tensor(context), torch.tensor(clean)], dim=1)
        layers = decoded_layers(len(self.checkpoint.layers), stride)
        for _ in decode(self.checkpoint, text, self.steps, self.rows, layers=layers):
            pass
        return {"layers": len(layers)}

    def ablate(self, context: Rows, clean: Rows, layers: list[int]) -> Answer:
        """Prepare `next_layer`; the run over the clean continuation falls into the first layer's time."""
        rows, draft = torch.tensor(context), torch.tensor(clean)
        self.ablations = ablate_heads(self.checkpoint, rows, draft, self.rows, layers=layers)
        return {}

    def next_layer(self) -> Answer:
        """Tokens, leading clean tokens and margins without each head of the next layer, (rows, heads, ...)."""
        found = next(self.ablations).continuation
        made = {"tokens": found.tokens, "kept": found.first_mismatch, "margin": found.margin}
        return {name: values.tolist() for name, values in made.items()}

    def suffixes(self, context: Rows, clean: Rows) -> Answer:
        """Which suffix lengths suffice, (rows, lengths)."""
        rows, wanted = torch.tensor(context), torch.tensor(clean)
        return {"sufficient": sufficient_suffixes(self.checkpoint, rows, wanted, self.rows).tolist()}


class Generate:
    """`generate` of transformers, called once for every batch, head or suffix length."""

    def __init__(self, folder: str, dtype: str, rows: int, steps: int) -> None:
        self.model, self.steps = plain_model(folder, dtype), steps

    def score(self, context: Rows) -> Answer:
        """Greedy tokens of each row."""
        return {"tokens": generate(self.model, torch.tensor(context), self.steps).tolist()}

    def ablate(self, context: Rows, layer: int, heads: list[int]) -> Answer:
        """Tokens without each of `heads` of one layer of a Llama, (heads, rows, steps)."""
        projection = self.model.model.layers[layer].self_attn.o_proj
        count, tokens = self.model.config.num_attention_heads, []
        for head in heads:

            def replace(module: nn.Module, arguments: Any, head: int = head) -> Any:
                outputs = arguments[0].unflatten(-1, (count, -1)).clone()
                outputs[:, :, head] = outputs[:, :, [other for other in range(count) if other != head]].mean(dim=2)
                return (outputs.flatten(-2),)

            hook = projection.register_forward_pre_hook(replace)
            tokens.append(self.score(context)["tokens"])
            hook.remove()
        return {"tokens": tokens}

    def suffixes(self, context: Rows, clean: Rows) -> Answer:
        """Which suffix lengths suffice, (rows, lengths)."""
        rows, wanted, lengths = torch.tensor(context), torch.tensor(clean), range(1, len(context[0]) + 1)
        columns = [(generate(self.model, rows[:, -length:], self.steps) == wanted).all(dim=1) for length in lengths]
        return {"sufficient": torch.stack(columns, dim=1).tolist()}


class Products:
    """The products of the linear layers and nothing else, by torch's `linear` or with the engine's packed weights."""

    def __init__(self, folder: str, dtype: str, rows: int, steps: int, packed: bool) -> None:
        self.model, self.steps = plain_model(folder, dtype), steps
        head = self.model.get_output_embeddings()
        linear = {name: part for name, part in self.model.named_modules() if isinstance(part, nn.Linear)}
        shapes = [(name, part.in_features, part is head) for name, part in linear.items()]
        if packed:
            pack(self.model, rows)
        self.layers = [(self.model.get_submodule(name), width, unembeds) for name, width, unembeds in shapes]

    @torch.inference_mode()
    def score(self, context: Rows) -> Answer:
        """What decoding with a cache multiplies: all contexts, then one token a row; always unembedded is one a row."""
        rows, fed = len(context), len(context) * len(context[0])
        like = {"dtype": self.model.dtype, "device": self.model.device}
        inputs = {width: torch.ones(fed, width, **like) for _, width, _ in self.layers}
        operations = 0
        for _ in range(self.steps):
            for layer, width, unembeds in self.layers:
                output = layer(inputs[width][: rows if unembeds else fed])
                operations += 2 * width * output.numel()
            fed = rows
        if self.model.device.type == "cuda":
            torch.cuda.synchronize()
        return {"operations": operations}


def plain_model(folder: str, dtype: str) -> Any:
    """A model as transformers loads it, on the GPU if there is one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval().to(device)


if __name__ == "__main__":
    name, folder, dtype, rows, steps = sys.argv[1:]
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    peers: dict[str, Callable[..., object]] = {
        "engine": Engine,
        "generate": Generate,
        "linear": partial(Products, packed=False),
        "linear, packed": partial(Products, packed=True),
    }
    serve(lambda: peers[name](folder, dtype, int(rows), int(steps)), ["torch", "transformers"])
