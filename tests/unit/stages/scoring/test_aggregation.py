"""recite.stages.scoring.summarize: every number of every table against values computed by hand from a few rows."""

import math
import random
from copy import deepcopy
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy.stats import norm

from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tables.training import CONTROLS
from recite.errors import ReciteError
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
    "confidence": 0.9,
    "resamples": 200,
    "memorized": 1.0,
    "half": 0.5,
    "unmemorized": 0.0,
    "margin_tolerance": {"float32": 0.1, "bfloat16": 0.5, "float16": 0.2},
}
TABLES = {table.name: table for table in (RATES, DISTRIBUTION, CONTROL_RATES, DISJOINT_SAMPLES, REPLICATES)}
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
    kinds = OPTIONS["kinds"]["texts"] | {"natural": "mixed"}  # type: ignore[index]
    for model, (family, parameters) in MODELS.items():
        for domain, rows in groups.items():
            line = only(rates, model=model, domain=domain)
            assert (line["family"], line["parameters"], line["kind"]) == (family, parameters, kinds[domain])
            given = {row: hits for row, hits in HITS[model].items() if row in rows}
            check_rate(line, list(given.values()))
            assert line["half"] == sum(hits == 2 for hits in given.values())
            assert line["unmemorized"] == sum(hits == 0 for hits in given.values())
            assert line["between"] == pytest.approx(sum(0 < hits < 4 for hits in given.values()) / len(given))
            shares = [line[key] for key in ("between_low", "between_high")]
            assert shares == pytest.approx(interval(line["between"] * line["n"], line["n"]))
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


def test_noise_of_several_layers(study: Study) -> None:
    """Prevents one layer's rates from standing under another, and a layer whose sweep does not begin undisturbed."""
    scores, noisy = [study.scores("a-l", "clean")], []
    clean = study.hits["a-l"]
    for layer, alpha, lost in ((1, 0.2, 1), (1, 0.4, 2), (3, 0.2, 3)):
        study.hits["a-l"] = {row: max(0, hits - lost) for row, hits in clean.items()}
        noisy.append(study.scores("a-l", f"noise-{layer}-{alpha}", alpha=alpha, layer=layer))
    table = noise_tables(study, scores, noisy[::-1])
    natural = table[table["domain"] == "natural"]
    assert list(zip(natural["noise_layer"], natural["alpha"], strict=True)) == [
        (1, 0),
        (1, 0.2),
        (1, 0.4),
        (3, 0),
        (3, 0.2),
    ]
    for layer, alpha, lost in ((1, 0.0, 0), (1, 0.4, 2), (3, 0.0, 0), (3, 0.2, 3)):
        given = [max(0, hits - lost) for row, hits in clean.items() if row < 10]
        check_rate(only(table, noise_layer=layer, alpha=alpha, model="a-l", domain="natural"), given)
    found = read_replicates([study.folder / "drawn.parquet"])
    assert [(one.noise_layer, one.alpha) for one in found] == [(0, 0), (1, 0.2), (1, 0.4), (3, 0.2)]


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


def test_a_resample_is_the_same_texts_under_all_models(study: Study) -> None:
    """Prevents independent draws for models, which would widen every comparison between them."""
    study.tables()
    found = drawn(study)
    # in prose, a-l memorizes row 3 and no other, and so does b-l, which was not given row 5
    assert (found["a-l"].domains["prose"].memorized == found["b-l"].domains["prose"].memorized).all()
    assert not (found["a-l"].domains["prose"].n == found["b-l"].domains["prose"].n).all()
    assert (found["a-l"].domains["prose"].n == 3).all()


def test_replicates_resample_texts(study: Study) -> None:
    """Prevents rows of one text from being drawn apart: of two texts, of one and two rows, 2, 3 or 4 rows are drawn."""
    study.texts = {3: 7, 4: 7}
    study.tables()
    n = drawn(study)["a-l"].domains["prose"].n[1:]
    assert set(n) == {2, 3, 4}
    assert n.mean() == pytest.approx(3, abs=0.2)


def test_replicates_name_a_text_as_the_first_family_does(study: Study) -> None:
    """Prevents a document that two tokenizers cut differently from being drawn apart for two families."""
    first = study.scores("a-l", "all")
    study.texts = {3: 100, 4: 100, 5: 100}
    second = study.scores("b-l", "all")
    study.tables([first, second])
    assert (drawn(study)["a-l"].domains["prose"].n == 3).all()
    assert set(drawn(study)["b-l"].domains["prose"].n[1:]) == {0, 1, 2, 3}


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
    """Prevents a text from standing in both samples, and a sample's rate from being another's."""
    study.hits = {"a-l": {row: STEPS if row % 4 < 2 else 0 for row in range(100, 140)}}
    study.domains = dict.fromkeys(range(100, 140), "code")
    study.texts = {row: row // 2 for row in range(100, 140)}  # texts 50 to 69, each of two rows
    (line,) = study.tables()["disjoint_samples"].to_dict("records")
    assert (line["model"], line["domain"], line["kind"]) == ("a-l", "code", "structural")
    assert (line["first_n"], line["second_n"]) == (20, 20)
    assert (line["first_rate"], line["second_rate"]) == (1, 0)
    # 10 texts a side, rate 1/2 together: z = 1 / sqrt(1/4 (1/10 + 1/10))
    assert line["p_value"] == pytest.approx(2 * norm.sf(1 / math.sqrt(0.05)))
    assert line["q_value"] == line["p_value"]


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
