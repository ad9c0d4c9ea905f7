"""recite.comparison.claims.judge: three simulated studies for every claim, intervals in closed form, verdicts."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy import stats

from recite.catalogue import STAGES
from recite.comparison.claims.judge import about, judge, statistics_in, verdict
from recite.comparison.claims.tables import CLAIM_FAMILIES, CLAIMS
from recite.outcomes.draws import DRAWS, draw_line
from recite.outcomes.findings import Finding, Measured, mean_of_largest
from simulated import (
    CLASSES,
    RESAMPLES,
    at_one_size,
    by_class,
    by_count,
    by_depth,
    by_family,
    by_size,
    measured,
    one_a_family,
    source,
)

ROOT = Path(__file__).resolve().parents[3]
RULES = yaml.safe_load((ROOT / "config" / "claims.yaml").read_text())
CLAIMING = {claim: f"{stage.package}.claims" for stage in STAGES for claim in stage.claims}
"""Claim -> the module of the stage that declares it."""
MIXED = (0.9, 0.1, 0.7, 0.3, 0.55, 0.35)
DEPTHS = np.arange(1, 9) / 8
LABELS = [str(depth) for depth in DEPTHS]


def judged(name: str, study: Measured) -> str:
    """The verdict on a claim by the rule that is shipped."""
    rule = {"over": "families"} | RULES[name]
    finding = statistics_in(CLAIMING[name])[name](study)
    sign, bound = (">", rule["above"]) if "above" in rule else ("<", rule["below"])
    return verdict(finding, about(rule, finding), sign, bound)


def each(statistic: str, yes: float, no: float, spread: float) -> list[tuple[Measured, str]]:
    """A number that every family has on the claim's side, on the other, or here and there."""
    middle = (yes + no) / 2
    either = [middle + spread * sign for sign in (1, -1, 0.6, -0.7, 0.4, -0.2)]
    return [
        (one_a_family(statistic, [yes + 0.01 * place for place in range(6)]), "supported"),
        (one_a_family(statistic, [no + 0.01 * place for place in range(6)]), "not supported"),
        (one_a_family(statistic, either), "undecided"),
    ]


def opposite() -> np.ndarray:
    """Profiles over six classes that families agree on as little as can be: their sum is flat."""
    turned = np.array([np.roll([5.0, 1, 1, 1, 1, 1], place) for place in range(6)])
    return 0.05 * turned


def shapes(kind: str) -> np.ndarray:
    """Profiles over eight depths of two sizes of six families, (6, 2, 8)."""
    rng = source(5)
    own, noise = rng.normal(size=(6, 1, 8)), rng.normal(size=(6, 2, 8))
    if kind == "family":
        return np.asarray(own + 0.2 * noise)
    if kind == "none":
        return np.asarray(noise)
    turned = np.array([1, -1, 1, -1, 1, -1])[:, None, None] * np.array([1, -1])[None, :, None]
    return np.asarray(turned * rng.normal(size=8) + 0.05 * noise)


def risen(places: np.ndarray) -> np.ndarray:
    """Curves that rise at some depths: (families, 8)."""
    return np.asarray(1 / (1 + np.exp(-20 * (DEPTHS - places[:, None]))))


def signature(measure: str) -> list[tuple[Measured, str]]:
    kinds = (("family", "supported"), ("against", "not supported"), ("none", "undecided"))
    return [(by_family(shapes(kind), measure), expected) for kind, expected in kinds]


NEAR, FAR, BETWEEN = np.full(6, 0.6), np.linspace(0.2, 1.0, 6), np.array([0.5, 0.5, 0.5, 0.5, 0.85, 0.5])
STUDIES: dict[str, Callable[[], list[tuple[Measured, str]]]] = {
    "scaling": lambda: [
        (by_size(lambda family, size: 0.3 - 0.05 * family + 0.1 * (size - 6)), "supported"),
        (by_size(lambda family, size: 0.3 - 0.1 * (size - 6)), "not supported"),
        (by_size(lambda family, size: 0.3 + (-1) ** family * 0.1 * (size - 6)), "undecided"),
    ],
    "log_linear": lambda: [
        (by_size(lambda family, size: 0.1 + 0.1 * (size - 6)), "supported"),
        (by_size(lambda family, size: 0.02 * 10 ** (size - 6)), "not supported"),
        (by_size(lambda family, size: 0.1 + 0.1 * (size - 6) + 0.02 * (family % 3 - 1) * (size == 6.5)), "undecided"),
    ],
    "compressibility": lambda: each("short", 0.7, 0.2, 0.4),
    "frequency": lambda: [
        (by_count(lambda place: np.where(place > 3, -5 + 2.5 * (place - 3), -5.0)), "supported"),
        (by_count(lambda place: -5 + 1.2 * place), "not supported"),
        (by_count(lambda place: -4.5 + 0.1 * place, rows=300), "undecided"),
    ],
    "not_predictable": lambda: each("not_predictable", 0.8, 0.2, 0.4),
    "domain_pattern": lambda: [
        (by_class(0.05 + 0.3 * np.linspace(0, 1, 6) + 0.02 * source().random((6, 6))), "supported"),
        (by_class(opposite()), "not supported"),
        (by_class(source(3).random((6, 6))), "undecided"),
    ],
    "structural_dominance": lambda: each("structural_share", 0.7, 0.2, 0.4),
    "family_divergence": lambda: [
        (at_one_size({"a": (9.8, 0.2), "b": (9.9, 0.02)}), "supported"),
        (at_one_size({"a": (9.8, 0.1), "b": (9.9, 0.09)}), "not supported"),
        (at_one_size({"a": (9.8, 0.1), "b": (9.9, 0.05)}), "undecided"),
    ],
    "bipolar_scores": lambda: each("bipolarity", 0.05, -0.1, 0.05),
    "noise_removed": lambda: each("growth", 0.5, 1.6, 0.5),
    "memorized_recover_less": lambda: each("growth_difference", 0.2, -0.3, 0.3),
    "memorized_regain_less": lambda: each("beyond_difference", -0.2, 0.2, 0.3),
    "family_signature": lambda: signature("ablation_memorized"),
    "signature_recovery": lambda: signature("recovery"),
    "signature_lens": lambda: signature("lens"),
    "shared_decoding": lambda: [
        (by_depth("depths", np.column_stack([NEAR, NEAR]), ("absolute", "relative")), "supported"),
        (by_depth("depths", np.column_stack([NEAR, FAR]), ("absolute", "relative")), "not supported"),
        (by_depth("depths", np.column_stack([BETWEEN, NEAR]), ("absolute", "relative")), "undecided"),
    ],
    "shared_parting": lambda: [
        (by_depth("parting", risen(NEAR + 0.01 * np.arange(6)), LABELS), "supported"),
        (by_depth("parting", source(2).random((6, 8)), LABELS), "not supported"),
        (by_depth("parting", risen(BETWEEN), LABELS), "undecided"),
    ],
    "heads_shared": lambda: each("heads_shared_memorized", 0.2, -0.1, 0.3),
    "heads_shared_unmemorized": lambda: each("heads_shared_unmemorized", 0.2, -0.1, 0.3),
}


@pytest.mark.parametrize("claim", sorted(RULES))
def test_three_simulated_studies(claim: str) -> None:
    """Prevents a rule that cannot say yes, no, or that it does not know."""
    studies = STUDIES[claim]()
    assert [judged(claim, study) for study, _ in studies] == [expected for _, expected in studies]


@pytest.mark.parametrize("claim", sorted(RULES))
def test_nothing_memorized_is_not_measured(claim: str) -> None:
    """Prevents a verdict on models that recite nothing."""
    assert judged(claim, measured({})) == "not measured"


def test_families_that_rise_though_all_together_fall() -> None:
    """Prevents sizes that differ between families from turning the sign: larger families recite less here."""

    def rising(place: int) -> Callable[[int, float], float]:
        return lambda _, size: 0.3 - 0.1 * place + 0.005 * size

    study = measured(
        {
            "natural_rate": [
                draw
                for place, family in enumerate("abc")
                for draw in by_size(
                    lambda _, size, at=place: 0.3 - 0.1 * at + 0.05 * size / 10, sizes=(6 + place, 6.5 + place)
                ).draws["natural_rate"]
                if draw.family == family
            ]
        }
    )
    rates = [(np.log10(draw.parameters), draw.values[0, 0]) for draw in study.draws["natural_rate"]]
    assert stats.linregress(*zip(*rates, strict=True)).slope < 0
    assert judged("scaling", study) == "supported"


def test_models_that_memorize_nothing_do_not_scale() -> None:
    """Prevents a slope of 0 by rates of 0 from being called not supported."""
    assert judged("scaling", by_size(lambda family, size: 0.0, error=0.0)) == "not measured"


def test_one_size_is_within_a_factor_of_two() -> None:
    """Prevents 7B from standing beside 32B: the largest size that most families have is taken."""
    study = at_one_size({"a": (9.85, 0.1), "b": (10.5, 0.9), "c": (9.8, 0.08), "d": (9.9, 0.09)})
    finding = statistics_in(CLAIMING["family_divergence"])["family_divergence"](study)
    assert finding is not None and finding.value == pytest.approx(0.1 / 0.08)
    assert [part.family for part in finding.parts] == ["a", "c", "d"]


def test_a_rate_of_nothing_stands_at_its_bound() -> None:
    """Prevents a family that recites nothing from leaving the comparison: it is at most what its interval allows."""
    finding = statistics_in(CLAIMING["family_divergence"])["family_divergence"](
        at_one_size({"a": (9.8, 0.1), "b": (9.9, 0.0)})
    )
    assert finding is not None and finding.high == math.inf
    assert finding.value == pytest.approx(0.1 / 0.004)
    assert judged("family_divergence", at_one_size({"a": (9.8, 0.1), "b": (9.9, 0.0)})) == "supported"


def test_five_shared_classes_are_too_few() -> None:
    """Prevents a pattern over a handful of domains, however alike."""
    alike = np.tile(np.linspace(0.1, 0.5, 5), (6, 1))
    assert judged("domain_pattern", by_class(alike, CLASSES[:5])) == "not measured"


def test_a_fit_by_chance_is_not_supported() -> None:
    """Prevents an interval beyond the bound from deciding where a permutation does as well."""
    finding = Finding(0.5, 0.4, 0.6, 0.3, 0.7, 12, 6, p_value=0.2)
    assert verdict(finding, "families", ">", 0) == "undecided"
    assert verdict(finding._replace(p_value=0.01), "families", ">", 0) == "supported"


@pytest.mark.parametrize(
    ("ends", "sign", "expected"),
    [
        ((1.1, 3), ">", "supported"),
        ((0.9, 3), ">", "undecided"),
        ((0.2, 1.0), ">", "not supported"),
        ((1.0, 3), ">", "undecided"),
        ((0.2, 0.9), "<", "supported"),
        ((0.2, 1.1), "<", "undecided"),
        ((1.0, 3), "<", "not supported"),
    ],
)
def test_verdicts(ends: tuple[float, float], sign: str, expected: str) -> None:
    """Prevents a verdict by the value alone, by the other side of the bound 1, and by the other interval."""
    other = (0.0, 9.0)
    assert verdict(Finding(2, *other, *ends, 6, 6), "families", sign, 1.0) == expected
    assert verdict(Finding(2, *ends, *other, 6, 6), "models", sign, 1.0) == expected


def test_two_intervals_in_closed_form() -> None:
    """Prevents the mean of ends: resamples are shared, and families are Student's t."""
    study = one_a_family("short", MIXED)
    finding = mean_of_largest(study, "short")
    assert finding is not None
    expected = stats.ttest_1samp(MIXED, 0).confidence_interval(0.95)
    assert (finding.families_low, finding.families_high) == pytest.approx((expected.low, expected.high))
    together = np.mean([draw.values[1:, 0] for draw in study.draws["short"]], axis=0)
    assert (finding.low, finding.high) == pytest.approx(tuple(np.quantile(together, [0.025, 0.975])))
    # Independent errors of 0.01 in six models: the mean's is 0.01 / sqrt(6), the mean of ends would be as wide as one.
    assert finding.high - finding.low == pytest.approx(2 * 1.96 * 0.01 / math.sqrt(6), rel=0.2)
    assert [part.value for part in finding.parts] == pytest.approx(MIXED)


def test_two_families_say_nothing_of_others() -> None:
    """Prevents an interval over two families; the verdict is then on these models, and says so."""
    study = one_a_family("short", (0.9, 0.8))
    finding = mean_of_largest(study, "short")
    assert finding is not None and math.isnan(finding.families_low)
    assert about({"over": "families"}, finding) == "models"
    assert judged("compressibility", study) == "supported"


def test_every_claim_has_a_statistic_a_rule_and_a_figure() -> None:
    """Prevents a statistic that no claim uses, a claim that none can be computed for, and one that two stages have."""
    assert set(CLAIMING) == set(RULES) == set(STUDIES)
    assert len(CLAIMING) == sum(len(stage.claims) for stage in STAGES)
    for stage in STAGES:
        module = f"{stage.package}.claims"
        is_there = ROOT.joinpath("workflow", f"{module.replace('.', '/')}.py").is_file()
        assert sorted(statistics_in(module) if is_there else ()) == sorted(stage.claims)
    assert {rule["figure"] for rule in RULES.values()} <= {figure for stage in STAGES for figure in stage.figures}


def test_the_ledger_lists_every_claim_and_family(tmp_path: Path) -> None:
    """Prevents a claim that a study cannot test from vanishing, another order than the file's, and a hidden family."""
    rng = source()
    lines: list[dict[str, Any]] = [
        draw_line(
            {"model": f"{family}-l", "family": family, "parameters": 9},
            "short",
            value + 0.01 * rng.normal(size=RESAMPLES),
        )
        for family, value in zip("abc", (0.7, 0.8, 0.9), strict=True)
    ]
    DRAWS.write_lines(tmp_path / "draws.parquet", lines, {})
    names = ["structural_dominance", "compressibility", "scaling"]
    claims = [
        {"name": name, "claim": f"Says {name}.", "statistic": "a number", "figure": "scaling", "above": 0.05}
        | {"over": "families"}
        for name in names
    ]
    options = {"claims": claims, "statistics": CLAIMING, "tables": {}, "confidence": 0.95}
    outputs = {table.name: tmp_path / f"{table.name}.parquet" for table in (CLAIMS, CLAIM_FAMILIES)}
    judge(options, [], [tmp_path / "draws.parquet"], outputs)
    table = CLAIMS.read(outputs["claims"]).to_pylist()
    assert [row["claim"] for row in table] == names
    assert [row["verdict"] for row in table] == ["not measured", "supported", "not measured"]
    assert table[1]["text"] == "Says compressibility." and table[1]["rule"] == "> 0.05" and table[1]["models"] == 3
    assert table[1]["over"] == "families" and math.isnan(table[0]["value"])
    families = CLAIM_FAMILIES.read(outputs["claim_families"]).to_pylist()
    assert [(row["claim"], row["family"], row["models"]) for row in families] == [
        ("compressibility", family, f"{family}-l") for family in "abc"
    ]
