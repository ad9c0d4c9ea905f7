"""recite.stages.heads.summarize.power against simulated studies, the textbook's error of a mean, and sums by text."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from ablated import COUNT, KINDS, STEPS, Rows, drawn_of, options_of, write_ablated
from recite.outcomes.frame import read_frame
from recite.outcomes.means import Bags, bags_of
from recite.stages.heads.summarize.power import means_and_errors, measure_power, smallest_effects
from recite.stages.heads.tables import POWER


def bags_by_text(texts: np.ndarray) -> Bags:
    """Rows of one domain, of these texts."""
    columns = {"row_id": np.arange(len(texts)).astype(np.uint64), "sequence_id": texts.astype(np.uint64)}
    domains = pa.array(["code"] * len(texts)).dictionary_encode()
    shares = pa.array(np.full(len(texts), 0.5))
    table = pa.table(columns | {"domain": domains, "inclusion_probability": shares})
    _, frame = read_frame(table, "a-s", options_of(KINDS), whole=False)
    return bags_of(frame, np.arange(len(texts)), options_of(KINDS))


def test_a_test_sees_the_smallest_effect_in_80_of_100_studies() -> None:
    """Simulated studies of recurring texts whose effect is the smallest one: a test over texts sees 80% of them."""
    rng = np.random.default_rng(5)
    texts = np.repeat(np.arange(400), rng.integers(1, 6, 400))
    bags = bags_by_text(texts)
    _, errors = means_and_errors(bags, rng.normal(0, 1, (400, 1))[texts])
    effect = float(smallest_effects(errors)[0])
    seen = 0
    for _ in range(1000):
        study = effect + rng.normal(0, 1, (400, 1))[texts]
        mean, error = means_and_errors(bags, study)
        seen += abs(mean[0] / error[0]) > stats.norm.ppf(0.975)
    assert 0.76 < seen / 1000 < 0.84


def test_errors_of_distinct_texts_are_the_textbooks() -> None:
    """Prevents another divisor: s / sqrt(n)."""
    values = np.random.default_rng(1).normal(3, 2, (50, 4))
    means, errors = means_and_errors(bags_by_text(np.arange(50)), values)
    assert means == pytest.approx(values.mean(axis=0))
    assert errors == pytest.approx(values.std(axis=0, ddof=1) / np.sqrt(50))


def test_equal_texts_add_nothing() -> None:
    """Prevents copies from passing for observations: every row three times leaves the error as it is."""
    values, texts = np.random.default_rng(2).normal(0, 1, (40, 2)), np.arange(40, dtype=np.uint64)
    _, once = means_and_errors(bags_by_text(texts), values)
    _, thrice = means_and_errors(bags_by_text(np.tile(texts, 3)), np.tile(values, (3, 1)))
    assert thrice == pytest.approx(once)


def test_the_table(tmp_path: Path) -> None:
    """Prevents an effect of hits that is no share, one of other rows, and more rows that show less."""
    rows = Rows()
    measure_power(
        options_of(KINDS), write_ablated(tmp_path, rows), [drawn_of(tmp_path, rows)], tmp_path / "power.parquet"
    )
    table = POWER.read(tmp_path / "power.parquet").to_pandas()
    chosen = (rows.frame["domain"] == "code").to_numpy()
    texts = rows.frame["sequence_id"].to_numpy()[chosen]
    for measure, lost in (("hits", rows.clean_hits[:, None] - rows.hits), ("log_probability", None)):
        values = (rows.clean[:, None] - rows.log_probability if lost is None else lost)[chosen] / STEPS
        names, counts = np.unique(texts, return_counts=True)
        residuals = np.array([(values[texts == name] - values.mean(axis=0)).sum(axis=0) for name in names])
        errors = np.sqrt((residuals**2).sum(axis=0) * len(names) / (len(names) - 1)) / counts.sum()
        part = table[(table["rows"] == "natural") & (table["domain"] == "code") & (table["measure"] == measure)]
        assert part["n"].tolist() == [chosen.sum(), 2500, 10_000]
        assert part["own"].tolist() == [True, False, False]
        assert (part["measured_distinct"] == len(names)).all() and (part["heads"] == COUNT).all()
        for line in part.itertuples():
            smallest = 2.801585 * errors * np.sqrt(chosen.sum() / line.n)
            assert (line.smallest, line.median, line.largest) == pytest.approx(
                (smallest.min(), np.median(smallest), smallest.max()), rel=1e-4
            )
            assert line.visible == pytest.approx((np.abs(values.mean(axis=0)) >= smallest).mean())
    assert set(table["domain"]) == {"all", *KINDS}
