"""Whether heads that matter are induction heads: planted agreement, none, chance by brute force; figure and words."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ablated import COUNT, HEADS_OF_A_LAYER, KINDS, LAYERS, Rows, drawn_of, options_of, write_ablated
from recite.report.told import Told
from recite.stages.attention.figures.induction import draw
from recite.stages.attention.matching import aggregate_induction, matched
from recite.stages.attention.rows import INDUCED
from recite.stages.attention.tables import INDUCTION, INDUCTION_OVERLAP
from recite.stages.attention.words import sections
from recite.stages.heads.summarize.ranking import aggregate_ablation
from recite.stages.heads.tables import HEADS
from recite.tables.lists import as_lists

OPTIONS = options_of(KINDS)
SEQUENCES = 9


def write_induced(folder: Path, scores: np.ndarray, model: str = "a-s") -> Path:
    """A file of heads whose induction scores are `scores` (heads,) on average, and whose previous ones the reverse."""
    noise = np.random.default_rng(5).normal(0, 0.001, (SEQUENCES, COUNT))
    columns = {"induction": scores + noise - noise.mean(axis=0), "previous": scores[::-1] + noise - noise.mean(axis=0)}
    made = {"options": {"model": model, "family": model[0]}, "parameters": 9, "layers": LAYERS}
    path = folder / f"induced-{model}.parquet"
    lists = {name: as_lists(values.astype(np.float32)) for name, values in columns.items()}
    INDUCED.write(path, lists | {"sequence": range(SEQUENCES)}, made | {"heads": HEADS_OF_A_LAYER, "even": 0.03})
    return path


def run(folder: Path, scores: np.ndarray) -> dict[str, pd.DataFrame]:
    """The tables of ablated rows, of which each head loses more than the one before, and of such scores."""
    rows = Rows()
    ablated = write_ablated(folder, rows)
    outputs = {table.name: folder / f"{table.name}.parquet" for table in (INDUCTION, INDUCTION_OVERLAP)}
    drawn = drawn_of(folder, rows)
    aggregate_induction(OPTIONS, [write_induced(folder, scores)], ablated, [drawn], outputs)
    aggregate_ablation(OPTIONS, ablated, [drawn], folder / "heads.parquet")
    found = {
        name: table.read(outputs[name]).to_pandas()
        for name, table in ((INDUCTION.name, INDUCTION), (INDUCTION_OVERLAP.name, INDUCTION_OVERLAP))
    }
    return found | {"heads": HEADS.read(folder / "heads.parquet").to_pandas()}


def test_scores_of_heads(tmp_path: Path) -> None:
    """Means over sequences; an interval by their scatter, about that of the normal one."""
    scores = np.linspace(0.1, 0.6, COUNT)
    table = run(tmp_path, scores)["induction"]
    assert table["layer"].tolist() == [head // HEADS_OF_A_LAYER for head in range(COUNT)]
    assert table["head"].tolist() == [head % HEADS_OF_A_LAYER for head in range(COUNT)]
    np.testing.assert_allclose(table["induction"], scores, atol=1e-6)
    np.testing.assert_allclose(table["previous"], scores[::-1], atol=1e-6)
    width = (table["induction_high"] - table["induction_low"]).to_numpy()
    expected = 2 * stats.norm.ppf(0.95) * 0.001 / np.sqrt(SEQUENCES)
    assert (table["induction_low"] <= table["induction"]).all() and (
        table["induction"] <= table["induction_high"]
    ).all()
    assert 0.4 * expected < width.mean() < 1.6 * expected


def test_planted_agreement(tmp_path: Path) -> None:
    """Scores that rise with what a head matters go with it; turned around they go against it."""
    table = run(tmp_path, np.linspace(0.1, 0.6, COUNT))["induction_overlap"]
    natural = table[(table["rows"] == "natural") & (table["measure"] == "hits")].set_index("score")
    assert natural.loc["induction", "rank_correlation"] > 0.9 and natural.loc["induction", "shared"] == 1
    assert natural.loc["previous", "rank_correlation"] < -0.9 and natural.loc["previous", "shared"] == 0
    line = natural.loc["induction"]
    assert (line["heads"], line["k"], line["group"]) == (COUNT, 1, "all")
    assert line["rank_correlation_low"] <= line["rank_correlation"] and line["shared_high"] <= 1
    assert set(table["rows"]) == {"natural", "planted"}


def test_rank_correlation_is_spearmans() -> None:
    source = np.random.default_rng(2)
    lost, scores = source.random((1 + 50, 30)), source.random((1 + 50, 30))
    ranked = (-lost).argsort(axis=1).argsort(axis=1)
    line = matched(ranked, scores, np.arange(30) // 6, 6, 0.95)
    assert line["rank_correlation"] == pytest.approx(stats.spearmanr(lost[0], scores[0]).statistic)
    first = [set(np.argsort(-values[0])[:6]) for values in (lost, scores)]
    assert line["shared"] == pytest.approx(len(first[0] & first[1]) / 6)
    assert line["rank_correlation_low"] < line["rank_correlation"] < line["rank_correlation_high"]


def test_chance_by_brute_force(tmp_path: Path) -> None:
    """Of all pairs of sets of k among the heads."""
    line = run(tmp_path, np.linspace(0.1, 0.6, COUNT))["induction_overlap"].iloc[0]
    sets = [set(chosen) for chosen in combinations(range(COUNT), line["k"])]
    shared = [len(a & b) / line["k"] for a in sets for b in sets]
    assert line["chance"] == pytest.approx(np.mean(shared))
    assert np.mean([line["chance_low"] <= value <= line["chance_high"] for value in shared]) >= 0.9


def test_without_ablated_heads(tmp_path: Path) -> None:
    """A study that ablates none has the scores alone."""
    outputs = {table.name: tmp_path / f"{table.name}.parquet" for table in (INDUCTION, INDUCTION_OVERLAP)}
    aggregate_induction(OPTIONS, [write_induced(tmp_path, np.linspace(0, 1, COUNT))], [], [], outputs)
    assert len(INDUCTION.read(outputs["induction"])) == COUNT
    assert len(INDUCTION_OVERLAP.read(outputs["induction_overlap"])) == 0


def test_what_is_told(tmp_path: Path) -> None:
    tables = run(tmp_path, np.linspace(0.1, 0.6, COUNT))
    _, heads = sections(Told(tables | {"attention": pd.DataFrame({"rows": [], "group": []})}, None, []))
    assert "| a-s | 6 | layer 2, head 1 | 0.600 |" in heads and "| a-s | all | " in heads
    figure, behind = draw(tables)
    assert len(behind) == COUNT and len(figure.axes) == 1
    np.testing.assert_allclose(
        behind.sort_values(["layer", "head"])["induction"], np.linspace(0.1, 0.6, COUNT), atol=1e-6
    )
    assert "rank correlation" in figure.axes[0].get_title()
    assert len(draw(tables | {"heads": tables["heads"].iloc[:0]})[1]) == 0


def test_depth_alone_is_no_agreement() -> None:
    """Importance and score that both fall from layer to layer, and have nothing in common within."""
    source, layers = np.random.default_rng(3), np.repeat(np.arange(20), 10)
    lost, scores = (source.random((1 + 20, 200)) - 2 * layers for _ in range(2))
    ranked = (-lost).argsort(axis=1).argsort(axis=1)
    line = matched(ranked, scores, layers, 40, 0.95)
    assert line["rank_correlation"] > 0.9 and abs(line["within_layers"]) < 0.2
    expected = [stats.spearmanr(lost[0, layers == layer], scores[0, layers == layer]).statistic for layer in range(20)]
    assert line["within_layers"] == pytest.approx(np.mean(expected))
    assert matched(ranked, lost, layers, 40, 0.95)["within_layers"] == pytest.approx(1)
