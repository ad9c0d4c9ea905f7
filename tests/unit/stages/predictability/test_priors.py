"""Contexts are unrelated and the same whatever the files; likelihoods are those of transformers; truths are planted."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from peers import logits_of
from recite.checkpoints.loading import Checkpoint
from recite.corpora.tables.samples import SAMPLES
from recite.engine import scores
from recite.engine.scores import forced
from recite.errors import ReciteError
from recite.files import hash64
from recite.outcomes.draws import DRAWS, read_draws
from recite.stages.predictability import measure
from recite.stages.predictability.measure import measure_priors
from recite.stages.predictability.priors import unrelated
from recite.stages.predictability.rows import PRIORS
from recite.stages.predictability.summarize import aggregate_predictability
from recite.stages.predictability.tables import PREDICTABILITY, PRIOR_GAINS, TAXONOMY
from recite.stages.scoring.rows import SCORES

ROWS, LENGTH, STEPS, CONTEXTS = 24, 6, 5, 3
VOCABULARY, SAID = 50, 7


def test_likelihoods_are_those_of_transformers(
    checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor
) -> None:
    """Prevents a shift by one token, and a sum that is not over the continuation; all six classes."""
    logits = logits_of(reference, context[:, :-1])[:, -STEPS:].float()
    first = logits.argmax(-1)  # the greedy token of some, so that some tokens lead
    text = context.clone()
    text[::2, -STEPS] = first[::2, 0]
    logits = logits_of(reference, text[:, :-1])[:, -STEPS:].float()
    true = text[:, -STEPS:]
    expected = logits.log_softmax(-1).gather(-1, true[..., None]).squeeze(-1).sum(-1)
    found = forced(checkpoint, text, STEPS, 8)
    torch.testing.assert_close(found.log_probability, expected, atol=1e-4, rtol=0)
    top = logits.topk(2, dim=-1).values
    sure = (top[..., 0] - top[..., 1] > 1e-4).all(-1)
    assert sure.float().mean() > 0.7
    assert torch.equal(found.hits[sure], (logits.argmax(-1) == true).sum(-1)[sure]) and found.hits.max() > 0
    order = torch.randperm(len(text), generator=torch.Generator().manual_seed(1))
    for one, other in zip(forced(checkpoint, text[order], STEPS, 8), found, strict=True):
        assert torch.equal(one, other[order])


def domain(seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids, documents and contexts of a domain's rows: some contexts and some documents are there several times."""
    source = np.random.default_rng(seed)
    context = source.integers(0, 3, (ROWS, 3))
    return source.permutation(10**6)[:ROWS].astype(np.uint64), source.integers(0, ROWS // 2, ROWS), context


def test_contexts_are_of_other_texts_and_documents() -> None:
    """Prevents a row's own context, or a copy of it, from explaining what it recites; and one counted twice."""
    ids, documents, context = domain()
    found = unrelated(ids, documents, context, np.arange(ROWS), CONTEXTS, 1)
    assert found.shape == (ROWS, CONTEXTS)
    for row, places in enumerate(found):
        assert len({tuple(context[place]) for place in [row, *places]}) == 1 + CONTEXTS
        assert documents[row] not in documents[places]
    assert not np.array_equal(found, unrelated(ids, documents, context, np.arange(ROWS), CONTEXTS, 2))


def test_contexts_do_not_hang_on_order_or_on_other_rows() -> None:
    """The k-th begins where hash64(seed, row, k) says, by hand for one row."""
    ids, documents, context = domain()
    found = unrelated(ids, documents, context, np.arange(ROWS), CONTEXTS, 1)
    order = np.random.default_rng(3).permutation(ROWS)
    others = unrelated(ids[order], documents[order], context[order], np.arange(ROWS), CONTEXTS, 1)
    assert np.array_equal(context[order][others], context[found[order]])
    assert np.array_equal(unrelated(ids, documents, context, np.array([5]), CONTEXTS, 1), found[5:6])
    circle: list[int] = []
    for row in np.argsort(ids):
        if not any(np.array_equal(context[row], context[place]) for place in circle):
            circle.append(int(row))
    start = hash64(1, "unrelated context", ids[5], 0) % len(circle)
    fits = [p for p in circle if documents[p] != documents[5] and not np.array_equal(context[p], context[5])]
    assert found[5, 0] == next(place for place in [*circle[start:], *circle[:start]] if place in fits)


def test_too_few_contexts_are_refused() -> None:
    ids, documents = np.arange(4, dtype=np.uint64), np.array([1, 1, 2, 3])
    context = np.array([[1], [2], [1], [3]])
    assert unrelated(ids, documents, context, np.array([0]), 1, 1).tolist() == [[3]]
    with pytest.raises(ReciteError, match=r"row 0 has only 1 contexts of other documents .* asks for 2; ask for fewer"):
        unrelated(ids, documents, context, np.array([0]), 2, 1)


class Toy:
    """A model that says one token after everything, but goes on as they do in texts that it knows by heart."""

    def __init__(self, known: dict[tuple[int, ...], list[int]]) -> None:
        self.known, self.model, self.device = known, SimpleNamespace(device="cpu", config=None), "cpu"
        self.parameters, self.weights_sha256, self.dtype = 1000, "ab", "float32"

    def forward(self, _: Any, tokens: Tensor, cache: Any, keep: int) -> Tensor:
        said = torch.full((len(tokens), keep), SAID)
        for row, line in enumerate(tokens.tolist()):
            if tuple(line) in self.known:
                said[row] = torch.tensor(self.known[tuple(line)])
        return 9.0 * torch.nn.functional.one_hot(said, VOCABULARY)


OPTIONS = {
    "model": "a-s",
    "family": "a",
    "dtype": "float32",
    "bos": None,
    "batch_rows": 8,
    "domains": ["code", "held"],
    "classes": {"memorized": 99, "unmemorized": 3},
    "contexts": CONTEXTS,
    "seed": 1,
    "memorized": 1.0,
    "half": 0.5,
    "unmemorized": 0.0,
}
SUMMARY = OPTIONS | {
    "corpora": {"a-s": "c"},
    "kinds": {"c": {"code": "structural", "held": "held_out"}},
    "estimand": "texts",
    "confidence": 0.95,
    "resamples": 200,
    "margin_tolerance": {"float32": 0.1},
}


class Study:
    """Sample shards and scores of a toy's rows, of which it knows 0 to 5 by heart and finds 6 to 9 predictable.

    Of the held-out rows, 16 to 23, number 16 is predictable.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        source = np.random.default_rng(5)
        self.context = source.integers(8, VOCABULARY, (ROWS, LENGTH))
        self.continuation = source.integers(8, VOCABULARY, (ROWS, STEPS))
        self.continuation[[6, 7, 8, 9, 16]] = SAID
        self.ids = source.permutation(10**6)[:ROWS]
        self.domains = np.array(["code"] * 16 + ["held"] * 8)
        self.hits = np.where(np.isin(np.arange(ROWS), [*range(10), 16]), STEPS, 0)
        fed = np.concatenate([self.context, self.continuation[:, :-1]], axis=1)
        known = {tuple(fed[row].tolist()): self.continuation[row].tolist() for row in range(6)}
        toy = Toy(known)
        monkeypatch.setattr(measure, "load_checkpoint", lambda *_: toy)
        monkeypatch.setattr(scores, "check_length", lambda *_: None)
        monkeypatch.setattr(scores, "forward", toy.forward)
        monkeypatch.setattr(scores, "whole_rows", lambda _, rows, __: rows)

    def same(self, rows: np.ndarray) -> dict[str, Any]:
        found = {"row_id": self.ids[rows], "sequence_id": rows, "domain": self.domains[rows].tolist()}
        return found | {"inclusion_probability": [0.5] * len(rows)}

    def shard(self, name: str, rows: np.ndarray) -> Path:
        path, nothing = self.folder / f"{name}.parquet", [0] * len(rows)
        columns = {"document_id": [str(row) for row in rows], "source_file": ["f"] * len(rows), "source_row": nothing}
        columns |= {"window_start": nothing, "text": [b"words"] * len(rows), "context_bytes": [2] * len(rows)}
        columns |= {"context": self.context[rows].tolist(), "continuation": self.continuation[rows].tolist()}
        SAMPLES.write(path, self.same(rows) | columns, {})
        return path

    def scores(self, name: str, rows: np.ndarray) -> Path:
        path, hits = self.folder / f"{name}.parquet", self.hits[rows]
        made = {"generated": self.continuation[rows].tolist(), "hits": hits, "first_mismatch": hits}
        about = {"options": OPTIONS, "continuation_tokens": STEPS, "parameters": 1000, "weights_sha256": "ab"}
        SCORES.write(path, self.same(rows) | made | {"margin": [1.0] * len(rows)}, about | {"dtype": "float32"})
        return path

    def measured(self, name: str, shards: list[np.ndarray], scored: list[np.ndarray]) -> Path:
        files = [self.shard(f"{name}-shard-{place}", rows) for place, rows in enumerate(shards)]
        scores = [self.scores(f"{name}-scores-{place}", rows) for place, rows in enumerate(scored)]
        measure_priors(OPTIONS, scores, files, Path("none"), self.folder / f"{name}.parquet", 1)
        return self.folder / f"{name}.parquet"


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    return Study(tmp_path, monkeypatch)


def test_truths_of_a_toy(study: Study) -> None:
    """What the toy knows by heart keeps its rate, and what it says anyway is taken off, of held-out rows too."""
    every = np.arange(ROWS)
    priors = study.measured("whole", [every[:16], every[16:]], [every])
    table = PRIORS.read(priors).to_pandas().set_index("row_id")
    assert table["prior_recited"].to_dict() == {
        row_id: CONTEXTS if row in (6, 7, 8, 9, 16) else 0
        for row, row_id in enumerate(study.ids.tolist())
        if row_id in table.index
    }
    assert len(table) == 10 + 3 + 1 + 3
    normal = np.log(np.exp(9) + VOCABULARY - 1)
    by_heart, said = table.loc[study.ids[2]], table.loc[study.ids[6]]
    assert by_heart["log_probability"] == pytest.approx(STEPS * (9 - normal), rel=1e-4)
    assert by_heart["prior_log_probability"] == pytest.approx(-STEPS * normal, rel=1e-4)
    assert said["prior_log_probability"] == pytest.approx(STEPS * (9 - normal), rel=1e-4)
    assert said["template"] == "" and by_heart["prior_hits"] == 0 and said["prior_hits"] == STEPS
    outputs = {table.name: study.folder / f"{table.name}.parquet" for table in TABLES}
    aggregate_predictability(SUMMARY, [study.folder / "whole-scores-0.parquet"], [priors], [], [], None, outputs)
    rates = PREDICTABILITY.read(outputs["predictability"]).to_pandas().set_index("domain")
    natural = rates.loc["natural"]
    assert (natural["n"], natural["memorized"], natural["rate"]) == (16, 10, 10 / 16)
    assert natural["explained"] == pytest.approx(0.4) and natural["corrected"] == pytest.approx(6 / 16)
    assert 0 < natural["corrected_low"] < 6 / 16 < natural["corrected_high"] < 0.7
    unseen = rates.loc["unseen"]
    assert (unseen["n"], unseen["rate"], unseen["corrected"], unseen["explained"]) == (8, 1 / 8, 0, 1)
    assert unseen["corrected_high"] > 0
    gains = PRIOR_GAINS.read(outputs["prior_gains"]).to_pandas().set_index(["rows", "group"])
    assert set(gains.index) == {
        (rows, group) for rows in ("natural", "unseen") for group in ("memorized", "unmemorized")
    }
    assert gains.loc[("natural", "memorized"), "gain"] == pytest.approx(0.6 * 9, rel=1e-4)
    assert gains.loc[("natural", "memorized"), "recited"] == pytest.approx(0.4)
    assert gains.loc[("natural", "unmemorized"), ["gain", "drawn", "n"]].tolist() == pytest.approx([0, 3, 6])
    assert len(TAXONOMY.read(outputs["taxonomy"])) == 0  # nothing was counted
    (draw,) = read_draws([outputs["draws"]])["not_predictable"]
    assert draw.values[0, 0] == pytest.approx(0.6)


TABLES = (PREDICTABILITY, PRIOR_GAINS, TAXONOMY, DRAWS)


def test_shards_change_nothing(study: Study) -> None:
    """A row's draw and its contexts are of the domain, however its rows lie in files."""
    every = np.arange(ROWS)
    whole = PRIORS.read(study.measured("one", [every[:16], every[16:]], [every])).sort_by("row_id")
    mixed = np.random.default_rng(1).permutation(16)
    parts = [every[16:], mixed[:5], mixed[5:]]
    other = study.measured("other", parts, [mixed[:3], np.concatenate([every[16:], mixed[3:]])])
    assert PRIORS.read(other).sort_by("row_id").to_pylist() == whole.to_pylist()


def test_scores_of_other_rows_are_refused(study: Study) -> None:
    every = np.arange(ROWS)
    with pytest.raises(ReciteError, match="scores other rows of code than its samples hold"):
        study.measured("less", [every[:16], every[16:]], [every[1:]])
