"""What a model gives that is not finite is refused by every stage that runs one, and by the tables."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ablated import write_drawn
from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.engine.continuation import continue_greedily
from recite.engine.finite import NotFiniteError
from recite.engine.likelihoods import log_probabilities
from recite.engine.rows import Rows
from recite.errors import ReciteError
from recite.stages.batching.measure import search
from recite.stages.compressibility.measure import shorten
from recite.stages.extraction.measure import measure_extraction
from recite.stages.frequency.tables import THRESHOLDS
from recite.stages.heads.measure.ablation import measure_heads, measure_means
from recite.stages.heads.measure.continuations import ablate_heads
from recite.stages.heads.measure.likelihoods import head_likelihoods
from recite.stages.heads.rows import HEAD_MEANS
from recite.stages.lens.measure import decode_layers
from recite.stages.neurons.measure.attribution import attributions, neuron_means
from recite.stages.neurons.measure.jobs import measure_neurons
from recite.stages.noise.measure import score_under_noise
from recite.stages.recovery.measure import measure_recovery
from recite.stages.scoring.measure import score
from recite.stages.scoring.rows import SCORES
from recite.tables import CATEGORY, Column, Table
from samples import write_shard

STEPS, ROWS, BAD = 9, 6, 3
"""Tokens of a continuation, rows, and the first row that a damaged embedding spoils."""
IDS = [101, 102, 103, 104, 105, 106]


class Job:
    """The stages on one shard of a sample, each given a checkpoint and a precision; all write `out`."""

    def __init__(self, folder: Path, rows: Rows) -> None:
        self.folder, self.out, self.rows = folder, folder / "out.parquet", rows
        self.shards = [write_shard(folder / "code-0000.parquet", rows)]
        columns = {"row_id": rows.ids, "sequence_id": rows.sequences, "domain": rows.domains}
        columns |= {"inclusion_probability": rows.probabilities}
        columns |= {"hits": [STEPS] * ROWS, "first_mismatch": [STEPS] * ROWS, "margin": [1.0] * ROWS}
        self.drawn = write_drawn(folder / "drawn.parquet", [(row, "code", "all") for row in rows.ids])
        made = {"continuation_tokens": STEPS, "parameters": 1, "weights_sha256": "", "device": "", "dtype": ""}
        SCORES.write(folder / "scores.parquet", columns | {"generated": rows.continuation.tolist()}, made)

    def run(self, stage: str, weights: Path, dtype: str) -> None:
        noise = {"seed": 1, "layer": 0, "rms": "token", "positions": "prompt"}
        options: dict[str, Any] = {"model": "m", "family": "f", "bos": None, "dtype": dtype, "batch_rows": 4}
        options |= {"noise": noise, "layers": [0, None], "replacement": "mean_of_others", "round": 0}
        options |= {"layer_stride": 1}
        options |= {"rows_per_domain": ROWS, "schemes": {"plain": {}}}
        options |= {"classes": {"memorized": ROWS}, "memorized": 1.0, "half": 0.5, "unmemorized": 0.0, "seed": 1}
        options |= {"points": 2, "ladder": [3]}
        options |= {"kinds": {"code": "structural"}, "context_tokens": 8, "continuation_tokens": STEPS}
        shards, drawn, out = self.shards, self.drawn, self.out
        scores = self.folder / "scores.parquet"
        calls: dict[str, Callable[[], None]] = {
            "scoring": lambda: score(options, shards, weights, None, out, 1),
            "noise": lambda: score_under_noise(options, 0.1, shards, weights, None, out, 1),
            "compressibility": lambda: shorten(options, scores, shards, weights, out, 1),
            "recovery": lambda: measure_recovery(options, 0.1, shards, weights, out, 1),
            "lens": lambda: decode_layers(options, scores, shards, weights, out, self.folder / "positions.parquet", 1),
            "ablation": lambda: measure_heads(options, shards, [drawn], weights, None, None, out, 1),
            "ablation_means": lambda: measure_means(options, shards, [drawn], weights, out, 1),
            "extraction": lambda: measure_extraction(options, 0.1, shards, weights, out, 1),
            "neurons": lambda: measure_neurons(
                options, [scores], shards, weights, out, self.folder / "class.parquet", 1
            ),
            "batching": lambda: search(options, weights, 2**31, out, 1),
        }
        calls[stage]()


TEXT = torch.randint(0, 300, (ROWS, 2 * STEPS), generator=torch.Generator().manual_seed(3))
STAGES = ("scoring", "noise", "extraction", "compressibility", "recovery", "lens", "ablation")
STAGES += ("ablation_means", "neurons")


@pytest.fixture(scope="module")
def unspoken(checkpoint_folder: Callable[[str], Path]) -> int:
    """A token that no row holds and that no row before BAD is continued by."""
    model = load_checkpoint(checkpoint_folder("openllama"), "float32", 4)
    said = torch.cat([TEXT, continue_greedily(model, TEXT[:, :STEPS], STEPS, 4).tokens], dim=1)
    return int(np.setdiff1d(np.arange(300), said.numpy())[0])


@pytest.fixture
def job(tmp_path: Path, unspoken: int) -> Job:
    """Rows of which those from BAD on hold that token."""
    text = TEXT.clone()
    text[BAD:, 2] = unspoken
    return Job(tmp_path, Rows(IDS, list(range(ROWS)), ["code"] * ROWS, [1.0] * ROWS, text[:, :STEPS], text[:, STEPS:]))


@pytest.fixture
def damaged(tmp_path: Path, checkpoint_folder: Callable[[str], Path]) -> Callable[[dict[str, Any]], Path]:
    """A checkpoint in which some tensors are changed: name -> function of the tensor."""

    def make(changes: dict[str, Callable[[Tensor], object]]) -> Path:
        folder = tmp_path / "damaged"
        folder.mkdir()
        source = checkpoint_folder("openllama")
        (folder / "config.json").write_bytes((source / "config.json").read_bytes())
        tensors = load_file(source / "model.safetensors")
        for name, change in changes.items():
            change(tensors[name])
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        return folder

    return make


@pytest.mark.parametrize("stage", STAGES)
def test_one_bad_token_is_named_by_its_first_row(job: Job, damaged: Any, unspoken: int, stage: str) -> None:
    """A score of zero that is no score: the rows before are whole, the first that is not is named."""
    folder = damaged({"model.embed_tokens.weight": lambda weight: weight[unspoken].fill_(torch.nan)})
    with pytest.raises(ReciteError, match=rf"^model m, row {IDS[BAD]}: .* not finite, in float32; set another `dtype`"):
        job.run(stage, folder, "float32")
    assert not job.out.exists()


WITHIN = "model.layers.1.mlp.down_proj.weight"


@pytest.mark.parametrize("stage", [*STAGES, "batching"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_one_bad_weight(job: Job, damaged: Any, stage: str, value: float) -> None:
    """One number of a layer spoils every row."""
    with pytest.raises(ReciteError, match=r"^model m, row (101|0): "):
        job.run(stage, damaged({WITHIN: lambda weight: weight[5, 7].fill_(value)}), "float32")
    assert not job.out.exists()


@pytest.mark.parametrize("stage", STAGES)
def test_a_precision_that_overflows(job: Job, damaged: Any, stage: str) -> None:
    """The sentence's advice is right: what float16 cannot hold, float32 can."""
    folder = damaged({WITHIN: lambda weight: weight.mul_(3e6)})
    with pytest.raises(
        ReciteError, match=r"^model m, row 101: .* not finite, in float16; set another `dtype` \(float16"
    ):
        job.run(stage, folder, "float16")
    assert not job.out.exists()
    job.run(stage, folder, "float32")
    assert job.out.exists()


@pytest.mark.parametrize("stage", ["scoring", "lens", "ablation"])
@pytest.mark.parametrize("name", ["lm_head.weight", "model.norm.weight"])
def test_what_only_the_logits_show(job: Job, damaged: Any, stage: str, name: str) -> None:
    """Residual streams are whole where the unembedding, or one token of it, is not."""
    with pytest.raises(ReciteError, match=r"^model m, row 101: "):
        job.run(stage, damaged({name: lambda weight: weight[17].fill_(torch.nan)}), "float32")


def test_rows_of_the_library_are_counted_from_0(damaged: Any, job: Job, unspoken: int) -> None:
    """Who calls the engine has no ids, and each way of asking must count the same rows."""
    folder = damaged({"model.embed_tokens.weight": lambda weight: weight[unspoken].fill_(torch.nan)})
    model, rows = load_checkpoint(folder, "float32", 2), job.rows
    text = torch.cat([rows.context, rows.continuation], dim=1)
    means = neuron_means(model, text[:BAD], STEPS, 16)
    for call in (
        lambda: continue_greedily(model, rows.context, STEPS, 2),
        lambda: continue_greedily(model, rows.context, STEPS, 2, draft=rows.continuation, to_the_end=False),
        lambda: continue_greedily(model, rows.context, STEPS, 2, block_batches=4),
        lambda: head_likelihoods(model, text, STEPS, 2, range(3)),
        lambda: list(attributions(model, text, STEPS, 16, means, points=2)),
    ):
        with pytest.raises(NotFiniteError, match=rf"^row {BAD}, from 0: ") as refused:
            call()
        assert refused.value.row == BAD


def test_rows_under_ablation(damaged: Any, job: Job, unspoken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs of rows and heads are not rows: what only an ablated head shows is named by the row, in any batch."""
    folder = damaged({"model.embed_tokens.weight": lambda weight: weight[unspoken].fill_(torch.nan)})
    model, rows = load_checkpoint(folder, "float32", 2), job.rows
    text = torch.cat([rows.context, rows.continuation], dim=1)
    sound = torch.where(text == unspoken, unspoken + 1, text)
    context, clean = sound[:, :STEPS], sound[:, STEPS:]
    donors: dict[str, Any] = {"by": "resample", "donors": text}
    with pytest.raises(NotFiniteError, match=rf"^row {BAD}, from 0: logits"):
        list(ablate_heads(model, context, clean, 2, **donors))
    with pytest.raises(NotFiniteError, match=rf"^row {BAD}, from 0: likelihoods"):
        head_likelihoods(model, sound, STEPS, 2, range(3), **donors)
    passes: list[int] = []

    def refusing(checkpoint: Checkpoint, text: Tensor, steps: int) -> Tensor:
        places = (text == sound[BAD]).all(dim=1).nonzero().flatten().tolist()
        passes.extend(places[:1])
        if len(passes) > 1:  # the first is that of the whole model
            raise NotFiniteError("likelihoods", "float32", places[0])
        return log_probabilities(checkpoint, text, steps)

    monkeypatch.setattr("recite.stages.heads.measure.likelihoods.log_probabilities", refusing)
    with pytest.raises(NotFiniteError, match=rf"^row {BAD}, from 0: likelihoods"):
        head_likelihoods(model, sound, STEPS, 2, range(3))


def test_gradients(job: Job, damaged: Any) -> None:
    """What is finite on the way forward need not be on the way back, where large weights meet large slopes."""
    changes = {f"model.layers.{layer}.self_attn.v_proj.weight": lambda weight: weight.mul_(1e-4) for layer in range(3)}
    changes |= {f"model.layers.{layer}.self_attn.o_proj.weight": lambda weight: weight.mul_(1e4) for layer in range(3)}
    folder = damaged(changes | {"lm_head.weight": lambda weight: weight.mul_(1e3)})
    text = torch.cat([job.rows.context, job.rows.continuation], dim=1)
    model = load_checkpoint(folder, "float32", 4)
    means = neuron_means(model, text, STEPS, 16)
    list(attributions(model, text, STEPS, 16, means, points=2))
    model = load_checkpoint(folder, "float16", 4)
    head_likelihoods(model, text, STEPS, 4, range(3))
    with pytest.raises(NotFiniteError, match=r"^row 0, from 0: gradients that are not finite, in float16"):
        list(attributions(model, text, STEPS, 16, means, points=2))


NUMBERS = Table(
    "numbers",
    (
        Column("name", CATEGORY, "", "name"),
        Column("sure", pa.float32(), "", "a number"),
        Column("some", pa.list_(pa.float64()), "", "numbers"),
        Column("open", pa.float64(), "", "a number; NaN where there is none", finite=False),
    ),
)
FINE: dict[str, Any] = {"name": ["a", "b"], "sure": [1.0, 2.0], "some": [[1.0], []], "open": [np.nan, np.inf]}


def test_tables_may_hold_what_they_say(tmp_path: Path) -> None:
    NUMBERS.write(tmp_path / "n.parquet", FINE, {})
    assert np.isnan(NUMBERS.read(tmp_path / "n.parquet")["open"][0].as_py())
    NUMBERS.write(tmp_path / "none.parquet", {name: values[:0] for name, values in FINE.items()}, {})
    assert len(NUMBERS.read(tmp_path / "none.parquet")) == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["sure", "some"])
def test_tables_refuse_what_is_not_finite(tmp_path: Path, name: str, value: float) -> None:
    """As it is written, row by row or in batches, and as it is read of a file that somebody else wrote."""
    path, data = tmp_path / "n.parquet", FINE | {name: [[0.0, value], [1.0]] if name == "some" else [0.0, value]}
    table = pa.table(data).cast(NUMBERS.schema)
    words = rf"n\.parquet: column {name} of table numbers holds a number that is not finite"
    with pytest.raises(ReciteError, match=words):
        NUMBERS.write(path, data, {})
    with pytest.raises(ReciteError, match=words):
        NUMBERS.write_batches(path, [table], {})
    assert not path.exists()
    pq.write_table(table, path)
    with pytest.raises(ReciteError, match=words):
        NUMBERS.read(path)
    assert len(NUMBERS.read(path, ["name"])) == 2


def test_only_numbers_that_can_be_undefined_may_be() -> None:
    """A margin, a likelihood and a mean output are always numbers; a threshold may not be reached."""
    assert all(column.finite for column in (*SCORES.columns, *HEAD_MEANS.columns))
    assert [column.name for column in THRESHOLDS.columns if not column.finite][:1] == ["threshold"]
