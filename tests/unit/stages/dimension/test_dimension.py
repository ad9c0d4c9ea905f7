"""Points of texts and their neighbours against hidden states of transformers and brute force."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.corpora.tables.training import CONTROLS
from recite.engine.rows import Rows
from recite.errors import ReciteError
from recite.report import style
from recite.report.told import Told
from recite.stages.dimension import drawing, measure, stage, words
from recite.stages.dimension.drawing import Part, points_of
from recite.stages.dimension.estimators import ESTIMATORS
from recite.stages.dimension.figures.dimension import draw as draw_dimension
from recite.stages.dimension.figures.dimension_known import draw as draw_known
from recite.stages.dimension.manifolds import nearest_distances
from recite.stages.dimension.measure import measure_neighbours, nearest, streams
from recite.stages.dimension.rows import NEIGHBOURS, PLACES
from recite.stages.dimension.summarize import aggregate_dimension, estimated
from recite.stages.dimension.tables import DIMENSION, DIMENSION_DIFFERENCES, DIMENSION_KNOWN
from recite.stages.scoring.rows import SCORES
from recite.tables import read_metadata
from samples import write_shard

STEPS, LAYERS, PROMPT = 8, 3, 24
KINDS = {"code": "natural", "plants": "planted", "apart": "unseen"}
OPTIONS = {"points": 100, "neighbours": 3, "seed": 1, "memorized": 1.0, "half": 0.5, "unmemorized": 0.0}
TABLES = {table.name: table for table in (DIMENSION, DIMENSION_KNOWN, DIMENSION_DIFFERENCES)}


def test_the_plan_knows_the_measure() -> None:
    assert (len(PLACES), measure.STORED, drawing.FEWEST) == (stage.PLACES, stage.STORED, stage.FEWEST)


def test_streams_are_hidden_states(checkpoint: Checkpoint, reference: PreTrainedModel, context: Tensor) -> None:
    """Prevents a point of another position or layer; the last state of transformers is normed, and its logits tell."""
    found = streams(checkpoint, context, STEPS, 8)
    assert found.shape == (23, len(PLACES), LAYERS, 48)
    with torch.inference_mode():
        said = reference(input_ids=context[:, :-1], use_cache=False, output_hidden_states=True)
    for place, position in enumerate((32 - STEPS - 1, 30)):
        for layer in range(LAYERS - 1):
            expected = said.hidden_states[layer + 1][:, position]
            torch.testing.assert_close(found[:, place, layer], expected, atol=2e-5, rtol=1e-5)
        unembedding = checkpoint.model.get_submodule(checkpoint.architecture.unembedding)
        with torch.inference_mode():
            logits = checkpoint.logits(unembedding(checkpoint.final(found[:, place, -1])))
        torch.testing.assert_close(logits, said.logits[:, position], atol=2e-5, rtol=1e-5)


def test_order_and_batches_change_nothing(checkpoint: Checkpoint, context: Tensor) -> None:
    whole = streams(checkpoint, context, STEPS, 8)
    order = torch.randperm(23, generator=torch.Generator().manual_seed(2))
    assert torch.equal(streams(checkpoint, context[order], STEPS, 8), whole[order])
    torch.testing.assert_close(streams(checkpoint, context, STEPS, 5), whole, atol=2e-5, rtol=1e-5)


def test_neighbours_by_brute_force() -> None:
    """Points far from the origin: a product of matrices in float32 would not tell their distances apart."""
    cloud = torch.randn((20, 1, 1, 6), generator=torch.Generator().manual_seed(1)) * 1e-2 + 1000
    found = nearest(cloud, 5, torch.device("cpu"))
    exact = cloud[:, 0, 0].double().numpy()
    for point in range(20):
        apart = np.linalg.norm(exact - exact[point], axis=1)
        apart[point] = np.inf
        order = np.argsort(apart)[:5]
        assert found.place[point, 0, 0].tolist() == order.tolist()
        np.testing.assert_allclose(found.distance[point, 0, 0], apart[order], rtol=1e-6)


def part(seed: int, count: int = 60) -> Part:
    """Rows of all kinds; every third of a context that another row has."""
    rng = np.random.default_rng(seed)
    context = rng.integers(0, 300, (count, PROMPT))
    context[::3] = context[1::3]
    hits = rng.choice([0, STEPS, 3], count, p=[0.45, 0.45, 0.1])
    domains = np.array([*KINDS])[rng.integers(0, 3, count)].tolist()
    ids = rng.permutation(10**6)[:count].tolist()
    return Part(ids, [row_id + 7 for row_id in ids], domains, hits, context, rng.integers(0, 300, (count, STEPS)))


def joined(parts: list[Part], order: np.ndarray) -> Part:
    """The rows of some parts as one, in another order."""
    columns = [np.concatenate([np.array(part[place]) for part in parts])[order] for place in range(6)]
    return Part(columns[0].tolist(), columns[1].tolist(), columns[2].tolist(), *columns[3:])


def test_points_are_texts_of_distinct_contexts() -> None:
    """Prevents points at distance 0, classes of other numbers, and a draw that hangs on shards or their order."""
    parts = [part(1, 150), part(2, 150)]
    copies = {row_id: row_id % 2 for one in parts for row_id in one.row_ids}
    drawn = points_of(parts, KINDS, copies, OPTIONS | {"points": 14})
    assert set(drawn) == {(k, g) for k in ("natural", "planted") for g in ("memorized", "unmemorized")} | {
        ("unseen", "all")
    }
    order = np.random.default_rng(5).permutation(300)
    assert points_of([joined(parts, order)], KINDS, copies, OPTIONS | {"points": 14}) == drawn
    everything = joined(parts, np.arange(300))
    rows = {row_id: place for place, row_id in enumerate(everything.row_ids)}
    for (kind, group), texts in drawn.items():
        assert len({text.tokens[:PROMPT] for text in texts}) == len(texts) <= 14
        if group != "all":
            assert len(texts) == len(drawn[kind, "memorized"]) == len(drawn[kind, "unmemorized"])
        for text in texts:
            place = rows[text.row_id]
            assert text.tokens == (*everything.context[place], *everything.continuation[place])
            assert group == "all" or everything.hits[place] == (STEPS if group == "memorized" else 0)
            unseen = KINDS[everything.domains[place]] == "unseen" or copies[text.row_id] == 0
            assert unseen if kind == "unseen" else KINDS[everything.domains[place]] == kind
    keys = [text.key for text in drawn["unseen", "all"]]
    more = points_of(parts, KINDS, copies, OPTIONS)["unseen", "all"]
    assert keys == sorted(text.key for text in more)[:14] and len(more) > 14


def test_a_class_of_few_texts_has_no_points() -> None:
    """Four times as many points as neighbours; the other class is then drawn for itself."""
    rows = part(3, 90)
    few = rows._replace(hits=np.where(np.arange(90) < 6, STEPS, 0), domains=["code"] * 90)
    drawn = points_of([few], KINDS, {}, OPTIONS)
    assert [*drawn] == [("natural", "unmemorized")] and len(drawn["natural", "unmemorized"]) > 12


def job() -> dict[str, Any]:
    kinds = {"code": "structural", "plants": "planted", "apart": "held_out"}
    run = {"model": "olmo2-test", "family": "olmo2", "bos": 0, "dtype": "float32", "batch_rows": 8}
    return run | OPTIONS | {"kinds": kinds}


def files(folder: Path, rows: Part) -> dict[str, Any]:
    """Shards, scores and controls of some rows, as arguments of the stage."""
    tensors = [torch.from_numpy(np.array(column)) for column in rows[4:]]
    lists = [rows.row_ids, rows.sequences, rows.domains, [1.0] * len(rows.row_ids)]
    cuts = ((0, 50), (50, len(rows.row_ids)))
    shards = []
    for start, end in cuts:
        cut = Rows(*(column[start:end] for column in lists), *(tensor[start:end] for tensor in tensors))
        shards.append(write_shard(folder / f"{start}.parquet", cut))
    columns = {"row_id": rows.row_ids, "sequence_id": rows.sequences, "domain": rows.domains, "hits": rows.hits}
    columns |= {"inclusion_probability": lists[3], "first_mismatch": rows.hits, "margin": lists[3]}
    SCORES.write(folder / "scores.parquet", columns | {"generated": rows.continuation.tolist()}, {})
    CONTROLS.write(folder / "controls.parquet", {"document_id": ["d"], "repetitions": [2]}, {})
    planted = [write_shard(folder / "planted.parquet", Rows([1], [1], ["plants"], [1.0], *(t[:1] for t in tensors)))]
    named = {"scores": [folder / "scores.parquet"], "planted": planted, "controls": folder / "controls.parquet"}
    return named | {"shards": shards, "neighbours": folder / "olmo2-test.parquet", "threads": 1}


def test_from_rows_to_tables(tmp_path: Path, checkpoint_folder: Callable[[str], Path]) -> None:
    """The estimates of the tables are those of the residual streams themselves; the same bytes twice."""
    rows = part(1, 180)
    arguments = files(tmp_path, rows) | {"checkpoint": checkpoint_folder("olmo2") / "model.safetensors"}
    measure_neighbours(job(), **arguments)
    first = arguments["neighbours"].read_bytes()
    measure_neighbours(job(), **arguments)
    assert arguments["neighbours"].read_bytes() == first
    found = NEIGHBOURS.read(arguments["neighbours"]).to_pandas()
    made = read_metadata(arguments["neighbours"])
    assert (made["layers"], made["width"]) == (LAYERS, 48)
    outputs = {name: tmp_path / f"{name}.parquet" for name in TABLES}
    options = {"neighbours": 3, "confidence": 0.9, "seed": 1, "resamples": 10}
    aggregate_dimension(options, [arguments["neighbours"]], outputs)
    tables = {name: TABLES[name].read(path).to_pandas() for name, path in outputs.items()}
    loaded = load_checkpoint(arguments["checkpoint"], "float32", 8)
    places = {row_id: place for place, row_id in enumerate(rows.row_ids)}
    table = tables["dimension"].set_index(["rows", "group", "place", "layer", "estimator"])
    for (kind, group), points in found.groupby(["rows", "group"], observed=True):
        at = [places[row_id] for row_id in points["row_id"]]
        tokens = torch.from_numpy(np.column_stack([np.zeros(len(at), int), rows.context[at], rows.continuation[at]]))
        states = streams(loaded, tokens, STEPS, 8).double().numpy()
        for place, name in enumerate(PLACES):
            for layer in range(LAYERS):
                distances = nearest_distances(states[:, place, layer], 3)
                for estimator, estimate in ESTIMATORS.items():
                    line = table.loc[(kind, group, name, layer, estimator)]
                    assert line["dimension"] == pytest.approx(float(estimate(distances)), rel=1e-5)
                    assert 0 < line["dimension_low"] < line["dimension"] < line["dimension_high"]
                    assert line["n"] == len(at) and line["coincident"] == 0
    assert set(tables["dimension_known"]["n"]) == set(tables["dimension"]["n"])
    means = tables["dimension"].groupby(["rows", "place", "estimator", "group"])["dimension"].mean()
    for line in tables["dimension_differences"].itertuples():
        one, other = (means[line.rows, line.place, line.estimator, name] for name in ("memorized", "unmemorized"))
        assert [line.memorized, line.unmemorized, line.difference] == pytest.approx([one, other, one - other])
        assert line.difference_low < line.difference < line.difference_high
    drawn(tables)
    assert len(tables["dimension_differences"]) == 2 * len(PLACES) * len(ESTIMATORS)


def drawn(tables: dict[str, pd.DataFrame]) -> None:
    """Figures and words say what the tables do."""
    natural = tables["dimension"].query("rows == 'natural' and estimator == 'two_nn' and place == 'context'")
    with style.style():
        figure, behind = draw_dimension(tables)
        assert set(behind["rows"]) == {"natural"} and len(figure.axes) == 4
        curves = [container.lines[0].get_ydata().tolist() for container in figure.axes[1].containers]
        of_class = natural.groupby("group")["dimension"].apply(list)
        assert curves == [of_class["memorized"], of_class["unmemorized"]]
        figure, behind = draw_known(tables)
        assert set(behind["n"]) == {tables["dimension"]["n"].min(), tables["dimension"]["n"].max()}
        assert len(figure.axes[0].containers) == 4
    (section,) = words.sections(Told(tables, None, []))
    line = tables["dimension_differences"].iloc[0]
    assert f"{line['difference']:.2f} [{line['difference_low']:.2f}, {line['difference_high']:.2f}]" in section
    assert section.count("| olmo2-test | ") == len(tables["dimension_differences"])


def test_coincident_points_are_no_neighbours() -> None:
    """Half precision may round two texts' streams to the same numbers: no ratio to a distance of 0."""
    rng = np.random.default_rng(1)
    cloud = rng.standard_normal((20, 1, 1, 4))
    cloud[3] = cloud[7]
    near = nearest(torch.from_numpy(cloud), 19, torch.device("cpu"))
    group = estimated(np.moveaxis(near.place, 0, 2), np.moveaxis(near.distance, 0, 2).astype(float), 3, 1)
    assert group.coincident.tolist() == [[2]]
    assert all(np.isfinite(values).all() for values in group.values.values())


def test_rows_that_are_not_scored(tmp_path: Path) -> None:
    rows = part(1, 90)
    arguments = files(tmp_path, rows)
    files(tmp_path / "other", rows._replace(row_ids=[row_id + 10**7 for row_id in rows.row_ids]))
    arguments["scores"] = [tmp_path / "other" / "scores.parquet"]
    with pytest.raises(ReciteError, match=r"scores other rows than .*0\.parquet holds; delete it and run again"):
        measure_neighbours(job(), checkpoint=tmp_path, **arguments)
