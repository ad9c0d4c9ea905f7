"""recite.stages.heads.summarize.overlap against sets by hand, closed forms, enumeration, and planted heads."""

from itertools import combinations
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ablated import COUNT, HEADS_OF_A_LAYER, KINDS, LAYERS, ROWS, Rows, drawn_of, in_rounds, options_of, write_ablated
from recite.files import hash64
from recite.outcomes.frame import read_frame
from recite.outcomes.means import bags_of
from recite.stages.heads.ablated import Ablated, Group, groups_of, read_ablated
from recite.stages.heads.summarize.importance import weighted_means
from recite.stages.heads.summarize.overlap import (
    OF_A_RESAMPLE,
    SPLITS,
    half_weights,
    measure_overlap,
    overlap_lines,
    random_halves,
    random_tops,
    ranked_domains,
    seen,
)
from recite.stages.heads.tables import OVERLAP
from recite.statistics.overlaps import jaccard, pair_chance

THREE = {"code": "structural", "prose": "free_text", "control": "free_text"}
"""The three domains of the rows, none of them planted."""


def table_of(folder: Path, paths: list[Path], kinds: dict[str, str] = THREE) -> pd.DataFrame:
    outputs = {name: folder / f"{name}.parquet" for name in ("overlap", "draws")}
    measure_overlap(options_of(kinds), paths, [drawn_of(folder, Rows())], outputs)
    return OVERLAP.read(folder / "overlap.parquet").to_pandas()


def tops_of(rows: Rows, chosen: np.ndarray, k: int, measure: str) -> set[int]:
    """The k most important heads of some rows, by sorting."""
    hits = (rows.clean_hits[:, None] - rows.hits)[chosen].mean(axis=0).round(12)
    logs = (rows.clean[:, None] - rows.log_probability)[chosen].astype(float).mean(axis=0)
    order = sorted(range(COUNT), key=lambda head: (-hits[head], -logs[head]) if measure == "hits" else -logs[head])
    return set(order[:k])


def halves_of(rows: Rows, domain: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Which rows are in either half of a domain's texts, of each split as seen."""
    table = rows.frame[rows.frame["domain"] == domain]
    names = rows.frame["sequence_id"].map(table.groupby("sequence_id")["row_id"].min())
    units = sorted(names.dropna().unique())
    rng = np.random.default_rng(hash64(1, "overlap", "a-s", domain))
    members = random_halves(len(units), SPLITS + 800, rng)[:SPLITS]
    chosen = [{unit for unit, inside in zip(units, split, strict=True) if inside} for split in members]
    return [(names.isin(half).to_numpy(), (names.notna() & ~names.isin(half)).to_numpy()) for half in chosen]


@pytest.mark.parametrize("measure", ["hits", "log_probability"])
def test_between_domains_by_hand(tmp_path: Path, measure: str) -> None:
    """Prevents another number of heads, whole domains in place of halves, and a mean that counts a pair twice."""
    rows = Rows()
    table = table_of(tmp_path, write_ablated(tmp_path, rows)).query("measure == @measure")
    halves = {name: halves_of(rows, name) for name in THREE}
    for share in (0.2, 0.5):
        k = max(1, round(share * COUNT))
        part = table[table["share"] == share]
        tops = {
            name: [[tops_of(rows, half, k, measure) for half in split] for split in splits]
            for name, splits in halves.items()
        }
        found = {}
        for a, b in [*combinations(THREE, 2), *((name, name) for name in THREE)]:
            comparison = "within" if a == b else "between"
            line = part[(part["comparison"] == comparison) & (part["domain_a"] == a) & (part["domain_b"] == b)].iloc[0]
            pairs = [(first, second) for (first, _), (_, second) in zip(tops[a], tops[b], strict=True)]
            found[a, b] = np.mean([len(one & other) / len(one | other) for one, other in pairs])
            assert line["overlap"] == pytest.approx(found[a, b])
            assert (line["k"], line["heads"], line["domains"]) == (k, COUNT, 1 if a == b else 2)
            sizes = [int((rows.frame["domain"] == name).sum()) for name in (a, b)]
            assert line["n"] == min(sizes) > line["distinct"]
        mean = part[(part["comparison"] == "between") & (part["domain_a"] == "all")].iloc[0]
        assert mean["overlap"] == pytest.approx(np.mean([found[pair] for pair in combinations(THREE, 2)]))
        universal = part[part["comparison"] == "universal"].iloc[0]
        whole = [tops_of(rows, (rows.frame["domain"] == name).to_numpy(), k, measure) for name in THREE]
        assert universal["overlap"] == pytest.approx(len(set.intersection(*whole)) / COUNT)
        assert universal["chance"] == pytest.approx((k / COUNT) ** 3)


def test_planted_rows_do_not_count(tmp_path: Path) -> None:
    """Prevents control texts from standing for a domain, and two domains from being called three."""
    table = table_of(tmp_path, write_ablated(tmp_path, Rows()), KINDS)
    assert set(table["domain_a"]) | set(table["domain_b"]) == {"all", "code", "prose"}
    assert (table.loc[table["domain_a"] == "all", "domains"] == 2).all()


def planted(rows: Rows, shared: bool) -> Rows:
    """One head that matters most in every row; the same in all domains, or another in each."""
    domain = rows.frame["domain"].map({name: place for place, name in enumerate(THREE)}).to_numpy()
    rows.hits[:] = rows.clean_hits[:, None]
    rows.hits[np.arange(ROWS), np.full(ROWS, 4) if shared else domain] -= 4
    return rows


@pytest.mark.parametrize("shared", [True, False])
def test_a_head_that_matters_most_is_found(tmp_path: Path, shared: bool) -> None:
    """Prevents shared heads from going unseen, and different ones from passing for shared."""
    table = table_of(tmp_path, write_ablated(tmp_path, planted(Rows(), shared)))
    table = table[(table["measure"] == "hits") & (table["k"] == 1) & (table["domain_a"] == "all")]
    found = {line.comparison: line for line in table.itertuples()}
    assert found["within"].overlap == found["within"].overlap_low == 1
    assert found["between"].overlap == found["between"].overlap_high == shared
    assert found["universal"].overlap == shared / COUNT


def test_halves_share_no_text(tmp_path: Path) -> None:
    """Prevents copies of a text on both sides of a split, which would make halves alike, and splits of unequal size."""
    members = random_halves(9, 200, np.random.default_rng(1))
    assert set(members.sum(axis=1)) <= {4, 5}
    assert len(np.unique(members, axis=0)) > 50
    read = read_ablated(write_ablated(tmp_path, Rows()), options_of(THREE))
    (group,) = groups_of(read, [drawn_of(tmp_path, Rows())])
    first, second = ranked_domains(group, options_of(THREE))["hits"]["code"].halves
    assert first.shape == (SPLITS + 800, COUNT)
    assert not np.array_equal(first, second)


def test_no_half_is_empty() -> None:
    """Prevents means over no row at all where texts are few, texts of the other half, and other resamples."""
    rng = np.random.default_rng(3)
    members = random_halves(5, SPLITS + 600, rng)
    weights = np.concatenate([np.ones((1, 5)), rng.poisson(1, (300, 5))])
    found = half_weights(members, weights)
    assert np.array_equal(found[:SPLITS], members[:SPLITS])
    assert (found[~members] == 0).all() and found.any(axis=1).all()
    expected = members[SPLITS:] * np.tile(weights[1:], (2, 1))
    empty = ~expected.any(axis=1)
    assert 0 < empty.sum() < 200
    assert np.array_equal(found[SPLITS:][empty], members[SPLITS:][empty])
    assert np.array_equal(found[SPLITS:][~empty], expected[~empty])


@pytest.mark.parametrize("spread", [0.05, 0.0])
def test_resamples_with_little_of_the_scatter_of_their_splits(spread: float) -> None:
    """A known spread of resamples under splits that scatter more: as the mean over so many splits of each."""
    rng = np.random.default_rng(4)
    of_resample, of_split = rng.normal(0, spread, 4000), rng.normal(0, 0.1, SPLITS + 8000)
    values = of_split + np.concatenate([np.full(SPLITS, 0.4), np.tile(0.3 + of_resample, 2)])
    found = seen(values)
    assert found[0] == values[:SPLITS].mean() == pytest.approx(found[1:].mean())
    assert found[1:].std() == pytest.approx(np.sqrt(spread**2 + 0.01 / OF_A_RESAMPLE), rel=0.05)
    assert (seen(np.full(SPLITS + 8, 0.5)) == 0.5).all()


def test_chance_of_a_pair_by_enumeration() -> None:
    """Prevents an approximation in place of the mean over all pairs of sets."""
    first = set(range(3))
    indices = [len(first & set(other)) / len(first | set(other)) for other in combinations(range(8), 3)]
    found = pair_chance(8, 3, 0.9)
    assert found["chance"] == pytest.approx(np.mean(indices))
    assert np.mean([found["chance_low"] <= index <= found["chance_high"] for index in indices]) >= 0.9


def test_chance_of_a_fifth_is_the_papers() -> None:
    """0.04 / 0.36 = 11.1% where there are many heads."""
    assert pair_chance(10_000, 2_000, 0.95)["chance"] == pytest.approx(0.04 / 0.36, abs=1e-4)
    sets = comb(60, 12)
    shared = sum(comb(12, i) * comb(48, 12 - i) / sets * i / (24 - i) for i in range(13))
    assert pair_chance(60, 12, 0.95)["chance"] == pytest.approx(shared)


def test_random_sets() -> None:
    """Prevents sets that depend on each other, or of another size."""
    tops = random_tops(10, 3, 2, 4000, np.random.default_rng(2))
    assert (tops.sum(axis=2) == 3).all()
    assert jaccard(*tops).mean() == pytest.approx(pair_chance(10, 3, 0.9)["chance"], abs=0.01)
    assert tops.mean(axis=(0, 1)) == pytest.approx(np.full(10, 0.3), abs=0.03)


def noise(seed: int, options: dict[str, Any]) -> Group:
    """Rows of one domain each with heads of known importance, the same in both, under noise."""
    rng = np.random.default_rng(seed)
    rows, heads = 60, 20
    important = np.linspace(0, 1, heads)
    hits = (4 * important + rng.normal(0, 4, (rows, heads))).round().astype(np.int16)
    log_probability = rng.normal(0, 1, (rows, heads)).astype(np.float32)
    ids = pa.array(rng.integers(0, 2**63, rows).astype(np.uint64))
    domains = pa.array(["code"] * 30 + ["prose"] * 30).dictionary_encode()
    shares = pa.array(np.full(rows, 0.01))
    columns = {"row_id": ids, "sequence_id": ids, "domain": domains, "inclusion_probability": shares}
    order, frame = read_frame(pa.table(columns), "a-s", options, whole=False)
    assert np.array_equal(frame.texts, ids.to_numpy()[order])
    measured = np.ones((rows, heads), bool)
    read = Ablated("a-s", "a", 9, (2, heads // 2), 8, frame, measured, hits, *[log_probability] * 2)
    rounds = {domain: np.ones(heads, int) for domain in frame.starts}
    return Group("all", read, np.zeros(rows, int), rounds, dict.fromkeys(frame.starts, rows // 2))


def overlaps_of(seed: int, options: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Lines of a simulated study, of all domains and three tenths of the heads, by comparison."""
    group = noise(seed, options)
    lines = overlap_lines(ranked_domains(group, options)["hits"], group, options)
    return {line["comparison"]: line for line in lines if line["share"] == 0.3 and line["domain_a"] == "all"}


def test_intervals_have_the_width_of_the_statistics_scatter() -> None:
    """Sixty studies: the bootstrap's standard error is that by which overlaps vary between them, or a bit more."""
    options = options_of({"code": "structural", "prose": "free_text"}, resamples=200, confidence=0.95)
    found = [overlaps_of(seed, options) for seed in range(60)]
    for comparison in ("within", "between"):
        lines = [lines[comparison] for lines in found]
        errors = [(line["overlap_high"] - line["overlap_low"]) / 2 / 1.96 for line in lines]
        assert 0.85 < np.mean(errors) / np.std([line["overlap"] for line in lines], ddof=1) < 1.4


def test_within_is_what_between_is_where_domains_share_their_heads() -> None:
    """Prevents two domains, each by all of its rows, from being more alike than halves of one can be seen to be."""
    options = options_of({"code": "structural", "prose": "free_text"}, resamples=100)
    lines = [overlaps_of(seed, options) for seed in range(80)]
    within, between = (np.array([line[name]["overlap"] for line in lines]) for name in ("within", "between"))
    assert abs((within - between).mean()) < 2 * (within - between).std(ddof=1) / np.sqrt(80) < 0.05
    assert between.mean() > lines[0]["between"]["chance"] + 0.1


def test_jobs_change_nothing(tmp_path: Path) -> None:
    """Prevents the number of jobs, or the order of their files, from changing the table."""
    whole = table_of(tmp_path, write_ablated(tmp_path / "whole", Rows()))
    paths = write_ablated(tmp_path / "parts", Rows(), parts=3, step=1)
    pd.testing.assert_frame_equal(table_of(tmp_path, paths[::-1]), whole)
    assert HEADS_OF_A_LAYER * LAYERS == COUNT


def test_domains_of_few_texts(tmp_path: Path) -> None:
    """Prevents sets of heads of a handful of texts, and a table that cannot be empty."""
    rows = Rows()
    rows.frame["sequence_id"] = rows.frame["sequence_id"] % 4
    assert table_of(tmp_path, write_ablated(tmp_path, rows)).empty


@pytest.mark.parametrize("name", ["memorized", "unmemorized"])
def test_heads_that_were_left(tmp_path: Path, name: str) -> None:
    """Sets are of a fifth, by the group's own measure, and from the rows that each head has."""
    rows = Rows()
    rounds, measured = in_rounds(rows)
    drawn = drawn_of(tmp_path, rows, rounds=rounds, **{name: np.ones(ROWS, bool)})
    outputs = {table: tmp_path / f"{table}.parquet" for table in ("overlap", "draws")}
    measure_overlap(options_of(THREE), write_ablated(tmp_path, rows, measured=measured), [drawn], outputs)
    table = OVERLAP.read(outputs["overlap"]).to_pandas()
    measure = "hits" if name == "memorized" else "log_probability"
    assert set(table["measure"]) == {measure} and set(table["share"]) == {0.2}
    lost = rows.clean_hits[:, None] - rows.hits if measure == "hits" else rows.clean[:, None] - rows.log_probability
    tops = []
    for domain in THREE:
        chosen = (rows.frame["domain"] == domain).to_numpy()
        known, beside = measured[chosen], lost[chosen]
        beside = beside - beside[:, known.all(axis=0)].mean(axis=1, keepdims=True)
        tops.append(int(((beside * known).sum(axis=0) / known.sum(axis=0)).argmax()))
    universal = table[table["comparison"] == "universal"].iloc[0]
    assert universal["k"] == 1 and universal["overlap"] == (len(set(tops)) == 1) / COUNT
    assert table["overlap"].between(0, 1).all()


def test_halves_of_heads_that_were_left(tmp_path: Path) -> None:
    """Each half's mean is over the rows in it that were run without the head, by hand."""
    rows = Rows()
    rounds, measured = in_rounds(rows)
    read = read_ablated(write_ablated(tmp_path, rows, measured=measured), options_of(THREE))
    (group,) = groups_of(read, [drawn_of(tmp_path, rows, rounds=rounds)])
    bags = bags_of(group.rows.frame, np.arange(*group.rows.frame.starts["code"].indices(ROWS)[:2]), options_of(THREE))
    weights = np.random.default_rng(1).integers(0, 3, (5, bags.bags)).astype(float)
    found = weighted_means(group, "code", bags, weights, group.rows.hits)
    known, hits = group.rows.measured[bags.rows], group.rows.hits[bags.rows]
    led = hits[:, known.all(axis=0)].mean(axis=1)
    of_rows = weights[:, bags.places]
    beside = ((of_rows[..., None] * known) * (hits - led[:, None])).sum(axis=1) / (of_rows[..., None] * known).sum(
        axis=1
    )
    np.testing.assert_allclose(found, beside + (of_rows @ led / of_rows.sum(axis=1))[:, None])
