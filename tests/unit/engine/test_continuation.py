"""The engine against transformers' own generate and a plain loop over forward, with drafts and restarts, on all six."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, LlamaConfig, LlamaForCausalLM, Olmo3ForCausalLM, PreTrainedModel

from peers import generate
from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.engine import passes
from recite.engine.activations import trace
from recite.engine.branches import Restart
from recite.engine.continuation import Continuation, Intervention, Pass, continue_greedily
from recite.engine.interventions.heads import HeadReplacement
from recite.engine.interventions.noise import ResidualNoise
from recite.engine.passes import CHUNK, check_length
from recite.errors import ReciteError
from recite.files import read_json, write_json
from recite.kernels import packing
from recite.kernels.attention import ATTENTION
from recite.kernels.logits import BLOCK, Likelihood
from turns import in_turn

STEPS = 32
FEW_STEPS = CHUNK + 4
NEAR_TIE = 1e-4
"""Logit margin under which float32 sums in another order may pick another token."""


def plain_loop(model: PreTrainedModel, context: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Tokens and smallest margins by whole forward passes, without a cache, a row at a time."""
    rows, margins = [], []
    with torch.inference_mode():
        for row in context:
            tokens, margin = row[None], torch.inf
            for _ in range(steps):
                logits = model(input_ids=tokens, use_cache=False).logits[0, -1]
                first, second = logits.sort(descending=True).values[:2]
                margin = min(margin, float(first - second))
                tokens = torch.cat([tokens, logits.argmax()[None, None]], dim=1)
            rows.append(tokens[0, len(row) :])
            margins.append(margin)
    return torch.stack(rows), torch.tensor(margins)


def assert_same_but_near_ties(tokens: Tensor, expected: Tensor, margin: Tensor) -> None:
    """Rows may differ only where the margin is a near-tie, and those must be few."""
    differing = (tokens != expected).any(dim=1)
    assert not differing[margin >= NEAR_TIE].any(), f"rows {differing.nonzero().flatten().tolist()} differ"
    assert int((margin < NEAR_TIE).sum()) <= len(margin) // 10


def assert_same_bits(found: Continuation, expected: Continuation) -> None:
    """All tensors, bit for bit."""
    for name, one, other in zip(Continuation._fields, found, expected, strict=True):
        assert torch.equal(one.nan_to_num(), other.nan_to_num()), (
            f"{name} of rows {(one != other).nonzero()[:, 0].unique().tolist()} differ"
        )


def assert_untouched(checkpoint: Checkpoint) -> None:
    """No module of the model has a hook or another forward than its class's."""
    for name, module in checkpoint.model.named_modules():
        assert "forward" not in module.__dict__, f"{name} is overridden"
        assert not module._forward_hooks and not module._forward_pre_hooks, f"{name} has a hook left"


def leading_equal(tokens: Tensor, draft: Tensor) -> list[int]:
    """Brute-force count of each row's leading tokens that equal the draft's."""
    counts = []
    for row, guess in zip(tokens.tolist(), draft.tolist(), strict=True):
        count = 0
        while count < len(row) and row[count] == guess[count]:
            count += 1
        counts.append(count)
    return counts


class Drafted(NamedTuple):
    """Rows in no order of where they leave their drafts, and what the model does without one."""

    context: Tensor
    draft: Tensor
    plain: Continuation


def random_tokens(rows: int, length: int, seed: int, vocabulary: int = 300) -> Tensor:
    """Token ids (rows, length)."""
    return torch.randint(0, vocabulary, (rows, length), generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def drafted(checkpoint: Checkpoint) -> Drafted:
    """36 rows: wrong drafts from each of the 32 positions on, right drafts, random ones.

    After the wrong token every second draft goes on with the model's own tokens, the others with random ones.
    """
    context = random_tokens(36, 24, seed=7)
    plain = continue_greedily(checkpoint, context, STEPS, batch_rows=16)
    draft = plain.tokens.clone()
    noise = random_tokens(36, STEPS, seed=8)
    for place in range(STEPS):
        draft[place, place] = (draft[place, place] + 1) % 300
        if place % 2:
            draft[place, place + 1 :] = noise[place, place + 1 :]
    draft[34:] = noise[34:]
    order = torch.randperm(36, generator=torch.Generator().manual_seed(9))
    return Drafted(context[order], draft[order], Continuation(*(part[order] for part in plain)))


def test_equals_generate(checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor) -> None:
    """A wrong cache position or a masked token would change what published code generates."""
    found = continue_greedily(checkpoint, context, STEPS, batch_rows=8)
    assert_same_but_near_ties(found.tokens, generate(reference, context, STEPS), found.margin)
    assert found.first_mismatch.tolist() == [0] * len(context)


def test_equals_plain_loop_with_margins(checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor) -> None:
    """The margin must be that of the logits that chose the tokens."""
    found = continue_greedily(checkpoint, context[:5], 20, batch_rows=4)
    tokens, margins = plain_loop(reference, context[:5], 20)
    assert_same_but_near_ties(found.tokens, tokens, margins)
    same = (found.tokens == tokens).all(dim=1)
    torch.testing.assert_close(found.margin[same], margins[same], atol=2e-4, rtol=0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the unembedding is sliced on a CPU")
def test_vocabulary_in_slices(
    family: str,
    checkpoint_folder: Callable[[str], Path],
    reference: PreTrainedModel,
    context: Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Models of the tests have one slice; those of the study have several, and the last is another size."""
    monkeypatch.setattr(packing, "SLICE", BLOCK)
    sliced = load_checkpoint(checkpoint_folder(family), "float32", 8)
    assert [part.out_features for part in sliced.unembedding] == [128, 128, 44]
    found = continue_greedily(sliced, context[:5], 20, batch_rows=4)
    tokens, margins = plain_loop(reference, context[:5], 20)
    assert_same_but_near_ties(found.tokens, tokens, margins)
    same = (found.tokens == tokens).all(dim=1)
    torch.testing.assert_close(found.margin[same], margins[same], atol=2e-4, rtol=0)
    assert found.tokens.max() >= 256


@pytest.mark.parametrize("size", [5, 128, 300])
def test_likelihood_in_slices(size: int) -> None:
    """Against the logarithm of the softmax of all: a token of the first slice, of the last, and of one between."""
    logits, tokens = 9 * torch.randn(50, 3, 300, generator=torch.Generator().manual_seed(2)), random_tokens(50, 3, 3)
    told, slices = Likelihood(tokens), logits.split(size, dim=-1)
    assert all(torch.equal(*parts) for parts in zip(told.hearing(slices), slices, strict=True))
    expected = logits.double().log_softmax(-1).gather(-1, tokens[..., None]).squeeze(-1)
    torch.testing.assert_close(told.log_probability.double(), expected, atol=1e-5, rtol=0)


def test_likelihood_of_drafts(checkpoint: Checkpoint, reference: PreTrainedModel, drafted: Drafted) -> None:
    """A draft fed whole gives the same tokens, and the log-probability of all of it, wherever the row leaves it."""
    found = continue_greedily(
        checkpoint, drafted.context, STEPS, 8, draft=drafted.draft, likelihood=True, block_batches=2
    )
    assert_same_but_near_ties(found.tokens, drafted.plain.tokens, found.margin)
    text = torch.cat([drafted.context, drafted.draft], dim=1)
    with torch.inference_mode():
        logits = reference(input_ids=text[:, :-1], use_cache=False).logits[:, -STEPS:]
    expected = logits.double().log_softmax(-1).gather(-1, drafted.draft[..., None]).squeeze(-1).sum(dim=1)
    torch.testing.assert_close(found.log_probability.double(), expected, atol=2e-4, rtol=0)
    stopped = continue_greedily(
        checkpoint, drafted.context, STEPS, 8, draft=drafted.draft, likelihood=True, block_batches=2, to_the_end=False
    )
    assert torch.equal(stopped.log_probability, found.log_probability)
    assert torch.equal(stopped.first_mismatch, found.first_mismatch)
    plain = continue_greedily(checkpoint, drafted.context, STEPS, 8, draft=drafted.draft)
    assert plain.log_probability.isnan().all() and torch.equal(plain.first_mismatch, found.first_mismatch)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU takes passes of any length")
def test_long_passes_are_cut_on_a_cpu(
    family: str, checkpoint: Checkpoint, context: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any cut leaves each row's tokens as they are, and traced rows are cut like those that follow their drafts."""
    most, longest = in_turn(family, [(200, 4), (120, 2)])
    context, every = context[:10], torch.arange(10)
    whole = continue_greedily(checkpoint, context, CHUNK, 8)
    monkeypatch.setattr(passes, "PASS_TOKENS", most)
    assert passes.pass_rows(checkpoint, 8, 32) == longest
    cut = continue_greedily(checkpoint, context, CHUNK, 8, draft=whole.tokens)
    assert_same_but_near_ties(cut.tokens, whole.tokens, cut.margin)
    traced = trace(checkpoint, context, whole.tokens, 8)
    restart = Restart(traced, 1, every)
    assert_same_bits(continue_greedily(checkpoint, context, CHUNK, 8, draft=whole.tokens, restart=restart), cut)
    for layer in (1, 2):
        with_head = partial(
            continue_greedily,
            *(checkpoint, context, CHUNK, 8),
            draft=whole.tokens,
            intervention=HeadReplacement(checkpoint, layer, every % checkpoint.heads),
        )
        assert_same_bits(with_head(restart=Restart(traced, layer, every)), with_head())


def test_restarted_layer_runs_no_attention_along_the_trace(checkpoint: Checkpoint, context: Tensor) -> None:
    """Nor do the layers below; all that the trace holds would be computed again for every head."""
    ran: list[int] = []
    attention = AttentionInterface()[ATTENTION]

    def counted(module: nn.Module, *arguments: Any, **named: Any) -> Any:
        ran.append(module.layer_idx)
        return attention(module, *arguments, **named)

    context, every = context[:8], torch.arange(8)
    plain = continue_greedily(checkpoint, context, FEW_STEPS, 8)
    traced = trace(checkpoint, context, plain.tokens, 8)
    AttentionInterface.register(ATTENTION, counted)
    try:
        restart = Restart(traced, 1, every)
        found = continue_greedily(checkpoint, context, FEW_STEPS, 8, draft=plain.tokens, restart=restart)
    finally:
        AttentionInterface.register(ATTENTION, attention)
    assert torch.equal(found.tokens, plain.tokens)
    assert set(ran) == {2}


def test_end_of_sequence_is_an_ordinary_token(checkpoint: Checkpoint, context: Tensor) -> None:
    """A model that generates EOS must go on, and EOS must not be masked."""
    model = checkpoint.model
    first = continue_greedily(checkpoint, context[:3], FEW_STEPS, batch_rows=4)
    before = model.config.eos_token_id, model.generation_config.eos_token_id
    model.config.eos_token_id = model.generation_config.eos_token_id = int(first.tokens[0, 2])
    try:
        again = continue_greedily(checkpoint, context[:3], FEW_STEPS, batch_rows=4)
    finally:
        model.config.eos_token_id, model.generation_config.eos_token_id = before
    assert torch.equal(first.tokens, again.tokens)


def test_bits_do_not_depend_on_batch_mates(checkpoint: Checkpoint, context: Tensor) -> None:
    """Shard count, row order and restart point must not change a row's result by a bit."""
    whole = continue_greedily(checkpoint, context, FEW_STEPS, batch_rows=8)
    order = torch.randperm(len(context), generator=torch.Generator().manual_seed(1))
    shuffled = continue_greedily(checkpoint, context[order], FEW_STEPS, batch_rows=8)
    assert_same_bits(shuffled, Continuation(*(part[order] for part in whole)))
    for start, end in ((0, 1), (1, 12), (12, 23)):
        shard = continue_greedily(checkpoint, context[start:end], FEW_STEPS, batch_rows=8)
        assert_same_bits(shard, Continuation(*(part[start:end] for part in whole)))


def test_batch_size_moves_near_ties_only(checkpoint: Checkpoint, context: Tensor) -> None:
    """Passes of another shape may sum in another order, and must change nothing else."""
    eight = continue_greedily(checkpoint, context, FEW_STEPS, batch_rows=8)
    for batch_rows in (4, 23):
        other = continue_greedily(checkpoint, context, FEW_STEPS, batch_rows)
        assert_same_but_near_ties(other.tokens, eight.tokens, torch.minimum(other.margin, eight.margin))
        torch.testing.assert_close(other.margin, eight.margin, atol=NEAR_TIE, rtol=0)


def test_draft_changes_nothing(family: str, checkpoint: Checkpoint, drafted: Drafted) -> None:
    """A draft that leads the model astray, at whatever position it leaves it, would falsify every score."""
    context, draft, plain = drafted
    batches = in_turn(family, [1, 2, 3])
    found = continue_greedily(checkpoint, context, STEPS, 16, draft=draft, block_batches=batches)
    assert_same_but_near_ties(found.tokens, plain.tokens, torch.minimum(found.margin, plain.margin))
    torch.testing.assert_close(found.margin, plain.margin, atol=NEAR_TIE, rtol=0)
    counts = leading_equal(found.tokens, draft)
    assert found.first_mismatch.tolist() == counts
    assert set(counts) == set(range(STEPS + 1))


def test_drafted_bits_do_not_depend_on_batch_mates(checkpoint: Checkpoint, drafted: Drafted) -> None:
    """Rows that leave their drafts change places; neither that, nor shards, nor blocks may change a bit."""
    context, draft = drafted.context[:20], drafted.draft[:20]
    whole = continue_greedily(checkpoint, context, STEPS, 8, draft=draft)
    order = torch.randperm(len(context), generator=torch.Generator().manual_seed(1))
    shuffled = continue_greedily(checkpoint, context[order], STEPS, 8, draft=draft[order], block_batches=3)
    assert_same_bits(shuffled, Continuation(*(part[order] for part in whole)))
    for start, end, block_batches in ((0, 1, 1), (1, 10, 2), (10, 20, 5)):
        part = slice(start, end)
        shard = continue_greedily(checkpoint, context[part], STEPS, 8, draft=draft[part], block_batches=block_batches)
        assert_same_bits(shard, Continuation(*(tensor[part] for tensor in whole)))


def test_dropped_rows_are_exact_up_to_their_mismatch(checkpoint: Checkpoint, drafted: Drafted) -> None:
    """Dropping a row too early, or for another row's mismatch, would call incompressible what is compressible."""
    context, draft, _ = drafted
    full = continue_greedily(checkpoint, context, STEPS, 16, draft=draft, block_batches=2)
    brief = continue_greedily(checkpoint, context, STEPS, 16, draft=draft, block_batches=2, to_the_end=False)
    assert torch.equal(brief.first_mismatch, full.first_mismatch)
    for row, left in enumerate(full.first_mismatch.tolist()):
        assert torch.equal(brief.tokens[row, : left + 1], full.tokens[row, : left + 1])


def test_a_draft_saves_passes(checkpoint: Checkpoint, drafted: Drafted) -> None:
    """Right tokens, however many, are checked a chunk at a time; only those after a wrong one are made one by one."""
    sure = (drafted.plain.margin >= NEAR_TIE).nonzero().flatten()[:8]
    context, right = drafted.context[sure], drafted.plain.tokens[sure]
    starts: list[int] = []

    @contextmanager
    def counting(pass_: Pass) -> Iterator[None]:
        starts.append(pass_.start)
        yield

    def passes(steps: int, wrong: int | None, to_the_end: bool = True) -> int:
        starts.clear()
        draft = right[:, :steps].clone()
        if wrong is not None:
            draft[:, wrong] = (draft[:, wrong] + 1) % 300
        continue_greedily(checkpoint, context, steps, 8, draft=draft, intervention=counting, to_the_end=to_the_end)
        return len(starts)

    assert passes(STEPS, None) == 1 + STEPS // CHUNK
    assert passes(CHUNK, 0) == 1 + CHUNK - 1
    assert passes(CHUNK, 2) == 2 + CHUNK - 3
    assert passes(CHUNK, CHUNK - 1) == 2
    assert passes(STEPS, 0, to_the_end=False) == 1
    assert passes(STEPS, CHUNK, to_the_end=False) == 3


def test_any_number_of_steps(family: str, checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor) -> None:
    """A last chunk that is not full must not read or write beyond the row."""
    steps = in_turn(family, [1, 5, CHUNK + 5])
    expected = generate(reference, context, steps)
    plain = continue_greedily(checkpoint, context, steps, 8)
    assert_same_but_near_ties(plain.tokens, expected, plain.margin)
    draft = expected.clone()
    for row in range(len(context)):
        place = row % (steps + 1)
        draft[row, place:] = (draft[row, place:] + 1) % 300
    found = continue_greedily(checkpoint, context, steps, 8, draft=draft, block_batches=2)
    assert_same_but_near_ties(found.tokens, expected, found.margin)
    torch.testing.assert_close(found.margin, plain.margin, atol=NEAR_TIE, rtol=0)
    assert found.first_mismatch.tolist() == leading_equal(found.tokens, draft)


def interventions(checkpoint: Checkpoint, layer: int, rows: Tensor) -> list[Intervention]:
    """What leaves the layers below as they are: a head replaced, and noise on the layer's output."""
    heads = HeadReplacement(checkpoint, layer, rows % checkpoint.heads)
    return [heads, ResidualNoise(checkpoint, layer, rows.tolist(), 0.3, 4, "tensor", "all")]


def test_restart_changes_no_bit(family: str, checkpoint: Checkpoint, context: Tensor) -> None:
    """Layers taken from a clean run, of another row or position, would change every ablation."""
    steps, context = CHUNK + 2, context[:10]
    every, chosen = torch.arange(10), torch.tensor([3, 0, 9, 4, 1, 5, 2, 0, 8, 7, 6])
    for layer in range(3):
        kind = in_turn(family, [layer % 2, 1 - layer % 2])
        changed, changed_chosen = (interventions(checkpoint, layer, rows)[kind] for rows in (every, chosen))
        draft = continue_greedily(checkpoint, context, steps, 10, intervention=changed).tokens.clone()
        draft[every, every] = (draft[every, every] + 1) % 300
        traced = trace(checkpoint, context, draft, 8)
        whole, restarted = (
            continue_greedily(
                checkpoint,
                context[chosen],
                steps,
                8,
                draft=draft[chosen],
                intervention=changed_chosen,
                restart=restart,
            )
            for restart in (None, Restart(traced, layer, chosen))
        )
        assert_same_bits(restarted, whole)
        assert torch.equal(whole.first_mismatch, chosen), f"intervention {kind} at layer {layer}"
    assert_untouched(checkpoint)


def test_restart_does_not_run_the_layers_below(checkpoint: Checkpoint, context: Tensor) -> None:
    """A restart that runs everything would still be right, and save nothing."""
    draft = continue_greedily(checkpoint, context[:8], FEW_STEPS, 8).tokens
    traced = trace(checkpoint, context[:8], draft, 8)
    ran: list[int] = []
    handles = [
        checkpoint.attention_output(layer).register_forward_hook(lambda *_, layer=layer: ran.append(layer))
        for layer in range(3)
    ]
    try:
        continue_greedily(
            checkpoint, context[:8], FEW_STEPS, 8, draft=draft, restart=Restart(traced, 2, torch.arange(8))
        )
    finally:
        for handle in handles:
            handle.remove()
    assert set(ran) == {2}


def test_model_is_restored_after_an_error(checkpoint: Checkpoint, context: Tensor) -> None:
    """A hook or a skipped layer left behind would falsify whatever the process computes next."""
    clean = continue_greedily(checkpoint, context[:8], FEW_STEPS, 8)
    traced = trace(checkpoint, context[:8], clean.tokens, 8)
    replacement = HeadReplacement(checkpoint, 2, torch.zeros(8, dtype=torch.int64))

    def fail(module: nn.Module, arguments: Any) -> None:
        raise KeyError("planted")

    @contextmanager
    def failing_within(pass_: Pass) -> Iterator[None]:
        """Fails in the first pass, within the layer at which it restarts."""
        handle = checkpoint.layers[2].register_forward_pre_hook(fail)
        try:
            with replacement(pass_):
                yield
        finally:
            handle.remove()

    @contextmanager
    def failing_between(pass_: Pass) -> Iterator[None]:
        """Fails before a later pass."""
        with replacement(pass_):
            if pass_.start > pass_.prompt:
                raise KeyError("planted")
            yield

    for intervention in (failing_within, failing_between):
        with pytest.raises(KeyError, match="planted"):
            continue_greedily(
                checkpoint,
                context[:8],
                FEW_STEPS,
                8,
                draft=clean.tokens,
                intervention=intervention,
                restart=Restart(traced, 2, torch.arange(8)),
            )
        assert_untouched(checkpoint)
        assert_same_bits(continue_greedily(checkpoint, context[:8], FEW_STEPS, 8), clean)


def test_rows_beyond_the_positions_are_refused(checkpoint: Checkpoint, reference: PreTrainedModel) -> None:
    """Positions that the model has no table for would crash it or be made up; the last one is still used."""
    context = random_tokens(2, 120, seed=2)
    found = continue_greedily(checkpoint, context, 9, 4)
    assert torch.equal(found.tokens, generate(reference, context, 9))
    with pytest.raises(ReciteError, match=r"rows of 129 tokens are longer than .* max_position_embeddings \(128\)"):
        continue_greedily(checkpoint, context, 10, 4)
    with pytest.raises(ReciteError, match=r"max_position_embeddings"):
        trace(checkpoint, context, found.tokens[:, [0] * 10], 4)


def test_rows_beyond_the_attention_window_are_refused(
    tmp_path: Path, checkpoint_folder: Callable[[str], Path], context: Tensor
) -> None:
    """The engine's attention knows no window: within it nothing is lost, beyond it another model would be scored."""
    source = checkpoint_folder("olmo3")
    config = read_json(source / "config.json") | {"sliding_window": 40}
    write_json(tmp_path / "config.json", config)
    (tmp_path / "model.safetensors").write_bytes((source / "model.safetensors").read_bytes())
    windowed = load_checkpoint(tmp_path, "float32", 8)
    model = Olmo3ForCausalLM.from_pretrained(tmp_path).eval()
    found = continue_greedily(windowed, context, 9, 8)
    assert_same_but_near_ties(found.tokens, generate(model, context, 9), found.margin)
    with pytest.raises(ReciteError, match=r"rows of 41 tokens are longer than the model's sliding_window \(40\)"):
        continue_greedily(windowed, context, 10, 8)
    with pytest.raises(ReciteError, match=r"sliding_window"):
        check_length(windowed, 41)


def test_heads_that_share_keys_in_groups(tmp_path: Path, context: Tensor) -> None:
    """No small model of the table has grouped key/value heads, but large checkpoints of its classes do."""
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        intermediate_size=64,
        initializer_range=0.15,
        bos_token_id=0,
        eos_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        model = LlamaForCausalLM(config).eval()
    model.save_pretrained(tmp_path)
    checkpoint = load_checkpoint(tmp_path, "float32", 8)
    assert (checkpoint.heads, checkpoint.shared_heads, checkpoint.head_width) == (6, 2, 8)
    expected = generate(model, context, STEPS)
    draft = expected.clone()
    draft[::2, 11:] = 0
    for found in (
        continue_greedily(checkpoint, context, STEPS, 8),
        continue_greedily(checkpoint, context, STEPS, 8, draft=draft),
    ):
        assert_same_but_near_ties(found.tokens, expected, found.margin)


def test_no_rows(checkpoint: Checkpoint, context: Tensor) -> None:
    """A model that memorized nothing has no rows to go on with; that is an answer, not an error."""
    for draft in (None, context[:0]):
        found = continue_greedily(checkpoint, context[:0], STEPS, 8, draft=draft)
        assert found.tokens.shape == (0, STEPS) and found.margin.shape == found.first_mismatch.shape == (0,)
