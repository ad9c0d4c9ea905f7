"""recite.report.summary: the page holds the tables' numbers, each in its place."""

import math
from pathlib import Path
from typing import Any

import pytest

from recite.catalogue import STAGES
from recite.comparison.claims.tables import CLAIM_FAMILIES, CLAIMS
from recite.comparison.domains.tables import KINDS, PROFILES
from recite.comparison.factorial.tables import FACTORIAL
from recite.comparison.scaling.tables import PREDICTIONS, SCALING, SLOPE_TESTS
from recite.comparison.signatures.tables import SIGNATURE_TESTS
from recite.errors import ReciteError
from recite.files import write_json
from recite.report.summary import MOST, shortened, write_summary
from recite.stages.compressibility.tables import COMPRESSIBILITY
from recite.stages.frequency.tables import COUNTINGS, THRESHOLDS
from recite.stages.heads.tables import HEADS, OVERLAP, POWER
from recite.stages.lens.tables import LENS, LENS_PROFILES
from recite.stages.noise.tables import NOISE_RATES
from recite.stages.recovery.tables import RECOVERY, RECOVERY_TESTS
from recite.stages.scoring.tables import CONTROL_RATES, DISJOINT_SAMPLES, DISTRIBUTION, RATES
from recite.tables import Table
from recorded import TABLE_MODULES

MODELS = {"b-s": ("b", 1_234), "a-l": ("a", 2_500_000), "a-s": ("a", 30_000)}


def model(name: str) -> dict[str, Any]:
    return {"model": name, "family": MODELS[name][0], "parameters": MODELS[name][1]}


def rate(value: float, n: int = 500) -> dict[str, Any]:
    counts = {"n": n, "distinct": n, "effective_n": float(n), "memorized": round(value * n), "rate": value}
    return counts | {"rate_low": value - 0.012, "rate_high": value + 0.034, "mean_score": value + 0.1}


def place(domain: str) -> dict[str, str]:
    return {"domain": domain, "kind": {"natural": "mixed", "control": "planted"}.get(domain, "structural")}


def spread(name: str, value: float, low: float, high: float) -> dict[str, float]:
    """A statistic with its interval."""
    return {name: value, f"{name}_low": low, f"{name}_high": high}


RATE_OF = {"a-s": (0.1, 0.4), "a-l": (0.223, 0.56), "b-s": (0.05, 0.3)}
"""Natural and planted rate of each model."""
REST = {"half": 1, "unmemorized": 2}
DISTINCT = {"a-s": 485, "a-l": 477, "b-s": 490}
"""Distinct texts among each model's natural rows."""
AVERAGED = ("log_probability", "entropy", "rank", "leads", "settled")
LINES: dict[str, list[dict[str, Any]]] = {
    "rates": [
        model(name)
        | place(domain)
        | rate(value, n)
        | REST
        | spread("between", 0.9 - value, 0.1, 0.9)
        | {"at_risk": 0.004 if name == "a-l" else 0.001, "memorized_at_risk": 0.002 if name == "a-l" else math.nan}
        | ({"distinct": DISTINCT[name]} if domain == "natural" else {})
        | spread("false_rate", math.nan, math.nan, math.nan)
        for name, (natural, planted) in RATE_OF.items()
        for domain, value, n in (("code", 0.9, 7), ("natural", natural, 600), ("control", planted, 120))
    ],
    "distribution": [model("a-s") | {"hits": 0, "n": 3, "share": 1.0}],
    "control_rates": [
        model(name) | {"repetitions": count} | rate(value / count)
        for name, (_, value) in RATE_OF.items()
        for count in (16, 2, 4)
    ],
    "scaling": [
        {"family": "a", "rows": "natural", "models": 2, "slope": 0.0644, "slope_low": -0.0111, "slope_high": 0.1}
        | {"p_value": 0.2, "q_value": 0.213, "intercept": -0.1, "r_squared": 0.987},
        {"family": "common", "rows": "planted", "models": 3, "slope": 0.25, "slope_low": 0.2, "slope_high": 0.3}
        | {"p_value": 0.0001, "q_value": 0.0002, "intercept": 0.0, "r_squared": 0.5},
    ],
    "noise_rates": [
        model("a-l") | {"noise_layer": 0, "alpha": alpha} | place(domain) | rate(value - alpha / 10)
        for alpha in (0.5, 0.0, 0.25)
        for domain, value in (("code", 0.9), ("natural", 0.2), ("control", 0.5))
    ],
}
LINES |= {
    "slope_tests": [
        {
            "rows": "natural",
            "families": 2,
            "models": 6,
            "f": 1.234,
            "df_between": 1,
            "df_residual": 2,
            "p_value": 0.04321,
        }
    ],
    "predictions": [
        model("a-l")
        | {"rows": "natural", "models": 2, "observed": 0.223}
        | spread("predicted", 0.31, 0.2, 0.4)
        | spread("difference", -0.087, -0.177, 0.023)
    ],
    "kinds": [
        model(name)
        | {"noise_layer": 0, "alpha": alpha, "n": 600, "memorized": memorized, "p_value": 0.01, "q_value": 0.0004}
        | spread("structural", 0.3, 0.2, 0.4)
        | spread("free_text", 0.1, 0.05, 0.15)
        | spread("adjusted", 0.2, 0.15, 0.25)
        | spread("structural_share", 0.75, 0.6, 0.9)
        | spread("raw_share", 0.5, 0.4, 0.6)
        | spread("difference", 0.2, 0.1, 0.3)
        for name, alpha, memorized in (("a-s", 0.0, 120), ("a-s", 0.5, 90), ("b-s", 0.0, 0))
    ],
    "profiles": [
        {f"{key}_a": value for key, value in model(a).items()}
        | {f"{key}_b": value for key, value in model(b).items()}
        | {"classes": 5, "rows": 600}
        | spread("similarity", similarity, 0.1, 0.9)
        for a, b, similarity in (
            ("a-s", "a-l", 0.875),
            ("a-s", "b-s", 0.25),
            ("a-l", "b-s", 0.75),
            ("b-s", "b-s", float("nan")),
        )
    ],
    "compressibility": [
        model(name)
        | place(domain)
        | {"n": 12, "distinct": 9, "median_ratio": 0.5, "effective_n": 8.0}
        | spread("mean_ratio", ratio, 0.25, 0.75)
        | spread("short", 0.625, 0.4, 0.8)
        | spread("non_monotone", 0.125, 0.1, 0.2)
        for name, domain, ratio in (("a-s", "code", 0.9), ("a-s", "natural", 0.375), ("b-s", "natural", 0.5))
    ],
    "thresholds": [
        model(name)
        | {"rows": rows, "counting": counting, "measure": measure, "n": 600, "distinct": 480, "floor": 0.111}
        | {"reached": 0.975}
        | spread("threshold", value, value / 2, math.inf if rows == "planted" else value * 2)
        | spread("shift", 0.0, 0.0, 0.0)
        for counting, measure, value in (
            ("own", "sequence", 6.0),
            ("own", "context", 90.0),
            ("bytes", "sequence", 80.0),
        )
        for name, rows in (("b-s", "natural"), ("a-s", "planted"), ("a-s", "natural"))
    ]
    + [
        model("a-l")
        | {"rows": "natural", "counting": "own", "measure": "sequence", "n": 600, "distinct": 470, "floor": 0.2}
        | {"reached": 0.004}
        | spread("threshold", math.inf, math.inf, math.inf)
        | spread("shift", math.nan, math.nan, math.nan)
    ],
    "countings": [
        {"family": "a", "measure": measure, "counting": counting, "reference": "own", "tokens": tokens, "texts": 480}
        | {"equal": 0.75, "missed": 0.125}
        | spread("bias", -0.5, -0.75, -0.25)
        | spread("correlation", correlation, 0.5, 0.875)
        for counting, tokens, measure, correlation in (
            ("bytes", "", "sequence", 0.625),
            ("public", "llama-2", "context", math.nan),
        )
    ],
    "claims": [
        {"claim": name, "text": f"Claims {name}.", "statistic": "a share", "value": value, "low": value - 0.1}
        | {"high": value + 0.1, "families_low": value - apart, "families_high": value + apart, "p_value": p_value}
        | {"models": 6, "families": 3, "over": over, "rule": "> 0.5", "verdict": verdict, "figure": "scaling"}
        for name, value, apart, p_value, over, verdict in (
            ("growth", 0.75, 0.2, 0.0125, "families", "supported"),
            ("pair", 0.5, math.nan, math.nan, "models", "undecided"),
            ("pattern", math.nan, math.nan, math.nan, "models", "not measured"),
        )
    ],
    "claim_families": [
        {"claim": name, "family": family, "models": f"{family}-s", "value": value, "low": 0.1, "high": 0.9}
        for name, family, value in (("growth", "a", 0.6875), ("pair", "a", 0.25), ("growth", "b", 0.8))
    ],
    "disjoint_samples": [
        model("a-s")
        | place("code")
        | {"first_n": 3, "first_rate": 0.5, "second_n": 4, "second_rate": 0.6, "p_value": 0.001, "q_value": q_value}
        for q_value in (0.04, 0.06, 1.0)
    ],
}
LINES |= {
    "recovery": [
        model(name)
        | {"noise_layer": 0, "alpha": alpha, "rows": rows, "group": group}
        | {"layer": layer, "depth": (layer + 1) / 2, "n": 40, "distinct": 30}
        | spread("cosine", 0.9, 0.8, 0.95)
        | spread("regained", 0.5, 0.4, 0.6)
        | spread("baseline", 0.96, 0.9, 0.99)
        | spread("beyond", -0.06, -0.1, 0)
        | spread("growth", share + layer / 4, share, share + 0.5)
        | spread("along", 0.5, 0.4, 0.6)
        for name, alpha, rows, group, share in (
            ("a-l", 0.5, "natural", "all", 0.125),
            ("a-l", 0.5, "natural", "memorized", -0.5),
            ("a-l", 0.5, "natural", "unmemorized", 0.25),
            ("a-l", 0.1, "natural", "all", 0.5),
            ("b-s", 0.5, "natural", "all", 0.25),
            ("b-s", 0.5, "natural", "unmemorized", 0.3),
        )
        for layer in (0, 1)
    ],
    "recovery_tests": [
        model("a-l")
        | {"noise_layer": 0, "alpha": alpha, "rows": "natural", "p_value": 0.5, "q_value": 0.0123}
        | {f"{group}_{name}": 20 for group in ("memorized", "unmemorized") for name in ("n", "distinct")}
        | {"measure": measure}
        | spread("difference", alpha - 1.25, -1, -0.25)
        for alpha, measure in ((0.5, "growth"), (0.1, "growth"), (0.5, "regained"))
    ],
    "lens": [
        model(name)
        | {"rows": rows, "group": group, "layer": layer, "depth": (layer + 1) / 4, "n": 40, "distinct": 30}
        | {key: value for shown in AVERAGED for key, value in spread(shown, 0.5, 0.25, 0.75).items()}
        | spread("probability", top * (layer + 1) / 4, 0.0, top)
        | spread("agrees", (layer + 1) / 4, 0, 1)
        for name, rows, group, top in (
            ("a-l", "natural", "memorized", 0.8),
            ("a-l", "natural", "unmemorized", 0.4),
            ("a-l", "natural", "all", 0.6),
            ("a-l", "planted", "memorized", 0.9),
        )
        for layer in (3, 1, 0, 2)
    ],
    "lens_profiles": [
        {f"{key}_a": value for key, value in model(a).items()}
        | {f"{key}_b": value for key, value in model(b).items()}
        | {"group": group, "distinct": 9}
        | spread("similarity", similarity - shift, 0.1, 0.9)
        for group, shift in (("memorized", 0), ("unmemorized", 1), ("memorized - unmemorized", 1.5))
        for a, b, similarity in (("a-s", "a-l", 0.5), ("a-s", "b-s", 0.25), ("a-l", "b-s", 0.75))
    ],
    "heads": [
        model("a-l")
        | {"rows": rows, "domain": domain, "layer": layer, "head": layer + 1, "depth": (layer + 1) / 2, "n": 40}
        | {"group": "memorized", "distinct": 30, "rank": 2 - layer, "heads": 2}
        | spread("hits_drop", 0.1 + layer / 8, layer / 4 - 0.125, 0.5)
        | {"hits_drop_p_value": 0.03, "hits_drop_q_value": 0.06 - layer / 32}
        | spread("log_probability_drop", layer / 2 - 0.25, -0.25, 0.5)
        | {"log_probability_drop_p_value": 0.01, "log_probability_drop_q_value": 0.02 + layer / 32}
        | spread("probability_drop", 0.125, 0.0, 0.25)
        | {"probability_drop_p_value": 0.01, "probability_drop_q_value": 0.02}
        for rows, domain in (("natural", "all"), ("natural", "code"), ("planted", "all"))
        for layer in (0, 1)
    ],
    "overlap": [
        model(name)
        | {"measure": measure, "comparison": comparison, "domain_a": domain, "domain_b": domain, "share": share}
        | {"group": "all", "k": 12, "heads": 60, "domains": 5, "n": 20, "distinct": 18}
        | spread("overlap", overlap, 0.25, 0.75)
        | spread("chance", 0.125, 0.0, 0.25)
        for name, measure, comparison, domain, share, overlap in (
            ("a-l", "hits", "within", "all", 0.2, 0.7),
            ("a-l", "hits", "between", "code", 0.2, 0.99),
            ("a-l", "hits", "between", "all", 0.2, 0.5),
            ("a-l", "hits", "between", "all", 0.5, 0.99),
            ("a-l", "log_probability", "between", "all", 0.2, 0.99),
            ("a-l", "hits", "universal", "all", 0.2, 0.05),
        )
    ],
    "power": [
        model("a-l")
        | {"rows": rows, "domain": domain, "measure": measure, "n": n, "own": n == 40, "measured_n": 40, "heads": 60}
        | {
            "group": "half",
            "measured_distinct": 30,
            "smallest": 0.0,
            "median": effect,
            "largest": 1.0,
            "visible": visible,
        }
        for rows, domain in (("natural", "all"), ("natural", "code"), ("planted", "all"))
        for measure, n, effect, visible in (
            ("hits", 40, 0.08, 0.25),
            ("log_probability", 40, 0.3, 0.5),
            ("hits", 10_000, 0.005, 0.9),
            ("log_probability", 10_000, 0.02, 1.0),
        )
    ],
}
LINES["signature_tests"] = [
    {"measure": "lens", "models": 9, "families": 3, "within": 0.912, "between": 0.5, "difference": 0.412}
    | {"difference_low": 0.1, "difference_high": 0.7}
    | {"p_value": 0.01, "q_value": 0.021, "identified": 6, "asked": 8, "chance": 0.25, "accuracy_p_value": 0.034}
    | spread("accuracy", 0.75, 0.4, 0.93)
]
LINES["factorial"] = [
    {"measure": measure, "profile": profile, "factor": factor, "models": 12, "degrees": 2, "sum_of_squares": 0.5}
    | {"p_value": p_value}
    | spread("share", share, share - 0.125, share + 0.25)
    for measure, profile, factor, share, p_value in (
        ("recovery", "raw", "architecture", 0.5, 0.0123),
        ("recovery", "shape", "architecture", 0.25, 0.0123),
        ("lens", "raw", "architecture", 0.125, 0.0123),
        ("lens", "raw", "both", 0.375, math.nan),
    )
]
PUBLISHED = [
    {"quantity": "rate", "models": ["a-l", "z-l"], "alpha": 0.5, "published": 0.1, "at_most": True, "source": "notes"},
    {"quantity": "head_overlap_between", "models": ["a-l"], "published": 0.1357, "at_most": False, "source": "a note"},
    {"quantity": "universal_heads", "models": ["z-l"], "published": 0.014, "at_most": False, "source": "notes"},
]
TABLES: list[Table] = [RATES, DISTRIBUTION, CONTROL_RATES, SCALING, SLOPE_TESTS, PREDICTIONS, KINDS, PROFILES]
TABLES += [DISJOINT_SAMPLES, NOISE_RATES, CLAIMS, CLAIM_FAMILIES, COMPRESSIBILITY, THRESHOLDS, COUNTINGS]
TABLES += [RECOVERY, RECOVERY_TESTS, LENS, LENS_PROFILES, HEADS, OVERLAP, POWER, SIGNATURE_TESTS, FACTORIAL]


EMPTY: dict[str, bool] = {}
"""Tables to write without a line."""


def options() -> dict[str, Any]:
    """What the job of the summary is told, of a study with all stages."""
    words = [f"{stage.package}.words" for stage in STAGES if stage.words]
    about = "about documents"
    return {"study": "tiny", "published": PUBLISHED, "about": about, "words": words, "tables": TABLE_MODULES}


def summary(folder: Path, left_out: str = "", confidence: float = 0.95) -> str:
    """The page written from the lines above."""
    paths = []
    metadata = {"options": {"confidence": confidence}}
    for table in TABLES:
        if table.name != left_out:
            lines = LINES[table.name]
            paths.append(folder / f"{table.name}.parquet")
            kept = [] if EMPTY.get(table.name) else lines
            table.write(paths[-1], {name: [line[name] for line in kept] for name in lines[0]}, metadata)
    manifest = {"sources": {"code": {"documents": 150, "files": 9}, "prose": {"documents": 75, "files": 9}}}
    write_json(folder / "manifest.json", manifest | {"controls": 33, "unseen": 5})
    write_summary(options(), paths, folder / "manifest.json", folder / "out" / "summary.md")
    return (folder / "out" / "summary.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of all tables."""
    return summary(tmp_path_factory.mktemp("page"))


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its header."""
    section = page.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_overview(page: str) -> None:
    """Prevents an opening paragraph that counts domains as models, or planted texts as documents."""
    assert page.startswith("# Study tiny\n")
    assert "3 models of 2 families, 1,234 to 2,500,000 parameters" in page
    assert (
        "225 natural documents of 2 domains and 33 planted control texts and held against 5 more of no copy; " in page
    )
    assert "600 natural rows of 477 or more distinct texts scored per model" in page
    assert "At most 0.40% of a model's natural or planted rows" in page
    assert "under the precision's noise, of the memorized at most 0.20%." in page


@pytest.mark.parametrize(("domain", "share"), [("natural", "0.70"), ("control", "0.70"), ("code", "0.40")])
def test_rows_at_risk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, domain: str, share: str) -> None:
    """Prevents a maximum that passes over the planted rows, or that is of a single domain's few rows."""
    changed = [
        line | ({"at_risk": 0.007} if (line["model"], line["domain"]) == ("b-s", domain) else {})
        for line in LINES["rates"]
    ]
    monkeypatch.setitem(LINES, "rates", changed)
    assert f"At most {share}% of a model's natural or planted rows" in summary(tmp_path)


def test_rates(page: str) -> None:
    """Prevents a natural rate beside another model's planted one; models come by family and size."""
    header, _, *found = rows(page, "Memorization rates")
    assert found == [
        ["a-s", "30,000", "10.0%", "8.8 to 13.4", "80.0%", "0.200", "40.0%", "38.8 to 43.4"],
        ["a-l", "2,500,000", "22.3%", "21.1 to 25.7", "67.7%", "0.323", "56.0%", "54.8 to 59.4"],
        ["b-s", "1,234", "5.0%", "3.8 to 8.4", "85.0%", "0.150", "30.0%", "28.8 to 33.4"],
    ]
    assert len(header) == len(found[0])
    assert header[4:6] == ["in between", "mean score"]


def test_rates_of_text_never_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents false recitation beside another model's rate, and nan for a model that was not given such text."""
    false = {"a-s": 0.05, "a-l": 0.1, "b-s": math.nan}
    changed = [
        line | spread("false_rate", value := false[line["model"]], value / 2, value * 2) for line in LINES["rates"]
    ]
    monkeypatch.setitem(LINES, "rates", changed)
    header, _, *found = rows(summary(tmp_path), "Memorization rates")
    assert header[-2:] == ["never trained on", "interval"]
    assert [line[-2:] for line in found] == [["5.0%", "2.5 to 10.0"], ["10.0%", "5.0 to 20.0"], ["–", "–"]]


def test_controls(page: str) -> None:
    """Prevents the columns of repetition counts from being in another order than their header."""
    header, _, *found = rows(page, "Planted rows by repetition count")
    assert header == ["model", "x2", "x4", "x16"]
    assert found == [
        ["a-s", "20.0%", "10.0%", "2.5%"],
        ["a-l", "28.0%", "14.0%", "3.5%"],
        ["b-s", "15.0%", "7.5%", "1.9%"],
    ]


def test_scaling(page: str) -> None:
    """Prevents slopes from being shown as shares where points are announced."""
    header, _, *found = rows(page, "Rate against log10(parameters)")
    assert found == [
        ["natural", "a", "2", "6.4", "-1.1 to 10.0", "0.99", "0.213"],
        ["planted", "common", "3", "25.0", "20.0 to 30.0", "0.50", "< 0.001"],
        ["rows", "model", "observed", "predicted", "interval", "difference (points)", "interval"],
        ["---", "---", "---:", "---:", "---", "---:", "---"],
        ["natural", "a-l", "22.3%", "31.0%", "20.0 to 40.0", "-8.7", "-17.7 to 2.3"],
    ]
    assert len(header) == len(found[0])
    assert "One slope for all 2 families, natural rows: F(1, 2) = 1.23, p = 0.043." in page


def test_compressibility(page: str, tmp_path: Path) -> None:
    """Prevents single domains from standing beside all natural rows."""
    header, _, *found = rows(page, "Compressibility")
    assert found == [
        ["a-s", "12", "9", "37.5%", "25.0 to 75.0", "62.5%", "40.0 to 80.0", "12.5%"],
        ["b-s", "12", "9", "50.0%", "25.0 to 75.0", "62.5%", "40.0 to 80.0", "12.5%"],
    ]
    assert len(header) == len(found[0])
    assert "Compressibility" not in summary(tmp_path, left_out="compressibility")


def test_corpus_frequency(page: str, tmp_path: Path) -> None:
    """Prevents thresholds of another way of counting or of parts, and an infinite one that is shown as inf."""
    header, _, *found = rows(page, "Corpus frequency")
    assert found[:4] == [
        ["a-s", "natural", "480", "11.1%", "6.0", "3.0 to 12.0", "97.5%"],
        ["a-l", "natural", "470", "20.0%", "not reached", "not reached to not reached", "0.4%"],
        ["b-s", "natural", "480", "11.1%", "6.0", "3.0 to 12.0", "97.5%"],
        ["a-s", "planted", "480", "11.1%", "6.0", "3.0 to not reached", "97.5%"],
    ]
    assert found[6:] == [
        ["a", "bytes", "bytes", "sequence", "480", "75.0%", "12.5%", "-0.50 [-0.75, -0.25]", "0.62 [0.50, 0.88]"],
        ["a", "public", "llama-2", "context", "480", "75.0%", "12.5%", "-0.50 [-0.75, -0.25]", "–"],
    ]
    assert len(header) == len(found[0]) and len(found[4]) == len(found[6])
    assert "at which the rate has left its floor" in page and "counted otherwise than by own" in page
    assert "Corpus frequency" not in summary(tmp_path, left_out="thresholds")


def test_texts_counted_in_one_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a header without a line."""
    monkeypatch.setitem(EMPTY, "countings", True)
    assert "counted otherwise" not in summary(tmp_path)


def test_claims_come_first(page: str) -> None:
    """Prevents a ledger at the end of a long page, without a link, or with nan for what is not measured."""
    assert page.index("## The paper's claims") < page.index("## Memorization rates")
    header, _, *found = rows(page, "The paper's claims")
    assert [[line[0], *line[2:]] for line in found] == [
        [f"[Claims {name}.](figures/scaling.png)", *rest]
        for name, *rest in (
            ("growth", "0.75", "0.65 to 0.85", "0.55 to 0.95", "0.0125", "> 0.5", "supported", "a 0.688, b 0.8"),
            ("pair", "0.5", "0.4 to 0.6", "–", "–", "> 0.5, these models", "undecided", "a 0.25"),
            ("pattern", "–", "–", "–", "–", "> 0.5", "not measured", "–"),
        )
    ]
    assert len(header) == len(found[0])
    assert "chance may do it: pair. Not measured, as these models have too little to measure: pattern." in page


ORDER = [
    "# Study tiny",
    "Intervals are about documents.",
    "3 models of 2 families",
    "## The paper's claims",
    "## Memorization rates",
    "## Planted rows by repetition count",
    "Of 3 samples of a model and a domain",
    "## Rate against log10(parameters)",
    "One slope for all 2 families",
    "The largest model of a family",
    "## Structural and free text",
    "Mean correlation of two models' rates by class of text",
    "## Compressibility",
    "## Corpus frequency",
    "The same texts counted otherwise",
    "## Under noise",
    "## Recovery from noise",
    "## Layer decoding",
    "## Head ablation",
    "## Overlap of heads",
    "## Power",
    "## Family signatures",
    "## Recipe or architecture",
    "## Published numbers beside ours",
]
"""How the sections begin."""


def test_sections_come_stage_by_stage(page: str) -> None:
    """Prevents a section that is lost or said twice, and a page in another order than the study was run."""
    assert [page.count(f"\n{start}") for start in ORDER[1:]] == [1] * len(ORDER[1:])
    assert sorted(ORDER, key=page.index) == ORDER
    headings = [line for line in page.splitlines() if line.startswith("#")]
    assert headings == [start for start in ORDER if start.startswith("#")]


def test_kinds(page: str) -> None:
    """Prevents disturbed models, and those that memorize nothing, from standing among the others."""
    header, _, *found = rows(page, "Structural and free text")
    assert found == [["a-s", "30.0%", "10.0%", "20.0%", "15.0 to 25.0", "75.0%", "60.0 to 90.0", "50.0%", "< 0.001"]]
    assert len(header) == len(found[0])


def test_profiles_and_samples(page: str) -> None:
    """Prevents undefined similarities from counting, and p-values from standing in for q-values."""
    assert "rates by class of text: 0.88 over 1 pairs of one family, 0.50 over 2 pairs of two families." in page
    assert "Of 3 samples of a model and a domain, cut into first and as many further rows, 1 have different" in page


@pytest.mark.parametrize(
    "table",
    [
        "slope_tests",
        "predictions",
        "kinds",
        "profiles",
        "recovery_tests",
        "lens_profiles",
        "heads",
        "overlap",
        "power",
        "signature_tests",
    ],
)
def test_nothing_to_compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    """Prevents a study of one model from failing for want of a line."""
    monkeypatch.setitem(EMPTY, table, True)
    assert "nan" not in summary(tmp_path)


def test_a_fit_of_equal_rates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents an undefined R² from being shown as nan, or as a number."""
    natural, control = LINES["scaling"]
    monkeypatch.setitem(EMPTY, "predictions", True)
    monkeypatch.setitem(LINES, "scaling", [natural | {"r_squared": float("nan")}, control])
    _, _, *found = rows(summary(tmp_path), "Rate against log10(parameters)")
    assert [cells[5] for cells in found] == ["–", "0.50"]


def test_noise(page: str) -> None:
    """Prevents rates under another strength than their header's, and rows of single domains."""
    header, _, *found = rows(page, "Under noise")
    assert header == ["model", "layer", "rows", "α = 0", "α = 0.25", "α = 0.5"]
    natural = ["a-l", "0", "natural", "20.0%", "17.5%", "15.0%"]
    assert sorted(found) == sorted([natural, ["a-l", "0", "control", "50.0%", "47.5%", "45.0%"]])


def test_a_study_without_noise(tmp_path: Path) -> None:
    """Prevents a study without noise from failing for want of its table."""
    assert "Under noise" not in summary(tmp_path, left_out="noise_rates")


def test_recovery(page: str, tmp_path: Path) -> None:
    """Prevents a weaker noise or an earlier layer; a class without rows and a difference without a test stay open."""
    header, _, *found = rows(page, "Recovery from noise")
    tested = ["-0.25", "0.50", "-0.75", "-1.00 to -0.25", "0.012"]
    alike = ["50.0%", "80.0%"]  # a cosine of 0.8 in the disturbed layer, of 0.9 in the last, 0.96 if carried along
    assert found == [
        ["a-l", "0", "natural", "0.38", "0.12 to 0.62", *tested, *alike],
        ["b-s", "0", "natural", "0.50", "0.25 to 0.75", "–", "0.55", "–", "–", "–", *alike],
    ]
    assert len(header) == len(found[0])
    assert "What the last layer leaves of noise of α = 0.5" in page
    assert "Recovery from noise" not in summary(tmp_path, left_out="recovery")


def test_lens(page: str, tmp_path: Path) -> None:
    """Prevents layers in the files' order, and the first layer that a memorized row reaches for all rows'."""
    header, _, *found = rows(page, "Layer decoding")
    assert found == [
        ["a-l", "memorized", "40", "30", "3 of 4", "80.0%", "0.0 to 80.0", "0.50", "50.0%"],
        ["a-l", "unmemorized", "40", "30", "–", "40.0%", "0.0 to 40.0", "0.50", "50.0%"],
    ]
    assert len(header) == len(found[0])
    assert "memorized rows, 2 pairs of two families: 0.500; lowest 0.250." in page
    assert "Layer decoding" not in summary(tmp_path, left_out="lens")


def test_heads(page: str, tmp_path: Path) -> None:
    """Prevents a single domain's numbers, and a head that ranks second, from standing for the first."""
    header, _, *found = rows(page, "Head ablation")
    assert found == [["a-l", "memorized", "40", "30", "2", "1", "0", "2", "layer 1, head 2", "22.5", "12.5 to 50.0"]]
    assert len(header) == len(found[0])
    assert "Head ablation" not in summary(tmp_path, left_out="heads")


def test_heads_that_were_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents the rows of one head from passing for those of all."""
    assert "A head was left once" not in summary(tmp_path)
    few = [line | {"n": 40 - 20 * line["layer"], "distinct": 30 - 15 * line["layer"]} for line in LINES["heads"]]
    monkeypatch.setitem(LINES, "heads", few)
    page = summary(tmp_path)
    assert rows(page, "Head ablation")[2][2:5] == ["40, 30", "30", "2"]
    assert "A head was left once it was known" in page


def test_overlap_and_power(page: str) -> None:
    """Prevents single domains, other shares of the heads and the other importance from entering."""
    assert "| a-l | all | 12 of 60 | 5 | halves of a domain | 70.0% | 25.0 to 75.0 | 12.5% | 0.0 to 25.0 |" in page
    assert "| a-l | all | 12 of 60 | 5 | halves of two domains | 50.0% | 25.0 to 75.0 | 12.5% | 0.0 to 25.0 |" in page
    assert "| a-l | all | 12 of 60 | 5 | in all domains, of all heads | 5.0% |" in page
    assert page.count("| 12 of 60 |") == 3
    assert "| a-l | half | 40 | 8.00 | 25% | 0.3000 | 50% |" in page
    assert "| a-l | half | 10,000 | 0.50 | 90% | 0.0200 | 100% |" in page
    assert page.count("| a-l | half | 10,000 |") == 1


def test_published_numbers_beside_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a number beside that of another model, strength or comparison; without one nothing is said."""
    header, _, *found = rows(summary(tmp_path), "Published numbers beside ours")
    assert found == [
        ["a-l", "natural rows memorized, noise α = 0.5", "at most 10%", "15%", "13.8 to 18.4", "notes"],
        ["a-l", "top fifth of heads, two domains", "13.6%", "50%", "25 to 75", "a note"],
    ]
    assert len(header) == len(found[0])
    by_group = [line | {"group": group} for line in LINES["overlap"] for group in ("memorized", "unmemorized")]
    monkeypatch.setitem(LINES, "overlap", by_group)
    _, _, _, *found = rows(summary(tmp_path), "Published numbers beside ours")
    words = "top fifth of heads, two domains, {} rows"
    assert [line[1] for line in found] == [words.format(group) for group in ("memorized", "unmemorized")]
    monkeypatch.setattr("test_report.PUBLISHED", PUBLISHED[2:])
    assert "Published numbers" not in summary(tmp_path)


def test_a_level_other_than_95_is_not_called_95(tmp_path: Path) -> None:
    """Prevents a header that states a level which the study did not use; the tables' metadata holds it."""
    assert "95%" not in summary(tmp_path, confidence=0.8)


def test_missing_manifest(tmp_path: Path) -> None:
    """Prevents a traceback where the manifest was deleted, and a page without it."""
    summary(tmp_path)
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "out" / "summary.md").unlink()
    paths = [tmp_path / f"{table.name}.parquet" for table in TABLES]
    with pytest.raises(ReciteError, match=r"manifest\.json does not exist; run the rule"):
        write_summary(options(), paths, tmp_path / "manifest.json", tmp_path / "out" / "summary.md")
    assert not (tmp_path / "out" / "summary.md").exists()


def test_family_signatures(page: str, tmp_path: Path) -> None:
    """Prevents the test of similarity from standing beside the accuracy in place of its own."""
    header, _, *found = rows(page, "Family signatures")
    line = ["lens", "9", "3", "0.91", "0.50", "0.021", "6 of 8", "40.0 to 93.0", "25.0%", "0.034"]
    assert found == [line] and len(header) == len(line)
    assert "Family signatures" not in summary(tmp_path, left_out="signature_tests")


def test_recipe_or_architecture(page: str, tmp_path: Path) -> None:
    """Prevents a factor's share beside another measure, and a section of a study that crosses nothing."""
    header, _, *found = rows(page, "Recipe or architecture")
    assert found == [
        ["recovery", "raw", "architecture", "12", "50.0%", "37.5 to 75.0", "0.012"],
        ["recovery", "shape", "architecture", "12", "25.0%", "12.5 to 50.0", "0.012"],
        ["lens", "raw", "architecture", "12", "12.5%", "0.0 to 37.5", "0.012"],
        ["lens", "raw", "both", "12", "37.5%", "25.0 to 62.5", "–"],
    ]
    assert len(header) == len(found[0])
    assert "Recipe or architecture" not in summary(tmp_path, left_out="factorial")


def test_a_long_table_is_shortened_to_the_largest_models() -> None:
    """Prevents a page of thousands of lines, and one on which it cannot be seen that lines are missing."""
    heading = ["## Noise", "", "| model | rate |", "|---|---:|"]
    lines = [f"| {model} | {rate} |" for model in ("small", "large") for rate in range(MOST)]
    section = "\n".join([*heading, *lines, "", "After it."]) + "\n"
    found = shortened(section, ["noise_rates", "rates"], {"large"}).split("\n")
    assert found[: 4 + MOST] == heading + lines[MOST:]
    links = "[noise_rates](tables/noise_rates.parquet), [rates](tables/rates.parquet)"
    said = f"{MOST} of {2 * MOST} lines, of each family's largest model; all of it: {links}."
    assert found[4 + MOST :] == ["", said, "", "After it.", ""]
    first = shortened(section, [], set()).split("\n")
    assert first[4 : 4 + MOST] == lines[:MOST] and first[5 + MOST].startswith(f"{MOST} of {2 * MOST} lines; all")
    short = "\n".join([*heading, *lines[:MOST]]) + "\n"
    assert shortened(short, [], {"large"}) == short
