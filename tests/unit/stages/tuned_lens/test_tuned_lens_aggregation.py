"""recite.stages.tuned_lens.summarize against pandas and planted curves."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recite.errors import ReciteError
from recite.report import style
from recite.report.told import Told
from recite.stages.lens.rows import AMOUNTS, COUNTS, DECODED
from recite.stages.scoring.rows import SCORES
from recite.stages.tuned_lens import words
from recite.stages.tuned_lens.figures.tuned_lens import draw as draw_lens
from recite.stages.tuned_lens.figures.tuned_lens_depths import draw as draw_depths
from recite.stages.tuned_lens.rows import TRANSLATED, TRANSLATION
from recite.stages.tuned_lens.summarize import aggregate_tuned_lens
from recite.stages.tuned_lens.tables import TUNED_LENS, TUNED_LENS_DEPTHS, TUNED_LENS_TRAINING
from recite.tables import Table
from recite.tables.lists import as_lists

KINDS = {"code": "structural", "prose": "free_text", "control": "planted"}
OPTIONS = {"seed": 1, "kinds": {"texts": KINDS}, "estimand": "texts", "confidence": 0.9, "resamples": 300}
OPTIONS |= {"memorized": 1.0, "half": 0.5, "unmemorized": 0.0, "margin_tolerance": {"float32": 1e-4}}
OPTIONS |= {"corpora": {"a-s": "texts"}}
TABLES = {table.name: table for table in (TUNED_LENS, TUNED_LENS_DEPTHS, TUNED_LENS_TRAINING)}
MADE = {"options": {"model": "a-s", "family": "a"}, "parameters": 9, "continuation_tokens": 4, "dtype": "float32"}
LAYERS, ROWS = 3, 240
LENS = {"layers": LAYERS, "decoded": [*range(LAYERS)]}
Values = dict[str, np.ndarray]


def decoded(table: Table, path: Path, frame: pd.DataFrame, values: Values) -> Path:
    columns = {name: frame[name].tolist() for name in ("row_id", "sequence_id", "domain")}
    columns |= {name: as_lists(values[name].astype(np.float32)) for name in AMOUNTS}
    table.write(path, columns | {name: as_lists(values[name]) for name in COUNTS}, MADE | LENS)
    return path


def files(folder: Path, tuned: Values, plain: Values, measured: np.ndarray) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rows, of which some are measured, and the files of a model as arguments of the aggregation."""
    rng = np.random.default_rng(2)
    hits = rng.choice([4, 0], ROWS)
    frame = pd.DataFrame({"row_id": rng.permutation(ROWS), "sequence_id": np.arange(ROWS), "hits": hits})
    frame["domain"] = np.array(list(KINDS))[rng.integers(0, 3, ROWS)]
    columns = {name: frame[name].tolist() for name in ("row_id", "sequence_id", "domain", "hits")}
    columns |= {"first_mismatch": columns["hits"], "generated": [[1]] * ROWS, "margin": [1.0] * ROWS}
    SCORES.write(folder / "scores.parquet", columns | {"inclusion_probability": [0.5] * ROWS}, MADE)
    gained = {"layer": [0, 1], "before": [2.0, 1.0], "after": [0.5, 0.25]}
    TRANSLATION.write(folder / "training.parquet", gained, MADE | {"rows": 40, "checked_rows": 30})
    mine = {name: values[measured] for name, values in tuned.items()}
    found = {
        "scores": [folder / "scores.parquet"],
        "lens": [decoded(DECODED, folder / "plain.parquet", frame, plain)],
        "translated": [decoded(TRANSLATED, folder / "tuned.parquet", frame[measured], mine)],
        "training": [folder / "training.parquet"],
    }
    return frame, found


def random_values(seed: int) -> Values:
    rng = np.random.default_rng(seed)
    return {name: rng.gamma(2, 0.2, (ROWS, LAYERS)) for name in AMOUNTS} | {
        name: rng.integers(0, 5, (ROWS, LAYERS), dtype=np.uint8) for name in COUNTS
    }


def aggregated(folder: Path, found: dict[str, Any]) -> dict[str, pd.DataFrame]:
    outputs = {name: folder / f"{name}.made.parquet" for name in TABLES}
    aggregate_tuned_lens(OPTIONS, **found, outputs=outputs)
    return {name: TABLES[name].read(path).to_pandas() for name, path in outputs.items()}


def test_both_lenses_on_the_measured_rows(tmp_path: Path) -> None:
    """Prevents the plain lens from being that of all rows, of which the tuned one has not seen some."""
    measured = np.random.default_rng(1).random(ROWS) < 0.7
    both = {"logit": random_values(3), "tuned": random_values(4)}
    frame, found = files(tmp_path, both["tuned"], both["logit"], measured)
    tables = aggregated(tmp_path, found)
    planted = (frame["domain"] == "control").to_numpy()
    table = tables["tuned_lens"].set_index(["lens", "rows", "group", "layer"])
    assert len(table) == 2 * 2 * 3 * LAYERS
    for lens, values in both.items():
        for kind, of_kind in (("natural", ~planted), ("planted", planted)):
            for group, hits in (("memorized", 4), ("unmemorized", 0)):
                chosen = measured & of_kind & (frame["hits"] == hits).to_numpy()
                for layer in range(LAYERS):
                    line = table.loc[(lens, kind, group, layer)]
                    assert line["n"] == chosen.sum()
                    for name in ("probability", "entropy"):
                        assert line[name] == pytest.approx(values[name][chosen, layer].mean(), rel=1e-6)
                    assert line["rank"] == pytest.approx(np.exp(values["log_rank"][chosen, layer].mean()), rel=1e-6)
                    for name in COUNTS:
                        assert line[name] == pytest.approx(values[name][chosen, layer].mean() / 4)
    training = tables["tuned_lens_training"]
    assert training["before"].tolist() == [2, 1] and training["after"].tolist() == [0.5, 0.25]
    assert set(training["measured_rows"]) == {measured.sum()} and set(training["trained_rows"]) == {40}


def test_depths_and_their_difference(tmp_path: Path) -> None:
    """A difference is one of pairs: where both lenses rise alike in every row it is the same in every resample."""
    measured = np.arange(ROWS) % 4 > 0
    plain, tuned = random_values(3), random_values(4)
    rng = np.random.default_rng(5)
    last = 0.8 + 0.1 * rng.random(ROWS)
    for values, middle in ((plain, 0.5), (tuned, 0.75)):
        values["probability"] = np.column_stack([0 * last, middle * last, last])
    frame, found = files(tmp_path, tuned, plain, measured)
    table = aggregated(tmp_path, found)["tuned_lens_depths"].set_index(["rows", "group", "threshold"])
    assert len(table) == 2 * 2 * 2
    for (rows, group, threshold), line in table.iterrows():
        chosen = measured & ((frame["domain"] == "control") == (rows == "planted")).to_numpy()
        mean = last[chosen & (frame["hits"] == (4 if group == "memorized" else 0)).to_numpy()].mean()
        level = 0.5 if threshold == "absolute" else mean / 2
        logit, tuned_depth = (np.interp(level, [0, share * mean, mean], [1 / 3, 2 / 3, 1]) for share in (0.5, 0.75))
        assert [line["logit"], line["tuned"]] == pytest.approx([logit, tuned_depth], rel=1e-6)
        assert line["difference"] == pytest.approx(tuned_depth - logit, rel=1e-6)
        width = line["difference_high"] - line["difference_low"]
        if threshold == "relative":
            assert width == pytest.approx(0, abs=1e-6)
        else:
            assert 0 < width < max(line["logit_high"] - line["logit_low"], line["tuned_high"] - line["tuned_low"])


def test_a_threshold_that_is_not_passed(tmp_path: Path) -> None:
    """Prevents a depth, or a difference, of a curve that stays below; and words that trip over it."""
    plain, tuned = random_values(3), random_values(4)
    for values, top in ((plain, 0.4), (tuned, 0.6)):
        values["probability"] = np.tile([0.1, 0.2, top], (ROWS, 1))
    _, found = files(tmp_path, tuned, plain, np.ones(ROWS, bool))
    tables = aggregated(tmp_path, found)
    absolute = tables["tuned_lens_depths"].query("threshold == 'absolute'")
    assert absolute["logit"].isna().all() and absolute["difference"].isna().all() and absolute["tuned"].notna().all()
    (section,) = words.sections(Told(tables, None, []))
    assert "| a-s | natural | memorized |" in section and "not passed" in section
    with style.style():
        figure, behind = draw_lens(tables)
        assert len(figure.axes) == 2 and len(behind) == 2 * 2 * 2 * LAYERS
        for axes in figure.axes:
            curves = [container.lines[0].get_ydata() for container in axes.containers]
            assert len(curves) == 4
            assert sorted(curve[-1] for curve in curves) == pytest.approx([0.4, 0.4, 0.6, 0.6])
        figure, behind = draw_depths(tables)
        assert len(behind) == len(tables["tuned_lens_depths"])
        points = [[float(c.lines[0].get_xdata()[0]) for c in axes.containers] for axes in figure.axes]
        assert points[0] == pytest.approx(absolute["tuned"].tolist()) and len(points[1]) == 8


def test_rows_that_the_plain_lens_lacks(tmp_path: Path) -> None:
    values = random_values(3)
    frame, found = files(tmp_path, values, values, np.ones(ROWS, bool))
    decoded(DECODED, found["lens"][0], frame[1:], {name: value[1:] for name, value in values.items()})
    with pytest.raises(ReciteError, match="holds other rows than were scored; delete it and run again"):
        aggregated(tmp_path, found)
