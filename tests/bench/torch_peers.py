"""The engine and what it is held against, as workers: python -m bench.torch_peers PEER FOLDER DTYPE ROWS STEPS."""

import os
import sys

import torch
import transformers
from torch import Tensor, nn
from torch.nn.functional import linear

from bench.worker import Answer, serve
from peers import generate
from recite.ablation import Ablation, ablate_heads
from recite.checkpoints import load_checkpoint
from recite.compressibility import sufficient_suffixes
from recite.engine import continue_greedily

Rows = list[list[int]]


class Engine:
    """recite's engine."""

    def __init__(self, folder: str, dtype: str, rows: int, steps: int) -> None:
        self.checkpoint, self.rows, self.steps = load_checkpoint(folder, dtype, rows), rows, steps

    def score(self, context: Rows, draft: Rows | None = None) -> Answer:
        """Greedy tokens of each row and their margins."""
        drafted = None if draft is None else torch.tensor(draft)
        found = continue_greedily(self.checkpoint, torch.tensor(context), self.steps, self.rows, draft=drafted)
        return {"tokens": found.tokens.tolist(), "margin": found.margin.tolist()}

    def ablate(self, context: Rows, clean: Rows, layers: list[int]) -> Answer:
        """Begin to ablate every head of `layers`; the first layer's answer, which bears the cost of the clean run."""
        self.ablations = ablate_heads(
            self.checkpoint, torch.tensor(context), torch.tensor(clean), self.rows, layers=layers
        )
        return self.ablate_next()

    def ablate_next(self) -> Answer:
        """Tokens, margins and tokens kept of each row without each head of the next layer, (rows, heads, ...)."""
        layer: Ablation = next(self.ablations)
        tokens, kept, margin = layer.continuation
        return {"tokens": tokens.tolist(), "kept": kept.tolist(), "margin": margin.tolist()}

    def suffixes(self, context: Rows, continuation: Rows) -> Answer:
        """Which suffix lengths suffice, (rows, lengths)."""
        rows, wanted = torch.tensor(context), torch.tensor(continuation)
        return {"sufficient": sufficient_suffixes(self.checkpoint, rows, wanted, self.rows).tolist()}


class Generate:
    """transformers' own generate, called once for every batch, head and suffix length."""

    def __init__(self, folder: str, dtype: str, rows: int, steps: int) -> None:
        self.model, self.steps = plain_model(folder, dtype), steps

    def score(self, context: Rows) -> Answer:
        """Greedy tokens of each row."""
        return {"tokens": generate(self.model, torch.tensor(context), self.steps).tolist()}

    def ablate(self, context: Rows, layer: int, heads: list[int]) -> Answer:
        """Tokens of each row without each of `heads` of a layer of a Llama, (heads, rows, steps)."""
        projection = self.model.model.layers[layer].self_attn.o_proj
        count = self.model.config.num_attention_heads
        tokens = []
        for head in heads:
            others = [other for other in range(count) if other != head]

            def replace(module: nn.Module, arguments: tuple[Tensor], head: int = head, others: list[int] = others):
                outputs = arguments[0].unflatten(-1, (count, -1)).clone()
                outputs[:, :, head] = outputs[:, :, others].mean(dim=2)
                return (outputs.flatten(-2),)

            hook = projection.register_forward_pre_hook(replace)
            tokens.append(generate(self.model, torch.tensor(context), self.steps).tolist())
            hook.remove()
        return {"tokens": tokens}

    def suffixes(self, context: Rows, continuation: Rows) -> Answer:
        """Which suffix lengths suffice, (rows, lengths)."""
        rows, wanted = torch.tensor(context), torch.tensor(continuation)
        columns = [
            (generate(self.model, rows[:, -length:], self.steps) == wanted).all(dim=1)
            for length in range(1, rows.shape[1] + 1)
        ]
        return {"sufficient": torch.stack(columns, dim=1).tolist()}


class Floor:
    """Nothing but the linear layers' matrix products, by torch's own `linear`, of a decoder that caches."""

    def __init__(self, folder: str, dtype: str, rows: int, steps: int) -> None:
        model, self.steps = plain_model(folder, dtype), steps
        self.unembedding = model.get_output_embeddings()
        self.layers = [part for part in model.modules() if isinstance(part, nn.Linear) and part is not self.unembedding]

    @torch.inference_mode()
    def score(self, context: Rows) -> Answer:
        """One pass over the contexts, one over each further token; unembedded is the last token of each."""
        for step in range(self.steps):
            tokens = len(context) * (1 if step else len(context[0]))
            for layer in self.layers:
                linear(layer.weight.new_ones(tokens, layer.in_features), layer.weight, layer.bias)
            linear(
                self.unembedding.weight.new_ones(len(context), self.unembedding.in_features), self.unembedding.weight
            )
        return {}


def plain_model(folder: str, dtype: str) -> transformers.PreTrainedModel:
    """A model as transformers loads it."""
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


if __name__ == "__main__":
    name, folder, dtype, rows, steps = sys.argv[1:]
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    peer = {"engine": Engine, "generate": Generate, "floor": Floor}[name]
    serve(lambda: peer(folder, dtype, int(rows), int(steps)), ["torch", "transformers"])
