"""recite.stages.lens.summarize against pandas, correlations of numpy, and planted profiles."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recite.errors import ReciteError
from recite.outcomes.draws import DRAWS, read_draws
from recite.stages.lens.rows import AMOUNTS, COUNTS, DECODED, DECODED_POSITIONS
from recite.stages.lens.summarize import Profile, aggregate_lens, crossings, pair_line
from recite.stages.lens.tables import LENS, LENS_DEPTHS, LENS_POSITIONS, LENS_PROFILES
from recite.stages.scoring.rows import SCORES
from recite.tables.lists import as_lists

KINDS = {"code": "structural", "prose": "free_text", "control": "planted"}
OPTIONS = {"seed": 1, "kinds": {"texts": KINDS}, "estimand": "texts", "confidence": 0.9, "resamples": 300}
OPTIONS |= {"memorized": 1.0, "half": 0.5, "unmemorized": 0.0, "margin_tolerance": {"float32": 1e-4}}
TABLES = {table.name: table for table in (LENS, LENS_POSITIONS, LENS_PROFILES, LENS_DEPTHS, DRAWS)}
STEPS, LAYERS, ROWS = 4, 3, 200
CLASSES = {"all": (0, 1, 2, 4), "memorized": (4,), "half": (2,), "unmemorized": (0,)}
Values = dict[str, np.ndarray]


def rows(seed: int = 1) -> tuple[pd.DataFrame, Values]:
    """Rows of recurring texts, and what every layer says at every position of each, (rows, layers, positions)."""
    source = np.random.default_rng(seed)
    texts = np.sort(source.integers(0, ROWS // 2, ROWS))
    hits = np.random.default_rng(seed + 1).choice([4, 2, 1, 0], ROWS // 2)[texts]
    domain = np.array(list(KINDS))[texts % 3]
    frame = pd.DataFrame({"row_id": source.permutation(ROWS), "sequence_id": texts, "domain": domain, "hits": hits})
    shape = (ROWS, LAYERS, STEPS)
    values: Values = {name: source.gamma(2, 0.2, shape) for name in AMOUNTS}
    values |= {name: source.random(shape) < 0.4 for name in COUNTS}
    return frame, values


def write(
    folder: Path,
    frame: pd.DataFrame,
    values: Values,
    model: str = "a-s",
    parts: int = 1,
    layers: Sequence[int] = range(LAYERS),
) -> dict[str, Any]:
    """Scores, decoded rows and sums by position in files, as arguments of the aggregation."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {"options": {"model": model, "family": model[0]}, "parameters": 9, "continuation_tokens": STEPS}
    made |= {"dtype": "float32", "layers": LAYERS, "decoded": [*layers]}
    values = {name: value[:, layers] for name, value in values.items()}
    columns = {name: frame[name].tolist() for name in ("row_id", "sequence_id", "domain", "hits")}
    rest = {"first_mismatch": columns["hits"], "generated": [[1]] * len(frame), "margin": [1.0] * len(frame)}
    rest |= {"inclusion_probability": [0.5] * len(frame)}
    SCORES.write(folder / f"{model}.parquet", columns | rest, made)
    found: dict[str, Any] = {"scores": [folder / f"{model}.parquet"], "lens": [], "positions": []}
    for number, part in enumerate(np.array_split(np.arange(len(frame)), parts)):
        chosen = frame.iloc[part]
        columns = {name: chosen[name].tolist() for name in ("row_id", "sequence_id", "domain")}
        columns |= {name: as_lists(values[name][part].mean(axis=2).astype(np.float32)) for name in AMOUNTS}
        columns |= {name: as_lists(values[name][part].sum(axis=2)) for name in COUNTS}
        found["lens"].append(folder / f"{model}-{number}-lens.parquet")
        DECODED.write(found["lens"][-1], columns, made)
        lines: dict[str, list[Any]] = {name: [] for name in ("domain", "hits", "layer", "n", *AMOUNTS, *COUNTS)}
        for (domain, hits), places in chosen.reset_index(drop=True).groupby(["domain", "hits"]).groups.items():
            for place, layer in enumerate(layers):
                for name, value in zip(lines, (domain, hits, layer, len(places)), strict=False):
                    lines[name].append(value)
                for name in (*AMOUNTS, *COUNTS):
                    lines[name].append(values[name][part[places], place].sum(axis=0).tolist())
        found["positions"].append(folder / f"{model}-{number}-positions.parquet")
        DECODED_POSITIONS.write(found["positions"][-1], lines, made)
    return found


def aggregated(folder: Path, *parts: dict[str, Any], **options: Any) -> dict[str, pd.DataFrame]:
    arguments = {name: [path for part in parts for path in part[name]] for name in ("scores", "lens", "positions")}
    outputs = {name: folder / f"{name}.made.parquet" for name in TABLES}
    corpora = {"corpora": {name: "texts" for name in ("a-s", "b-s")}}
    aggregate_lens(OPTIONS | corpora | options, **arguments, outputs=outputs)
    return {name: TABLES[name].read(path).to_pandas() for name, path in outputs.items()}


def expected(values: Values, chosen: np.ndarray, axis: int | tuple[int, ...]) -> Values:
    """The tables' statistics of some rows."""
    means = {name: value[chosen].mean(axis=axis) for name, value in values.items()}
    return {name: means[name] for name in means if name != "log_rank"} | {"rank": np.exp(means["log_rank"])}


def test_means_by_brute_force(tmp_path: Path) -> None:
    """Prevents rows of another class or layer in a mean, an arithmetic mean of ranks, and counts that are no shares."""
    frame, values = rows()
    tables = aggregated(tmp_path, write(tmp_path, frame, values))
    planted = (frame["domain"] == "control").to_numpy()
    assert len(tables["lens"]) == 2 * 4 * LAYERS
    assert len(tables["lens_positions"]) == 2 * 4 * LAYERS * STEPS
    for kind, of_kind in (("natural", ~planted), ("planted", planted)):
        for group, hits in CLASSES.items():
            chosen = of_kind & frame["hits"].isin(hits).to_numpy()
            lines, places = (
                table[(table["rows"] == kind) & (table["group"] == group)].sort_values(keys)
                for table, keys in (
                    (tables["lens"], ["layer"]),
                    (tables["lens_positions"], ["layer", "position"]),
                )
            )
            assert lines["depth"].tolist() == pytest.approx([1 / 3, 2 / 3, 1])
            assert (lines["n"] == chosen.sum()).all() and (places["n"] == chosen.sum()).all()
            assert (lines["distinct"] == frame["sequence_id"][chosen].nunique()).all()
            assert places["position"].tolist() == list(range(1, STEPS + 1)) * LAYERS
            for name, value in expected(values, chosen, (0, 2)).items():
                np.testing.assert_allclose(lines[name], value, rtol=1e-6)
                assert (lines[f"{name}_low"] <= lines[name]).all() and (lines[name] <= lines[f"{name}_high"]).all()
            for name, value in expected(values, chosen, 0).items():
                np.testing.assert_allclose(places[name], value.ravel(), rtol=1e-9)


def test_some_layers(tmp_path: Path) -> None:
    """Prevents a layer from being known by its place among those that are decoded, and its depth by their number."""
    frame, values = rows()
    whole = aggregated(tmp_path, write(tmp_path / "a", frame, values))
    some = aggregated(tmp_path, write(tmp_path / "b", frame, values, layers=[0, 2]))
    for name in ("lens", "lens_positions"):
        kept = whole[name][whole[name]["layer"] != 1].reset_index(drop=True)
        pd.testing.assert_frame_equal(some[name], kept)
    (draw,) = read_draws([tmp_path / "draws.made.parquet"])["parting"]
    assert [float(label) for label in draw.labels] == pytest.approx([1 / 3, 1])


def test_depths_between_decoded_layers(tmp_path: Path) -> None:
    """A curve that rises between two decoded layers is taken to do so on a straight line."""
    frame, values = rows()
    values["probability"] = np.array([0.1, 0.2, 0.7])[None, :, None].repeat(ROWS, axis=0).repeat(STEPS, axis=2)
    for layers, depth in (([0, 1, 2], 2 / 3 + 0.3 / 0.5 / 3), ([0, 2], 1 / 3 + 0.4 / 0.6 * 2 / 3)):
        tables = aggregated(tmp_path, write(tmp_path, frame, values, layers=layers))
        assert tables["lens_depths"]["absolute"].tolist() == pytest.approx([depth] * 2)


def test_order_and_split_change_nothing(tmp_path: Path) -> None:
    """Prevents the number of jobs, or the order of their files, from changing a table."""
    frame, values = rows()
    whole = aggregated(tmp_path, write(tmp_path / "a", frame, values))
    order = np.random.default_rng(3).permutation(ROWS)
    moved = {name: value[order] for name, value in values.items()}
    part = write(tmp_path / "b", frame.iloc[order].reset_index(drop=True), moved, parts=3)
    part["lens"].reverse()
    for name, table in aggregated(tmp_path, part).items():
        pd.testing.assert_frame_equal(table, whole[name], check_exact=False, rtol=1e-12)


def test_other_thresholds_make_other_classes(tmp_path: Path) -> None:
    """Prevents thresholds that were in force when the layers were decoded from deciding the classes."""
    frame, values = rows()
    tables = aggregated(tmp_path, write(tmp_path, frame, values), memorized=0.25)
    natural = (frame["domain"] != "control") & (frame["hits"] >= 1)
    for table in (tables["lens"], tables["lens_positions"]):
        kept = table[(table["rows"] == "natural") & (table["group"] == "memorized")]
        assert (kept["n"] == natural.sum()).all()


def test_profiles_of_two_models(tmp_path: Path) -> None:
    """Prevents a similarity of other rows than the natural ones of a class, or of the two classes' difference."""
    parts, means = [], []
    for model, seed in (("a-s", 1), ("b-s", 5)):
        frame, values = rows(seed)
        parts.append(write(tmp_path, frame, values, model))
        natural = (frame["domain"] != "control").to_numpy()
        of_class = {
            name: values["probability"][natural & (frame["hits"] == hits).to_numpy()].mean(axis=(0, 2))
            for name, hits in (("memorized", 4), ("unmemorized", 0))
        }
        means.append(of_class | {"memorized - unmemorized": of_class["memorized"] - of_class["unmemorized"]})
    tables = aggregated(tmp_path, *parts)
    lines = tables["lens_profiles"].set_index("group")
    assert lines.index.tolist() == list(means[0])
    depths = np.linspace(1 / 3, 1, 20)
    for group, line in lines.iterrows():
        curves = [np.interp(depths, [1 / 3, 2 / 3, 1], mean[str(group)]) for mean in means]
        assert (line["model_a"], line["model_b"]) == ("a-s", "b-s")
        assert line["similarity"] == pytest.approx(np.corrcoef(*curves)[0, 1], abs=1e-5)
        assert -1 <= line["similarity_low"] < line["similarity_high"] <= 1
    draws = {draw.model: draw for draw in read_draws([tmp_path / "draws.made.parquet"])["parting"]}
    for model, mean in zip(("a-s", "b-s"), means, strict=True):
        np.testing.assert_allclose(draws[model].values[0], mean["memorized - unmemorized"], rtol=1e-6)
        assert [float(label) for label in draws[model].labels] == pytest.approx([1 / 3, 2 / 3, 1])


def test_depths_at_which_curves_rise(tmp_path: Path) -> None:
    """Prevents a depth of planted rows or of another class, and one where 0.5 is not reached."""
    frame, values = rows()
    natural = (frame["domain"] != "control").to_numpy()
    heights = {4: (0.2, 0.3, 0.7), 2: (0.9, 0.9, 0.9), 1: (0.9, 0.9, 0.9), 0: (0.1, 0.2, 0.4)}
    rising = np.array([heights[hits] for hits in frame["hits"].tolist()])
    values["probability"] = np.where(natural[:, None], rising, 0.6)[:, :, None].repeat(STEPS, axis=2)
    tables = aggregated(tmp_path, write(tmp_path, frame, values))
    table = tables["lens_depths"].set_index("group")
    assert table.index.tolist() == ["memorized", "unmemorized"]
    for group, hits, absolute, relative in (
        ("memorized", 4, 2 / 3 + 0.2 / 0.4 / 3, 2 / 3 + 0.05 / 0.4 / 3),
        ("unmemorized", 0, np.nan, 2 / 3),
    ):
        line = table.loc[group]
        assert line["distinct"] == frame["sequence_id"][natural & (frame["hits"] == hits)].nunique()
        for name, value in (("absolute", absolute), ("relative", relative)):
            ends = [line[name], line[f"{name}_low"], line[f"{name}_high"]]  # all rows of a class are alike
            assert ends == pytest.approx([value] * 3, nan_ok=True, abs=1e-6)
    (draw,) = read_draws([tmp_path / "draws.made.parquet"])["depths"]
    assert draw.labels == ("absolute", "relative")
    seen = table.loc["memorized", ["absolute", "relative"]].to_numpy(float)
    np.testing.assert_allclose(draw.values, np.tile(seen, (301, 1)))


def test_crossings_by_hand() -> None:
    """Prevents a crossing at a layer in place of between two, a last one for the first, and one from nowhere."""
    found = crossings(profile([0.25, 0.5, 1.0], [[0.6, 0.1, 0.8], [0.0, 0.0, 1.0], [0.1, 0.2, 0.4], [0.0, 0.0, 0.5]]))
    np.testing.assert_allclose(found[:, 0], [0.25 * 0.5 / 0.6, 0.75, np.nan, 1.0])
    np.testing.assert_allclose(found[:, 1], [0.25 * 0.4 / 0.6, 0.75, 0.5, 0.75])


def profile(depths: list[float], values: list[list[float]]) -> Profile:
    who = {"model": "m", "family": "f", "parameters": 9}
    return Profile(who, 7, np.array(depths), np.array(values))


def test_profiles_of_different_depth() -> None:
    """Prevents layers from being compared by their number: one line, seen at two and at four layers, is one line."""
    shallow = profile([0.5, 1.0], [[0.4, 0.8]] * 3)
    deep = profile([0.25, 0.5, 0.75, 1.0], [[0.9, 0.4, 0.6, 0.8]] * 2 + [[0.9, 0.8, 0.6, 0.4]])
    line = pair_line(shallow, deep, 0.9)
    assert line["similarity"] == pytest.approx(1)
    assert (line["similarity_low"], line["similarity_high"]) == pytest.approx((-0.9, 0.9))  # of 1 and -1
    assert line["distinct"] == 7


def test_few_memorized_texts_have_no_profile(tmp_path: Path) -> None:
    """Prevents a profile of a handful of texts; the classes themselves stay in the tables."""
    frame, values = rows()
    frame["hits"] = np.where((frame["hits"] == 4) & (frame["sequence_id"] > 9), 0, frame["hits"])
    tables = aggregated(tmp_path, write(tmp_path, frame, values), write(tmp_path, *rows(5), "b-s"))
    assert tables["lens_profiles"]["group"].tolist() == ["unmemorized"]
    depths = tables["lens_depths"]
    assert depths[depths["model"] == "a-s"]["group"].tolist() == ["unmemorized"]
    assert set(tables["draws"]["model"]) == {"b-s"}
    assert "memorized" in set(tables["lens"]["group"][tables["lens"]["model"] == "a-s"])


def test_rows_that_were_not_scored(tmp_path: Path) -> None:
    """Prevents a row from being given another row's class."""
    frame, values = rows()
    part = write(tmp_path / "a", frame, values)
    other = write(tmp_path / "b", frame.iloc[:-1], values)
    with pytest.raises(ReciteError, match="holds other rows than were scored; delete it and run again"):
        aggregated(tmp_path, part | {"scores": other["scores"]})
