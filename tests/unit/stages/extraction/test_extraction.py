"""p_z against the forward pass, the warpers and the sampling of transformers, and against greedy continuation."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor
from transformers import (
    GPTNeoXForCausalLM,
    LogitsProcessorList,
    PreTrainedModel,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from peers import logits_of
from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.engine.continuation import continue_greedily
from recite.engine.finite import NotFiniteError
from recite.engine.interventions.noise import ResidualNoise
from recite.engine.rows import Rows
from recite.stages.extraction.measure import Scheme, extraction, measure_extraction, position_log_probability
from recite.stages.extraction.rows import EXTRACTED
from recite.stages.extraction.summarize import extractable
from recite.tables import read_metadata
from recite.tables.lists import as_array
from samples import write_shard

STEPS = 5
SCHEMES = {
    "plain": Scheme(),
    "cool": Scheme(temperature=0.5),
    "top_40": Scheme(top_k=40),
    "nucleus": Scheme(top_p=0.7),
    "all": Scheme(temperature=0.7, top_k=60, top_p=0.9),
}


def warped(logits: Tensor, scheme: Scheme) -> Tensor:
    """What transformers samples from, by its own warpers in its own order; (rows, vocabulary)."""
    warpers = LogitsProcessorList([TemperatureLogitsWarper(scheme.temperature)])
    if scheme.top_k:
        warpers.append(TopKLogitsWarper(scheme.top_k))
    if scheme.top_p:
        warpers.append(TopPLogitsWarper(scheme.top_p))
    return warpers(None, logits)


def expected(logits: Tensor, true: Tensor, scheme: Scheme) -> Tensor:
    """log p_z from logits (rows, steps, vocabulary): (rows,)."""
    each = [
        warped(logits[:, step], scheme).double().log_softmax(-1).gather(-1, true[:, step, None])
        for step in range(true.shape[1])
    ]
    return torch.cat(each, dim=1).sum(dim=1).float()


def own_logits(model: PreTrainedModel, text: Tensor) -> Tensor:
    """What the unmodified model says of the last STEPS tokens."""
    return logits_of(model, text[:, :-1])[:, -STEPS:].float()


def test_every_class_and_scheme(checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor) -> None:
    """Prevents tokens that are asked of the position before or after, and cuts that are not renormalized."""
    text, likely = context.clone(), torch.arange(0, 23, 2)
    for step in range(STEPS):  # of each other row the fourth best token, so that cuts keep some rows
        at = 32 - STEPS + step
        text[likely, at] = logits_of(reference, text[likely, :at])[:, -1].topk(4).indices[:, -1]
    found = extraction(checkpoint, text, STEPS, 8, list(SCHEMES.values()))
    logits = own_logits(reference, text)
    for place, scheme in enumerate(SCHEMES.values()):
        wanted = expected(logits, text[:, -STEPS:], scheme)
        torch.testing.assert_close(found[:, place], wanted, atol=1e-4, rtol=0)
        assert wanted[likely].isfinite().all()
        if scheme.top_k or scheme.top_p:
            assert torch.isneginf(found[:, place]).any()


def test_order_and_shards_change_nothing(checkpoint: Checkpoint, context: Tensor) -> None:
    """A row must not depend on the rows beside it."""
    schemes = list(SCHEMES.values())
    whole = extraction(checkpoint, context, STEPS, 8, schemes)
    order = torch.randperm(23, generator=torch.Generator().manual_seed(2))
    assert torch.equal(extraction(checkpoint, context[order], STEPS, 8, schemes), whole[order])
    for start, end in ((0, 1), (1, 17), (17, 23)):
        assert torch.equal(extraction(checkpoint, context[start:end], STEPS, 8, schemes), whole[start:end])


def test_warpers_of_transformers() -> None:
    """The same tokens are kept at the edges of a cut, token by token of a vocabulary that nobody can skip."""
    logits = torch.randn(40, 200, generator=torch.Generator().manual_seed(1)) * 3
    every = torch.arange(200).expand(40, 200)
    for scheme in (*SCHEMES.values(), Scheme(top_k=1), Scheme(top_k=500), Scheme(top_p=1e-6)):
        found = torch.stack([position_log_probability(logits, true[:, None], scheme) for true in every.T], dim=1)
        torch.testing.assert_close(found, warped(logits, scheme).log_softmax(-1), atol=1e-5, rtol=0)
        torch.testing.assert_close(found.exp().sum(dim=1), torch.ones(40), atol=1e-5, rtol=0)


def test_ties_are_kept_together() -> None:
    """In half precision logits often tie: which of two equal tokens is cut must not hang on their order."""
    logits = torch.tensor([[3.0, 1.0, 1.0, 0.0]])
    for scheme in (Scheme(top_k=2), Scheme(top_p=float(logits.softmax(-1)[0, 0]) + 0.05)):
        one, other = (position_log_probability(logits, torch.tensor([[token]]), scheme) for token in (1, 2))
        assert one == other and one.isfinite()
        assert torch.isneginf(position_log_probability(logits, torch.tensor([[3]]), scheme)).all()


def test_cold_draws_are_greedy(checkpoint: Checkpoint, context: Tensor) -> None:
    """As the temperature falls, what one draw extracts becomes exactly what is recited greedily."""
    prompt = context[:, :-STEPS]
    text = context.clone()
    greedy = continue_greedily(checkpoint, prompt, STEPS, 8).tokens
    text[::2, -STEPS:] = greedy[::2]
    text[4, -1] = (greedy[4, -1] + 1) % 300  # all but the last token
    found = extraction(checkpoint, text, STEPS, 8, [Scheme(temperature=1e-6)])[:, 0]
    recited = (greedy == text[:, -STEPS:]).all(dim=1).numpy()
    assert 0 < recited.sum() < 23 and not recited[4]
    for draws, probability in ((1, 0.9), (100, 0.1)):
        assert np.array_equal(extractable(found.numpy(), draws, probability), recited)


def test_draws_meet_the_text_as_often_as_said(checkpoint_folder: Callable[[str], Path], context: Tensor) -> None:
    """Ten thousand continuations drawn token by token, under every scheme: each lies as often there as p_z says."""
    model = GPTNeoXForCausalLM.from_pretrained(checkpoint_folder("pythia")).eval()
    loaded = load_checkpoint(checkpoint_folder("pythia"), "float32", 8)
    prompt, source = context[:1], torch.Generator().manual_seed(4)
    # A random model is indifferent: at this temperature a few tokens have most of the probability.
    peaked = float(logits_of(model, prompt)[:, -1].std()) / 3
    for name, scheme in SCHEMES.items():
        scheme = scheme._replace(temperature=peaked * scheme.temperature)
        first = drawn(logits_of(model, prompt)[:, -1], scheme, 10_000, source).flatten()
        tokens, counts = first.unique(return_counts=True)
        after = logits_of(model, torch.cat([prompt.expand(len(tokens), -1), tokens[:, None]], dim=1))[:, -1]
        seen: Counter[tuple[int, int]] = Counter()
        for token, count, logits in zip(tokens.tolist(), counts.tolist(), after, strict=True):
            seen.update((token, second) for second in drawn(logits[None], scheme, count, source)[0].tolist())
        commonest = seen.most_common(8)
        text = torch.tensor([[*prompt[0].tolist(), *pair] for pair, _ in commonest])
        found = extraction(loaded, text, 2, 8, [scheme])[:, 0].double().exp().tolist()
        assert min(found) > 1e-3, name
        for p_z, (_, count) in zip(found, commonest, strict=True):
            assert binomtest(count, 10_000, p_z).pvalue > 1e-3, (name, p_z, count)


def drawn(logits: Tensor, scheme: Scheme, draws: int, source: torch.Generator) -> Tensor:
    """Tokens drawn from what transformers' warpers leave of `logits` (rows, vocabulary): (rows, draws)."""
    return torch.multinomial(warped(logits, scheme).softmax(-1), draws, replacement=True, generator=source)


def test_numbers_of_draws_by_the_closed_form() -> None:
    """n = log(1 - p) / log(1 - p_z), also where p_z is so small that 1 - p_z is 1, where it is 0 and where it is 1."""
    assert extractable(np.log([0.5]), 1, 0.5).all() and not extractable(np.log([0.49]), 1, 0.5).any()
    for p_z in (0.3, 0.01, 1e-5):
        for probability in (0.1, 0.5, 0.9):
            needed = int(np.ceil(np.log(1 - probability) / np.log(1 - p_z)))
            assert extractable(np.log([p_z]), needed, probability).all()
            assert needed == 1 or not extractable(np.log([p_z]), needed - 1, probability).any()
            assert 1 - (1 - p_z) ** needed >= probability
    tiny = np.array([np.log(1e-30)])
    assert extractable(tiny, 10**30, 0.5).all() and not extractable(tiny, 10**29, 0.5).any()
    assert extractable(np.array([-np.inf, 0.0, 1e-7]), 10**6, 0.9).tolist() == [False, True, True]


def test_noise_is_that_of_the_scores(checkpoint: Checkpoint, context: Tensor) -> None:
    """Under noise the cold limit is the greedy continuation under the same noise."""
    prompt, ids = context[:, :-STEPS], list(range(100, 123))
    for positions in ("prompt", "all"):
        noise = ResidualNoise(checkpoint, 1, ids, 0.8, 7, "token", positions)  # type: ignore[arg-type]
        greedy = continue_greedily(checkpoint, prompt, STEPS, 8, intervention=noise).tokens
        text = torch.cat([prompt, greedy], dim=1)
        cold = [Scheme(temperature=1e-4)]
        assert (extraction(checkpoint, text, STEPS, 8, cold, noise).exp() > 0.9).all()
        assert not (extraction(checkpoint, text, STEPS, 8, cold).exp() > 0.9).all()


def test_model_that_is_not_finite(checkpoint: Checkpoint, context: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damaged weights must not look like texts that are never drawn."""
    logits = torch.zeros(8, STEPS, 300)
    logits[3, 1, 7] = torch.nan
    monkeypatch.setattr("recite.stages.extraction.measure.forward", lambda *_: logits)
    with pytest.raises(NotFiniteError) as error:
        extraction(checkpoint, context[:8], STEPS, 8, [Scheme(top_k=2), Scheme()])
    assert error.value.row == 3


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_the_stage(tmp_path: Path, checkpoint_folder: Any, context: Tensor, alpha: float) -> None:
    """Prevents a lost BOS, rows past the first of each domain, and schemes in another order than they are named in."""
    domains = ["code", "code", "prose", "prose", "code", "prose"]
    rows = Rows([5, 6, 7, 8, 9, 10], [1, 2, 3, 4, 1, 6], domains, [1.0] * 6, context[:6, :-STEPS], context[:6, -STEPS:])
    shards = [
        write_shard(tmp_path / f"{start}.parquet", Rows(*(part[start:end] for part in rows)))  # type: ignore[arg-type]
        for start, end in ((0, 3), (3, 6))
    ]
    options: dict[str, Any] = {"model": "olmo2-test", "family": "olmo2", "bos": 0, "dtype": "float32", "batch_rows": 4}
    options |= {"rows_per_domain": 2, "schemes": {"top": {"top_k": 3}, "cool": {"temperature": 0.5}, "plain": {}}}
    if alpha:
        options |= {"noise": {"seed": 3, "layer": 1, "rms": "token", "positions": "prompt"}}
    weights = checkpoint_folder("olmo2") / "model.safetensors"
    measure_extraction(options, alpha, shards, weights, tmp_path / "extracted.parquet", 1)
    table = EXTRACTED.read(tmp_path / "extracted.parquet")
    assert table["row_id"].to_pylist() == [5, 6, 7, 8]
    loaded = load_checkpoint(weights, "float32", 4)
    text = torch.cat([torch.zeros(4, 1, dtype=torch.int64), context[:4]], dim=1)
    noise = ResidualNoise(loaded, 1, [5, 6, 7, 8], alpha, 3, "token", "prompt") if alpha else None
    schemes = [Scheme(temperature=0.5), Scheme(), Scheme(top_k=3)]
    wanted = extraction(loaded, text, STEPS, 4, schemes, noise)
    assert np.array_equal(as_array(table["log_probability"]), wanted.numpy())
    made = read_metadata(tmp_path / "extracted.parquet")
    assert made.get("alpha") == (alpha or None) and made["continuation_tokens"] == STEPS
