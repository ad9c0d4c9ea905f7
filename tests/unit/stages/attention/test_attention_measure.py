"""What rows attend to, and lose where that is cut, against the unmodified models of all six architectures."""

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from recite.checkpoints.loading import Checkpoint
from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tables.training import CONTROLS
from recite.engine import residuals
from recite.errors import ReciteError
from recite.stages.attention import measure
from recite.stages.attention.measure import attend_to, masses, measure_attention, read_texts
from recite.stages.attention.places import ITSELF, members_of, spans_of
from recite.stages.attention.rows import ATTENDED
from recite.stages.scoring.rows import SCORES
from recite.tables import read_metadata
from recite.tables.lists import as_array

CONTEXT, STEPS, ROWS, SEGMENTS = 12, 6, 7, 3


def text_of(bos: bool) -> Tensor:
    """Rows of random tokens, behind token 1 if there is a BOS."""
    tokens = torch.randint(2, 300, (ROWS, CONTEXT + STEPS), generator=torch.Generator().manual_seed(4))
    return torch.cat([torch.ones(ROWS, bos, dtype=torch.int64), tokens], dim=1)


def mask_of(keys: range, length: int, prompt: int) -> Tensor:
    """What a query may see where the positions that predict are cut from some keys: (1, 1, length, length)."""
    query, key = torch.arange(length)[:, None], torch.arange(length)
    hidden = (key > query) | ((query >= prompt - 1) & (key >= keys.start) & (key < keys.stop) & (key != query))
    return torch.zeros(length, length).masked_fill(hidden, torch.finfo(torch.float32).min)[None, None]


def eager(model: PreTrainedModel, tokens: Tensor, **more: Any) -> Any:
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        with torch.inference_mode():
            return model(input_ids=tokens, use_cache=False, **more)
    finally:
        model.set_attn_implementation(before)


@pytest.mark.parametrize("bos", [True, False])
def test_masses_are_sums_of_the_unmodified_weights(
    checkpoint: Checkpoint, reference: PreTrainedModel, bos: bool
) -> None:
    """Summed weight by weight, over the positions that predict the continuation, from the context's last on."""
    text, prompt = text_of(bos), bos + CONTEXT
    spans = spans_of(CONTEXT, STEPS, SEGMENTS, bos)
    _, found = masses(checkpoint, text, STEPS, 4, members_of(spans, prompt, STEPS))
    weights = torch.stack(eager(reference, text[:, :-1], output_attentions=True).attentions, dim=1)
    expected = torch.zeros(ROWS, len(checkpoint.layers), checkpoint.heads, len(spans) + 1)
    for query in range(prompt - 1, prompt + STEPS - 1):
        for key in range(query):
            (place,) = (place for place, keys in enumerate(spans.values()) if key in keys)
            expected[..., place] += weights[..., query, key] / STEPS
        expected[..., -1] += weights[..., query, query] / STEPS
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(found.sum(-1), torch.ones(found.shape[:-1]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("bos", [True, False])
def test_cuts_are_masks_of_the_unmodified_model(checkpoint: Checkpoint, reference: PreTrainedModel, bos: bool) -> None:
    """Log-probability of the true continuation, and hits of the greedy one made anew at every token."""
    text, prompt = text_of(bos), bos + CONTEXT
    spans = spans_of(CONTEXT, STEPS, SEGMENTS, bos)
    with torch.inference_mode():
        greedy = reference.generate(text[:, :prompt], max_new_tokens=STEPS, do_sample=False, eos_token_id=None)
    text[:4] = greedy[:4]  # rows that are recited, whose hits can be lost
    found = attend_to(checkpoint, text, STEPS, 4, spans)

    def likelihood(mask: Tensor | None) -> Tensor:
        logits = eager(reference, text[:, :-1], attention_mask=mask).logits[:, -STEPS:]
        return logits.log_softmax(-1).gather(-1, text[:, -STEPS:, None]).squeeze(-1).sum(1)

    def hits(keys: range) -> Tensor:
        made = text[:, :prompt]
        for _ in range(STEPS):
            logits = eager(reference, made, attention_mask=mask_of(keys, made.shape[1], prompt)).logits[:, -1]
            made = torch.cat([made, logits.argmax(-1, keepdim=True)], dim=1)
        return (made[:, prompt:] == text[:, prompt:]).sum(1)

    torch.testing.assert_close(found.clean_log_probability, likelihood(None), atol=1e-4, rtol=0)
    assert (found.clean_hits[:4] == STEPS).all()
    for place, keys in enumerate(spans.values()):
        mask = mask_of(keys, text.shape[1] - 1, prompt)
        torch.testing.assert_close(found.log_probability[:, place], likelihood(mask), atol=1e-4, rtol=0)
        assert found.hits[:, place].tolist() == hits(keys).tolist()
    lost = found.clean_log_probability[:, None] - found.log_probability
    assert (lost.abs() > 1e-4).all(dim=1).any() and lost.std(dim=1).min() > 0


def test_rows_do_not_hang_on_their_batch(checkpoint: Checkpoint) -> None:
    """In another order the same bits, in other batches the same numbers but for rounding."""
    text, spans = text_of(True), spans_of(CONTEXT, STEPS, SEGMENTS, True)
    order = torch.tensor([5, 0, 3, 6, 2, 1, 4])
    whole, other, small = (
        attend_to(checkpoint, rows, STEPS, size, spans) for rows, size in ((text, 4), (text[order], 4), (text, 2))
    )
    for name in whole._fields:
        assert torch.equal(getattr(whole, name)[order], getattr(other, name))
        torch.testing.assert_close(getattr(whole, name), getattr(small, name), atol=2e-5, rtol=1e-5)


def test_no_weights_are_kept(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of all layers of a large model would not fit into memory."""
    alive: list[Any] = []
    most, watching = [0], residuals.watching

    def counting(see: Any) -> Any:
        def watch(module: Any, weights: Tensor) -> None:
            alive.append(weakref.ref(weights))
            most[0] = max(most[0], sum(known() is not None for known in alive))
            see(module, weights)

        return watching(watch)

    monkeypatch.setattr(residuals, "watching", counting)
    spans = spans_of(CONTEXT, STEPS, SEGMENTS, False)
    masses(checkpoint, text_of(False), STEPS, 4, members_of(spans, CONTEXT, STEPS))
    assert len(alive) == 2 * len(checkpoint.layers) and most == [1]


def test_a_cut_of_nothing_costs_nothing(checkpoint: Checkpoint) -> None:
    """Prevents other kernels, or passes of other shapes, from being taken for what a place is worth."""
    found = attend_to(checkpoint, text_of(False), STEPS, 4, {"nowhere": range(0), "ahead": range(90, 99)})
    for clean, cut in ((found.clean_log_probability, found.log_probability), (found.clean_hits, found.hits)):
        assert torch.equal(clean[:, None].expand(-1, 2), cut)


def test_nothing_drawn(checkpoint: Checkpoint) -> None:
    """A domain that recites nothing, where only memorized rows are asked for."""
    spans = spans_of(CONTEXT, STEPS, SEGMENTS, False)
    found = attend_to(checkpoint, text_of(False)[:0], STEPS, 4, spans)
    assert found.mass.shape == (0, len(checkpoint.layers), checkpoint.heads, len(spans) + 1)
    assert found.hits.shape == found.log_probability.shape == (0, len(spans))


OPTIONS: dict[str, Any] = {
    "model": "a-s",
    "family": "a",
    "dtype": "float32",
    "bos": None,
    "batch_rows": 4,
    "domains": {"code": "structural", "held": "held_out", "control": "planted"},
    "classes": {"memorized": 3, "unmemorized": 2, "unseen": 2},
    "segments": SEGMENTS,
    "seed": 1,
    "memorized": 1.0,
    "half": 0.5,
    "unmemorized": 0.0,
}


class Study:
    """Files of 8 rows of each domain; two of code have one text, four are recited; of control, two have no copy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        source = np.random.default_rng(3)
        self.ids = source.permutation(10**6)[:24]
        self.sequences = np.arange(24)
        self.tokens = source.integers(2, 300, (24, CONTEXT + STEPS))
        self.tokens[1], self.sequences[1] = self.tokens[0], 0
        self.domains = np.repeat(["code", "held", "control"], 8)
        self.hits = np.where(np.arange(24) < 4, STEPS, 0)
        self.controls = folder / "controls.parquet"
        names = [f"text/{row}" for row in range(16, 24)]
        CONTROLS.write(self.controls, {"document_id": names, "repetitions": [0, 0, 1, 1, 2, 4, 8, 16]}, {})

    def named(self, rows: np.ndarray) -> dict[str, Any]:
        found = {"row_id": self.ids[rows], "sequence_id": self.sequences[rows], "domain": self.domains[rows].tolist()}
        return found | {"inclusion_probability": [0.5] * len(rows)}

    def shards(self) -> list[Path]:
        paths = []
        for start in range(0, 24, 8):
            rows, nothing = np.arange(start, start + 8), [0] * 8
            columns = {"document_id": [f"text/{row}" for row in rows], "source_file": ["f"] * 8, "source_row": nothing}
            columns |= {"window_start": nothing, "text": [b"words"] * 8, "context_bytes": nothing}
            columns |= {"context": self.tokens[rows, :CONTEXT].tolist()}
            columns |= {"continuation": self.tokens[rows, CONTEXT:].tolist()}
            paths.append(self.folder / f"{self.domains[start]}-0000.parquet")
            SAMPLES.write(paths[-1], self.named(rows) | columns, {})
        return paths

    def scores(self) -> list[Path]:
        rows = np.arange(24)
        made = {"generated": self.tokens[:, CONTEXT:].tolist(), "hits": self.hits, "first_mismatch": self.hits}
        about = {"options": OPTIONS, "continuation_tokens": STEPS, "parameters": 1000, "weights_sha256": "ab"}
        path = self.folder / "scores.parquet"
        SCORES.write(path, self.named(rows) | made | {"margin": [1.0] * 24}, about | {"dtype": "float32"})
        return [path]


def test_rows_of_a_job(tmp_path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every class of every domain, unseen ones whatever their score; a line a row, whose numbers are its own."""
    study = Study(tmp_path)
    monkeypatch.setattr(measure, "load_checkpoint", lambda *_: checkpoint)
    shards, path = study.shards(), tmp_path / "attended.parquet"
    measure_attention(OPTIONS, study.scores(), shards, shards[2:], study.controls, Path("none"), path, 1)
    table, made = ATTENDED.read(path).to_pandas(), read_metadata(path)
    sizes = table.groupby(["domain", "group"], observed=True).size()
    assert sizes.to_dict() == {
        ("code", "memorized"): 3,
        ("code", "unmemorized"): 2,
        ("held", "unmemorized"): 2,
        ("held", "unseen"): 2,
        ("control", "unmemorized"): 2,
        ("control", "unseen"): 2,
    }
    assert set(table[(table["domain"] == "control") & (table["group"] == "unseen")]["row_id"]) == set(study.ids[16:18])
    assert made["places"] == [*spans_of(CONTEXT, STEPS, SEGMENTS, False), ITSELF]
    assert sum(made["even"]) == pytest.approx(1)
    place = {row_id: row for row, row_id in enumerate(study.ids.tolist())}
    text = torch.from_numpy(study.tokens[[place[row_id] for row_id in table["row_id"]]])
    expected = attend_to(checkpoint, text, STEPS, 4, spans_of(CONTEXT, STEPS, SEGMENTS, False))
    whole = ATTENDED.read(path)
    np.testing.assert_allclose(as_array(whole["mass"]), expected.mass.flatten(1), atol=1e-6)
    np.testing.assert_allclose(as_array(whole["log_probability"]), expected.log_probability, atol=2e-5)
    assert (as_array(whole["hits"]) == expected.hits.numpy()).all()
    np.testing.assert_allclose(table["clean_log_probability"], expected.clean_log_probability, atol=2e-5)


def test_a_copied_text_is_no_unseen_one(tmp_path: Path) -> None:
    """Without the copies of planted rows none of them is taken for one that was never trained on."""
    study = Study(tmp_path)
    columns, context, continuation = read_texts(OPTIONS, study.scores(), study.shards(), {})
    found = {domain for domain, group in zip(columns["domain"], columns["group"], strict=True) if group == "unseen"}
    assert found == {"held"} and len(context) == len(continuation) == len(columns["row_id"])
    study.ids[3] += 1
    study.scores()
    study.ids[3] -= 1
    with pytest.raises(ReciteError, match="scores other rows of code"):
        read_texts(OPTIONS, [tmp_path / "scores.parquet"], study.shards(), {})
