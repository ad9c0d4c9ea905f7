"""recite.comparison.claims.judge: verdicts by their rules, statistics by hand."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from recite.catalogue import STAGES
from recite.comparison.claims.judge import judge, statistics_in, verdict
from recite.comparison.claims.tables import CLAIMS
from recite.comparison.scaling.tables import SCALING
from recite.outcomes.findings import Finding
from recite.stages.scoring.tables import RATES
from studies import tables

ROOT = Path(__file__).resolve().parents[3]
BOUNDS = yaml.safe_load((ROOT / "config" / "claims.yaml").read_text())
CLAIMING = {claim: f"{stage.package}.claims" for stage in STAGES for claim in stage.claims}
"""Claim -> the module of the stage that declares it."""


def spread(name: str, value: float, reach: float = 0.1) -> dict[str, float]:
    return {name: value, f"{name}_low": value - reach, f"{name}_high": value + reach}


def model(name: str) -> dict[str, Any]:
    family, size = name.split("-")
    return {"model": name, "family": family, "parameters": int(size)}


def pair(a: str, b: str, similarity: float) -> dict[str, Any]:
    sides = {f"{key}_{side}": value for side, name in (("a", a), ("b", b)) for key, value in model(name).items()}
    return sides | {"domains": 3, "rows": 10} | spread("similarity", similarity)


def frame(*lines: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(lines))


@pytest.mark.parametrize(
    ("finding", "sign", "expected"),
    [
        ((2, 1.1, 3), ">", "supported"),
        ((2, 0.9, 3), ">", "undecided"),
        ((0.5, 0.2, 1.0), ">", "not supported"),
        ((2, 1.0, 3), ">", "undecided"),
        ((0.5, 0.2, 0.9), "<", "supported"),
        ((0.5, 0.2, 1.1), "<", "undecided"),
        ((2, 1.0, 3), "<", "not supported"),
    ],
)
def test_verdicts(finding: tuple[float, float, float], sign: str, expected: str) -> None:
    """Prevents a verdict by the value alone, and one by the other side of the bound 1."""
    assert verdict(Finding(*finding, 3), sign, 1.0) == expected


def test_every_claim_has_a_statistic_and_a_bound() -> None:
    """Prevents a statistic that no claim uses, a claim that none can be computed for, and one that two stages have."""
    assert set(CLAIMING) == set(BOUNDS)
    assert len(CLAIMING) == sum(len(stage.claims) for stage in STAGES)
    for stage in STAGES:
        module = f"{stage.package}.claims"
        is_there = ROOT.joinpath("workflow", f"{module.replace('.', '/')}.py").is_file()
        assert sorted(statistics_in(module) if is_there else ()) == sorted(stage.claims)


def test_claims_are_taken_from_tables_and_shown_in_figures() -> None:
    """Prevents a claim that no study can measure, one that is judged by verdicts, and a link to no figure."""
    needed = {table for name, module in CLAIMING.items() for table in statistics_in(module)[name][0]}
    assert needed <= set(tables()) - {CLAIMS.name}
    assert {bound["figure"] for bound in BOUNDS.values()} <= {figure for stage in STAGES for figure in stage.figures}


def found(name: str, **tables: pd.DataFrame) -> Finding | None:
    return statistics_in(CLAIMING[name])[name][1](tables)


def test_scaling_is_that_of_natural_rows_pooled() -> None:
    """Prevents planted rows, whose rate grows with size by design, from deciding."""
    lines = [
        {"family": family, "rows": rows, "models": models} | spread("slope", slope)
        for family, rows, models, slope in (
            ("a", "natural", 2, 0.3),
            ("pooled", "natural", 5, 0.1),
            ("pooled", "planted", 5, 0.9),
        )
    ]
    assert found("scaling", scaling=frame(*lines)) == Finding(0.1, 0.0, 0.2, 5)
    assert found("scaling", scaling=frame(lines[0])) == Finding(0.3, pytest.approx(0.2), 0.4, 2)  # type: ignore[arg-type]


def test_compressibility_is_that_of_the_largest() -> None:
    """Prevents single domains, planted ones among them, from entering the mean."""
    lines = [
        model(name) | {"domain": domain} | spread("short", share)
        for name, domain, share in (
            ("a-1", "natural", 1.0),
            ("a-2", "natural", 0.5),
            ("a-2", "code", 0.9),
            ("b-1", "natural", 0.3),
        )
    ]
    assert found("compressibility", compressibility=frame(*lines)) == pytest.approx((0.4, 0.3, 0.5, 2))


def test_frequency_is_of_thresholds_that_are_reached() -> None:
    """Prevents planted rows, single spans, other ways of counting, and rates that may never rise, from the mean."""
    lines = [
        model(name)
        | {"rows": rows, "counting": counting, "measure": measure, "threshold": value}
        | {"threshold_low": value - 1, "threshold_high": math.inf if name.startswith("c") else value + 1}
        for name, rows, counting, measure, value in (
            ("a-2", "natural", "bytes", "sequence", 4.0),
            ("a-2", "natural", "bytes", "context", 90.0),
            ("a-2", "natural", "own", "sequence", 80.0),
            ("a-2", "planted", "bytes", "sequence", 70.0),
            ("a-1", "natural", "bytes", "sequence", 60.0),
            ("b-1", "natural", "bytes", "sequence", 8.0),
            ("c-1", "natural", "bytes", "sequence", 50.0),
        )
    ]
    assert found("frequency", thresholds=frame(*lines)) == pytest.approx((6, 5, 7, 2))
    assert found("frequency", thresholds=frame(lines[-1])) is None
    assert found("frequency", thresholds=frame(*lines).iloc[:0]) is None


def test_domain_pattern_is_between_families_of_the_largest() -> None:
    """Prevents models of one family, and small ones, from counting as agreement between families."""
    pairs = [
        pair("a-1", "a-2", 0.99),
        pair("a-1", "b-3", -0.5),
        pair("a-2", "b-3", 0.6),
        pair("a-2", "c-1", 0.2),
        pair("b-3", "c-1", math.nan),
    ]
    finding = found("domain_pattern", profiles=frame(*pairs))
    assert finding is not None
    assert finding == pytest.approx((0.4, 0.3, 0.5, 3))
    assert found("domain_pattern", profiles=frame(*pairs).iloc[:0]) is None


def test_structural_dominance_leaves_out_noise_and_small_models() -> None:
    """Prevents a disturbed model's share, or an undefined one, from entering the mean."""
    lines = [
        model(name) | {"alpha": alpha} | spread("structural_share", share)
        for name, alpha, share in (
            ("a-1", 0, 0.9),
            ("a-2", 0, 0.3),
            ("a-2", 0.5, 0.8),
            ("b-1", 0, 0.5),
            ("c-1", 0, math.nan),
        )
    ]
    assert found("structural_dominance", kinds=frame(*lines)) == pytest.approx((0.4, 0.3, 0.5, 2))


def test_noise_removed_is_that_of_all_rows_at_the_last_layer() -> None:
    """Prevents a layer in between, a class, weaker noise, a later disturbed layer or a smaller model from entering."""
    lines = [
        model(name)
        | {"rows": rows, "group": group, "noise_layer": layer, "alpha": alpha, "depth": depth}
        | spread("growth", share)
        for name, rows, group, layer, alpha, depth, share in (
            ("a-2", "natural", "all", 1, 0.5, 1.0, 0.5),
            ("b-2", "natural", "all", 1, 0.5, 1.0, 0.3),
            ("a-1", "natural", "all", 1, 0.5, 1.0, 0.9),
            ("a-2", "natural", "all", 2, 0.5, 1.0, 0.9),
            ("a-2", "natural", "all", 1, 0.1, 1.0, 0.9),
            ("a-2", "natural", "all", 1, 0.5, 0.5, 0.9),
            ("a-2", "natural", "memorized", 1, 0.5, 1.0, 0.9),
            ("a-2", "planted", "all", 1, 0.5, 1.0, 0.9),
        )
    ]
    assert found("noise_removed", recovery=frame(*lines)) == pytest.approx((0.4, 0.3, 0.5, 2))


def test_memorized_recover_less_under_the_strongest_noise() -> None:
    """Prevents planted rows, and a weaker noise, from deciding; no class with texts enough is not measured."""
    lines = [
        model(name)
        | {"rows": rows, "noise_layer": 0, "alpha": alpha, "measure": measure}
        | spread("difference", difference)
        for name, rows, alpha, measure, difference in (
            ("a-2", "natural", 0.5, "growth", 0.3),
            ("b-2", "natural", 0.5, "growth", 0.1),
            ("a-1", "natural", 0.5, "growth", 0.9),
            ("a-2", "natural", 0.1, "growth", 0.9),
            ("a-2", "planted", 0.5, "growth", 0.9),
            ("a-2", "natural", 0.5, "beyond", -0.6),
            ("a-2", "natural", 0.5, "regained", 0.8),
        )
    ]
    table = frame(*lines)
    assert found("memorized_recover_less", recovery_tests=table) == pytest.approx((0.2, 0.1, 0.3, 2))
    assert found("memorized_regain_less", recovery_tests=table) == pytest.approx((-0.6, -0.7, -0.5, 1))
    for name in ("memorized_recover_less", "memorized_regain_less"):
        assert found(name, recovery_tests=table.iloc[:0]) is None


def test_shared_decoding_is_between_families() -> None:
    """Prevents two sizes of one family from counting as a process that families share."""
    pairs = [pair("a-1", "a-2", 0.1), pair("a-2", "b-3", 0.9), pair("a-2", "c-1", 0.7)]
    assert found("shared_decoding", lens_profiles=frame(*pairs)) == pytest.approx((0.8, 0.7, 0.9, 3))


def test_heads_shared_beyond_chance() -> None:
    """Prevents halves of a domain, single pairs, another share of the heads or importance from deciding."""
    lines = [
        model(name)
        | {"measure": measure, "comparison": comparison, "domain_a": domain, "share": share, "chance": 0.125}
        | spread("overlap", overlap)
        for name, measure, comparison, domain, share, overlap in (
            ("a-2", "hits", "between", "all", 0.2, 0.5),
            ("b-2", "hits", "between", "all", 0.2, 0.25),
            ("a-1", "hits", "between", "all", 0.2, 0.9),
            ("a-2", "log_probability", "between", "all", 0.2, 0.9),
            ("a-2", "hits", "within", "all", 0.2, 0.9),
            ("a-2", "hits", "between", "code", 0.2, 0.9),
            ("a-2", "hits", "between", "all", 0.3, 0.9),
        )
    ]
    assert found("heads_shared", overlap=frame(*lines)) == pytest.approx((0.25, 0.15, 0.35, 2))
    assert found("heads_shared", overlap=frame(*lines).iloc[:0]) is None


def rates(*lines: tuple[str, str, float, float]) -> pd.DataFrame:
    return frame(
        *(
            model(name) | {"domain": domain} | spread("rate", rate, 0.02) | spread("between", between)
            for name, domain, rate, between in lines
        )
    )


def test_family_divergence_is_the_worst_case() -> None:
    """Prevents an interval that takes the ratio's two rates for known."""
    table = rates(
        ("a-1", "natural", 0.9, 0), ("a-2", "natural", 0.2, 0), ("b-2", "natural", 0.05, 0), ("b-2", "code", 0.7, 0)
    )
    assert found("family_divergence", rates=table) == pytest.approx((4, 0.18 / 0.07, 0.22 / 0.03, 2))
    assert found("family_divergence", rates=rates(("a-2", "natural", 0.2, 0))) is None
    assert found("family_divergence", rates=rates(("a-2", "natural", 0.2, 0), ("b-2", "natural", 0.0, 0))) is None


def test_bipolar_scores() -> None:
    """Prevents smaller models and single domains from entering the mean."""
    table = rates(
        ("a-1", "natural", 0, 0.9), ("a-2", "natural", 0, 0.5), ("b-2", "natural", 0, 0.3), ("b-2", "code", 0, 0.9)
    )
    assert found("bipolar_scores", rates=table) == pytest.approx((0.4, 0.3, 0.5, 2))


def test_the_ledger_lists_every_claim(tmp_path: Path) -> None:
    """Prevents a claim that a study cannot test from vanishing, and an order other than the file's."""
    line = {"family": "pooled", "rows": "natural", "models": 3, "p_value": 0.1, "q_value": 0.1}
    line |= {"intercept": 0.0, "r_squared": 0.5} | spread("slope", 0.2)
    SCALING.write(tmp_path / "scaling.parquet", {name: [line[name]] for name in SCALING.names}, {})
    RATES.write(tmp_path / "rates.parquet", {name: [] for name in RATES.names}, {})
    names = ["structural_dominance", "scaling", "family_divergence"]
    claims = [
        {"name": name, "claim": f"Says {name}.", "statistic": "a number", "figure": "scaling", "above": 0.05}
        for name in names
    ]
    modules = {"scaling": "recite.comparison.scaling.tables", "rates": "recite.stages.scoring.tables"}
    options = {"claims": claims, "statistics": CLAIMING, "tables": modules}
    judge(options, [tmp_path / f"{name}.parquet" for name in modules], tmp_path / "claims.parquet")
    table = CLAIMS.read(tmp_path / "claims.parquet").to_pylist()
    assert [row["claim"] for row in table] == names
    assert [row["verdict"] for row in table] == ["not measured", "supported", "not measured"]
    assert table[1]["text"] == "Says scaling." and table[1]["rule"] == "> 0.05" and table[1]["models"] == 3
    assert math.isnan(table[0]["value"])


def test_family_signature_is_what_exceeds_chance() -> None:
    """Prevents an accuracy from being taken for a finding where chance gives as much."""
    lines = [
        {"measure": measure, "models": models, "chance": chance} | spread("accuracy", accuracy)
        for measure, models, chance, accuracy in (("lens", 12, 0.2, 0.5), ("recovery", 9, 0.1, 0.3))
    ]
    assert found("family_signature", signature_tests=frame(*lines)) == pytest.approx((0.25, 0.15, 0.35, 12))
    assert found("family_signature", signature_tests=frame(*lines).iloc[:0]) is None
