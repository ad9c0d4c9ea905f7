"""Erasing as a job: neurons that carry recall by construction come out best; halves share no text; what is asked."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import PreTrainedModel

from ablated import Rows as AblatedRows
from ablated import write_ablated
from recite.checkpoints.loading import load_checkpoint
from recite.engine.continuation import continue_greedily
from recite.engine.rows import Rows
from recite.planning.costs import Machine
from recite.planning.planner import Planner
from recite.stages.erasing.measure.drawing import ranks, read_both
from recite.stages.erasing.measure.erasing import RANKING, erase, parts_of
from recite.stages.erasing.measure.ranking import heads_by_loss, sublayers_by_loss
from recite.stages.erasing.rows import DAMAGED, RECALLED
from recite.stages.erasing.summarize import aggregate_erasing
from recite.stages.erasing.tables import ERASED, ERASING
from recite.stages.heads.draw import draw_rows
from recite.stages.heads.measure.ablation import measure_heads
from recite.stages.sublayers.measure import measure_means, measure_sublayers
from recite.tables import read_metadata
from samples import write_shard
from scored import write_scores
from studies import ROOT, load, loaded, shipped

PROMPT, STEPS, COUNT, WIDTH, VOCABULARY = 10, 6, 60, 48, 300
"""The last two are those of the models of conftest.py."""
KEYS, SAID, PLANTED = 20, 7, [3, 50, 90, 120, 170]
"""Tokens below KEYS open what the planted neurons of the last layer know, which is to say SAID, one of them."""
OPTIONS: dict[str, Any] = {
    "model": "a-s",
    "family": "a",
    "dtype": "float32",
    "bos": None,
    "batch_rows": 16,
    "domains": ["code"],
    "kinds": {"code": "structural"},
    "rows": {"memorized": 99, "other": 99},
    "seed": 1,
    "memorized": 1.0,
    "half": 0.5,
    "unmemorized": 0.0,
    "noise": [0.2, 0.4],
    "heads": [1, 3],
    "sublayers": [1, 2],
    "neurons": [len(PLANTED), 400],
}
SUMMARY = OPTIONS | {
    "corpora": {"a-s": "c"},
    "kinds": {"c": {"code": "structural"}},
    "estimand": "texts",
    "confidence": 0.9,
    "resamples": 100,
    "damages": [0.05],
}


@torch.no_grad()
def knowing(model: PreTrainedModel) -> PreTrainedModel:
    """A copy whose planted neurons are active at tokens of KEYS alone, and then say SAID; nothing else of it does."""
    model, generator = deepcopy(model), torch.Generator().manual_seed(2)
    opened, said = torch.linalg.qr(torch.randn(WIDTH, 2, generator=generator) - 0.5).Q.T
    opened, said = (part - part.mean() for part in (opened, said))
    opened, said = opened / opened.norm(), said / said.norm()
    embedding, last = model.gpt_neox.embed_in.weight, model.gpt_neox.layers[-1].mlp
    embedding -= torch.outer(embedding @ opened, opened)
    embedding[:KEYS] = embedding[:KEYS] * 0.3 + 30 * opened
    last.dense_h_to_4h.weight[PLANTED] = opened
    last.dense_h_to_4h.bias[PLANTED] = -4
    last.dense_4h_to_h.weight[:, PLANTED] = 2.5 * said[:, None]
    model.get_output_embeddings().weight[SAID] = 1.5 * said
    return model


class Planted:
    """60 rows: 24 of key tokens, which go on with SAID, the others of other tokens, whatever comes."""

    def __init__(self, folder: Path, model: PreTrainedModel) -> None:
        self.folder, self.checkpoint = folder, folder / "model"
        knowing(model).save_pretrained(self.checkpoint)
        generator = torch.Generator().manual_seed(5)
        context = torch.randint(KEYS, VOCABULARY, (COUNT, PROMPT), generator=generator)
        context[:24] = torch.randint(0, KEYS, (24, PROMPT), generator=generator)
        continuation = torch.randint(KEYS, VOCABULARY, (COUNT, STEPS), generator=generator)
        continuation[:24] = SAID
        context[1], self.texts = context[0], [0, 0, *range(2, COUNT)]
        ids = [500 + row for row in range(COUNT)]
        self.rows = Rows(ids, self.texts, ["code"] * COUNT, [0.5] * COUNT, context, continuation)
        loaded = load_checkpoint(self.checkpoint, "float32", 16)
        tokens = continue_greedily(loaded, context, STEPS, 16).tokens
        self.hits = (tokens == continuation).sum(dim=1).tolist()
        self.shard = write_shard(folder / "code-0000.parquet", self.rows)
        self.scores = write_scores(folder / "scores.parquet", self.rows, self.hits)

    def ranked(self) -> dict[str, list[Path]]:
        """Rows without heads and without sublayers, by these stages themselves."""
        drawing = OPTIONS | {"domain": "code", "first": 0, "classes": {"memorized": 99}, "looks": []}
        both = [self.scores], [self.shard], self.checkpoint
        drawn, ablated = self.folder / "drawn.parquet", self.folder / "ablated.parquet"
        draw_rows(drawing, [self.scores], drawn)
        options = OPTIONS | {"replacement": "mean_of_others", "layers": [0, None], "round": 0}
        measure_heads(options, [self.shard], [drawn], self.checkpoint, None, None, ablated, 1)
        means, without = self.folder / "means.parquet", self.folder / "without.parquet"
        measure_means(drawing, *both, means, 1)
        measure_sublayers(drawing | {"replacement": "dataset_mean"}, *both, means, without, 1)
        return {"ablated": [ablated], "without": [without]}

    def erased(self, name: str, **changes: Any) -> tuple[Path, Path]:
        paths = self.folder / f"{name}-recalled.parquet", self.folder / f"{name}-damaged.parquet"
        known = [self.scores], [self.shard], self.checkpoint, *self.ranked().values(), [], None
        erase(OPTIONS | changes, *known, *paths, 1)
        return paths


@pytest.fixture
def planted(tmp_path: Path, checkpoint_folder: Callable[[str], Path]) -> Planted:
    import transformers

    return Planted(tmp_path, transformers.GPTNeoXForCausalLM.from_pretrained(checkpoint_folder("pythia")))


def test_planted_neurons_come_out_best(planted: Planted) -> None:
    """Ranked by other rows, or held against the damage of another rung, they would not be found."""
    assert planted.hits[:24] == [STEPS] * 24 and max(planted.hits[24:]) <= 1
    paths = planted.erased("whole")
    outputs = {table.name: planted.folder / f"{table.name}.parquet" for table in (ERASING, ERASED)}
    aggregate_erasing(SUMMARY, [paths[0]], [paths[1]], outputs)
    curves = ERASING.read(outputs["erasing"]).to_pandas().set_index(["intervention", "order", "strength"])
    neurons = curves.loc["neurons", "ranked", len(PLANTED)]
    assert neurons["recall"] < 0.5 and neurons["recited"] == 0 and neurons["damage"] < 0.01
    assert curves.loc["neurons", "random", len(PLANTED)]["recall"] > 0.9
    assert curves.loc["heads", "ranked", 3]["recall"] > 0.9
    assert curves.loc["noise", "", 0.4]["recall"] == 1
    at = ERASED.read(outputs["erased"]).to_pandas().set_index(["intervention", "order"])
    assert at["recall"].idxmin() == ("neurons", "ranked")
    assert curves[curves["damage"] < 0.03]["recall"].idxmin() == ("neurons", "ranked", len(PLANTED))


def test_rows_of_the_tables(planted: Planted) -> None:
    """Rows that rank among those that are measured; rows of equal text apart; others that are memorized."""
    recalled, damaged = planted.erased("tables", neurons=[])
    measured, others = RECALLED.read(recalled).to_pandas(), DAMAGED.read(damaged).to_pandas()
    expected = [row for row, text in zip(planted.rows.ids, planted.texts, strict=True) if not ranks(text, 1)]
    assert measured["row_id"].tolist() == [row for row in expected if row < 524]
    assert others["row_id"].tolist() == [planted.rows.ids[row] for row in range(24, COUNT) if not planted.hits[row]]
    rungs = read_metadata(recalled)["rungs"]
    assert [tuple(rung[:3]) for rung in rungs] == [
        ("noise", "", 0.2),
        ("noise", "", 0.4),
        ("heads", "ranked", 1),
        ("heads", "ranked", 3),
        ("sublayers", "ranked", 1),
        ("sublayers", "ranked", 2),
        ("heads", "random", 1),
        ("heads", "random", 3),
    ]
    assert {len(hits) for hits in measured["hits"]} == {len(rungs)}


def test_no_memorized_rows(planted: Planted) -> None:
    """A model that recites nothing has rows, and no rung."""
    ranked = planted.ranked()
    scores = write_scores(planted.folder / "none.parquet", planted.rows, [0] * COUNT)
    paths = planted.folder / "r.parquet", planted.folder / "d.parquet"
    erase(OPTIONS, [scores], [planted.shard], planted.checkpoint, *ranked.values(), [], None, *paths, 1)
    assert read_metadata(paths[0])["rungs"] == []
    assert len(RECALLED.read(paths[0])) == 0 and len(DAMAGED.read(paths[1])) == COUNT


def test_nothing_ranks(planted: Planted) -> None:
    """Heads in an order that says nothing, as no ablated row ranks, and sublayers that were not measured."""
    ablated = planted.ranked()["ablated"]
    assert heads_by_loss(ablated, lambda table, _: np.zeros(len(table), bool)).places == []
    paths = planted.folder / "r.parquet", planted.folder / "d.parquet"
    erase(OPTIONS, [planted.scores], [planted.shard], planted.checkpoint, [], [], [], None, *paths, 1)
    assert {rung[0] for rung in read_metadata(paths[0])["rungs"]} == {"noise", "neurons"}


def test_halves_share_no_text(tmp_path: Path) -> None:
    """Texts that recur, in one domain or in two, stand on one side; of no copy is never memorized."""
    source = np.random.default_rng(3)
    shards, scores, options = [], [], OPTIONS | {"kinds": {"code": "structural", "held": "held_out"}}
    options |= {"domains": ["code", "held"]}
    for first, domain in ((0, "code"), (1000, "held")):
        texts = source.integers(0, 30, COUNT).tolist()
        tokens = torch.tensor(texts)[:, None].repeat(1, PROMPT + STEPS)
        ids = [first + row for row in range(COUNT)]
        rows = Rows(ids, texts, [domain] * COUNT, [0.5] * COUNT, tokens[:, :PROMPT], tokens[:, PROMPT:])
        shards.append(write_shard(tmp_path / f"{domain}.parquet", rows))
        scores.append(write_scores(tmp_path / f"{domain}-scores.parquet", rows, [STEPS] * COUNT))
    drawn = read_both(options, scores, shards, [], None)
    assert {(domain, group) for domain, group in zip(drawn.rows.domains, drawn.groups, strict=True)} == {
        ("code", "memorized"),
        ("held", "other"),
    }
    parts = parts_of(drawn, options)
    ranking, measuring = (set(parts[name].text[:, 0].tolist()) for name in (RANKING, "memorized"))
    assert len(ranking) > 5 and len(measuring) > 5 and not ranking & measuring
    assert sorted(parts[RANKING].rows + parts["memorized"].rows + parts["other"].rows) == [*range(2 * COUNT)]
    assert len(parts["memorized"].text) == len(measuring) < len(parts["memorized"].rows)


def test_only_the_ranking_half_ranks(tmp_path: Path) -> None:
    """What rows that are measured lose must not decide what is taken from them."""
    rows = AblatedRows()
    ranking = np.array([ranks(text, 1) for text in rows.frame["sequence_id"].tolist()])
    rows.clean[:] = 0
    rows.log_probability[:] = np.where(ranking[:, None], [-3, -1, -2, 0, -5, -4], [-9, -9, -9, -9, -9, -99])

    def kept(table: pa.Table, _: int) -> np.ndarray:
        return np.array([ranks(text, 1) for text in table["sequence_id"].to_pylist()])

    ranked = [
        heads_by_loss(write_ablated(tmp_path, rows, parts=parts, step=step), kept) for parts, step in ((1, 3), (2, 1))
    ]
    for found in ranked:
        assert found.places == [(2, 0), (2, 1), (0, 0), (1, 0), (0, 1), (1, 1)] and found.total == 6
    some = heads_by_loss(write_ablated(tmp_path, rows, heads=[1, 4, 5]), kept)
    assert some.places == [(2, 0), (2, 1), (0, 1)] and some.total == 6


def test_sublayers_are_ranked_by_all_parts(planted: Planted) -> None:
    """Prevents the sublayers of one part of the rows from standing for all."""
    (path,) = planted.ranked()["without"]
    whole = sublayers_by_loss([path], lambda table, _: np.ones(len(table), bool))
    halves = sublayers_by_loss([path, path], lambda table, _: np.ones(len(table), bool))
    assert whole == halves and whole.places[0] == (2, 1) and whole.total == 6


@pytest.fixture
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configs name their files from the root."""
    monkeypatch.chdir(ROOT)


@pytest.mark.usefixtures("at_root")
def test_what_ranks_is_what_the_study_measures() -> None:
    """A study without heads, or whose sublayers are of other models, erases by what is left."""
    mini = shipped("mini")
    rule, job = load(mini).rules["erasing"], {"model": "olmo2-l"}
    assert [len(rule.inputs(load(mini), job)[name]) for name in ("ablated", "without")] == [1, 1]
    fewer = loaded(
        {name: part for name, part in mini.items() if name != "ablation"}, sublayers={"models": ["pythia-l"]}
    )
    assert [rule.inputs(fewer, job)[name] for name in ("ablated", "without")] == [[], []]


@pytest.mark.usefixtures("at_root")
def test_cost_beside_layer_decoding_and_heads() -> None:
    made = Planner(load(shipped("paper")), Machine())
    hours = {
        stage: sum(job.seconds * job.gpus for job in made.jobs if job.stage == stage)
        for stage in ("erasing", "lens", "ablation")
    }
    assert 0.05 < hours["erasing"] / hours["lens"] < 1 and hours["erasing"] < 0.1 * hours["ablation"]
    assert max(job.seconds for job in made.jobs if job.stage == "erasing") < 6 * 3600
    assert all(job.peak < 80e9 for job in made.jobs if job.stage == "erasing")
