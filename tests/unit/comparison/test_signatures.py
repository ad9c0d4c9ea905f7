"""recite.comparison.signatures.summarize: profiles on one depth; families against enumeration and planted truths."""

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recite.comparison.signatures.measures import MEASURES
from recite.comparison.signatures.summarize import (
    Alike,
    common_depths,
    compare_signatures,
    comparison_lines,
    correlations,
    similarities,
    statistics,
    without_size,
)
from recite.comparison.signatures.summarize import measured_profiles as measured
from recite.comparison.signatures.tables import SIGNATURE_PAIRS, SIGNATURE_TESTS, SIGNATURES
from recite.stages.heads.tables import HEADS
from recite.stages.lens.rows import AMOUNTS, COUNTS
from recite.stages.lens.tables import LENS
from recite.stages.recovery.tables import RECOVERY

OPTIONS: dict[str, Any] = {"seed": 3, "confidence": 0.95, "resamples": 999}
TABLES = {table.name: table for table in (SIGNATURES, SIGNATURE_PAIRS, SIGNATURE_TESTS)}
AVERAGED = [name for name in AMOUNTS if name != "log_rank"] + ["rank", *COUNTS]


def lens(models: dict[str, list[float]], rows: str = "natural", group: str = "all") -> pd.DataFrame:
    """Lines of the table lens with these probabilities by layer; a model is <family>-<size>."""
    lines = []
    for model, values in models.items():
        family, size = model.split("-")
        about = {"model": model, "family": family, "parameters": int(size), "rows": rows, "group": group}
        for layer, value in enumerate(values):
            place = {"layer": layer, "depth": (layer + 1) / len(values), "n": 9, "distinct": 9}
            statistics = {f"{name}{end}": 0.5 for name in AVERAGED for end in ("", "_low", "_high")}
            lines.append(about | place | statistics | {"probability": value})
    return pd.DataFrame(lines)[LENS.names]


def recovery(models: dict[str, list[float]], alpha: float = 0.5, layer: int = 0) -> pd.DataFrame:
    """Lines of the table recovery, whose first layer is the disturbed one."""
    lines = []
    for model, values in models.items():
        family, size = model.split("-")
        about = {"model": model, "family": family, "parameters": int(size), "noise_layer": layer, "alpha": alpha}
        for place, value in enumerate(values, start=layer):
            found = {
                f"{name}{end}": value
                for name in ("cosine", "regained", "baseline", "beyond", "growth", "along")
                for end in ("", "_low", "_high")
            }
            where = {"layer": place, "depth": (place + 1) / (layer + len(values)), "n": 9, "distinct": 9}
            lines.append(about | {"rows": "natural", "group": "all"} | where | found)
    return pd.DataFrame(lines)[RECOVERY.names]


def heads(
    models: dict[str, list[list[float]]], rows: str = "natural", domain: str = "all", group: str = "all"
) -> pd.DataFrame:
    """Lines of the table heads with these drops by layer and head; those of log-probability are their negatives."""
    lines = []
    for model, layers in models.items():
        family, size = model.split("-")
        about = {"model": model, "family": family, "parameters": int(size), "rows": rows, "domain": domain}
        for layer, values in enumerate(layers):
            for head, value in enumerate(values):
                place = {
                    "layer": layer,
                    "head": head,
                    "depth": (layer + 1) / len(layers),
                    "heads": 2 * len(layers),
                    "n": 9,
                    "distinct": 9,
                    "rank": 1,
                    "group": group,
                }
                found = {f"hits_drop{end}": value for end in ("", "_low", "_high")}
                found |= {f"log_probability_drop{end}": -value for end in ("", "_low", "_high")}
                found |= {f"probability_drop{end}": 0.0 for end in ("", "_low", "_high")}
                measures = ("hits", "log_probability", "probability")
                found |= {f"{name}_drop_{p}_value": 0.5 for name in measures for p in "pq"}
                lines.append(about | place | found)
    return pd.DataFrame(lines)[HEADS.names]


def test_heads_of_a_layer_are_taken_together() -> None:
    """Prevents a sum, which would grow with the heads, and planted rows or one domain from entering."""
    models = {"a-1": [[0.1, 0.3], [0.0, 0.2], [0.5, 0.7]], "b-1": [[0.4] * 4, [0.2] * 4, [0.0] * 4]}
    other = {model: layers[::-1] for model, layers in models.items()}
    table = pd.concat([heads(other, rows="planted"), heads(other, domain="code"), heads(models)])
    found = measured({"heads": table})
    assert list(found) == ["ablation", "ablation_log_probability"]
    for measure, sign in (("ablation", 1), ("ablation_log_probability", -1)):
        values = [(sign * profile.values).round(9).tolist() for profile in found[measure]]
        assert values == [[0.2, 0.1, 0.6], [0.4, 0.2, 0.0]]
        assert found[measure][0].depths.tolist() == [1 / 3, 2 / 3, 1]


def test_rows_of_a_class_have_a_profile_of_their_own() -> None:
    """Prevents a mean over classes, of which every row of two groups would count twice."""
    models = {"a-1": [[0.1, 0.3], [0.0, 0.2], [0.5, 0.7]], "b-1": [[0.4] * 4, [0.2] * 4, [0.0] * 4]}
    other = {model: layers[::-1] for model, layers in models.items()}
    found = measured({"heads": pd.concat([heads(models), heads(other, group="memorized")])})
    measures = ["ablation", "ablation_log_probability", "ablation_memorized", "ablation_memorized_log_probability"]
    assert list(found) == measures and set(found) < set(MEASURES)
    for whole, own in (measures[::2], measures[1::2]):
        values = [[profile.values.tolist() for profile in found[name]] for name in (whole, own)]
        assert values[0] == [value[::-1] for value in values[1]]
    assert list(measured({"heads": heads(models, group="unmemorized")})) == [
        "ablation_unmemorized",
        "ablation_unmemorized_log_probability",
    ]


def compared(folder: Path, **frames: pd.DataFrame) -> dict[str, pd.DataFrame]:
    paths = []
    for name, frame in frames.items():
        paths.append(folder / f"{name}.parquet")
        table = {"lens": LENS, "recovery": RECOVERY}[name]
        table.write(paths[-1], {column: frame[column].tolist() for column in frame}, {})
    outputs = {name: folder / "made" / f"{name}.parquet" for name in TABLES}
    compare_signatures(OPTIONS, paths, outputs)
    return {name: table.read(outputs[name]).to_pandas() for name, table in TABLES.items()}


RISING, SINKING = [0.0, 0.1, 0.4, 0.9], [0.9, 0.4, 0.3, 0.0]


def test_profiles_of_different_depth_are_compared_where_both_are(tmp_path: Path) -> None:
    """Prevents layer 3 of 4 from being set beside layer 3 of 6: equal curves over relative depth are equal profiles."""
    curves = {f"a-{layers}": [((layer + 1) / layers) ** 1 for layer in range(layers)] for layers in (3, 4, 6)}
    tables = compared(tmp_path, lens=lens(curves | {"b-1": SINKING}))
    profiles = tables["signatures"]
    assert profiles.groupby("model")["depth"].agg(["min", "max"]).to_numpy().tolist() == [[1 / 3, 1.0]] * 4
    for model in curves:
        part = profiles[profiles["model"] == model]
        np.testing.assert_allclose(part["value"], part["depth"])  # a straight line stays one
    pairs = tables["signature_pairs"].set_index(["model_a", "model_b"])["similarity"]
    np.testing.assert_allclose(pairs[[("a-3", "a-4"), ("a-3", "a-6"), ("a-4", "a-6")]], 1)
    assert (pairs[[("a-3", "b-1"), ("a-6", "b-1")]] < -0.9).all()


def test_correlations_are_numpys() -> None:
    """Prevents another measure of similarity; a flat profile has none."""
    values = np.random.default_rng(1).normal(size=(4, 20))
    values[2] = 5
    with np.errstate(invalid="ignore"):
        expected = np.corrcoef(values)
    np.testing.assert_allclose(correlations(values), expected)
    assert np.isnan(correlations(values)[2]).all()


def test_a_planted_signature_is_found(tmp_path: Path) -> None:
    """Families that spread alike are told apart; the correlations do not sort the models, their families do."""
    source = np.random.default_rng(5)
    models = {
        f"{family}-{size}": [value + source.normal(0, 0.02) for value in curve]
        for family, curve in (("a", RISING), ("b", SINKING), ("c", [0.0, 0.9, 0.9, 0.0]))
        for size in (1, 2, 3)
    }
    tests = compared(tmp_path, lens=lens(models), recovery=recovery(models))["signature_tests"]
    assert tests["measure"].tolist() == ["recovery", "lens"]
    assert (tests["p_value"] < 0.02).all() and (tests["q_value"] <= 0.02).all()
    assert (tests["identified"] == 9).all() and (tests["accuracy"] == 1).all() and (tests["within"] > 0.95).all()
    np.testing.assert_allclose(tests["chance"], 2 / 8)


def test_p_values_are_those_of_all_orders() -> None:
    """The share of permutations that reach the seen difference, against an enumeration of all of them."""
    source = np.random.default_rng(2)
    similarity = source.uniform(-1, 1, (6, 6))
    similarity = (similarity + similarity.T) / 2
    np.fill_diagonal(similarity, 1)
    families = np.array([0, 0, 1, 1, 2, 2])
    orders = [list(order) for order in permutations(range(6))]
    found = [statistics(Alike(similarity, families[order])) for order in orders]
    expected = [np.mean([one[i] >= found[0][i] - 1e-12 for one in found]) for i in (0, 1)]
    (line,) = comparison_lines(Alike(similarity, families), "x", OPTIONS | {"resamples": 20_000})
    assert line["p_value"] == pytest.approx(expected[0], abs=0.015)
    assert line["accuracy_p_value"] == pytest.approx(expected[1], abs=0.015)
    assert line["chance"] == pytest.approx(np.mean([one[1] for one in found]) / 6)
    pairs = [similarity[i, j] for i in range(6) for j in range(i) if i // 2 == j // 2]
    assert line["within"] == pytest.approx(np.mean(pairs))


def test_without_a_signature_p_values_are_uniform() -> None:
    """A test that finds families in noise would support any claim."""
    found = []
    for seed in range(200):
        similarity = correlations(np.random.default_rng(seed).normal(size=(8, 20)))
        options = OPTIONS | {"seed": seed, "resamples": 199}
        (line,) = comparison_lines(Alike(similarity, np.repeat([0, 1], 4)), "x", options)
        found.append(line["p_value"])
    assert 0.4 < np.mean(found) < 0.6 and np.mean(np.array(found) <= 0.1) < 0.17


def test_only_natural_rows_of_all_classes_under_the_strongest_noise_in_the_first_layer() -> None:
    """Prevents planted rows, a class, a weaker noise or a later layer from entering a profile."""
    models = {"a-1": RISING, "b-1": SINKING}
    other = {"a-1": SINKING, "b-1": RISING}
    layers = pd.concat([lens(other, rows="planted"), lens(other, group="memorized"), lens(models)])
    noises = pd.concat([recovery(other, alpha=0.1), recovery(models), recovery(other, layer=2)])
    found = measured({"lens": layers, "recovery": noises})
    for profiles in found.values():
        assert [(one.who["model"], one.values.tolist()) for one in profiles] == [("a-1", RISING), ("b-1", SINKING)]


def test_what_cannot_be_compared_is_left_out(tmp_path: Path) -> None:
    """Two layers make no profile, one model no pair, and families of one model each no test."""
    tables = compared(tmp_path, lens=lens({"a-1": [0.1, 0.2], "b-1": RISING}))
    assert [len(table) for table in tables.values()] == [0, 0, 0]
    tables = compared(tmp_path, lens=lens({"a-1": RISING, "b-1": SINKING}))
    assert (len(tables["signature_pairs"]), len(tables["signature_tests"])) == (1, 0)
    tables = compared(tmp_path, lens=lens({"a-1": RISING, "a-2": [0.5] * 4, "b-1": SINKING, "b-2": SINKING}))
    assert tables["signature_tests"]["models"].tolist() == [3]
    assert tables["signature_pairs"]["similarity"].isna().sum() == 3


def test_depths_are_those_that_all_models_have() -> None:
    profiles = measured({"lens": lens({"a-1": [0.1] * 4, "b-1": [0.1] * 5})})["lens"]
    depths = common_depths(profiles)
    assert (depths[0], depths[-1], len(depths)) == (0.25, 1.0, 20)


def test_size_is_taken_off() -> None:
    """Prevents sizes that are alike in all families from standing for families, and the reverse: two profiles planted.

    What a tenfold size adds is the same in every family; families are told apart by the rest only.
    """
    of_family, of_size = np.array([[1.0, 0, 0, 1], [0, 1.0, 0, 0], [0.3, 0, 1.0, 0]]), np.array([0, 5.0, 1.0, 2.0])
    whose = [{"model": f"{f}-{s}", "family": f, "parameters": 10**s} for f in "abc" for s in (6, 7)]
    values = np.array([of_family["abc".index(who["family"])] + (who["parameters"] > 10**6) * of_size for who in whose])
    raw, without = correlations(values), similarities(values, whose)
    assert raw[1, 3] > raw[0, 1]
    for one in range(0, 6, 2):
        assert without[one, one + 1] == pytest.approx(1)
    # The mean size of all: half of what a tenfold size adds.
    np.testing.assert_allclose(without_size(values, whose)[::2], of_family + of_size / 2)


def test_the_interval_over_families_leaves_each_out() -> None:
    """Prevents models of one family from being taken for families: Tukey's jackknife, written out."""
    rng = np.random.default_rng(7)
    values = np.repeat(rng.normal(size=(4, 1, 8)), 2, axis=1).reshape(8, 8) + 0.3 * rng.normal(size=(8, 8))
    alike, families = correlations(values), np.repeat(np.arange(4), 2)
    line = next(iter(comparison_lines(Alike(alike, families), "lens", OPTIONS)))
    without = []
    for family in range(4):
        kept = families != family
        without.append(statistics(Alike(alike[np.ix_(kept, kept)], families[kept]))[0])
    half = 3.182446 * np.sqrt(3 / 4 * np.sum((without - np.mean(without)) ** 2))
    assert (line["difference_low"], line["difference_high"]) == pytest.approx(
        (line["difference"] - half, line["difference"] + half), rel=1e-6
    )
