"""recite.stages.heads.summarize.recall against sets by hand, planted estimates and counted passes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ablated import COUNT, KINDS, LAYERS, Rows, drawn_of, options_of, write_ablated
from recite.stages.heads.summarize.ranking import aggregate_ablation
from recite.stages.heads.summarize.recall import FIFTH, SHARES, layer_passes
from recite.stages.heads.tables import SCREENING


def table_of(folder: Path, rows: Rows, **how: int) -> pd.DataFrame:
    paths = write_ablated(folder, rows, **how)  # type: ignore[arg-type]
    aggregate_ablation(options_of(KINDS), paths, [drawn_of(folder, rows)], {"screening": folder / "screening.parquet"})
    return SCREENING.read(folder / "screening.parquet").to_pandas()


def drops_of(rows: Rows, chosen: np.ndarray, measure: str) -> np.ndarray:
    """Mean drops of each head; equal ones in hits are told apart by those in log-probability."""
    logs = (rows.clean[:, None] - rows.log_probability)[chosen].astype(float).mean(axis=0)
    hits = (rows.clean_hits[:, None] - rows.hits)[chosen].mean(axis=0).round(12)
    return hits + 1e-9 * logs if measure == "hits" else logs


def test_recall_by_hand(tmp_path: Path) -> None:
    """Prevents the other importance, another share, the exact set of other rows, and heads that are wrongly joined."""
    rows = Rows()
    table = table_of(tmp_path, rows)
    domain = rows.frame["domain"]
    groups = {("natural", "all"): domain != "control", ("natural", "code"): domain == "code"}
    tops = {}
    for (kind, name), mask in groups.items():
        chosen = mask.to_numpy()
        estimate = rows.estimate[chosen].astype(float).mean(axis=0)
        for measure in ("hits", "log_probability"):
            drops = drops_of(rows, chosen, measure)
            k = max(1, round(FIFTH * COUNT))
            exact = set(np.argsort(-drops)[:k])
            part = table[(table["rows"] == kind) & (table["domain"] == name) & (table["measure"] == measure)]
            assert part["share"].tolist() == list(SHARES)
            for line in part.itertuples():
                taken = max(1, round(line.share * COUNT))
                tops[name, line.share] = set(np.argsort(-estimate)[:taken])
                assert line.recall == pytest.approx(len(exact & tops[name, line.share]) / k)
                assert line.recall_low <= line.recall <= line.recall_high
                assert line.chance == pytest.approx(taken / COUNT)
                assert line.rank_correlation == pytest.approx(stats.spearmanr(drops, estimate).statistic)
                assert (line.k, line.heads, line.n) == (k, COUNT, chosen.sum())
                assert line.ablated >= taken
    means = [rows.estimate[domain == name].astype(float).mean(axis=0) for name in KINDS]
    for share in SHARES:
        taken = max(1, round(share * COUNT))
        union = set.union(tops["all", share], *({*np.argsort(-mean)[:taken]} for mean in means))
        assert (table.loc[table["share"] == share, "ablated"] == len(union)).all()


@pytest.mark.parametrize(("sign", "expected"), [(1, 1.0), (-1, 0.0)])
def test_planted_estimates(tmp_path: Path, sign: int, expected: float) -> None:
    """An estimate that is the drop finds all that it can, its opposite the last; and its interval says so."""
    rows = Rows()
    rows.estimate = (sign * (rows.clean[:, None] - rows.log_probability)).astype(np.float32)
    table = table_of(tmp_path, rows).query("measure == 'log_probability' and share <= 0.5")
    assert table["rank_correlation"].to_numpy() == pytest.approx(sign)
    assert (table["recall"] == expected).all()
    assert (table["recall_low"] == expected).all() if sign > 0 else (table["recall_high"] < 1).all()


def test_jobs_change_nothing(tmp_path: Path) -> None:
    """Prevents the number of jobs from changing the table."""
    whole = table_of(tmp_path / "whole", Rows())
    pd.testing.assert_frame_equal(table_of(tmp_path / "parts", Rows(), parts=3, step=1), whole)


def test_passes() -> None:
    """Counted one by one: all heads of the last layer cost a layer each, twice, those of the first the whole model."""
    whole = 3 * LAYERS + 2 * LAYERS
    assert layer_passes((LAYERS, 2), np.array([], int)) == whole
    assert layer_passes((LAYERS, 2), np.array([0])) == whole + 2 * LAYERS
    assert layer_passes((LAYERS, 2), np.array([2 * LAYERS - 1])) == whole + 2
    assert layer_passes((LAYERS, 2), np.arange(2 * LAYERS)) == whole + 2 * 2 * (3 + 2 + 1)


def test_cost(tmp_path: Path) -> None:
    """Prevents a cost without that of the estimate: all heads cost more where they are screened."""
    table = table_of(tmp_path, Rows())
    whole = 5 * LAYERS + 2 * 2 * 6
    assert table["cost"].max() <= (whole + 2 * LAYERS) / whole
    costs = table.groupby("share")["cost"].first()
    assert costs.is_monotonic_increasing
    full = table[table["ablated"] == COUNT]
    assert full.empty or (full["cost"] == (whole + 2 * LAYERS) / whole).all()
