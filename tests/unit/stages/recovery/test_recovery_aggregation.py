"""recite.stages.recovery.summarize against pandas, a planted difference and hypotheses that hold."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recite.comparison.claims.judge import verdict
from recite.errors import ReciteError
from recite.outcomes.draws import DRAWS, read_draws
from recite.outcomes.findings import Measured
from recite.stages.recovery.claims import STATISTICS
from recite.stages.recovery.rows import MEASURES, RECOVERED
from recite.stages.recovery.summarize import aggregate_recovery, regained_share
from recite.stages.recovery.tables import RECOVERY, RECOVERY_TESTS
from recite.stages.scoring.rows import SCORES
from recite.tables.lists import as_lists
from studies import shipped

KINDS = {"code": "structural", "prose": "free_text", "control": "planted"}
OPTIONS = {"seed": 1, "corpora": {"a-s": "texts"}, "kinds": {"texts": KINDS}, "confidence": 0.9, "resamples": 400}
OPTIONS |= {
    "estimand": "texts",
    "memorized": 1.0,
    "half": 0.5,
    "unmemorized": 0.0,
    "margin_tolerance": {"float32": 1e-4},
}
TABLES = {table.name: table for table in (RECOVERY, RECOVERY_TESTS, DRAWS)}
STEPS, LAYERS, FIRST = 8, 5, 2
"""Of six layers the third, layer 2, is disturbed, and three come after it."""
MADE = {"options": {"model": "a-s", "family": "a"}, "parameters": 9, "continuation_tokens": STEPS, "dtype": "float32"}


def rows(count: int, removed: dict[int, float], seed: int = 1) -> pd.DataFrame:
    """Rows of recurring texts, whose last layer has removed `removed[hits]` of the noise, with some scatter."""
    source = np.random.default_rng(seed)
    texts = np.sort(source.integers(0, count // 2, count))
    hits = np.random.default_rng(seed + 1).choice(list(removed), count // 2)[texts]
    domain = np.array(list(KINDS))[texts % 3]
    first = 0.9 + source.normal(0, 0.002, count)
    last = np.array([removed[hit] for hit in hits.tolist()]) + source.normal(0, 0.05, count)
    share = np.linspace(0, 1, LAYERS - 1)[None, :] * last[:, None]
    cosines = (first[:, None] + (1 - first[:, None]) * share).astype(np.float32)
    frame = pd.DataFrame({"row_id": source.permutation(count), "sequence_id": texts, "domain": domain, "hits": hits})
    rest = {"baseline": cosines - np.float32(0.01), "along": cosines / 2}
    rest["growth"] = 1 + np.linspace(0, 1, LAYERS - 1)[None, :] * (source.normal(0, 0.1, count) - last)[:, None]
    columns = {"cosine": cosines} | {name: values.astype(np.float32) for name, values in rest.items()}
    return frame.assign(**{name: list(values) for name, values in columns.items()})


def write(folder: Path, frame: pd.DataFrame, alphas: tuple[float, ...] = (0.5,), parts: int = 1) -> dict[str, Any]:
    """Scores and cosines in files, as arguments of the aggregation."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = {name: frame[name].tolist() for name in ("row_id", "sequence_id", "domain", "hits")}
    rest = {"first_mismatch": columns["hits"], "generated": [[1]] * len(frame), "margin": [1.0] * len(frame)}
    rest |= {"inclusion_probability": [0.5] * len(frame)}
    SCORES.write(folder / "scores.parquet", columns | rest, MADE)
    paths = []
    for alpha in alphas:
        for number, part in enumerate(np.array_split(np.arange(len(frame)), parts)):
            chosen = frame.iloc[part]
            columns = {name: chosen[name].tolist() for name in ("row_id", "sequence_id", "domain")}
            columns |= {name: as_lists(np.stack(chosen[name].to_list())) for name in MEASURES}
            paths.append(folder / f"{alpha}-{number}.parquet")
            options = MADE["options"] | {"noise": {"layer": FIRST}}
            made = MADE | {"options": options, "alpha": alpha, "first_layer": FIRST, "layers": FIRST + LAYERS - 1}
            RECOVERED.write(paths[-1], columns, made)
    outputs = {name: folder / f"{name}.made.parquet" for name in TABLES}
    return {"scores": [folder / "scores.parquet"], "recovery": paths, "outputs": outputs}


def aggregated(arguments: dict[str, Any], **options: Any) -> dict[str, pd.DataFrame]:
    aggregate_recovery(OPTIONS | options, **arguments)
    return {name: TABLES[name].read(path).to_pandas() for name, path in arguments["outputs"].items()}


def test_means_by_pandas(tmp_path: Path) -> None:
    """Prevents rows of another class, domain or layer in a mean, and a share that is not of the means."""
    frame = rows(400, {8: 0.2, 4: 0.3, 3: 0.5, 0: 0.4})
    table = aggregated(write(tmp_path, frame))["recovery"]
    planted = frame["domain"] == "control"
    parts = {"memorized": frame["hits"] == 8, "half": frame["hits"] == 4, "unmemorized": frame["hits"] == 0}
    parts["all"] = frame["hits"] >= 0
    assert len(table) == 2 * 4 * (LAYERS - 1)
    for kind, of_kind in (("natural", ~planted), ("planted", planted)):
        for group, of_group in parts.items():
            chosen = frame[of_kind & of_group]
            found = {name: np.stack(chosen[name].to_list()).astype(float).mean(axis=0) for name in MEASURES}
            means = found["cosine"]
            lines = table[(table["rows"] == kind) & (table["group"] == group)].sort_values("layer")
            assert lines["layer"].tolist() == [2, 3, 4, 5]
            assert lines["depth"].tolist() == pytest.approx([3 / 6, 4 / 6, 5 / 6, 1])
            for name, values in found.items():
                np.testing.assert_allclose(lines[name], values, rtol=1e-7)
            np.testing.assert_allclose(lines["regained"], (means - means[0]) / (1 - means[0]), atol=1e-6)
            np.testing.assert_allclose(lines["beyond"], means - found["baseline"], atol=1e-6)
            assert (lines["n"] == len(chosen)).all()
            assert (lines["distinct"] == chosen["sequence_id"].nunique()).all()
            assert (lines["cosine_low"] <= lines["cosine"]).all() and (lines["cosine"] <= lines["cosine_high"]).all()


def test_a_planted_difference_is_found(tmp_path: Path) -> None:
    """Prevents classes that are swapped, and a difference of cosines in place of shares."""
    frame = rows(600, {8: 0.2, 4: 0.1, 0: 0.4})
    tests = aggregated(write(tmp_path, frame, (0.1, 0.5)))["recovery_tests"]
    places = product((0.1, 0.5), ("natural", "planted"), ("growth", "beyond", "regained"))
    assert list(zip(tests["alpha"], tests["rows"], tests["measure"], strict=True)) == list(places)
    assert (tests["noise_layer"] == FIRST).all()
    by_measure = {measure: part for measure, part in tests.groupby("measure")}
    np.testing.assert_allclose(by_measure["regained"]["difference"], -0.2, atol=0.03)
    assert (by_measure["regained"]["difference_high"] < -0.15).all()
    np.testing.assert_allclose(by_measure["growth"]["difference"], 0.2, atol=0.05)
    assert (by_measure["growth"]["q_value"] < 0.02).all() and (by_measure["regained"]["q_value"] < 0.02).all()
    natural = frame[(frame["domain"] != "control") & (frame["hits"] == 8)]
    assert tests["memorized_n"][0] == len(natural)
    assert tests["memorized_distinct"][0] == natural["sequence_id"].nunique()


def test_no_difference_is_seldom_found(tmp_path: Path) -> None:
    """Prevents a test that calls every scatter a difference, as one that takes the rows of a text for independent."""
    p_values = []
    for seed in range(60):
        frame = rows(120, {8: 0.3, 0: 0.3}, seed=10 * seed)
        # All rows of a text scatter together, which only a bootstrap over texts takes into account.
        first = {name: frame.groupby("sequence_id")[name].transform("first") for name in MEASURES}
        tests = aggregated(write(tmp_path / str(seed), frame.assign(**first)), resamples=200)["recovery_tests"]
        kept = (tests["rows"] == "natural") & (tests["measure"] == "growth")
        p_values += tests["p_value"][kept].tolist()
    assert len(p_values) == 60
    assert np.mean(np.array(p_values) < 0.1) < 0.25 and np.median(p_values) > 0.3


def test_order_and_split_change_nothing(tmp_path: Path) -> None:
    """Prevents the number of jobs, or the order of their files, from changing a table."""
    frame = rows(200, {8: 0.2, 4: 0.3, 0: 0.4})
    whole = aggregated(write(tmp_path / "a", frame))
    arguments = write(tmp_path / "b", frame.sample(frac=1, random_state=1), parts=3)
    arguments["recovery"].reverse()
    for name, table in aggregated(arguments).items():
        pd.testing.assert_frame_equal(table, whole[name], check_exact=True)


def test_few_texts_are_not_compared(tmp_path: Path) -> None:
    """Prevents a verdict on a handful of texts, and a failure where a class has no row."""
    frame = rows(200, {8: 0.2, 0: 0.4})
    natural = frame["domain"] != "control"
    keep = frame[natural & (frame["hits"] == 8)]["sequence_id"].unique()[:4]
    few = frame[~natural | (frame["hits"] == 0) | frame["sequence_id"].isin(keep)]
    assert aggregated(write(tmp_path / "a", few))["recovery_tests"]["rows"].tolist() == ["planted"] * 3
    none = aggregated(write(tmp_path / "b", frame[frame["hits"] == 0]))
    assert none["recovery_tests"].empty and set(none["recovery"]["group"]) == {"all", "unmemorized"}


def test_nothing_lost_is_nothing_to_recover() -> None:
    """Prevents a division by zero where half precision swallows weak noise."""
    found = regained_share(np.array([[1.0, 0.9], [0.8, 0.9]]))
    np.testing.assert_allclose(found, [[np.nan, np.nan], [0, 0.5]])


def test_rows_that_were_not_scored(tmp_path: Path) -> None:
    """Prevents a row from being given another row's class."""
    frame = rows(50, {8: 0.2, 0: 0.4})
    arguments = write(tmp_path, frame)
    write(tmp_path / "other", frame.iloc[:-1])
    arguments["scores"] = [tmp_path / "other" / "scores.parquet"]
    with pytest.raises(ReciteError, match="holds other rows than were scored; delete it and run again"):
        aggregated(arguments)


@pytest.mark.parametrize(
    ("memorized", "unmemorized", "verdicts"),
    [
        # Noise is removed, less of it in memorized rows.
        ({"growth": 0.8, "beyond": -0.2}, {"growth": 0.5, "beyond": -0.1}, ["supported"] * 3),
        # It is amplified, less so in memorized rows, though similarity is regained as the stream grows.
        ({"growth": 1.2, "beyond": -0.1}, {"growth": 1.6, "beyond": -0.2}, ["not supported"] * 3),
        # Neither, and nothing between the classes.
        ({"growth": 1.0, "beyond": -0.1}, {"growth": 1.0, "beyond": -0.1}, ["undecided"] * 3),
    ],
    ids=["holds", "does not hold", "undecided"],
)
def test_three_studies(
    tmp_path: Path, memorized: dict[str, float], unmemorized: dict[str, float], verdicts: list[str]
) -> None:
    """Prevents a claim that a study decides whatever the models do; the cosine rises in all three."""
    frame = rows(600, {8: 0.3, 0: 0.3})
    source = np.random.default_rng(5)
    scatter = source.normal(0, 0.3, (len(frame) // 2, 1))[frame["sequence_id"]]
    last = np.linspace(0, 1, LAYERS - 1)[None, :]
    is_memorized = (frame["hits"] == 8).to_numpy()[:, None]
    growth = 1 + last * (np.where(is_memorized, memorized["growth"], unmemorized["growth"]) - 1 + scatter)
    beyond = last * (np.where(is_memorized, memorized["beyond"], unmemorized["beyond"]) + scatter / 5)
    cosine = np.stack(frame["cosine"].to_list())
    frame = frame.assign(growth=list(growth.astype(np.float32)), baseline=list((cosine - beyond).astype(np.float32)))
    tables = aggregated(write(tmp_path, frame))
    assert (tables["recovery"].query("depth == 1")["regained"] > 0.1).all()
    bounds = shipped("claims")
    found = []
    measured = Measured(tables, read_draws([tmp_path / "draws.made.parquet"]), 0.9)
    for name, statistic in STATISTICS.items():
        sign, bound = (">", bounds[name]["above"]) if "above" in bounds[name] else ("<", bounds[name]["below"])
        found.append(verdict(statistic(measured), "models", sign, bound))
    assert found == verdicts
