"""recite.comparison.domains.summarize against values by hand and simulated studies."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recite.comparison.domains.summarize import compare_domains
from recite.comparison.domains.tables import KINDS, PROFILES
from recite.outcomes.draws import DRAWS, Draw, read_draws
from recite.outcomes.replicates import REPLICATES
from recite.statistics.resampling import BAGS, Sampled
from recite.statistics.tests import correlation

TABLES = {table.name: table for table in (KINDS, PROFILES, DRAWS)}
DOMAIN_KINDS = {"code": "structural", "markup": "structural", "prose": "free_text", "control": "planted"}
CLASSES = {"code": "source code", "markup": "web pages", "prose": "books", "control": "control"}
ROWS = {"code": 200, "markup": 100, "prose": 100, "control": 50}
RATES = {
    "a-s": {"code": 0.1, "markup": 0.3, "prose": 0.05, "control": 0.9},
    "a-l": {"code": 0.2, "markup": 0.5, "prose": 0.15, "control": 1.0},
    "b-s": {"code": 0.3, "markup": 0.1, "prose": 0.35, "control": 0.0},
}


def lines_of(
    outcomes: Mapping[str, Mapping[str, np.ndarray]],
    alpha: float = 0,
    seed: int = 1,
    resamples: int = 1000,
    fraction: float = 0,
) -> list[dict[str, Any]]:
    """Replicates from 0/1 outcomes (rows,) by model and domain; the models' rows of a domain are the same."""
    lines: list[dict[str, Any]] = []
    first = seed % 3 * BAGS // 3  # each domain, and each of three studies with one key, has bags of its own
    for domain in {domain: 0 for by_domain in outcomes.values() for domain in by_domain}:
        models = [model for model in outcomes if domain in outcomes[model]]
        ones = [outcomes[model][domain] for model in models]
        rows = len(ones[0])
        bags = np.arange(first, first + rows)
        sampled = Sampled(bags, seed // 3, fraction, resamples, np.bincount(bags, minlength=BAGS))
        first += rows
        totals = sampled.totals(np.column_stack([np.ones(rows), *ones, *(1 - part for part in ones)]))
        for number, model in enumerate(models):
            line: dict[str, Any] = {"model": model, "family": model.split("-")[0]}
            line |= {"parameters": {"s": 10**6, "l": 10**7}[model.split("-")[1]]}
            line |= {"noise_layer": 0, "alpha": alpha, "domain": domain, "kind": DOMAIN_KINDS[domain]}
            for name, column in (("n", 0), ("memorized", 1 + number), ("unmemorized", 1 + number + len(models))):
                line |= {name: int(totals[0, column]), f"drawn_{name}": totals[1:, column].astype(np.float32)}
            lines.append(line)
    return lines


def write(path: Path, *studies: Sequence[dict[str, Any]]) -> Path:
    """A table of the lines of one study, or of several."""
    REPLICATES.write(path, {name: [line[name] for lines in studies for line in lines] for name in REPLICATES.names}, {})
    return path


def seen(rates: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, np.ndarray]]:
    """Outcomes of exactly these rates."""
    return {
        model: {domain: (np.arange(ROWS[domain]) < round(rate * ROWS[domain])) * 1.0 for domain, rate in part.items()}
        for model, part in rates.items()
    }


def compared(
    folder: Path, *replicates: Path, classes: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, pd.DataFrame]:
    outputs = {name: folder / f"{name}.parquet" for name in TABLES}
    options = {"confidence": 0.95, "classes": dict.fromkeys(RATES, CLASSES) | dict(classes or {})}
    compare_domains(options, replicates, outputs)
    return {name: TABLES[name].read(path).to_pandas() for name, path in outputs.items()}


def drawn(folder: Path, statistic: str) -> dict[str, Draw]:
    """A statistic of each model, of a study that is compared."""
    return {draw.model: draw for draw in read_draws([folder / "draws.parquet"])[statistic]}


def test_kinds_by_hand(tmp_path: Path) -> None:
    """Prevents planted rows from counting, and a kind with more domains or rows from weighing more."""
    table = compared(tmp_path, write(tmp_path / "r", lines_of(seen(RATES))))["kinds"].set_index("model")
    assert table.index.tolist() == ["a-s", "a-l", "b-s"]
    for model, structural, free_text in (("a-s", 0.2, 0.05), ("a-l", 0.35, 0.15), ("b-s", 0.2, 0.35)):
        line = table.loc[model]
        assert (line["n"], line["memorized"]) == (400, sum(round(RATES[model][d] * ROWS[d]) for d in list(ROWS)[:3]))
        found = line[["structural", "free_text", "adjusted", "structural_share", "difference"]].tolist()
        both = structural + free_text
        assert found == pytest.approx([structural, free_text, both / 2, structural / both, structural - free_text])
        structured = [domain for domain in ROWS if DOMAIN_KINDS[domain] == "structural"]
        drawn = sum(round(RATES[model][domain] * ROWS[domain]) for domain in structured)
        assert line["raw_share"] == pytest.approx(drawn / line["memorized"])
        for name in ("structural", "free_text", "adjusted", "structural_share", "raw_share", "difference"):
            assert line[f"{name}_low"] < line[name] < line[f"{name}_high"]
    assert (table["q_value"] >= table["p_value"]).all()
    assert (table["p_value"] < 0.05).all()


def test_nothing_memorized_has_no_share(tmp_path: Path) -> None:
    """Prevents 0 / 0 from becoming a share, or from stopping the study."""
    zero = {"a-s": {domain: 0.0 for domain in ROWS}}
    (line,) = compared(tmp_path, write(tmp_path / "r", lines_of(seen(zero))))["kinds"].to_dict("records")
    assert np.isnan([line["structural_share"], line["structural_share_low"], line["raw_share"]]).all()
    assert (line["adjusted"], line["adjusted_high"], line["p_value"]) == (0, 0, 1)


def test_a_corpus_of_one_kind_has_no_line(tmp_path: Path) -> None:
    """Prevents a corpus of code alone from being compared with free text that it has not."""
    only = {"a-s": {"code": 0.1, "markup": 0.2, "control": 1.0}}
    tables = compared(tmp_path, write(tmp_path / "r", lines_of(seen(only))))
    assert [len(tables[name]) for name in ("kinds", "profiles")] == [0, 0]
    assert set(tables["draws"]["statistic"]) == {"class_rates"}


def test_noise_strengths_stand_beside_the_undisturbed(tmp_path: Path) -> None:
    """Prevents strengths from being mixed, and disturbed profiles from being compared as models."""
    clean = write(tmp_path / "clean", lines_of(seen(RATES)))
    noisy = write(tmp_path / "noisy", lines_of(seen({"a-l": RATES["a-s"]}), alpha=0.5))
    tables = compared(tmp_path, clean, noisy)
    kinds = tables["kinds"].set_index(["model", "alpha"])
    assert len(kinds) == 4
    assert kinds.loc[("a-l", 0.5), "structural"] == pytest.approx(0.2)
    assert kinds.loc[("a-l", 0.0), "structural"] == pytest.approx(0.35)
    assert len(tables["profiles"]) == 3
    assert tables["draws"].groupby("statistic")["model"].nunique().to_dict() == {
        "class_rates": 3,
        "structural_share": 3,
    }
    assert len(tables["draws"]) == 6


def test_profiles_by_hand(tmp_path: Path) -> None:
    """Prevents another measure of similarity, and planted domains from taking part.

    As seen, the covariances of the resampled rates are taken off the profiles' own; with all documents sampled nothing
    is, and NumPy's correlation is the reference.
    """
    table = compared(tmp_path, write(tmp_path / "r", lines_of(seen(RATES))))["profiles"]
    rates = {model: draw.values for model, draw in drawn(tmp_path, "class_rates").items()}
    pairs = {(line["model_a"], line["model_b"]): line for line in table.to_dict("records")}
    assert set(pairs) == {("a-s", "a-l"), ("a-s", "b-s"), ("a-l", "b-s")}
    for (a, b), line in pairs.items():
        given = np.array([[RATES[model][domain] for domain in ("prose", "code", "markup")] for model in (a, b)])
        np.testing.assert_allclose([rates[a][0], rates[b][0]], given)
        own = np.cov(given, bias=True) * 3
        noise = sum(np.cov([rates[a][1:, place], rates[b][1:, place]], bias=True) * 2 / 3 for place in range(3))
        of_a, of_b, together = (own[i] - noise[i] for i in ((0, 0), (1, 1), (0, 1)))
        assert line["similarity"] == pytest.approx(np.clip(together / np.sqrt(of_a * of_b), -1, 1), abs=0.02)
        assert (line["classes"], line["rows"]) == (3, 400)
        assert -1.001 < line["similarity_low"] <= line["similarity_high"] < 1.001
        assert (line["family_a"], line["family_b"]) == (a[0], b[0])
    census = compared(tmp_path, write(tmp_path / "r", lines_of(seen(RATES), fraction=1)))["profiles"]
    for line in census.to_dict("records"):
        given = np.array([[RATES[line[name]][domain] for domain in list(ROWS)[:3]] for name in ("model_a", "model_b")])
        ends = [line[name] for name in ("similarity", "similarity_low", "similarity_high")]
        assert ends == pytest.approx([np.corrcoef(given)[0, 1]] * 3)


def test_profiles_are_over_classes_of_text(tmp_path: Path) -> None:
    """Prevents domains from being paired by name where their texts differ, and two domains of one class apart."""
    classes = {"a-s": CLASSES, "a-l": CLASSES | {"markup": "source code"}}
    table = compared(tmp_path, write(tmp_path / "r", lines_of(seen(RATES))), classes=classes)["profiles"]
    assert table[["model_a", "model_b"]].to_numpy().tolist() == [["a-s", "b-s"]]  # a-l has two classes only
    draws = drawn(tmp_path, "class_rates")
    assert draws["a-l"].labels == ("books", "source code")
    whole = (RATES["a-l"]["code"] * 200 + RATES["a-l"]["markup"] * 100) / 300
    assert draws["a-l"].values[0] == pytest.approx([RATES["a-l"]["prose"], whole])
    renamed = {"b-s": {"code": "books", "markup": "source code", "prose": "web pages", "control": "control"}}
    table = compared(tmp_path, write(tmp_path / "r", lines_of(seen(RATES), fraction=1)), classes=renamed)["profiles"]
    found = table.query("model_a == 'a-s' and model_b == 'b-s'")["similarity"].item()
    # books, source code and web pages of each
    assert found == pytest.approx(np.corrcoef([0.05, 0.1, 0.3], [0.3, 0.1, 0.35])[0, 1])


def test_profiles_of_the_same_rates_resemble_each_other(tmp_path: Path) -> None:
    """Prevents small samples from passing for unlike models: noise is taken off, on average over 200 studies."""
    source = np.random.default_rng(4)
    rates = [RATES["a-l"][domain] for domain in list(ROWS)[:3]]
    found, plain = [], []
    for study in range(200):
        outcomes = {
            model: {name: (source.random(60) < chance) * 1.0 for name, chance in zip(ROWS, rates, strict=False)}
            for model in ("a-s", "b-s")
        }
        table = compared(tmp_path, write(tmp_path / "r", lines_of(outcomes, seed=study, resamples=300)))["profiles"]
        found += table["similarity"].tolist()
        means = np.array([[part.mean() for part in outcomes[model].values()] for model in outcomes])
        plain.append(correlation(*means))
    assert len(found) > 190 and np.nanmean(found) > np.nanmean(plain) + 0.03
    assert np.nanmedian(found) > 0.97


def test_profiles_need_three_common_domains(tmp_path: Path) -> None:
    """Prevents a correlation of two points, which is 1 or -1 whatever they are."""
    pair = {"a-s": RATES["a-s"], "b-s": {domain: RATES["b-s"][domain] for domain in ("code", "markup")}}
    assert len(compared(tmp_path, write(tmp_path / "r", lines_of(seen(pair))))["profiles"]) == 0


def test_few_memorized_rows_are_no_profile(tmp_path: Path) -> None:
    """Prevents two models of one memorized row each from being called alike: 9 rows are too few, 10 are not."""
    for rows, lines in ((9, 0), (10, 1)):
        pair = {"a-s": RATES["a-s"], "b-s": {"code": rows / ROWS["code"], "markup": 0.0, "prose": 0.0}}
        assert len(compared(tmp_path, write(tmp_path / "r", lines_of(seen(pair))))["profiles"]) == lines


def test_a_flat_profile_resembles_nothing(tmp_path: Path) -> None:
    """Prevents rounding errors of equal rates from becoming a similarity, sampled or not."""
    flat = {"a-s": RATES["a-s"], "b-s": dict.fromkeys(ROWS, 0.1)}
    for fraction in (0, 1):
        lines = lines_of(seen(flat), fraction=fraction)
        (line,) = compared(tmp_path, write(tmp_path / "r", lines))["profiles"].to_dict("records")
        assert np.isnan(line["similarity"])


def test_intervals_cover_the_truth_in_a_thousand_studies(tmp_path: Path) -> None:
    """Prevents intervals too narrow or too wide: of a kind's rate, the adjusted rate, the share and the difference.

    Every study has a noise strength of its own, so that all are compared at once.
    """
    source = np.random.default_rng(5)
    studies = []
    for study in range(1000):
        outcomes = {"a-l": {domain: (source.random(300) < chance) * 1.0 for domain, chance in RATES["a-l"].items()}}
        studies.append(lines_of(outcomes, alpha=1 + study, seed=study, resamples=600))
    lines = compared(tmp_path, write(tmp_path / "r", *studies))["kinds"]
    assert len(lines) == 1000
    truth = {"structural": 0.35, "free_text": 0.15, "adjusted": 0.25, "structural_share": 0.7, "difference": 0.2}
    for name, value in truth.items():
        covered = lines[f"{name}_low"].le(value) & lines[f"{name}_high"].ge(value)
        assert 0.93 <= covered.mean() <= 0.97, name
