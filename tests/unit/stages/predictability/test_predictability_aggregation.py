"""Rates corrected by drawn rows, against numbers by hand and against all rows; kinds of rows; what is told."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tables.training import CONTROLS
from recite.errors import ReciteError
from recite.outcomes.draws import DRAWS
from recite.outcomes.means import bags_of
from recite.outcomes.rows import read_outcomes
from recite.report.told import Told
from recite.stages.frequency.rows import FREQUENCIES
from recite.stages.predictability.figures.predictability import draw as draw_rates
from recite.stages.predictability.figures.taxonomy import draw as draw_kinds
from recite.stages.predictability.rows import PRIORS
from recite.stages.predictability.summarize import aggregate_predictability, read_drawn, totals
from recite.stages.predictability.tables import PREDICTABILITY, PRIOR_GAINS, TAXONOMY
from recite.stages.predictability.words import sections
from recite.stages.scoring.rows import SCORES

STEPS, CONTEXTS = 8, 4
OPTIONS: dict[str, Any] = {
    "seed": 1,
    "corpora": {"a-s": "c"},
    "kinds": {"c": {"code": "structural", "prose": "free_text", "control": "planted"}},
    "estimand": "corpus",
    "confidence": 0.95,
    "resamples": 400,
    "memorized": 1.0,
    "half": 0.5,
    "unmemorized": 0.0,
    "margin_tolerance": {"float32": 0.1},
}
TABLES = (PREDICTABILITY, PRIOR_GAINS, TAXONOMY, DRAWS)


class Study:
    """60 rows of code, of which 40 are memorized; 40 of prose, of which 10 are; 12 planted, of 0, 4 and 64 copies.

    After unrelated contexts the memorized rows of code are recited at a rate that hangs on their ids, prose never.
    """

    def __init__(self, folder: Path, sampled: float = 0.5) -> None:
        self.folder = folder
        source = np.random.default_rng(7)
        count = 112
        self.table = pd.DataFrame({"row_id": source.permutation(10**6)[:count], "sequence_id": np.arange(count)})
        self.table["domain"] = ["code"] * 60 + ["prose"] * 40 + ["control"] * 12
        self.table["inclusion_probability"] = sampled
        self.table["hits"] = 0
        for start, memorized in ((0, 40), (60, 10), (104, 8)):
            self.table.loc[start : start + memorized - 1, "hits"] = STEPS
        self.copies = np.repeat([0, 4, 64], 4)
        self.recited = np.where(self.table["domain"] == "code", source.integers(0, CONTEXTS + 1, count), 0)
        self.occurrences = np.where(np.arange(count) % 2, 9, 5)
        self.templates = np.where(np.arange(count) % 3, "", "repeating")

    def run(self, drawn: np.ndarray, options: dict[str, Any], counted: bool = True) -> dict[str, pd.DataFrame]:
        paths = {
            name: self.folder / f"{name}.parquet" for name in ("scores", "priors", "counts", "samples", "controls")
        }
        about = {"options": {"model": "a-s", "family": "a"}, "continuation_tokens": STEPS, "parameters": 10}
        about |= {"contexts": CONTEXTS, "dtype": "float32"}
        lines, count = self.table.to_dict("list"), len(self.table)
        made = {"first_mismatch": lines["hits"], "generated": [[1] * STEPS] * count, "margin": [1.0] * count}
        SCORES.write(paths["scores"], lines | made, about)
        part = self.table.iloc[drawn].drop(columns="hits").to_dict("list")
        part |= {"group": np.where(self.table["hits"].iloc[drawn] == STEPS, "memorized", "unmemorized").tolist()}
        part |= {"drawn_share": [0.5] * len(drawn), "template": self.templates[drawn].tolist()}
        part |= {"log_probability": [-2.0 * STEPS] * len(drawn), "prior_hits": [0.0] * len(drawn)}
        part |= {"prior_log_probability": -5.0 * STEPS - drawn % 2, "prior_recited": self.recited[drawn]}
        PRIORS.write(paths["priors"], part, about)
        counts = self.table[["row_id", "sequence_id", "domain"]].to_dict("list") | {"sequence": self.occurrences}
        counts |= {"context": self.occurrences, "continuation": self.occurrences, "token_frequency": [0.1] * count}
        FREQUENCIES.write(paths["counts"], counts, {"options": {"family": "a", "counting": "bytes", "by": "bytes"}})
        planted = self.table[self.table["domain"] == "control"].drop(columns="hits").to_dict("list")
        names, nothing = [f"control/{place}" for place in range(12)], [0] * 12
        empty = {"source_file": ["f"] * 12, "source_row": nothing, "window_start": nothing, "text": [b"x"] * 12}
        empty |= {"context_bytes": nothing, "context": [[1]] * 12, "continuation": [[1]] * 12}
        SAMPLES.write(paths["samples"], planted | empty | {"document_id": names}, {})
        CONTROLS.write(paths["controls"], {"document_id": names, "repetitions": self.copies}, {})
        outputs = {table.name: self.folder / f"{table.name}.parquet" for table in TABLES}
        counting = [paths["counts"]] if counted else []
        given = ([paths["scores"]], [paths["priors"]], counting, [paths["samples"]], paths["controls"])
        aggregate_predictability(options, *given, outputs)
        return {table.name: table.read(outputs[table.name]).to_pandas() for table in TABLES if table is not DRAWS}


def rows_drawn(*parts: tuple[int, int]) -> np.ndarray:
    return np.concatenate([np.arange(*part) for part in parts])


def test_drawn_rows_stand_for_those_of_their_domain(tmp_path: Path) -> None:
    """Half of code's memorized rows are drawn, all of prose's: drawn rows that weigh alike would count code too low."""
    study = Study(tmp_path)
    drawn = rows_drawn((0, 20), (60, 70), (104, 112))
    rates = study.run(drawn, OPTIONS)["predictability"].set_index("domain")
    explained = study.recited[:20].mean() / CONTEXTS
    assert rates.loc["code", "explained"] == pytest.approx(explained)
    assert rates.loc["code", ["memorized", "drawn"]].tolist() == [40, 20]
    assert rates.loc["code", "corrected"] == pytest.approx(40 / 60 * (1 - explained))
    assert rates.loc["prose", "corrected"] == rates.loc["prose", "rate"] == 0.25
    assert rates.loc["natural", "corrected"] == pytest.approx((40 * (1 - explained) + 10) / 100)
    assert rates.loc["natural", "explained"] == pytest.approx(40 * explained / 50)
    assert (rates["corrected"] <= rates["rate"]).all()
    assert (rates["corrected_low"] <= rates["corrected"]).all() and (
        rates["corrected_high"] >= rates["corrected"]
    ).all()


def test_planted_rows_and_rows_of_no_copy(tmp_path: Path) -> None:
    """Planted rows that only their own context brings back keep their rate; those of no copy are false recitation."""
    rates = Study(tmp_path).run(rows_drawn((0, 40), (104, 112)), OPTIONS)["predictability"].set_index("domain")
    assert rates.loc["control", "corrected"] == rates.loc["control", "rate"] == pytest.approx(8 / 12)
    assert (rates.loc["unseen", "n"], rates.loc["unseen", "rate"], rates.loc["unseen", "corrected"]) == (4, 0, 0)
    assert 0 < rates.loc["unseen", "corrected_high"] < 1 and np.isnan(rates.loc["unseen", "explained"])


@pytest.mark.parametrize("estimand, sampled", [("texts", 1.0), ("corpus", 0.25)])
def test_where_all_are_drawn_it_is_a_mean_over_all_rows(tmp_path: Path, estimand: str, sampled: float) -> None:
    """The same resamples of the same documents as any mean of the house, to the last digits."""
    study, options = Study(tmp_path, sampled), OPTIONS | {"estimand": estimand}
    study.run(rows_drawn((0, 40), (60, 70), (104, 112)), options)
    outcomes = read_outcomes([tmp_path / "scores.parquet"], SCORES, options)
    drawn = read_drawn([tmp_path / "priors.parquet"], outcomes, options)["memorized"]
    natural = outcomes.frame.rows_of("natural")
    rows = natural[outcomes.memorized(options)[natural]]
    found = totals(outcomes.frame, rows, drawn.rows, drawn.values[:, 3:], options)
    whole = np.zeros((len(outcomes.hits), 1))
    whole[drawn.rows] = drawn.values[:, 3:]
    bags = bags_of(outcomes.frame, rows, options)
    np.testing.assert_allclose(found.means, bags.means(bags.sums(whole)), atol=1e-12)
    assert found.means[1:].std() > 0.01


def test_a_census_of_which_all_are_drawn_has_no_error(tmp_path: Path) -> None:
    """Of which half are drawn it has one."""
    study = Study(tmp_path, 1.0)
    everything = study.run(rows_drawn((0, 40), (60, 70), (104, 112)), OPTIONS)["predictability"].set_index("domain")
    code = everything.loc["code"]
    assert code["corrected_low"] == code["corrected"] == code["corrected_high"]
    code = (
        study.run(rows_drawn((0, 20), (60, 70), (104, 112)), OPTIONS)["predictability"].set_index("domain").loc["code"]
    )
    assert code["rate_low"] == code["rate"] and code["corrected_low"] < code["corrected"] - 0.02
    assert code["explained_low"] < code["explained"] < code["explained_high"]


def test_gains_by_class(tmp_path: Path) -> None:
    """Nats a token; unmemorized rows are told where some were drawn."""
    drawn = rows_drawn((0, 20), (40, 46), (60, 70), (104, 112))
    gains = Study(tmp_path).run(drawn, OPTIONS)["prior_gains"].set_index(["rows", "group"])
    assert set(gains.index) == {("natural", "memorized"), ("natural", "unmemorized"), ("planted", "memorized")}
    line = gains.loc[("natural", "memorized")]
    assert line["own"] == -2 and line["gain"] == pytest.approx(3 + 0.5 / STEPS)  # half of the rows are odd
    assert line["prior_low"] <= line["prior"] <= line["prior_high"]
    assert (gains.loc[("natural", "unmemorized"), "n"], gains.loc[("natural", "unmemorized"), "drawn"]) == (50, 6)


def test_kinds_of_memorized_rows(tmp_path: Path) -> None:
    """Copies come before templates; five are not many; of planted rows they are known."""
    study = Study(tmp_path)
    kinds = study.run(rows_drawn((0, 20), (60, 70), (104, 112)), OPTIONS)["taxonomy"].set_index(["rows", "class"])
    odd, third = np.arange(112) % 2 == 1, np.arange(112) % 3 == 0
    code, prose = np.arange(112) < 20, (np.arange(112) >= 60) & (np.arange(112) < 70)

    def share(chosen: np.ndarray) -> float:
        return (40 * chosen[code].mean() + 10 * chosen[prose].mean()) / 50

    for name, chosen in (("recite", odd), ("reconstruct", ~odd & third), ("recollect", ~odd & ~third)):
        assert kinds.loc[("natural", name), "share"] == pytest.approx(share(chosen))
    assert kinds.loc[("natural", "recite"), ["n", "of_class"]].tolist() == [30, 15]
    assert kinds.loc[("planted", "recite"), "share"] == 0.5  # 64 copies; of 4 it is not
    left = study.run(rows_drawn((0, 20), (60, 70), (104, 112)), OPTIONS, counted=False)["taxonomy"]
    assert set(left["rows"]) == {"planted"}


def test_what_is_told(tmp_path: Path) -> None:
    tables = Study(tmp_path).run(rows_drawn((0, 20), (60, 70), (104, 112)), OPTIONS)
    rates, kinds = sections(Told(tables, None, []))
    line = tables["predictability"].set_index("domain").loc["natural"]
    shares = [f"{100 * line[name]:.1f}%" for name in ("rate", "explained", "corrected")]
    assert f"| a-s | 100 | {' | '.join(shares)} |" in rates and "| 0.0% | 0.0% | 3.0" in rates
    assert "| a-s | natural | 30 | " in kinds and kinds.count("\n| a-s |") == 2
    assert sections(Told({}, None, [])) == []
    figure, behind = draw_rates(tables)
    assert set(behind["domain"]) == {"natural", "unseen"} and len(figure.axes) == 1
    figure, behind = draw_kinds(tables)
    assert set(behind["rows"]) == {"natural"} and len(behind) == 3


def test_rows_of_other_scores_are_refused(tmp_path: Path) -> None:
    """Prevents rows that a model recited once from standing for those that it recites now."""
    study = Study(tmp_path)
    study.run(rows_drawn((0, 20)), OPTIONS)
    study.table.loc[5, "hits"] = 0
    lines, count = study.table.to_dict("list"), len(study.table)
    made = {"first_mismatch": lines["hits"], "generated": [[1] * STEPS] * count, "margin": [1.0] * count}
    about = {"options": {"model": "a-s", "family": "a"}, "continuation_tokens": STEPS, "parameters": 10}
    SCORES.write(tmp_path / "scores.parquet", lines | made, about | {"dtype": "float32"})
    outcomes = read_outcomes([tmp_path / "scores.parquet"], SCORES, OPTIONS)
    with pytest.raises(ReciteError, match="holds rows that were drawn by other scores"):
        read_drawn([tmp_path / "priors.parquet"], outcomes, OPTIONS)
