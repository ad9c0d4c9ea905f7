"""What the engine is held against, in the tests and in the bench; on the device that the model is on."""

import torch
from torch import Tensor
from transformers import PreTrainedModel

DEVICE = f"1 x {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "cpu"
"""What outputs say of the device that small models run on."""


def generate(model: PreTrainedModel, context: Tensor, steps: int) -> Tensor:
    """transformers' own greedy continuation, what published memorization code calls: (rows, steps) token ids."""
    context = context.to(model.device)
    tokens: Tensor = model.generate(  # type: ignore[operator]
        context,
        attention_mask=torch.ones_like(context),
        max_new_tokens=steps,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )
    return tokens[:, context.shape[1] :].cpu()


@torch.inference_mode()
def logits_of(model: PreTrainedModel, tokens: Tensor) -> Tensor:
    """Logits of whole rows, (rows, positions, vocabulary), on the CPU."""
    return model(input_ids=tokens.to(model.device), use_cache=False).logits.cpu()
