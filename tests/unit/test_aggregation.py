"""recite.aggregation: every number of every table against values computed by hand from a few rows."""

import math
import random
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from recite.aggregation import aggregate_noise, aggregate_scores, scaling_table
from recite.errors import ReciteError
from recite.tables.aggregates import CONTROL_RATES, DISTRIBUTION, NOISE_RATES, RATES, SCALING
from recite.tables.samples import SAMPLES
from recite.tables.scores import NOISE_SCORES, SCORES
from recite.tables.training import CONTROLS

OPTIONS = {
    "seed": 1,
    "kinds": {"code": "structural", "prose": "free_text", "control": "planted"},
    "confidence": 0.9,
    "resamples": 200,
    "memorized": 1.0,
    "half": 0.5,
    "unmemorized": 0.0,
    "margin_tolerance": {"float32": 0.1, "bfloat16": 0.5, "float16": 0.2},
}
TABLES = {table.name: table for table in (RATES, DISTRIBUTION, CONTROL_RATES, SCALING)}
STEPS = 4
MODELS = {"a-s": ("a", 1_000), "a-l": ("a", 100_000), "b-s": ("b", 2_000), "b-l": ("b", 20_000)}
DOMAINS = {1: "code", 2: "code", 3: "prose", 4: "prose", 5: "prose", 11: "control", 12: "control", 13: "control"}
REPETITIONS = {"control/one": 1, "control/eight": 8, "control/other": 8}
PLANTED = dict(zip((11, 12, 13), REPETITIONS, strict=True))
HITS = {
    "a-s": {1: 4, 2: 0, 3: 2, 4: 1, 5: 0, 11: 0, 12: 3, 13: 4},
    "a-l": {1: 4, 2: 4, 3: 4, 4: 2, 5: 0, 11: 2, 12: 4, 13: 4},
    "b-s": {1: 0, 2: 0, 3: 3, 4: 0, 11: 0, 12: 0, 13: 0},
    "b-l": {1: 4, 2: 1, 3: 4, 4: 0, 11: 1, 12: 4, 13: 0},
}
AT_RISK = {3, 11}
"""Rows whose margin is 0.05; the others have 0.3."""


class Study:
    """Hand-made files of scores, samples and controls, and the tables made of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.options: dict[str, Any] = deepcopy(OPTIONS)
        self.hits: dict[str, dict[int, int]] = deepcopy(HITS)
        self.repetitions = dict(REPETITIONS)
        self.planted = dict(PLANTED)
        self.domains = dict(DOMAINS)
        self.made: dict[str, Any] = {}
        self.texts: dict[int, int] = {}

    def scores(self, model: str, name: str, rows: list[int] | None = None, alpha: float | None = None) -> Path:
        """Write one part of a model's scores."""
        rows = list(self.hits[model]) if rows is None else rows
        family, parameters = MODELS[model]
        columns: dict[str, Any] = {
            "row_id": rows,
            "sequence_id": [self.texts.get(row, row) for row in rows],
            "domain": [self.domains[row] for row in rows],
            "hits": [self.hits[model][row] for row in rows],
            "first_mismatch": [0] * len(rows),
            "generated": [[0] * STEPS] * len(rows),
            "margin": [0.05 if row in AT_RISK else 0.3 for row in rows],
        }
        made = {"options": {"model": model, "family": family}, "parameters": parameters, "continuation_tokens": STEPS}
        metadata = made | {"dtype": "float32"} | self.made
        path = self.folder / f"{model}-{name}.parquet"
        if alpha is None:
            SCORES.write(path, columns, metadata)
        else:
            NOISE_SCORES.write(path, columns | {"alpha": [alpha] * len(rows)}, metadata)
        return path

    def samples(self) -> Path:
        ids = list(self.planted)
        columns: dict[str, Any] = {column.name: [0] * len(ids) for column in SAMPLES.columns}
        columns |= {"row_id": ids, "document_id": list(self.planted.values()), "domain": ["control"] * len(ids)}
        columns |= {
            "source_file": ["f"] * len(ids),
            "text": [b""] * len(ids),
            "inclusion_probability": [1.0] * len(ids),
        }
        columns |= {"context": [[1]] * len(ids), "continuation": [[1]] * len(ids)}
        SAMPLES.write(self.folder / "samples.parquet", columns, {})
        return self.folder / "samples.parquet"

    def controls(self) -> Path:
        columns = {"document_id": list(self.repetitions), "repetitions": list(self.repetitions.values())}
        CONTROLS.write(self.folder / "controls.parquet", columns, {})
        return self.folder / "controls.parquet"

    def tables(self, scores: list[Path] | None = None, name: str = "tables") -> dict[str, pd.DataFrame]:
        scores = scores or [self.scores(model, "all") for model in self.hits]
        outputs = {table: self.folder / name / f"{table}.parquet" for table in TABLES}
        samples = self.samples()
        aggregate_scores(self.options, scores, [samples, samples], self.controls(), outputs)
        return {table: TABLES[table].read(path).to_pandas() for table, path in outputs.items()}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(tmp_path)


def interval(successes: float, n: int) -> tuple[float, float]:
    """Wilson's interval in closed form."""
    z, p = norm.ppf(1 - (1 - OPTIONS["confidence"]) / 2), successes / n  # type: ignore[operator]
    centre, half = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)


def only(table: pd.DataFrame, **keys: Any) -> dict[str, Any]:
    """The one line with these values."""
    for key, value in keys.items():
        table = table[table[key] == value]
    assert len(table) == 1
    return table.iloc[0].to_dict()


def check_rate(line: dict[str, Any], hits: list[int]) -> None:
    """Every number of a rate, from the hits of its rows."""
    memorized, n = sum(hit == STEPS for hit in hits), len(hits)
    assert (line["n"], line["memorized"]) == (n, memorized)
    assert line["rate"] == pytest.approx(memorized / n)
    assert (line["rate_low"], line["rate_high"]) == pytest.approx(interval(memorized, n))
    assert line["mean_score"] == pytest.approx(sum(hits) / (n * STEPS))


def test_rates(study: Study) -> None:
    """Prevents a wrong count, share or interval for any model and domain."""
    rates = study.tables()["rates"]
    assert len(rates) == len(MODELS) * 4
    groups = {"code": {1, 2}, "prose": {3, 4, 5}, "control": {11, 12, 13}, "natural": {1, 2, 3, 4, 5}}
    kinds = OPTIONS["kinds"] | {"natural": "mixed"}  # type: ignore[operator]
    for model, (family, parameters) in MODELS.items():
        for domain, rows in groups.items():
            line = only(rates, model=model, domain=domain)
            assert (line["family"], line["parameters"], line["kind"]) == (family, parameters, kinds[domain])
            given = {row: hits for row, hits in HITS[model].items() if row in rows}
            check_rate(line, list(given.values()))
            assert line["half"] == sum(hits == 2 for hits in given.values())
            assert line["unmemorized"] == sum(hits == 0 for hits in given.values())
            assert line["between"] == pytest.approx(sum(0 < hits < 4 for hits in given.values()) / len(given))
            assert line["at_risk"] == pytest.approx(len(given.keys() & AT_RISK) / len(given))


def test_rates_of_one_model_in_plain_numbers(study: Study) -> None:
    """Prevents the reference above and the library from sharing a mistake."""
    line = only(study.tables()["rates"], model="a-s", domain="natural")
    counts = {key: line[key] for key in ("n", "memorized", "half", "unmemorized")}
    assert counts == {"n": 5, "memorized": 1, "half": 1, "unmemorized": 2}
    assert [line[key] for key in ("rate", "mean_score", "between", "at_risk")] == pytest.approx([0.2, 0.35, 0.4, 0.2])


def test_distribution(study: Study) -> None:
    """Prevents planted rows in the distribution, missing empty counts, and shares that do not add up to 1."""
    table = study.tables()["distribution"]
    assert len(table) == len(MODELS) * (STEPS + 1)
    natural = {model: [hits for row, hits in given.items() if row < 10] for model, given in HITS.items()}
    for model, (family, parameters) in MODELS.items():
        part = table[table["model"] == model].sort_values("hits")
        assert part["n"].tolist() == [natural[model].count(hits) for hits in range(STEPS + 1)]
        assert part["share"].tolist() == pytest.approx((part["n"] / len(natural[model])).tolist())
        assert set(part["family"]) == {family} and set(part["parameters"]) == {parameters}


def test_control_rates(study: Study) -> None:
    """Prevents planted rows from being counted under another repetition count."""
    table = study.tables()["control_rates"]
    assert len(table) == len(MODELS) * 2
    for model, given in HITS.items():
        check_rate(only(table, model=model, repetitions=1), [given[11]])
        check_rate(only(table, model=model, repetitions=8), [given[12], given[13]])


def test_scaling(study: Study) -> None:
    """Prevents a line through other rates, other models or another kind of rows."""
    table = study.tables()["scaling"]
    rates = {
        "natural": {"a-s": 1 / 5, "a-l": 3 / 5, "b-s": 0 / 4, "b-l": 2 / 4},
        "control": {"a-s": 1 / 3, "a-l": 2 / 3, "b-s": 0 / 3, "b-l": 1 / 3},
    }
    assert len(table) == 6
    for rows, by_model in rates.items():
        for family in ("a", "b", "pooled"):
            members = [model for model in MODELS if family in (MODELS[model][0], "pooled")]
            x, y = np.log10([MODELS[model][1] for model in members]), [by_model[model] for model in members]
            slope, intercept = np.polyfit(x, y, 1)
            line = only(table, rows=rows, family=family)
            assert line["models"] == len(members)
            assert (line["slope"], line["intercept"]) == pytest.approx((slope, intercept))
            assert line["r_squared"] == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2)
            assert line["slope_low"] <= line["slope"] <= line["slope_high"]
            assert line["slope_low"] < line["slope_high"]


def test_scaling_interval_of_a_family(study: Study) -> None:
    """Prevents an interval over something else than documents: k of 5 resampled rows gain, k is binomial(5, 2/5)."""
    study.options["resamples"] = 4000
    line = only(study.tables()["scaling"], rows="natural", family="a")
    # a-l recites rows 2 and 3 in addition, over two decades: 90% of binomial(5, 0.4) lies in 0..4
    assert (line["slope_low"], line["slope_high"]) == pytest.approx((0 / 5 / 2, 4 / 5 / 2))


def test_pooled_interval_where_families_have_other_documents(study: Study) -> None:
    """Prevents documents that a family was not given from widening an interval: all models recite all their rows."""
    study.hits = {model: dict.fromkeys(rows, STEPS) for model, rows in HITS.items()}
    study.hits["b-s"] = study.hits["b-l"] = dict.fromkeys([4, 5, 11, 12, 13], STEPS)
    line = only(study.tables()["scaling"], rows="natural", family="pooled")
    assert (line["slope"], line["slope_low"], line["slope_high"]) == pytest.approx((0, 0, 0), abs=1e-12)


def test_pooled_interval_is_that_of_refitted_resamples() -> None:
    """Prevents an interval of another width than refitting the rates of resampled documents gives."""
    source = np.random.default_rng(2)
    members = {"a": [1e4, 1e5], "b": [3e4, 1e7]}
    given = {"a": np.arange(300) < 200, "b": np.arange(300) >= 100}
    models = [(family, size) for family, sizes in members.items() for size in sizes]
    outcomes = np.array([np.where(given[family], source.random(300) < 0.8, np.nan) for family, _ in models])
    frame = pd.DataFrame(
        [
            {
                "row_id": row,
                "sequence_id": row,
                "family": family,
                "model": f"{family}{size}",
                "parameters": size,
                "hits": int(hit),
                "steps": 1,
            }
            for (family, size), line in zip(models, outcomes, strict=True)
            for row, hit in enumerate(line)
            if not np.isnan(hit)
        ]
    )
    x = np.log10([size for _, size in models])
    drawn = [np.nanmean(outcomes[:, source.integers(0, 300, 300)], axis=1) for _ in range(2000)]
    low, high = np.quantile(np.polyfit(x, np.array(drawn).T, 1)[0], [0.05, 0.95])
    line = only(scaling_table(frame, frame, OPTIONS | {"resamples": 2000}), rows="natural", family="pooled")
    assert line["slope_high"] - line["slope_low"] == pytest.approx(high - low, rel=0.1)
    assert (line["slope_low"], line["slope_high"]) == pytest.approx((low, high), abs=0.1 * (high - low))


@pytest.mark.parametrize("seed", range(3))
def test_order_and_split_of_files_change_nothing(study: Study, seed: int) -> None:
    """Prevents the number of jobs, or the order in which their files are listed, from changing a table."""
    before = study.tables()
    source = random.Random(seed)
    paths = []
    for model, given in HITS.items():
        rows = source.sample(list(given), len(given))
        cut = source.randint(1, len(rows) - 1)
        paths += [study.scores(model, f"{place}", part) for place, part in enumerate((rows[:cut], rows[cut:]))]
    source.shuffle(paths)
    after = study.tables(paths, "again")
    for name, table in before.items():
        pd.testing.assert_frame_equal(after[name], table, check_exact=True)
        again, first = (study.folder / folder / f"{name}.parquet" for folder in ("again", "tables"))
        assert again.read_bytes() == first.read_bytes()


def test_margin_tolerance_follows_the_dtype(study: Study) -> None:
    """Prevents the tolerance of one precision from being used for another."""
    study.made = {"dtype": "bfloat16"}
    assert study.tables()["rates"]["at_risk"].tolist() == [1.0] * 16


def test_one_family_of_one_size(study: Study) -> None:
    """Prevents a study with a single model from failing for want of a line."""
    study.hits = {"a-s": HITS["a-s"]}
    tables = study.tables()
    assert len(tables["scaling"]) == 0
    assert len(tables["rates"]) == 4


def test_families_of_one_size_have_a_pooled_line_only(study: Study) -> None:
    """Prevents a line through a single point."""
    study.hits = {model: HITS[model] for model in ("a-s", "b-s")}
    scaling = study.tables()["scaling"]
    assert scaling["family"].tolist() == ["pooled", "pooled"]
    line = only(scaling, rows="natural")
    assert line["slope"] == pytest.approx((0 / 4 - 1 / 5) / math.log10(2))


def test_two_families_of_equal_size(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a traceback where families have one size each, and the same number of parameters."""
    monkeypatch.setitem(MODELS, "b-s", ("b", MODELS["a-s"][1]))
    study.hits = {model: HITS[model] for model in ("a-s", "b-s")}
    assert len(study.tables()["scaling"]) == 0


def test_unknown_domain(study: Study) -> None:
    """Prevents rows of a domain that the study does not sample, as stale files hold, from being counted."""
    study.domains[5] = "poetry"
    with pytest.raises(ReciteError, match="scores hold rows of domain poetry, which the study does not sample"):
        study.tables()


def test_planted_document_without_a_count(study: Study) -> None:
    """Prevents planted rows from being dropped where the corpus was made anew."""
    del study.repetitions["control/eight"]
    with pytest.raises(ReciteError, match=r"controls\.parquet does not list planted document control/eight; make"):
        study.tables()


def test_planted_row_without_a_sample(study: Study) -> None:
    """Prevents scored planted rows that no sample holds from vanishing out of control_rates without a word."""
    del study.planted[12]
    with pytest.raises(ReciteError, match="sample"):
        study.tables()


def test_one_model_of_two_sizes(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents scores of an older model of the same name from becoming a second line (as read_scores promises)."""
    first = study.scores("a-s", "first", [1, 3, 11])
    monkeypatch.setitem(MODELS, "a-s", ("a", 1_001))
    second = study.scores("a-s", "second", [2, 4, 5, 12, 13])
    with pytest.raises(ReciteError, match="a-s"):
        study.tables([first, second])


def noise_tables(study: Study, scores: list[Path], noisy: list[Path]) -> pd.DataFrame:
    aggregate_noise(study.options, scores, noisy, study.folder / "noise.parquet")
    return NOISE_RATES.read(study.folder / "noise.parquet").to_pandas()


def test_noise_rates(study: Study) -> None:
    """Prevents a strength from being given another's rates, and the undisturbed score from missing."""
    clean = {model: HITS[model] for model in ("a-l", "b-l")}
    scores = [study.scores(model, "clean") for model in clean]
    hits = {0.0: clean}
    noisy = []
    for alpha in (0.1, 0.5):
        study.hits = {model: {row: max(0, h - int(10 * alpha)) for row, h in HITS[model].items()} for model in clean}
        hits[alpha] = study.hits
        noisy += [study.scores(model, f"noise-{alpha}", alpha=alpha) for model in clean]
    table = noise_tables(study, scores, noisy)
    assert len(table) == 3 * 2 * 4
    for alpha, by_model in hits.items():
        for model, given in by_model.items():
            planted = [h for row, h in given.items() if row > 10]
            check_rate(only(table, alpha=alpha, model=model, domain="control"), planted)
            natural = [h for row, h in given.items() if row < 10]
            line = only(table, alpha=alpha, model=model, domain="natural")
            check_rate(line, natural)
            assert (line["family"], line["parameters"], line["kind"]) == (*MODELS[model], "mixed")


def test_noise_rates_ignore_the_order_of_files(study: Study) -> None:
    """Prevents the order of jobs from changing the noise table."""
    scores = [study.scores(model, "clean") for model in ("a-l", "b-l")]
    noisy = [study.scores(model, "noise", alpha=0.2) for model in ("a-l", "b-l")]
    before = noise_tables(study, scores, noisy)
    pd.testing.assert_frame_equal(noise_tables(study, scores[::-1], noisy[::-1]), before, check_exact=True)


def test_noise_of_strength_zero_only(study: Study) -> None:
    """Prevents a crash of a study whose only strength is zero, which needs no disturbed scores."""
    table = noise_tables(study, [study.scores("a-l", "clean")], [])
    assert set(table["alpha"]) == {0.0}


def test_rows_of_one_text_are_one_observation(study: Study) -> None:
    """Prevents three rows of one text from carrying the interval of three observations."""
    study.texts = {3: 4, 5: 4}
    line = only(study.tables()["rates"], model="a-l", domain="prose")
    assert (line["n"], line["distinct"], line["effective_n"]) == (3, 1, pytest.approx(1))
    assert (line["rate_low"], line["rate_high"]) == pytest.approx(interval(1 / 3, 1))
    apart = only(study.tables()["rates"], model="a-l", domain="code")
    assert (apart["n"], apart["distinct"], apart["effective_n"]) == (2, 2, pytest.approx(2))
