"""recite.report.drawing: each figure draws what its tables say, and the same bytes for the same tables."""

import importlib
import math
from collections.abc import Callable
from itertools import combinations, product
from pathlib import Path
from typing import Any

import matplotlib.image
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.text import Text

from recite.catalogue import STAGES
from recite.errors import ReciteError
from recite.report import style
from recite.report.domain_rows import domain_rows
from recite.report.drawing import draw
from recite.statistics.intervals import wilson
from recorded import TABLE_MODULES
from studies import ROOT, load, loaded, shipped
from studies import tables as declared_tables

TABLES = declared_tables()
DECLARED = {name: figure for stage in STAGES for name, figure in stage.figures.items()}
MODULES = {name: f"{stage.package}.figures.{name}" for stage in STAGES for name in stage.figures}
FAMILIES = ["pythia", "olmo2", "newcomer"]
SIZES = [150_000, 2_000_000, 30_000_000]
DOMAINS = {"code": "structural", "prose": "free_text", "control": "planted", "natural": "mixed"}
NAMES = {"pythia": "Pythia", "olmo2": "OLMo 2", "newcomer": "newcomer"}
KINDS = (".svg", ".csv", ".png")
FAMILY_ENDS = ("families_low", "families_high")
FACTORS = ("architecture", "recipe", "both", "seed")
MODEL = ["model", "family", "parameters"]
KEYS = [
    "claim",
    "measure",
    "profile",
    "factor",
    "model",
    "domain",
    "rows",
    "hits",
    "repetitions",
    "alpha",
    "model_a",
    "model_b",
    "length",
]
KEYS += ["family", "counting", "measure", "from"]
KEYS += ["group", "layer", "position", "head", "comparison", "domain_a", "domain_b", "share", "n", "own"]
Tables = dict[str, pd.DataFrame]
Drawn = Callable[[str], list[Path]]
Alone = tuple[list[int], dict[str, Path]]


def rate(index: int) -> dict[str, Any]:
    """A rate that no other line has, with an interval."""
    value = (7 * index % 101) / 101
    counts = {"n": 101, "distinct": 101, "effective_n": 101.0, "memorized": 7 * index % 101}
    return counts | {
        "rate": value,
        "mean_score": value,
        "rate_low": 0.8 * value,
        "rate_high": value + 0.1 * (1 - value),
    }


def spread(name: str, value: float) -> dict[str, float]:
    """A statistic with its interval."""
    return {name: value, f"{name}_low": value - 0.05, f"{name}_high": value + 0.1}


def _add_suffixes(lines: dict[str, list[dict[str, Any]]], model: dict[str, Any], places: list[dict[str, str]]) -> None:
    """Lines of one model in the tables of compressibility."""
    for place in places:
        share = (len(lines["compressibility"]) + 1) / 100
        lines["compressibility"].append(
            model
            | place
            | {"n": 20, "distinct": 10, "median_ratio": 0.5, "effective_n": 9.0}
            | spread("mean_ratio", share)
            | spread("short", share)
            | spread("non_monotone", 0.1)
        )
    for length, rows in enumerate((2, 0, 10, 8), start=1):
        counts = {"shortest": rows, "shortest_share": rows / 20, "sufficient": rows, "sufficient_share": rows / 20}
        lines["suffix_lengths"].append(model | {"length": length, "ratio": length / 4, "n": 20} | counts)


def _add_frequencies(lines: dict[str, list[dict[str, Any]]], model: dict[str, Any]) -> None:
    """Lines of one model in the tables of frequencies; its planted rows do not rise."""
    for rows, counting, measure in product(
        ("natural", "planted"), ("bytes", "own"), ("sequence", "context", "continuation", "token_frequency")
    ):
        who = model | {"rows": rows, "counting": counting, "measure": measure}
        for place in range(4):
            low = 2.0**place if measure != "token_frequency" else 2.0 ** (place - 12)
            ends = (
                {"from": 0.0, "to": 1.0, "middle": 0.0}
                if not place
                else {"from": low, "to": 2 * low, "middle": 1.4 * low}
            )
            few = {"n": 2} if place == 3 else {}
            lines["frequency_rates"].append(who | ends | rate(len(lines["frequency_rates"]) + 1) | few)
        if measure != "token_frequency":
            value = math.inf if rows == "planted" else 3.0 + len(lines["thresholds"]) / 100
            found = spread("threshold", value) | spread("shift", 0.1) | {"threshold_high": math.inf}
            lines["thresholds"].append(who | {"n": 99, "distinct": 90, "floor": 0.1, "reached": 0.9} | found)


def _add_countings(lines: dict[str, list[dict[str, Any]]], family: str) -> None:
    """A family's bytes against its tokens."""
    for place, measure in enumerate(("sequence", "context", "continuation")):
        shares = {"texts": 90, "equal": 0.9 - place / 10, "missed": place / 100}
        who = {"family": family, "measure": measure, "counting": "own", "reference": "bytes"}
        lines["countings"].append(
            who | shares | {"tokens": "llama-2"} | spread("bias", -place / 10) | spread("correlation", 0.5)
        )


def _add_factors(lines: dict[str, list[dict[str, Any]]]) -> None:
    """Shares of variance."""
    for place, (measure, profile, factor) in enumerate(product(("recovery", "lens"), ("raw", "shape"), FACTORS)):
        about = {"measure": measure, "profile": profile, "factor": factor}
        counts = {"models": 12, "degrees": 2, "sum_of_squares": 0.5, "p_value": 0.01}
        lines["factorial"].append(about | counts | spread("share", place / 20))


def _add_pairs(lines: dict[str, list[dict[str, Any]]], models: list[dict[str, Any]]) -> None:
    """Every two models, by domain and by layer."""
    for place, (a, b) in enumerate(combinations(models, 2)):
        pair = {f"{key}_{side}": value for side, one in (("a", a), ("b", b)) for key, value in one.items()}
        lines["profiles"].append(pair | {"classes": 3, "rows": 300} | spread("similarity", place / 100))
        lines["signature_pairs"] += [
            {"measure": measure, "similarity": place / 100 + shift} | pair
            for measure, shift in (("recovery", 0.1), ("lens", -0.5))
        ]


LAYERS = 3
TEXTS = {"all": 50, "memorized": 20, "half": 4, "unmemorized": 5}
"""Distinct texts of each class; `half` has too few to be drawn."""
STATISTICS = ("probability", "log_probability", "entropy", "rank", "leads", "settled", "agrees")


def _add_layers(lines: dict[str, list[dict[str, Any]]], model: dict[str, Any]) -> None:
    """Lines of one model in the tables of recovery and layer decoding."""
    for rows in ("natural", "planted"):
        for alpha in (0.5, 0.25, 0.1):
            sizes = {f"{group}_{name}": 5 for group in ("memorized", "unmemorized") for name in ("n", "distinct")}
            test = {"noise_layer": 0, "alpha": alpha, "rows": rows, "p_value": 0.1, "q_value": 0.2} | sizes
            for measure in ("growth", "beyond", "regained"):
                share = (len(lines["recovery_tests"]) + 1) / 100
                lines["recovery_tests"].append(model | test | {"measure": measure} | spread("difference", share))
        for group, texts in TEXTS.items():
            about = model | {"rows": rows, "group": group, "n": 30, "distinct": texts}
            for layer in range(LAYERS):
                place = {"layer": layer, "depth": (layer + 1) / LAYERS}
                for alpha in (0.5, 0.25, 0.1):
                    share = (len(lines["recovery"]) + 1) / 1000
                    names = ("cosine", "regained", "baseline", "beyond", "growth", "along")
                    shares = enumerate(names, start=1)
                    found = {key: value for n, name in shares for key, value in spread(name, share / n).items()}
                    lines["recovery"].append(about | place | {"noise_layer": 0, "alpha": alpha} | found)
                shares = [(7 * len(lines["lens"]) + index) % 89 / 100 + 0.1 for index in range(len(STATISTICS))]
                ends = [spread(name, share) for name, share in zip(STATISTICS, shares, strict=True)]
                lines["lens"].append(about | place | {key: value for one in ends for key, value in one.items()})
                for position in (1, 2):
                    share = (len(lines["lens_positions"]) % 997 + 1) / 1000
                    found = {name: share for name in STATISTICS} | {"position": position}
                    lines["lens_positions"].append(about | place | found)


HEADS_OF_A_LAYER = 2


def _add_heads(lines: dict[str, list[dict[str, Any]]], model: dict[str, Any], group: str = "all") -> None:
    """Lines of one model in the table of heads."""
    for rows, domain in (("natural", "all"), ("natural", "code"), ("natural", "prose"), ("planted", "all")):
        for layer, head in product(range(LAYERS), range(HEADS_OF_A_LAYER)):
            about = {"rows": rows, "domain": domain, "layer": layer, "head": head, "depth": (layer + 1) / LAYERS}
            share = (13 * len(lines["heads"]) % 97 - 20) / 100
            about |= {"n": 30, "distinct": 20, "rank": 1 + layer * HEADS_OF_A_LAYER + head}
            about["heads"] = LAYERS * HEADS_OF_A_LAYER
            lost = {"hits_drop": 1, "log_probability_drop": 2, "probability_drop": 0.1}
            ends = {key: value for name, times in lost.items() for key, value in spread(name, times * share).items()}
            about |= {f"{name}_{end}": 0.1 for name in lost for end in ("p_value", "q_value")}
            about |= {"group": group}
            lines["heads"].append(model | about | ends)


def _add_overlap(lines: dict[str, list[dict[str, Any]]], model: dict[str, Any], group: str = "all") -> None:
    """Lines of one model in the tables of overlap and power."""
    for measure, share in product(("hits", "log_probability"), (0.5, 0.1, 0.2)):
        for comparison, domain in (("within", "all"), ("within", "code"), ("between", "all"), ("universal", "all")):
            about = {"measure": measure, "comparison": comparison, "domain_a": domain, "domain_b": domain}
            about |= {"group": group, "share": share, "k": 2, "heads": 6, "domains": 2, "n": 30, "distinct": 20}
            found = spread("overlap", (11 * len(lines["overlap"]) % 89) / 100) | spread("chance", share / 2)
            lines["overlap"].append(model | about | found)
    for rows, domain, measure in product(("natural", "planted"), ("all", "code"), ("hits", "log_probability")):
        for place, n in enumerate((30, 2500, 10_000)):
            median = (len(lines["power"]) % 83 + 1) / 100
            about = {"rows": rows, "domain": domain, "measure": measure, "n": n, "own": not place, "heads": 6}
            about |= {"group": group, "measured_n": 30, "measured_distinct": 20, "visible": 0.5}
            lines["power"].append(model | about | {"smallest": median / 2, "median": median, "largest": median + 0.1})


def make_tables(families: list[str], sizes: list[int]) -> Tables:
    """Synthetic tables of a study."""
    models = [
        {"model": f"{family}-{size}", "family": family, "parameters": size + 1000 * place}
        for place, family in enumerate(families)
        for size in sizes
    ]
    rest = {"half": 1, "unmemorized": 2, "at_risk": 0.0, "memorized_at_risk": 0.0} | spread("between", 0.5)
    rest |= spread("false_rate", 0.1)
    places = [{"domain": domain, "kind": kind} for domain, kind in DOMAINS.items()]
    lines: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for model in models:
        for place in places:
            lines["rates"].append(model | place | rate(len(lines["rates"]) + 1) | rest)
            lines["noise_rates"] += [
                model | place | {"noise_layer": 0, "alpha": a} | rate(int(10 * a) + len(lines["rates"]))
                for a in (0.5, 0.0)
            ]
        counts = [20, 0, 3, 10] if model is models[0] else [4, 5, 6, 7]
        lines["distribution"] += [model | {"hits": h, "n": n, "share": n / sum(counts)} for h, n in enumerate(counts)]
        lines["control_rates"] += [
            model | {"repetitions": count} | rate(count + len(lines["rates"])) for count in (8, 1, 2)
        ]
        for alpha in (0.0, 0.5):
            share = (len(lines["kinds"]) + 1) / 100
            lines["kinds"].append(
                model
                | {"noise_layer": 0, "alpha": alpha, "n": 300, "memorized": 30, "p_value": 0.1, "q_value": 0.2}
                | spread("structural", 0.2)
                | spread("free_text", 0.1)
                | spread("adjusted", 0.15)
                | spread("structural_share", share)
                | spread("raw_share", share)
                | spread("difference", 0.1)
            )
        _add_suffixes(lines, model, places)
        _add_frequencies(lines, model)
        _add_layers(lines, model)
        _add_heads(lines, model)
        _add_overlap(lines, model)
    for family in families:
        _add_countings(lines, family)
    _add_pairs(lines, models)
    _add_factors(lines)
    for place, verdict in enumerate(("supported", "undecided", "not supported", "not measured")):
        value = math.nan if verdict == "not measured" else 0.4 * place
        words = {"claim": verdict, "text": f"Claim {verdict}.", "statistic": "a share", "verdict": verdict}
        ends = {"value": value, "low": value - 0.1, "high": value + 0.1, "p_value": math.nan}
        ends |= (
            {"families_low": value - 0.3, "families_high": value + 0.3}
            if place
            else dict.fromkeys(FAMILY_ENDS, math.nan)
        )
        about = {"models": 9, "families": 3, "over": "families" if place else "models", "rule": "> 0.4"}
        lines["claims"].append(words | ends | about | {"figure": "scaling"})
        lines["claim_families"] += [
            {
                "claim": verdict,
                "family": family,
                "models": family,
                "value": value + number / 10,
                "low": 0.0,
                "high": 1.0,
            }
            for number, family in enumerate(families)
            if verdict != "not measured"
        ]
    if len(sizes) > 1:
        for rows in ("natural", "planted"):
            lines["slope_tests"].append(
                {
                    "rows": rows,
                    "families": 3,
                    "models": 9,
                    "f": 1.0,
                    "df_between": 2,
                    "df_residual": 3,
                    "p_value": 0.456,
                }
            )
            lines["predictions"] += [
                model
                | {"rows": rows, "models": 2, "observed": 0.5}
                | spread("predicted", 0.4)
                | spread("difference", 0.1)
                for model in models
                if model["model"].endswith(f"-{sizes[-1]}")
            ]
            for place, family in enumerate([*families, "common"]):
                ends = {"slope": 0.01 * place + 0.02, "slope_low": 0.01, "slope_high": 0.06 + place / 100}
                fit = {"family": family, "rows": rows, "models": len(sizes)} | ends
                lines["scaling"].append(
                    fit | {"p_value": 0.1, "q_value": 0.2, "intercept": 0.1 * place, "r_squared": 0.9}
                )
    return {
        name: pd.DataFrame(found, columns=[column.name for column in TABLES[name].columns])
        for name, found in lines.items()
    }


def write(folder: Path, tables: Tables) -> dict[str, Path]:
    paths = {name: folder / f"{name}.parquet" for name in tables}
    for name, frame in tables.items():
        TABLES[name].write(paths[name], {column: frame[column].to_numpy() for column in frame}, {})
    return paths


def _largest(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of every family's largest model."""
    return table[table["model"].isin([f"{family}-{SIZES[-1]}" for family in FAMILIES])]


BEHIND: dict[str, Callable[[Tables], pd.DataFrame]] = {
    "distribution": lambda tables: tables["distribution"],
    "controls": lambda tables: tables["control_rates"],
    "domains": lambda tables: _largest(tables["rates"]).query("domain in ('code', 'prose')"),
    "noise": lambda tables: tables["noise_rates"].query("domain in ('natural', 'control')"),
    "scaling": lambda tables: tables["rates"].query("domain in ('natural', 'control')"),
    "structure": lambda tables: tables["kinds"],
    "claims": lambda tables: tables["claims"],
    "compressibility": lambda tables: _suffixes(tables),
    "profiles": lambda tables: tables["profiles"],
    "signatures": lambda tables: tables["signature_pairs"],
    "signature_clusters": lambda tables: tables["signature_pairs"],
    "factorial": lambda tables: tables["factorial"],
    "frequency": lambda tables: _frequencies(tables),
    "countings": lambda tables: pd.concat([tables["countings"], _thresholds(tables)]),
    "recovery": lambda tables: _of_classes(tables["recovery"]).query("alpha in (0.5, 0.1)"),
    "similarity": lambda tables: _of_classes(tables["recovery"]).query("alpha in (0.5, 0.1)"),
    "lens": lambda tables: _of_classes(tables["lens"]),
    "overlap": lambda tables: _largest(tables["overlap"]).query("measure == 'hits' and domain_a == 'all'"),
    "power": lambda tables: _largest(tables["power"]).query("rows == 'natural' and domain == 'all'"),
    "heads": lambda tables: _largest(tables["heads"]).query("rows == 'natural' and domain == 'all'"),
    "lens_positions": lambda tables: _of_classes(tables["lens_positions"]).assign(
        distinct=lambda table: table["group"].map(TEXTS)
    ),
}
"""Figure -> the lines of the tables that it shows. A figure that is not here is drawn in its own stage's tests."""


def _of_classes(table: pd.DataFrame) -> pd.DataFrame:
    """Natural rows of the classes that are drawn, under the largest models."""
    return _largest(table).query("rows == 'natural' and group in ('memorized', 'unmemorized')")


def _frequencies(tables: Tables) -> pd.DataFrame:
    """Lines of four panels, tokens by the families' own and the rest by bytes, in bins of more than two rows."""
    both = _largest(pd.concat([tables["frequency_rates"].query("n > 2"), tables["thresholds"]], ignore_index=True))
    panels = {("natural", "sequence", "bytes"), ("planted", "sequence", "bytes")}
    panels |= {("natural", "continuation", "bytes"), ("natural", "token_frequency", "own")}
    return both[[line in panels for line in zip(both["rows"], both["measure"], both["counting"], strict=True)]]


def _thresholds(tables: Tables) -> pd.DataFrame:
    """Thresholds of natural sequences under the largest models, by every way of counting."""
    return _largest(tables["thresholds"]).query("rows == 'natural' and measure == 'sequence'")


def _suffixes(tables: Tables) -> pd.DataFrame:
    """Curves of all models and the largest ones' ratios, one under the other."""
    lengths = tables["suffix_lengths"]
    reached = np.concatenate([np.cumsum([2, 0, 10, 8]) / 20] * lengths["model"].nunique())
    curves = lengths.assign(domain="natural", reached=reached)
    return pd.concat([curves, _largest(tables["compressibility"])], ignore_index=True)


def drawing(figure: str) -> Callable[[Tables], tuple[Any, pd.DataFrame]]:
    """The function that draws a figure."""
    found: Callable[[Tables], tuple[Any, pd.DataFrame]] = importlib.import_module(MODULES[figure]).draw
    return found


def options_of(figure: str, title: str = "A title") -> dict[str, Any]:
    """What the job of a figure is told."""
    modules = {table: TABLE_MODULES[table] for table in DECLARED[figure].tables}
    return {"study": "mini", "figure": figure, "title": title, "module": MODULES[figure], "tables": modules}


def draw_files(figure: str, title: str, paths: dict[str, Path], outputs: list[Path]) -> None:
    """Draw a figure as its job does, from the files of its tables."""
    tables = [paths[name] for name in DECLARED[figure].tables]
    draw(options_of(figure, title), tables, {path.suffix[1:]: path for path in outputs}, code="ab")


@pytest.fixture(scope="module")
def tables() -> Tables:
    return make_tables(FAMILIES, SIZES)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, tables: Tables) -> Drawn:
    """Draw a figure twice, once: the two folders. One function saves all figures: one alone has its PNG in both."""
    folder = tmp_path_factory.mktemp("figures")
    paths = write(folder, tables)

    def twice(figure: str) -> list[Path]:
        runs = [folder / "first", folder / "second"]
        for run in runs:
            kinds = KINDS if run == runs[0] or figure == "claims" else KINDS[:2]
            outputs = [run / f"{figure}{kind}" for kind in kinds]
            if not outputs[0].exists():
                draw_files(figure, f"Title of {figure}", paths, outputs)
        return runs

    return twice


def test_declarations_and_drawings_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a figure without a drawing, a caption or its tables, and a drawing that no stage declares."""
    monkeypatch.chdir(ROOT)
    study = load(shipped("mini"))
    for stage in STAGES:
        folder = ROOT.joinpath("workflow", *stage.package.split("."), "figures")
        modules = [f"{stage.package}.figures.{path.stem}" for path in folder.glob("[!_]*.py")]
        drawn = [name for name in modules if hasattr(importlib.import_module(name), "draw")]
        assert sorted(drawn) == sorted(f"{stage.package}.figures.{name}" for name in stage.figures)
    assert all(callable(drawing(name)) for name in DECLARED)
    made = {table for stage in STAGES for rule in stage.rules for table in rule.tables_in(study)}
    for figure in DECLARED.values():
        assert figure.title and figure.category and figure.caption.strip() == figure.caption != ""
        assert figure.tables and set(figure.tables) <= made <= set(TABLES) == set(TABLE_MODULES)


def test_every_figure_has_a_name_of_its_own() -> None:
    """Prevents a stage's figure from vanishing behind that of another, whose file it would share."""
    assert len(DECLARED) == sum(len(stage.figures) for stage in STAGES)
    assert len({figure.title for figure in DECLARED.values()}) == len(DECLARED)


def test_every_figure_is_drawn_by_a_test() -> None:
    """Prevents a figure that nobody has seen drawn from a known table; a stage's own tests may draw it."""
    texts = [path.read_text() for path in (ROOT / "tests/unit/stages").rglob("test_*.py")]
    left = [name for name in DECLARED if name not in BEHIND]
    assert set(BEHIND) <= set(DECLARED)
    assert [name for name in left if not any(f"from {MODULES[name]} import draw" in text for text in texts)] == []


def test_a_study_may_name_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents figures that nobody asked for, and a table from being left out with the figure that shows it."""
    monkeypatch.chdir(ROOT)
    config = shipped("mini")
    whole, few = loaded(config), loaded(config | {"figures": ["noise", "scaling", "factorial"]})
    assert [job["figure"] for job in few.jobs("figures")] == ["scaling", "noise"]  # no table of factorial
    assert few.tables == whole.tables and {"scaling", "noise"} < set(whole.figures)


@pytest.mark.parametrize("figure", BEHIND)
def test_pictures_are_whole_and_not_blank(drawn: Drawn, figure: str) -> None:
    """Prevents an empty or unreadable picture."""
    run, _ = drawn(figure)
    pixels = matplotlib.image.imread(run / f"{figure}.png")
    assert min(pixels.shape[:2]) > 200
    shown = pixels[..., :3].reshape(-1, 3)
    assert 0.01 < (shown.min(axis=1) < 0.9).mean() < 0.7
    assert (np.ptp(shown[::7], axis=1) > 0.2).any()  # colour, not text alone
    picture = (run / f"{figure}.svg").read_text(encoding="utf-8")
    assert picture.rstrip().endswith("</svg>") and f"Title of {figure}" in picture


@pytest.mark.parametrize("figure", BEHIND)
def test_two_draws_give_the_same_bytes(drawn: Drawn, figure: str) -> None:
    """Prevents dates, versions and random identifiers in pictures, which would make equal results differ."""
    first, second = drawn(figure)
    for kind in KINDS if figure == "claims" else KINDS[:2]:
        assert (first / f"{figure}{kind}").read_bytes() == (second / f"{figure}{kind}").read_bytes()
    assert {path.suffix for path in first.glob(f"*{figure}*")} == set(KINDS)


def behind(tables: Tables, figure: str) -> pd.DataFrame:
    """The lines of the tables that a figure shows."""
    return BEHIND[figure](tables)


@pytest.mark.parametrize("figure", BEHIND)
def test_csv_holds_the_numbers(drawn: Drawn, tables: Tables, figure: str) -> None:
    """Prevents a table beside a figure that has other lines or rounded numbers."""
    found = pd.read_csv(drawn(figure)[0] / f"{figure}.csv")
    expected = behind(tables, figure)
    if figure == "scaling":
        expected = expected.assign(rows=expected["domain"].replace("control", "planted"))
        expected = expected.merge(tables["scaling"].drop(columns=["p_value", "q_value"]), on=["family", "rows"])
        expected = expected.merge(tables["predictions"].drop(columns="models"), how="left", on=[*MODEL, "rows"])
    assert set(found.columns) <= set(expected.columns)
    keys = sorted(set(found.columns) & set(KEYS))
    left, right = (frame[list(found.columns)].sort_values(keys).reset_index(drop=True) for frame in (found, expected))
    pd.testing.assert_frame_equal(left, right, check_exact=False, rtol=1e-15, check_dtype=False)


def points(axes: Axes, places: int = 9) -> set[tuple[float, float]]:
    """Coordinates of all markers in a panel; x is rounded to `places`, where points are set apart."""
    bars = [container.lines[0] for container in axes.containers if isinstance(container, ErrorbarContainer)]
    lines = bars or axes.get_lines()
    return {(round(float(x), places), round(float(y), 9)) for line in lines for x, y in line.get_xydata()}


COARSE = {"noise": 1, "recovery": 0, "similarity": 0}
"""Places that x is rounded to in figures whose points are set apart."""


def panels(figure: str, tables: Tables) -> tuple[list[Axes], list[set[tuple[float, float]]]]:
    """The visible panels of a figure and the points that they show."""
    with style.style():
        picture, _ = drawing(figure)(tables)
        visible = [axes for axes in picture.axes if axes.get_visible()]
        return visible, [points(axes, places=COARSE.get(figure, 9)) for axes in visible]


def pairs(table: pd.DataFrame, x: str, y: str) -> set[tuple[float, float]]:
    return {(round(float(a), 9), round(float(b), 9)) for a, b in zip(table[x], table[y], strict=True)}


def test_controls_show_a_panel_per_family(tables: Tables) -> None:
    """Prevents points under another family's title."""
    axes, shown = panels("controls", tables)
    assert [panel.get_title() for panel in axes] == list(NAMES.values())
    for family, found in zip(FAMILIES, shown, strict=True):
        table = tables["control_rates"]
        assert found == pairs(table[table["family"] == family], "repetitions", "rate")


def test_controls_of_no_copy_are_shown() -> None:
    """Prevents texts of no copy from falling off a logarithmic axis."""
    tables = make_tables(FAMILIES, SIZES)
    table = tables["control_rates"]
    least = table["repetitions"].min()
    table["repetitions"] = table["repetitions"].replace(least, 0)
    axes, shown = panels("controls", tables)
    assert axes[0].get_xticklabels()[0].get_text() == "0"
    places = sorted({x for x, _ in shown[0]})
    assert places == sorted({max(count, 0.5) for count in table["repetitions"]})


def test_distribution_shows_the_shares(tables: Tables) -> None:
    """Prevents a line of the heat map beside another model's name, and a colour where no row is."""
    (axes, *_), _ = panels("distribution", tables)
    labels = [label.get_text() for label in axes.get_yticklabels()]
    sizes = ["150 k", "2.0 M", "30.0 M"]
    assert [label.split(", ")[0] for label in labels] == [NAMES[family] for family in FAMILIES for _ in sizes]
    assert labels[:3] == [f"Pythia, {size}" for size in sizes]
    shown = axes.collections[0].get_array()
    expected = tables["distribution"]["share"].to_numpy().reshape(9, 4)
    assert np.array_equal(np.ma.getmaskarray(shown), expected == 0)
    assert shown.filled(0) == pytest.approx(expected)


def test_distribution_of_rows_that_are_all_alike() -> None:
    """Prevents a colour scale without extent, where no model recites a token, from stopping the figure."""
    tables = make_tables(["pythia"], SIZES)
    hits = tables["distribution"]["hits"]
    tables["distribution"] = tables["distribution"].assign(n=20 * (hits == 0), share=1.0 * (hits == 0))
    (axes, *_), _ = panels("distribution", tables)
    assert axes.collections[0].get_array().filled(0).sum() == 3


@pytest.mark.parametrize(("figure", "x"), [("scaling", "parameters"), ("noise", "alpha")])
def test_natural_rows_left_planted_rows_right(tables: Tables, figure: str, x: str) -> None:
    """Prevents the two kinds of rows from being swapped or mixed."""
    axes, shown = panels(figure, tables)
    table = behind(tables, figure)
    assert [panel.get_title().split(" rows")[0] for panel in axes] == ["natural", "planted control"]
    for domain, found in zip(("natural", "control"), shown, strict=True):
        assert found == pairs(table[table["domain"] == domain], x, "rate")


def test_noise_has_a_row_of_panels_for_every_layer(tables: Tables) -> None:
    """Prevents a line that goes through two layers' rates."""
    noise = tables["noise_rates"]
    later = noise.assign(noise_layer=2, rate=noise["rate"] / 2)
    axes, shown = panels("noise", tables | {"noise_rates": pd.concat([later, noise])})
    assert [panel.get_title().split(",")[1] for panel in axes] == [" layer 0", " layer 0", " layer 2", " layer 2"]
    natural = noise[noise["domain"] == "natural"]
    assert shown[0] == pairs(natural, "alpha", "rate")
    assert shown[2] == pairs(natural.assign(rate=natural["rate"] / 2), "alpha", "rate")


def test_many_models_under_noise_have_a_panel_a_family() -> None:
    """Prevents twenty models' lines in one panel, and one that is drawn under another family's name."""
    families = [f"family{index}" for index in range(5)]
    tables = make_tables(families, SIZES)
    axes, shown = panels("noise", tables)
    noise = tables["noise_rates"]
    parts = [(family, domain) for domain in ("natural", "control") for family in families]
    for panel, found, (family, domain) in zip(axes, shown, parts, strict=True):
        assert panel.get_title().startswith(f"{family}, ") and domain in panel.get_title()
        rates = noise.loc[(noise["family"] == family) & (noise["domain"] == domain), "rate"]
        assert {rate for _, rate in found} == set(rates.round(9))


def test_families_of_rates_far_apart_have_axes_of_their_own(tables: Tables) -> None:
    """Prevents a family of a hundredth of another's rates from being a flat line at zero."""
    small = tables["rates"]["family"] == FAMILIES[0]
    changed = {"rates": tables["rates"].copy(), "scaling": tables["scaling"].copy()}
    changed["rates"].loc[small, ["rate", "rate_low", "rate_high"]] /= 100
    changed["scaling"].loc[tables["scaling"]["family"] == FAMILIES[0], ["slope", "intercept"]] /= 100
    changed["predictions"] = tables["predictions"].assign(predicted=0.0)
    axes, _ = panels("scaling", tables | changed)
    assert [panel.get_title().split(",")[0] for panel in axes] == 2 * list(NAMES.values())
    assert axes[0].get_ylim()[1] < 0.1 * min(panel.get_ylim()[1] for panel in axes[1 : len(FAMILIES)])


def test_domains_of_the_paper_fit_on_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a figure of a metre, and points of two families that cover one another."""
    monkeypatch.chdir(ROOT)
    study = loaded(shipped("paper"))
    lines = [
        (family, domain, kind)
        for family in study.families
        for domain, kind in study.domains[study.families[family].corpus].items()
    ]
    table = pd.DataFrame(lines, columns=["family", "domain", "kind"])
    rows = domain_rows(table, table.drop_duplicates("domain"))
    assert len(table) == 61 and rows.inches < 18
    assert np.diff(sorted(rows.points)).min() > 0.1
    assert (rows.places - rows.heights / 2 < rows.places).all() and rows.points.between(0, rows.inches).all()


def test_signatures_have_a_panel_for_every_measure(tables: Tables) -> None:
    """Prevents a measure's pairs under another's title, and a test beside another measure."""
    test = dict.fromkeys((column.name for column in TABLES["signature_tests"].columns), 1.0)
    counts = {"identified": 7, "asked": 9, "chance": 0.125}
    tests = pd.DataFrame([test | {"measure": "lens", "within": 0.75} | counts])
    axes, _ = panels("signatures", tables | {"signature_tests": tests})
    pairs = tables["signature_pairs"]
    for panel, measure, title in zip(axes, ("recovery", "lens"), ("similarity", "probability"), strict=False):
        assert panel.get_title().startswith(title)
        assert ("7 of 9 (chance 12%)" in panel.get_title()) == (measure == "lens")
        shown = panel.collections[0].get_array().filled(np.nan)
        values = pairs.loc[pairs["measure"] == measure, "similarity"]
        assert sorted(shown[np.triu_indices(len(shown), 1)].round(9)) == pytest.approx(sorted(values.round(9)))


def test_factors_have_a_panel_for_every_measure(tables: Tables) -> None:
    """Prevents a factor's share beside another's name."""
    axes, shown = panels("factorial", tables)
    assert [label.get_text() for label in axes[0].get_yticklabels()][:2] == ["architecture", "recipe"]
    for measure, found in zip(("recovery", "lens"), shown, strict=True):
        table = tables["factorial"].query(f"measure == '{measure}'").set_index(["profile", "factor"])
        assert found == {
            (round(table.loc[(profile, factor), "share"], 9), round(place + shift, 9))
            for place, factor in enumerate(FACTORS)
            for profile, shift in (("raw", -0.2), ("shape", 0.2))
        }


def test_clusters_join_what_is_most_alike_first(tables: Tables) -> None:
    """Prevents a tree of similarities in place of distances: two models that are alike are joined at their distance."""
    names = [f"{family}-{SIZES[0]}" for family in FAMILIES[:3]]
    pairs = tables["signature_pairs"]
    pairs = pairs[pairs["model_a"].isin(names) & pairs["model_b"].isin(names) & (pairs["measure"] == "lens")]
    pairs = pairs.assign(similarity=[0.9, 0.1, 0.3])
    (axes,), _ = panels("signature_clusters", {"signature_pairs": pairs})
    joined = sorted(path.vertices[:, 0].max() for one in axes.collections for path in one.get_paths())
    assert joined == pytest.approx([0.1, 0.8])  # average linkage: (0.9 + 0.7) / 2
    coloured = {text.get_text(): text.get_color() for text in axes.get_yticklabels()}
    assert len(coloured) == len(set(coloured.values())) == 3


@pytest.mark.parametrize(
    ("figure", "names"),
    [
        ("recovery", ["recovery", "recovery_tests"]),
        ("similarity", ["recovery", "recovery_tests"]),
        ("structure", ["kinds"]),
    ],
)
def test_later_disturbed_layers_are_left_out(tables: Tables, figure: str, names: list[str]) -> None:
    """Prevents the sweep of another layer from being drawn into that of the first."""
    more = {name: pd.concat([tables[name], tables[name].assign(noise_layer=1)]) for name in names}
    if figure == "structure":
        more["kinds"] = more["kinds"][(more["kinds"]["alpha"] > 0) | (more["kinds"]["noise_layer"] == 0)]
    assert panels(figure, tables | more)[1] == panels(figure, tables)[1]


def test_claims_stand_on_their_side_of_the_bound(tables: Tables) -> None:
    """Prevents an interval from being drawn beyond a bound that it does not clear."""
    (axes,), _ = panels("claims", tables)
    assert [label.get_text() for label in axes.get_yticklabels()] == list(tables["claims"]["text"])
    lines = [line for line in axes.get_lines() if line.get_ydata()[0] != line.get_ydata()[-1] - 1]  # not the bound
    dots = {float(line.get_ydata()[0]): float(line.get_xdata()[0]) for line in lines if line.get_marker() == "o"}
    assert {y: np.sign(x) for y, x in dots.items()} == {0.0: -1, 1.0: 0, 2.0: 1}  # 0, 0.4 and 0.8 against 0.4
    # 0.8: ends 0.7 to 0.9 for these models, 0.5 to 1.1 for such families, whose own values are 0.8, 0.9 and 1
    ends = {
        line.get_linewidth(): line.get_xdata()
        for line in lines
        if line.get_ydata()[0] == 2 and len(line.get_xdata()) == 2
    }
    assert ends[4.0] == pytest.approx([0.3 / 0.7, 0.5 / 0.7]) and ends[1.0] == pytest.approx([0.1 / 0.7, 1])
    (marks,) = [line.get_xdata() for line in lines if line.get_ydata()[0] == 2 and line.get_marker() == "|"]
    assert marks == pytest.approx([0.4 / 0.7, 0.5 / 0.7, 0.6 / 0.7])
    words = [text.get_text() for text in axes.texts]
    assert words[0] == "0 [-0.1, 0.1] > 0.4: supported"  # few families: these models
    assert words[2:] == ["0.8 [0.5, 1.1] > 0.4: not supported", "not measured"]


def test_structure_by_size_and_by_strength(tables: Tables) -> None:
    """Prevents disturbed models on the left, and shares of few memorized rows."""
    few = tables["kinds"].copy()
    few.loc[few["model"] == few["model"].iloc[0], "memorized"] = 9
    (left, right), shown = panels("structure", tables | {"kinds": few})
    kept = few[few["memorized"] >= 10]
    assert {y for _, y in shown[0]} == set(kept.loc[kept["alpha"] == 0, "structural_share"].round(9))
    assert {y for _, y in shown[1]} == set(kept["structural_share"].round(9))
    assert left.get_xscale() == "log" and right.get_xscale() == "linear"


def test_profiles_show_every_pair_twice(tables: Tables) -> None:
    """Prevents a similarity beside other models' names."""
    (axes, *_), _ = panels("profiles", tables)
    labels = [label.get_text() for label in axes.get_yticklabels()]
    shown = axes.collections[0].get_array().filled(np.nan)
    assert np.array_equal(shown, shown.T, equal_nan=True) and np.isnan(np.diag(shown)).all()
    pair = tables["profiles"].iloc[11]
    names = [f"{NAMES[pair[f'family_{side}']]}, {style.millions(pair[f'parameters_{side}'])}" for side in ("a", "b")]
    assert shown[labels.index(names[0]), labels.index(names[1])] == pytest.approx(pair["similarity"])


@pytest.mark.parametrize(
    ("figure", "columns", "measure"),
    [("recovery", ["growth"], "growth"), ("similarity", ["cosine", "baseline"], "beyond")],
)
def test_recovery_shows_a_panel_per_family(tables: Tables, figure: str, columns: list[str], measure: str) -> None:
    """Prevents a class or strength under another family's title, and a difference of other rows or another strength."""
    axes, shown = panels(figure, tables)
    table = behind(tables, "recovery")
    tests = tables["recovery_tests"]
    tests = tests[(tests["rows"] == "natural") & (tests["alpha"] == 0.5) & (tests["measure"] == measure)]
    assert [panel.get_title().split(",")[0] for panel in axes] == list(NAMES.values())
    for family, panel, found in zip(FAMILIES, axes, shown, strict=True):
        own = table[table["family"] == family]
        expected = pairs(own, "layer", columns[0])
        for beside in columns[1:]:
            expected |= pairs(own[own["alpha"] == 0.5], "layer", beside)
        assert found == expected
        value = float(tests.loc[tests["model"] == f"{family}-{SIZES[-1]}", "difference"].iloc[0])
        (words,) = [text.get_text() for text in panel.texts]
        assert words.splitlines()[0] == "memorized: 30 rows, 20 texts" and "half" not in words
        assert f"difference: {value:.2f} [{value - 0.05:.2f}, {value + 0.1:.2f}]" in words


def test_lens_shows_statistics_by_class(tables: Tables) -> None:
    """Prevents a statistic under another one's label, and classes of a few texts from being drawn."""
    axes, shown = panels("lens", tables)
    table = behind(tables, "lens")
    assert [panel.get_title().split("\n")[0] for panel in axes[:2]] == ["memorized", "unmemorized"]
    for place, name in enumerate(("probability", "rank", "entropy", "agrees")):
        assert name in axes[2 * place].get_ylabel() or name == "agrees"
        for column, group in enumerate(("memorized", "unmemorized")):
            points = shown[2 * place + column]
            assert points >= pairs(table[table["group"] == group], "depth", name)
            assert len(points) == LAYERS * len(FAMILIES)


def test_positions_stand_in_their_layer(tables: Tables) -> None:
    """Prevents a heat map that is upside down, or of another class than its title says."""
    axes, _ = panels("lens_positions", tables)
    table = behind(tables, "lens_positions")
    for panel in axes[:-1]:
        family, group = panel.get_title().split(", n =")[0].split(": ")
        key = next(key for key, name in NAMES.items() if family.startswith(f"{name}, "))
        part = table[(table["family"] == key) & (table["group"] == group)]
        expected = part.pivot_table(index="layer", columns="position", values="probability").to_numpy()
        assert np.array_equal(panel.collections[0].get_array(), expected)
        bottom, top = panel.get_ylim()
        assert bottom < top  # the first layer below


def test_heads_stand_in_their_layer(tables: Tables) -> None:
    """Prevents a heat map upside down, of another model than its title says, or of the other importance."""
    axes, _ = panels("heads", tables)
    table = behind(tables, "heads")
    maps = [panel for panel in axes if panel.get_title()]
    assert len(maps) == 2 * len(FAMILIES)
    for place, panel in enumerate(maps):
        name, size = panel.get_title().split(":")[0].split(", ")
        statistic = ("hits_drop", "log_probability_drop")[place % 2]
        part = table[(table["family"].map(NAMES) == name) & (table["parameters"].map(style.millions) == size)]
        assert len(part) == LAYERS * HEADS_OF_A_LAYER
        shown = panel.collections[0]
        assert np.array_equal(shown.get_array(), part.pivot_table(index="layer", columns="head", values=statistic))
        assert shown.norm.vmax == -shown.norm.vmin == table[statistic].abs().max()
        bottom, top = panel.get_ylim()
        assert bottom < top


def test_heads_that_were_screened_out_are_grey(tables: Tables) -> None:
    """Prevents heads of one layer in another one's place where a layer, or a head of every layer, was left out."""
    heads = tables["heads"]
    whole = [panel.collections[0].get_array() for panel in panels("heads", tables)[0] if panel.get_title()]
    kept = heads[(heads["layer"] != 1) & ~((heads["layer"] == 0) & (heads["head"] == 1))]
    maps = [panel for panel in panels("heads", tables | {"heads": kept})[0] if panel.get_title()]
    hidden = np.zeros((LAYERS, HEADS_OF_A_LAYER), bool)
    hidden[1], hidden[0, 1] = True, True
    for panel, expected in zip(maps, whole, strict=True):
        shown = panel.collections[0].get_array()
        assert np.array_equal(np.ma.getmaskarray(shown), hidden)
        assert np.array_equal(shown.filled(0), np.where(hidden, 0, expected))
        assert panel.get_facecolor()[:3] == (0.8, 0.8, 0.8)


def test_overlap_shows_a_panel_per_family(tables: Tables) -> None:
    """Prevents a comparison under another family's title or another label, and the other importance."""
    axes, shown = panels("overlap", tables)
    table = behind(tables, "overlap")
    assert [panel.get_title().split(",")[0] for panel in axes] == list(NAMES.values())
    for family, panel, found in zip(FAMILIES, axes, shown, strict=True):
        part = table[table["family"] == family]
        assert found == pairs(part, "share", "overlap")
        handles, labels = panel.get_legend_handles_labels()
        lines = {label: handle.lines[0] for handle, label in zip(handles, labels, strict=True) if label != "chance"}
        for label, comparison in (("halves of two domains", "between"), ("halves of one domain", "within")):
            line = part[part["comparison"] == comparison].sort_values("share")
            assert lines[label].get_ydata() == pytest.approx(line["overlap"].to_numpy())
        assert "n = 30 rows, 20 texts, 2 domains" in panel.get_title()


def by_class(tables: Tables, *groups: str) -> Tables:
    """The tables of heads with rows of these classes in place of all rows, each with numbers of its own."""
    found = dict(tables)
    for name in ("heads", "overlap", "power"):
        parts = [tables[name].assign(group=group, n=tables[name]["n"] + n) for n, group in enumerate(groups, start=1)]
        found[name] = pd.concat(parts, ignore_index=True)
    return found


def test_memorized_rows_stand_beside_unmemorized_ones(tables: Tables) -> None:
    """Prevents classes from being averaged, and hits that unmemorized rows cannot lose from being shown."""
    both = by_class(tables, "half", "memorized", "unmemorized")
    axes, _ = panels("heads", both)
    titles = [panel.get_title().split(": ")[1] for panel in axes if panel.get_title()]
    expected = ["memorized, n = 32 rows, 20 texts"] * 2 + ["unmemorized, n = 33 rows, 20 texts"]
    assert titles == expected * len(FAMILIES)
    axes, _ = panels("overlap", both)
    for panel in axes:
        _, labels = panel.get_legend_handles_labels()
        assert len(labels) == 7 and sum(label.endswith(", unmemorized") for label in labels) == 3
    with style.style():
        shown = drawing("overlap")(both)[1]
    measures = {group: set(part["measure"]) for group, part in shown.groupby("group")}
    assert measures == {"memorized": {"hits"}, "unmemorized": {"log_probability"}}
    assert set(behind(both, "power")["group"]) == {"memorized", "half", "unmemorized"}
    with style.style():
        assert set(drawing("power")(both)[1]["group"]) == {"memorized"}


def test_a_family_without_memorized_rows(tables: Tables) -> None:
    """Prevents a family that recites nothing from stopping the figure, or from taking another one's place."""
    both = by_class(tables, "memorized", "unmemorized")
    first = both["heads"]["family"] == FAMILIES[0]
    both["heads"] = both["heads"][~(first & (both["heads"]["group"] == "memorized"))]
    axes, _ = panels("heads", both)
    titles = [panel.get_title() for panel in axes if panel.get_title()]
    assert len(titles) == 3 * len(FAMILIES) - 2 and "unmemorized" in titles[0]


def test_power_shows_every_number_of_rows(tables: Tables) -> None:
    """Prevents effects beside another family's name, in another unit, or of another number of rows."""
    axes, shown = panels("power", tables)
    table = behind(tables, "power")
    assert [label.get_text().split(",")[0] for label in axes[0].get_yticklabels()] == list(NAMES.values())[::-1]
    for found, measure, scale in zip(shown, ("hits", "log_probability"), (100, 1), strict=True):
        part = table[table["measure"] == measure]
        expected = {
            (round(scale * line.median, 6), FAMILIES[::-1].index(line.family), {30: 1, 2500: 0, 10_000: -1}[line.n])
            for line in part.itertuples()
        }
        assert {(round(x, 6), round(y), round((y - round(y)) / 0.22)) for x, y in found} == expected


def test_compressibility_of_planted_rows_alone(tables: Tables) -> None:
    """Prevents a study whose natural rows are not memorized, as tiny models' are, from failing at its figure."""
    ratios = tables["compressibility"]
    planted = {
        "compressibility": ratios[ratios["kind"] == "planted"],
        "suffix_lengths": tables["suffix_lengths"].iloc[:0],
    }
    (above, _), (_, found) = panels("compressibility", planted)
    assert "none" in above.get_title() and not above.containers
    assert len(found) == len(FAMILIES)


def test_frequency_shows_rates_and_thresholds(tables: Tables) -> None:
    """Prevents a rate beside another count, zero off the axis, and a threshold where none is reached."""
    axes, _ = panels("frequency", tables)
    assert [panel.get_title().split(" (")[0] for panel in axes] == [
        "natural rows, whole sequence",
        "planted rows, whole sequence",
        "natural rows, continuation",
        "natural rows, their tokens",
    ]
    table = behind(tables, "frequency")
    for panel, rows, measure in zip(
        axes, ("natural", "planted", "natural"), ("sequence", "sequence", "continuation"), strict=False
    ):
        part = table[(table["rows"] == rows) & (table["measure"] == measure)]
        expected = {
            (max(middle, 0.5), round(rate, 9)) for middle, rate in zip(part["middle"], part["rate"], strict=True)
        }
        expected = {(x, y) for x, y in expected if y == y}
        shown = {(2 ** round(2 * math.log2(x)) / 2, y) for x, y in points(panel)}
        assert {y for _, y in shown} == {y for _, y in expected}
        assert min(x for x, _ in points(panel)) == pytest.approx(0.5, rel=0.1)
        marks = {float(line.get_xdata()[0]) for line in panel.get_lines() if line.get_marker() == "v"}
        assert marks == set(part["threshold"].dropna()) - {math.inf}


def test_countings_show_every_family(tables: Tables) -> None:
    """Prevents a number beside another family's name, and a threshold of a smaller model."""
    (missed, bias, reached), _ = panels("countings", tables)
    assert [label.get_text() for label in missed.get_yticklabels()] == ["Pythia", "OLMo 2", "newcomer"]
    table = tables["countings"]
    filled = {
        round(float(x), 9) for line in missed.get_lines() if line.get_fillstyle() == "full" for x in line.get_xdata()
    }
    hollow = {
        round(float(x), 9) for line in missed.get_lines() if line.get_fillstyle() == "none" for x in line.get_xdata()
    }
    assert filled == set(table["missed"].round(9)) and hollow == set((1 - table["equal"]).round(9))
    marked = [line for line in bias.get_lines() if line.get_marker() not in ("None", "")]
    assert sorted(float(line.get_xdata()[0]) for line in marked) == pytest.approx(sorted(table["bias"]))
    thresholds = tables["thresholds"].query("rows == 'natural' and measure == 'sequence'")
    thresholds = thresholds[thresholds["parameters"] > SIZES[-1] - 1]
    marked = [line for line in reached.get_lines() if line.get_marker() not in ("None", "")]
    assert sorted(float(line.get_xdata()[0]) for line in marked) == pytest.approx(sorted(thresholds["threshold"]))


@pytest.mark.parametrize(
    "figure",
    [
        "structure",
        "profiles",
        "compressibility",
        "frequency",
        "countings",
        "recovery",
        "similarity",
        "lens",
        "lens_positions",
        "heads",
        "overlap",
        "power",
    ],
)
def test_nothing_to_draw_is_said(figure: str, tables: Tables) -> None:
    """Prevents a study that memorizes nothing from failing at a figure."""
    with style.style():
        picture, behind = drawing(figure)({name: frame.iloc[:0] for name, frame in tables.items()})
        assert behind.empty
        assert any("No " in text.get_text() for text in picture.findobj(Text))


def test_domains_show_the_largest_models(tables: Tables) -> None:
    """Prevents a smaller model's rate, or one beside another domain's name."""
    (axes,), (found,) = panels("domains", tables)
    table = behind(tables, "domains")
    labels = [label.get_text().split("\n")[0] for label in axes.get_yticklabels()]
    assert labels == ["code", "prose"]  # structural first
    places = axes.get_yticks()
    expected = {(round(rate, 9), domain) for rate, domain in zip(table["rate"], table["domain"], strict=True)}
    assert {(rate, labels[np.abs(places - y).argmin()]) for rate, y in found} == expected


def test_fitted_lines_are_those_of_the_table(tables: Tables) -> None:
    """Prevents a drawn line that is not the fit that the legend and the table state."""
    axes, _ = panels("scaling", tables)
    bars = {container.lines[0] for panel in axes for container in panel.containers}
    for panel, rows in zip(axes, ("natural", "planted"), strict=True):
        fits = tables["scaling"][(tables["scaling"]["rows"] == rows) & (tables["scaling"]["family"] != "common")]
        drawn = [line.get_xydata() for line in panel.get_lines() if line not in bars and len(line.get_xydata()) == 2]
        slopes = [np.diff(line[:, 1])[0] / np.diff(np.log10(line[:, 0]))[0] for line in drawn]
        heights = [line[0, 1] - slope * np.log10(line[0, 0]) for line, slope in zip(drawn, slopes, strict=True)]
        assert sorted(slopes) == pytest.approx(sorted(fits["slope"]))
        assert sorted(heights) == pytest.approx(sorted(fits["intercept"]))
        labels = [text.get_text() for text in panel.get_legend().get_texts()]
        assert labels == ["Pythia: 2.0 [1.0, 6.0]", "OLMo 2: 3.0 [1.0, 7.0]", "newcomer: 4.0 [1.0, 8.0]"]


@pytest.fixture(scope="module", params=[SIZES[:1], SIZES], ids=["one size", "three sizes"])
def alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Alone:
    """Sizes of one family, and its tables."""
    return request.param, write(tmp_path_factory.mktemp("alone"), make_tables(["pythia"], request.param))


@pytest.mark.parametrize("figure", BEHIND)
def test_one_family(tmp_path: Path, figure: str, alone: Alone) -> None:
    """Prevents a study of one family, or of one model, from failing at its figures."""
    sizes, paths = alone
    draw_files(figure, "One", paths, [tmp_path / "f.svg", tmp_path / "f.csv"])
    if len(sizes) == 1 and figure in ("profiles", "signatures", "signature_clusters"):
        return  # one model has no pair
    assert len(pd.read_csv(tmp_path / "f.csv")) > 0
    assert figure in ("claims", "factorial") or "Pythia" in (tmp_path / "f.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("figure", ["controls", "scaling", "domains", "noise"])
def test_many_sizes_and_families_are_all_drawn(figure: str) -> None:
    """Prevents the ninth size or family, Pythia alone has ten sizes, from being left out for want of markers."""
    sizes = [10**6 * 2**step for step in range(9)] if figure == "controls" else [10**6]
    families = ["pythia"] if figure == "controls" else [f"family{index}" for index in range(9)]
    axes, _ = panels(figure, make_tables(families, sizes))
    assert len([item for item in axes[-1].containers if isinstance(item, ErrorbarContainer)]) == 9


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("figure", ["controls", "scaling", "domains", "noise"])
def test_rates_of_nothing_and_everything(tables: Tables, figure: str, value: float) -> None:
    """Prevents error bars of no or negative length from stopping a figure, and points at the edge from being lost."""
    low, high = wilson(value, 101, 0.95)
    ends = {"rate": value, "rate_low": low, "rate_high": high}
    changed = {name: frame.assign(**ends) if "rate" in frame else frame for name, frame in tables.items()}
    axes, shown = panels(figure, changed)
    assert all({y if figure != "domains" else x for x, y in found} == {value} for found in shown)
    assert figure != "domains" or -0.1 < axes[0].get_xlim()[0] < 0


def test_unknown_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a traceback, or a figure less, for a name in a config that no stage declares."""
    monkeypatch.chdir(ROOT)
    with pytest.raises(ReciteError, match=r"mini\.yaml: figures: '?pie'? .*figure of a stage"):
        loaded(shipped("mini") | {"figures": ["scaling", "pie"]})


def test_failed_drawing_leaves_no_figure_open(tmp_path: Path) -> None:
    """Prevents a failed figure from staying in memory, or a partial picture on disk."""
    paths = write(tmp_path, make_tables(["pythia"], SIZES))
    output = tmp_path / "out" / "controls.png"
    with pytest.raises(ReciteError, match=r"control_rates\.parquet does not exist"):
        draw_files("controls", "C", {"control_rates": tmp_path / "gone" / "control_rates.parquet"}, [output])
    with pytest.raises(KeyError, match="control_rates"):
        draw(options_of("controls") | {"tables": TABLE_MODULES}, [paths["rates"]], {"png": output}, code="ab")
    assert plt.get_fignums() == [] and not output.exists()


@pytest.mark.parametrize(
    ("parameters", "words"), [(92_000, "92 k"), (2_213_000, "2.2 M"), (6_900_000_000, "6.9 B"), (31_000, "31 k")]
)
def test_parameter_counts_in_words(parameters: int, words: str) -> None:
    """Prevents a legend that is wrong by a factor of a thousand."""
    assert style.millions(parameters) == words


@pytest.mark.parametrize(
    ("rows", "distinct", "words"),
    [
        ([600, 600], [600, 600], "n = 600 rows"),
        ([600, 600], [485, 485], "n = 600 rows, 485 texts"),
        ([600, 40, 600], [600, 40, 600], "n = 40 to 600 rows"),
        ([600, 600, 600], [485, 600, 31], "n = 600 rows, 31 to 600 texts"),
        ([600, 400], [400, 400], "n = 400 to 600 rows, 400 texts"),
        ([600, 400], [485, 400], "n = 400 to 600 rows, 400 to 485 texts"),
    ],
)
def test_rows_of_equal_text_are_not_passed_off_as_distinct(rows: list[int], distinct: list[int], words: str) -> None:
    """Prevents a label that states more independent observations than there are texts, or one group's count for all."""
    assert style.rows_note(pd.DataFrame({"n": rows, "distinct": distinct}, dtype="uint64")) == words


def test_families_keep_their_order() -> None:
    """Prevents a family from changing its colour where another is added after it in the order of names."""
    table = pd.DataFrame({"family": ["zeta", "olmo2", "pythia", "alpha", "olmo2"]})
    assert style.families(table) == ["pythia", "olmo2", "alpha", "zeta"]
    assert len(set(style.colours(style.families(table)).values())) == 4


@pytest.mark.parametrize("figure", ["scaling", "noise", "domains", "controls"])
def test_figures_say_how_many_texts_recur(figure: str) -> None:
    """Prevents a figure of recurring texts from stating its rows alone."""
    tables = make_tables(["pythia"], [10**6, 10**7])
    for name in ("rates", "control_rates", "noise_rates"):
        tables[name] = tables[name].assign(distinct=37)
    with style.style():
        picture, _ = drawing(figure)(tables)
        words = [text.get_text() for text in picture.findobj(Text)]
    assert any("n = 101 rows, 37 texts" in text for text in words)
