"""Attention weights and cuts, against the eager attention of the unmodified model and a mask made by hand."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from torch import Tensor
from transformers import PreTrainedModel

from decoders import saved, small_model
from recite.checkpoints.architectures import ARCHITECTURES
from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.engine.continuation import Pass, continue_greedily
from recite.engine.interventions.knockout import Knockout
from recite.engine.passes import forward
from recite.engine.residuals import Unkept, weights_seen
from recite.errors import ReciteError
from recite.kernels.key_values import KeyValues

ROWS, PROMPT, STEPS = 5, 12, 6
LENGTH = PROMPT + STEPS
CUTS = (range(1), range(3, 7), range(9, PROMPT), range(PROMPT, LENGTH))
"""The first token, two segments of the context of which one ends with it, and the continuation."""
CLASSES = ["deepseek_v3", "gemma2", "gpt2", "gpt_oss", "granite", "phi"]
Models = tuple[Checkpoint, PreTrainedModel]


@pytest.fixture(scope="module", params=[*ARCHITECTURES, *CLASSES])
def models(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    checkpoint_folder: Callable[[str], Path],
) -> Models:
    """A checkpoint as it is loaded, and the same unmodified, eager; of every architecture and of found decoders."""
    if request.param in ARCHITECTURES:
        folder = checkpoint_folder(request.param)
        model_class = getattr(transformers, ARCHITECTURES[request.param].model_class)
    else:
        model = small_model(request.param)
        folder, model_class = saved(model, tmp_path_factory.mktemp("mine")), type(model)
    return load_checkpoint(folder, "float32", 8), model_class.from_pretrained(
        folder, attn_implementation="eager"
    ).eval()


@pytest.fixture
def tokens() -> Tensor:
    return torch.randint(2, 96, (ROWS, LENGTH), generator=torch.Generator().manual_seed(3))


def seen(checkpoint: Checkpoint, tokens: Tensor) -> list[Tensor]:
    """The weights of every layer, (rows, heads, queries, keys)."""
    found: dict[int, Tensor] = {}
    with torch.inference_mode(), weights_seen(checkpoint, found.__setitem__):
        forward(checkpoint, tokens.to(checkpoint.model.device), Unkept(), 1)
    return [found[layer].cpu() for layer in range(len(checkpoint.layers))]


def cut_by_hand(keys: range, length: int, prompt: int = PROMPT) -> Tensor:
    """A mask of four dimensions: 0 where a query may look, the least number where not."""
    mask = torch.full((length, length), torch.finfo(torch.float32).min)
    for query in range(length):
        for key in range(query + 1):
            if query < prompt - 1 or key == query or key not in keys:
                mask[query, key] = 0
    return mask[None, None]


def test_weights_are_those_of_the_unmodified_model(models: Models, tokens: Tensor) -> None:
    """Weights of another head, group, layer, scale or cap would still sum up to 1."""
    checkpoint, model = models
    with torch.inference_mode():
        expected = model(input_ids=tokens, use_cache=False, output_attentions=True).attentions
    found = seen(checkpoint, tokens)
    assert len(found) == len(expected) == len(checkpoint.layers)
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.dtype == torch.float32 and mine.shape == (ROWS, checkpoint.heads, LENGTH, LENGTH)
        torch.testing.assert_close(mine, theirs[..., :LENGTH], atol=2e-6, rtol=1e-5)
    assert (found[-1].std(dim=1) > 0).any()


def test_watching_changes_no_bit(checkpoint: Checkpoint, tokens: Tensor) -> None:
    with torch.inference_mode():
        before = forward(checkpoint, tokens, Unkept(), LENGTH)
        with weights_seen(checkpoint, lambda layer, weights: None):
            watched = forward(checkpoint, tokens, Unkept(), LENGTH)
    assert torch.equal(before, watched)


@pytest.mark.parametrize("keys", CUTS, ids=str)
def test_knockout_is_a_mask(models: Models, tokens: Tensor, keys: range) -> None:
    """Weights that are set to 0 and not shared out anew, a cut in some layers, or of the context's own queries too."""
    checkpoint, model = models
    with torch.inference_mode():
        expected = model(input_ids=tokens, attention_mask=cut_by_hand(keys, LENGTH), use_cache=False).logits
        clean = model(input_ids=tokens, use_cache=False).logits
        with Knockout(checkpoint, [keys] * ROWS)(Pass([*range(ROWS)], 0, PROMPT)):
            found = forward(checkpoint, tokens.to(checkpoint.model.device), Unkept(), LENGTH).cpu()
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
    first = max(PROMPT - 1, keys.start + 1)
    torch.testing.assert_close(found[:, :first], clean[:, :first], atol=2e-5, rtol=0)
    assert (found[:, first:] - clean[:, first:]).abs().amax() > 1e-4
    with torch.inference_mode():  # and taken back
        torch.testing.assert_close(forward(checkpoint, tokens, Unkept(), LENGTH), clean, atol=2e-5, rtol=0)


def test_every_row_has_its_own_cut(models: Models, tokens: Tensor) -> None:
    """Rows that recur in a pass, and stand there in another order: each is cut from its own keys."""
    checkpoint, model = models
    own = [CUTS[row % len(CUTS)] for row in range(ROWS)]
    rows = [3, 1, 4, 0, 2, 2]
    mask = torch.cat([cut_by_hand(own[row], LENGTH) for row in rows])
    with torch.inference_mode():
        expected = model(input_ids=tokens[rows], attention_mask=mask, use_cache=False).logits
        with Knockout(checkpoint, own)(Pass(rows, 0, PROMPT)):
            found = forward(checkpoint, tokens[rows], Unkept(), LENGTH)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("keys", CUTS, ids=str)
def test_knockout_in_several_passes(checkpoint: Checkpoint, tokens: Tensor, keys: range) -> None:
    """Queries of a pass that begins later are counted from the row's first token."""
    knockout, parts = Knockout(checkpoint, [keys] * ROWS), []
    with torch.inference_mode():
        with knockout(Pass([*range(ROWS)], 0, PROMPT)):
            whole = forward(checkpoint, tokens, Unkept(), LENGTH)
        cache = KeyValues(ROWS, LENGTH)
        for start, end in ((0, PROMPT), (PROMPT, PROMPT + 1), (PROMPT + 1, LENGTH)):
            cache.start = start
            with knockout(Pass([*range(ROWS)], start, PROMPT)):
                parts.append(forward(checkpoint, tokens[:, start:end], cache, end - start))
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=2e-5, rtol=0)


@pytest.mark.parametrize("keys", CUTS, ids=str)
def test_greedy_continuation_under_a_cut(models: Models, tokens: Tensor, keys: range) -> None:
    """Token by token, everything computed anew under the mask; with a draft that is right at first."""
    checkpoint, model = models
    text, gaps = tokens[:, :PROMPT], []
    for _ in range(STEPS):
        with torch.inference_mode():
            mask = cut_by_hand(keys, text.shape[1])
            logits = model(input_ids=text, attention_mask=mask, use_cache=False).logits[:, -1]
        best = logits.topk(2).values
        gaps.append(best[:, 0] - best[:, 1])
        text = torch.cat([text, logits.argmax(-1, keepdim=True)], dim=1)
    clear = torch.stack(gaps).amin(dim=0) > 1e-3
    expected = text[:, PROMPT:]
    draft = expected.clone()
    draft[:, 3:] = 7
    assert clear.any()
    for given in (None, draft):
        found = continue_greedily(
            checkpoint, tokens[:, :PROMPT], STEPS, 4, draft=given, intervention=Knockout(checkpoint, [keys] * ROWS)
        )
        assert torch.equal(found.tokens[clear], expected[clear])


@pytest.mark.parametrize("name", ["bloom", "mpt"])
def test_a_class_that_attends_by_itself_is_refused(name: str, tmp_path: Path, tokens: Tensor) -> None:
    """Prevents weights that nobody saw, and a cut that cuts nothing."""
    checkpoint = load_checkpoint(saved(small_model(name), tmp_path / "mine"), "float32", 8)
    with pytest.raises(ReciteError, match=r"computes attention itself, .* leave the model out of the analysis"):
        seen(checkpoint, tokens)
    with pytest.raises(ReciteError, match="computes attention itself"):
        Knockout(checkpoint, [range(1)])
