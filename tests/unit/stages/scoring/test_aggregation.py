"""recite.stages.scoring.summarize: every number of every table against values computed by hand from a few rows."""

import math
import random
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tables.training import CONTROLS
from recite.errors import ReciteError
from recite.outcomes.draws import DRAWS, read_draws
from recite.outcomes.replicates import REPLICATES, Resampled, read_replicates, together
from recite.stages.noise.rows import NOISE_SCORES
from recite.stages.noise.summarize import aggregate_noise
from recite.stages.noise.tables import NOISE_RATES
from recite.stages.scoring.rows import SCORES
from recite.stages.scoring.summarize import aggregate_scores
from recite.stages.scoring.tables import CONTROL_RATES, DISJOINT_SAMPLES, DISTRIBUTION, RATES

OPTIONS = {
    "seed": 1,
    "corpora": {"a-s": "texts", "a-l": "texts", "b-s": "texts", "b-l": "texts"},
    "kinds": {"texts": {"code": "structural", "prose": "free_text", "control": "planted"}},
    "estimand": "texts",
    "confidence": 0.9,
    "resamples": 200,
    "memorized": 1.0,
    "half": 0.5,
    "unmemorized": 0.0,
    "margin_tolerance": {"float32": 0.1, "bfloat16": 0.5, "float16": 0.2},
}
TABLES = {table.name: table for table in (RATES, DISTRIBUTION, CONTROL_RATES, DISJOINT_SAMPLES, REPLICATES, DRAWS)}
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
        self.shares: dict[str, float] = {}

    def scores(
        self, model: str, name: str, rows: list[int] | None = None, alpha: float | None = None, layer: int = 0
    ) -> Path:
        """Write one part of a model's scores."""
        rows = list(self.hits[model]) if rows is None else rows
        family, parameters = MODELS[model]
        columns: dict[str, Any] = {
            "row_id": rows,
            "sequence_id": [self.texts.get(row, row) for row in rows],
            "domain": [self.domains[row] for row in rows],
            "inclusion_probability": [self.shares.get(self.domains[row], 0.5) for row in rows],
            "hits": [self.hits[model][row] for row in rows],
            "first_mismatch": [0] * len(rows),
            "generated": [[0] * STEPS] * len(rows),
            "margin": [0.05 if row in AT_RISK else 0.3 for row in rows],
        }
        options = {"model": model, "family": family} | ({} if alpha is None else {"noise": {"layer": layer}})
        made = {"options": options, "parameters": parameters, "continuation_tokens": STEPS}
        metadata = made | {"dtype": "float32"} | self.made | ({} if alpha is None else {"alpha": alpha})
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


def interval(rate: float, n: float) -> tuple[float, float]:
    """Wilson's interval in closed form; a census has none."""
    if math.isinf(n):
        return rate, rate
    z = norm.ppf(1 - (1 - OPTIONS["confidence"]) / 2)  # type: ignore[operator]
    centre, half = rate + z**2 / (2 * n), z * math.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    return (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)


def effective(outcomes: dict[int, bool], sizes: dict[str, int], share: float = 0) -> float:
    """Rows of an endless population that would tell the rate as well, domain by domain.

    `outcomes` of distinct rows, `sizes` the rows of each domain's whole sample. The rows of a domain that are not asked
    about count 0 beside the outcome's deviation from the rate. Planted texts stand for others like them, without end.
    """
    rate, variance = sum(outcomes.values()) / len(outcomes), 0.0
    for domain in {DOMAINS[row] for row in outcomes}:
        left = 1.0 if domain == "control" else 1 - share
        deviations = [outcome - rate for row, outcome in outcomes.items() if DOMAINS[row] == domain]
        deviations += [0.0] * (sizes[domain] - len(deviations))
        if len(deviations) > 1:
            variance += left * len(deviations) * float(np.var(deviations, ddof=1)) / len(outcomes) ** 2
    if variance > 1e-12:
        return rate * (1 - rate) / variance
    return len(outcomes) / left if left else math.inf


def only(table: pd.DataFrame, **keys: Any) -> dict[str, Any]:
    """The one line with these values."""
    for key, value in keys.items():
        table = table[table[key] == value]
    assert len(table) == 1
    return table.iloc[0].to_dict()


def check_rate(line: dict[str, Any], hits: dict[int, int], sample: dict[int, int], share: float = 0) -> None:
    """Every number of a rate, from the hits of its rows and those of the model's whole sample."""
    sizes = Counter(DOMAINS[row] for row in sample)
    whole = {row: hit == STEPS for row, hit in hits.items()}
    memorized, n = sum(whole.values()), len(hits)
    assert (line["n"], line["memorized"]) == (n, memorized)
    assert line["rate"] == pytest.approx(memorized / n)
    assert line["effective_n"] == pytest.approx(effective(whole, sizes, share))
    ends = interval(memorized / n, effective(whole, sizes, share))
    assert (line["rate_low"], line["rate_high"]) == pytest.approx(ends)
    assert line["mean_score"] == pytest.approx(sum(hits.values()) / (n * STEPS))


def natural(hits: dict[int, int]) -> dict[int, int]:
    return {row: hit for row, hit in hits.items() if row < 10}


def planted(hits: dict[int, int]) -> dict[int, int]:
    return {row: hit for row, hit in hits.items() if row > 10}


@pytest.mark.parametrize(("estimand", "share"), [("texts", 0.0), ("corpus", 0.5), ("corpus", 0.96), ("corpus", 1.0)])
def test_rates(study: Study, estimand: str, share: float) -> None:
    """Prevents a wrong count, share or interval for any model and domain; a census has intervals of no width."""
    study.options["estimand"] = estimand
    study.shares = dict.fromkeys(OPTIONS["kinds"]["texts"], share)  # type: ignore[index]
    rates = study.tables()["rates"]
    assert len(rates) == len(MODELS) * 4
    groups = {"code": {1, 2}, "prose": {3, 4, 5}, "control": {11, 12, 13}, "natural": {1, 2, 3, 4, 5}}
    kinds = OPTIONS["kinds"]["texts"] | {"natural": "mixed"}  # type: ignore[index]
    for model, (family, parameters) in MODELS.items():
        for domain, rows in groups.items():
            line = only(rates, model=model, domain=domain)
            assert (line["family"], line["parameters"], line["kind"]) == (family, parameters, kinds[domain])
            given = {row: hits for row, hits in HITS[model].items() if row in rows}
            check_rate(line, given, HITS[model], share)
            assert line["half"] == sum(hits == 2 for hits in given.values())
            assert line["unmemorized"] == sum(hits == 0 for hits in given.values())
            between = {row: 0 < hits < 4 for row, hits in given.items()}
            assert line["between"] == pytest.approx(sum(between.values()) / len(given))
            n = effective(between, Counter(DOMAINS[row] for row in HITS[model]), share)
            assert (line["between_low"], line["between_high"]) == pytest.approx(interval(line["between"], n))
            assert (line["rate_low"] == line["rate_high"]) == (share == 1 and domain != "control")
            assert line["at_risk"] == pytest.approx(len(given.keys() & AT_RISK) / len(given))
            whole = {row for row, hits in given.items() if hits == 4}
            expected = len(whole & set(AT_RISK)) / len(whole) if whole else math.nan
            assert line["memorized_at_risk"] == pytest.approx(expected, nan_ok=True)


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
    for model, (family, parameters) in MODELS.items():
        hits = list(natural(HITS[model]).values())
        part = table[table["model"] == model].sort_values("hits")
        assert part["n"].tolist() == [hits.count(count) for count in range(STEPS + 1)]
        assert part["share"].tolist() == pytest.approx((part["n"] / len(hits)).tolist())
        assert set(part["family"]) == {family} and set(part["parameters"]) == {parameters}


def test_control_rates(study: Study) -> None:
    """Prevents planted rows from being counted under another repetition count."""
    table = study.tables()["control_rates"]
    assert len(table) == len(MODELS) * 2
    for model, given in HITS.items():
        check_rate(only(table, model=model, repetitions=1), {11: given[11]}, given)
        check_rate(only(table, model=model, repetitions=8), {row: given[row] for row in (12, 13)}, given)


def test_false_rates_are_those_of_texts_never_trained_on(study: Study) -> None:
    """Prevents planted rows that were trained on from counting as false recitation, and a rate where none was not."""
    false = ["false_rate", "false_rate_low", "false_rate_high"]
    assert study.tables()["rates"][false].isna().all(axis=None)
    study.repetitions |= {"control/eight": 0, "control/other": 0}
    tables = study.tables()
    for model, given in HITS.items():
        line = only(tables["control_rates"], model=model, repetitions=0)
        check_rate(line, {row: given[row] for row in (12, 13)}, given)
        lines = tables["rates"].query(f"model == '{model}'")
        assert len(lines) == 4
        for name in false:
            assert lines[name].tolist() == [line[name.removeprefix("false_")]] * 4


def test_draws_of_claims(study: Study) -> None:
    """Prevents claims from being judged by other rows than the natural ones, or by draws that are not the models'."""
    tables = study.tables()
    found = read_draws([study.folder / "tables/draws.parquet"])
    rates = {draw.model: draw.values[:, 0] for draw in found["natural_rate"]}
    assert [draw.model for draw in found["natural_rate"]] == ["a-s", "a-l", "b-s", "b-l"]
    for model, one in drawn(study).items():
        joined = together(list(one.natural.values())).rate
        np.testing.assert_allclose(rates[model], joined, rtol=1e-5)
        assert rates[model][0] == pytest.approx(only(tables["rates"], model=model, domain="natural")["rate"])
    ends = {draw.model: draw.values[0, 0] for draw in found["bipolarity"]}
    # of a-s: 1 of 5 rows is memorized, 2 are not at all, and 2 lie at the three counts between
    assert ends["a-s"] == pytest.approx(1 / 5 - 2 / 5 / 3)
    assert math.isnan(ends["b-s"])


@pytest.mark.parametrize("drawn_alike", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_order_and_split_of_files_change_nothing(study: Study, seed: int, drawn_alike: bool) -> None:
    """Prevents the number of jobs, or the order in which their files are listed, from changing a table.

    Nor does the order of rows, but for the two samples, which are of first and further rows of a domain as drawn.
    """
    before = study.tables()
    source = random.Random(seed)
    paths = []
    for model, given in HITS.items():
        rows = source.sample(list(given), len(given))
        if drawn_alike:
            ordered = {domain: [row for row in given if DOMAINS[row] == domain] for domain in set(DOMAINS.values())}
            rows = [ordered[DOMAINS[row]].pop(0) for row in rows]
        cut = source.randint(1, len(rows) - 1)
        paths += [study.scores(model, f"{place}", part) for place, part in enumerate((rows[:cut], rows[cut:]))]
    source.shuffle(paths)
    after = study.tables(paths, "again")
    for name, table in before.items():
        if name == "disjoint_samples" and not drawn_alike:
            continue
        pd.testing.assert_frame_equal(after[name], table, check_exact=True)
        again, first = (study.folder / folder / f"{name}.parquet" for folder in ("again", "tables"))
        assert again.read_bytes() == first.read_bytes()


def test_margin_tolerance_follows_the_dtype(study: Study) -> None:
    """Prevents the tolerance of one precision from being used for another."""
    study.made = {"dtype": "bfloat16"}
    assert study.tables()["rates"]["at_risk"].tolist() == [1.0] * 16


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
    outputs = {"noise_rates": study.folder / "noise.parquet", "replicates": study.folder / "drawn.parquet"}
    aggregate_noise(study.options, scores, noisy, outputs)
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
            check_rate(only(table, alpha=alpha, model=model, domain="control"), planted(given), given)
            line = only(table, alpha=alpha, model=model, domain="natural")
            check_rate(line, natural(given), given)
            assert (line["family"], line["parameters"], line["kind"]) == (*MODELS[model], "mixed")


def test_noise_rates_ignore_the_order_of_files(study: Study) -> None:
    """Prevents the order of jobs from changing the noise table."""
    scores = [study.scores(model, "clean") for model in ("a-l", "b-l")]
    noisy = [study.scores(model, "noise", alpha=0.2) for model in ("a-l", "b-l")]
    before = noise_tables(study, scores, noisy)
    pd.testing.assert_frame_equal(noise_tables(study, scores[::-1], noisy[::-1]), before, check_exact=True)


def test_noise_of_several_layers(study: Study) -> None:
    """Prevents one layer's rates from standing under another, and a layer whose sweep does not begin undisturbed."""
    scores, noisy = [study.scores("a-l", "clean")], []
    clean = study.hits["a-l"]
    for layer, alpha, lost in ((1, 0.2, 1), (1, 0.4, 2), (3, 0.2, 3)):
        study.hits["a-l"] = {row: max(0, hits - lost) for row, hits in clean.items()}
        noisy.append(study.scores("a-l", f"noise-{layer}-{alpha}", alpha=alpha, layer=layer))
    table = noise_tables(study, scores, noisy[::-1])
    lines = table[table["domain"] == "natural"]
    assert list(zip(lines["noise_layer"], lines["alpha"], strict=True)) == [
        (1, 0),
        (1, 0.2),
        (1, 0.4),
        (3, 0),
        (3, 0.2),
    ]
    for layer, alpha, lost in ((1, 0.0, 0), (1, 0.4, 2), (3, 0.0, 0), (3, 0.2, 3)):
        given = {row: max(0, hits - lost) for row, hits in clean.items()}
        line = only(table, noise_layer=layer, alpha=alpha, model="a-l", domain="natural")
        check_rate(line, natural(given), given)
    found = read_replicates([study.folder / "drawn.parquet"])
    assert [(one.noise_layer, one.alpha) for one in found] == [(0, 0), (1, 0.2), (1, 0.4), (3, 0.2)]


def test_noise_of_strength_zero_only(study: Study) -> None:
    """Prevents a crash of a study whose only strength is zero, which needs no disturbed scores."""
    table = noise_tables(study, [study.scores("a-l", "clean")], [])
    assert set(table["alpha"]) == {0.0}


def test_rows_of_one_text_are_one_observation(study: Study) -> None:
    """Prevents three rows of one text from carrying the interval of three observations about texts.

    About a corpus they are three documents, of which one is recited: half of a corpus, 2 / (1 - 1/2) observations.
    """
    study.texts = {3: 4, 5: 4}
    line = only(study.tables()["rates"], model="a-l", domain="prose")
    assert (line["n"], line["distinct"], line["effective_n"]) == (3, 1, pytest.approx(1))
    assert (line["rate_low"], line["rate_high"]) == pytest.approx(interval(1 / 3, 1))
    apart = only(study.tables()["rates"], model="a-l", domain="code")
    assert (apart["n"], apart["distinct"], apart["effective_n"]) == (2, 2, pytest.approx(2))
    study.options["estimand"] = "corpus"
    line = only(study.tables()["rates"], model="a-l", domain="prose")
    assert (line["n"], line["distinct"], line["effective_n"]) == (3, 1, pytest.approx(4))


def drawn(study: Study, name: str = "tables") -> dict[str, Resampled]:
    """Resampled rates by model, of a study whose tables are made."""
    return {found.model: found for found in read_replicates([study.folder / name / "replicates.parquet"])}


def test_replicates_start_with_what_was_seen(study: Study) -> None:
    """Prevents resamples of another model's or domain's rows."""
    study.tables()
    found = drawn(study)
    assert set(found) == set(MODELS)
    for model, one in found.items():
        assert (one.family, one.parameters, one.alpha) == (*MODELS[model], 0)
        assert one.kinds == OPTIONS["kinds"]["texts"]  # type: ignore[index]
        for domain in one.domains:
            hits = [hit for row, hit in HITS[model].items() if DOMAINS[row] == domain]
            seen = one.domains[domain]
            assert (seen.n[0], seen.memorized[0]) == (len(hits), sum(hit == STEPS for hit in hits))
            assert len(seen.n) == 1 + OPTIONS["resamples"]  # type: ignore[operator]


@pytest.mark.parametrize("estimand", ["corpus", "texts"])
def test_a_resample_is_the_same_documents_under_all_models(study: Study, estimand: str) -> None:
    """Prevents independent draws for models, which would widen every comparison between them, in whatever files."""
    study.options["estimand"] = estimand
    study.hits["b-l"] |= {row: study.hits["a-l"][row] for row in (1, 2, 11)}
    study.hits["b-l"][5] = 3
    rows = {"a-l": [[1, 2, 3, 4, 5], [11, 12, 13]], "b-l": [[13, 5, 11, 3], [12, 2, 1, 4]]}
    study.tables([study.scores(model, f"{i}", part) for model in ("b-l", "a-l") for i, part in enumerate(rows[model])])
    first, second = (drawn(study)[model].domains for model in ("a-l", "b-l"))
    # both memorize rows 1 and 2 of code, and row 3 of prose, but not the same rows of control
    for domain in ("code", "prose"):
        assert (first[domain].memorized == second[domain].memorized).all()
        assert (first[domain].n == second[domain].n).all()
    assert first["prose"].memorized[1:].std() > 0.3
    assert not (first["prose"].unmemorized == second["prose"].unmemorized).all()
    assert not (first["control"].memorized == second["control"].memorized).all()


def test_replicates_are_of_a_given_number_of_units(study: Study) -> None:
    """Prevents rows of one text from being drawn apart: of two texts, of one and two rows, 2 to 4 rows are drawn.

    Of documents, three are drawn always.
    """
    study.texts = {3: 7, 4: 7}
    study.tables()
    drawn_now = drawn(study)["a-l"].domains["prose"]
    n = drawn_now.n[1:]
    assert n.min() == 2 and n.max() == 4 and n.mean() == pytest.approx(3, abs=0.2)
    # row 5 is not memorized at all, the other text is, in one of its two rows: all in proportion
    np.testing.assert_allclose(drawn_now.unmemorized[1:], 4 - n, atol=1e-5)
    np.testing.assert_allclose(drawn_now.memorized[1:], n - 2, atol=1e-5)
    study.options["estimand"] = "corpus"
    study.tables(name="documents")
    np.testing.assert_allclose(drawn(study, "documents")["a-l"].domains["prose"].n, 3, rtol=1e-6)


def test_replicates_of_a_share_of_the_corpus(study: Study) -> None:
    """Prevents the part of a corpus that was read from counting as unknown: errors shrink by sqrt(1 - f), to none."""
    study.options |= {"estimand": "corpus", "resamples": 300}
    spreads = {}
    for share in (0.0, 0.75, 1.0):
        study.shares = dict.fromkeys(OPTIONS["kinds"]["texts"], share)  # type: ignore[index]
        study.tables(name=str(share))
        spreads[share] = drawn(study, str(share))["a-l"].domains["prose"].memorized[1:] - 1
    np.testing.assert_allclose(spreads[0.75], spreads[0.0] / 2, atol=1e-6)
    assert spreads[0.0].std() > 0.3 and (spreads[1.0] == 0).all()


def test_replicates_name_a_text_by_its_first_row(study: Study) -> None:
    """Prevents a document that two tokenizers cut differently from being drawn apart for two families."""
    first = study.scores("a-l", "all")
    study.texts = {row: 100 + row for row in DOMAINS}  # b's texts have other names; all are distinct
    second = study.scores("b-l", "all")
    study.hits["b-l"] = dict(study.hits["a-l"])
    second = study.scores("b-l", "all")
    study.tables([first, second])
    for domain, found in drawn(study)["a-l"].domains.items():
        other = drawn(study)["b-l"].domains[domain]
        assert all((mine == theirs).all() for mine, theirs in zip(found, other, strict=True))
    assert drawn(study)["a-l"].domains["prose"].memorized[1:].std() > 0.3


def test_models_of_other_corpora_are_drawn_apart(study: Study) -> None:
    """Prevents rows of two corpora, whose domains bear one name, from being taken for one sample."""
    study.options["corpora"] |= {"b-s": "other", "b-l": "other"}
    study.options["kinds"]["other"] = study.options["kinds"]["texts"]
    study.tables()
    found = drawn(study)
    assert not (found["a-l"].domains["control"].memorized == found["b-l"].domains["control"].memorized).all()
    joined = together(list(found["a-l"].natural.values()))
    assert joined.rate[0] == pytest.approx(3 / 5)


def test_noise_replicates_are_drawn_together(study: Study) -> None:
    """Prevents the texts of one strength from differing from another's: equal scores must give equal resamples."""
    noise_tables(study, [study.scores("a-l", "clean")], [study.scores("a-l", "noise", alpha=0.2)])
    found = read_replicates([study.folder / "drawn.parquet"])
    assert [one.alpha for one in found] == [0, 0.2]
    assert (found[0].domains["code"].memorized == found[1].domains["code"].memorized).all()


def test_replicates_in_two_files_are_taken_from_the_first(study: Study) -> None:
    """Prevents the undisturbed rates, which the noise file holds too, from losing their pairing with other models."""
    study.tables()
    noise_tables(study, [study.scores("a-l", "clean")], [])
    clean = study.folder / "tables" / "replicates.parquet"
    both = read_replicates([clean, study.folder / "drawn.parquet"])
    assert len(both) == len(MODELS)
    for one, alone in zip(both, read_replicates([clean]), strict=True):
        assert all((one.domains[d].memorized == alone.domains[d].memorized).all() for d in one.domains)


def test_disjoint_samples(study: Study) -> None:
    """Prevents a row from standing in both samples, rows in another order than drawn, and a rate of the other sample.

    Rows are drawn in the order of their files by name; their ids go the other way.
    """
    rows = list(range(140, 99, -1))  # 41, of which the last stands in neither
    study.hits = {"a-l": {row: STEPS if place < 5 or place in (20, 40) else 0 for place, row in enumerate(rows)}}
    study.domains = dict.fromkeys(rows, "code")
    study.texts = {row: row // 2 for row in rows}
    parts = [study.scores("a-l", "1", rows[30:]), study.scores("a-l", "0", rows[:30])]
    (line,) = study.tables(parts)["disjoint_samples"].to_dict("records")
    assert (line["model"], line["domain"], line["kind"]) == ("a-l", "code", "structural")
    assert (line["first_n"], line["second_n"]) == (20, 20)
    assert (line["first_rate"], line["second_rate"]) == (0.25, 0.05)
    # of 6 among 40, so many in the first 20 as seen or less likely: 6, 5, 1 or 0
    ways = [math.comb(20, count) * math.comb(20, 6 - count) for count in range(7)]
    assert line["p_value"] == pytest.approx(sum(ways[count] for count in (0, 1, 5, 6)) / sum(ways))
    assert line["q_value"] == line["p_value"]


def test_a_row_alone_is_no_pair_of_samples(study: Study) -> None:
    """Prevents a division by zero where a domain has a single row."""
    study.hits = {"a-l": {1: 4, 3: 0, 4: 4}}
    assert study.tables()["disjoint_samples"]["domain"].tolist() == ["prose"]


def test_q_values_are_taken_over_all_comparisons(study: Study) -> None:
    """Prevents every comparison from being judged as if it were the only one."""
    table = study.tables()["disjoint_samples"]
    assert len(table) > 3
    ordered = table.sort_values("p_value")
    assert ordered["q_value"].iloc[0] >= ordered["p_value"].iloc[0]
    assert ordered["q_value"].iloc[-1] == pytest.approx(ordered["p_value"].iloc[-1])


def test_row_scored_twice(study: Study) -> None:
    """Prevents rows of two files that overlap, as after a change of the shards' size, from counting twice."""
    with pytest.raises(ReciteError, match="row 3 of a-s is scored twice; delete its scores"):
        study.tables([study.scores("a-s", "first", [1, 3, 4]), study.scores("a-s", "second", [2, 3])])
