"""What the unmodified model makes of random rows, against which the engine is held."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import GenerationConfig

from recite.checkpoints.loading import Checkpoint

ROWS, PROMPT, STEPS = 4, 12, 4
LENGTH = PROMPT + STEPS
PASSES = ((0, 8), (8, 9), (9, LENGTH))
"""Positions of the passes that are held against one pass of the model's own."""
KEPT = 3
"""Most positions of a pass whose logits are made."""
TOLERANCE = 1e-3
"""Largest difference, as a share of the largest number, that float32 may make."""
MOST_SHARED = 16
"""Most key/value heads of a layer that are tried."""


class Own(NamedTuple):
    """What the unmodified model makes of random rows.

    tokens: (rows, LENGTH) int64. logits: (rows, LENGTH, vocabulary). generated: (rows, STEPS), after PROMPT tokens.
    alone: the logits of each row without the others. heads: of each layer, as far as the model says.
    """

    tokens: Tensor
    logits: Tensor
    generated: Tensor
    alone: Tensor
    heads: list[int]


Checks = tuple[tuple[str, Callable[[Checkpoint, Own], str]], ...]
"""Parts, and what proves each: it says in words what was expected, or nothing."""


@torch.inference_mode()
def unmodified(model: Any) -> Own:
    """What the model makes of random rows with the attention, the cache and the loop of `transformers`."""
    generator = torch.Generator().manual_seed(1)
    vocabulary = model.config.vocab_size
    tokens = torch.randint(0, vocabulary, (ROWS, LENGTH), generator=generator).to(model.device)
    before, settings = model.config._attn_implementation, model.generation_config
    greedy = GenerationConfig(do_sample=False, max_new_tokens=STEPS, pad_token_id=0, eos_token_id=None)
    model.set_attn_implementation("eager")
    model.generation_config = greedy
    try:
        logits = model(input_ids=tokens, use_cache=False).logits
        attentions = model(input_ids=tokens[:1], use_cache=False, output_attentions=True).attentions
        heads = [weights.shape[1] for weights in attentions or () if weights is not None]
        alone = torch.cat([model(input_ids=row[None], use_cache=False).logits for row in tokens])
        mask = torch.ones_like(tokens[:, :PROMPT])
        generated = model.generate(tokens[:, :PROMPT], attention_mask=mask, generation_config=greedy)[:, PROMPT:]
    finally:
        model.generation_config = settings
        model.set_attn_implementation(before)
    return Own(tokens, logits, generated, alone, heads)


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal but for rounding in float32."""
    return one.shape == other.shape and bool((one - other).abs().max() <= TOLERANCE * other.abs().max())
