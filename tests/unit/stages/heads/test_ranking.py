"""The ranking of heads against pandas and planted heads; order, split and blocks of layers leave no mark."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ablated import (
    COUNT,
    HEADS_OF_A_LAYER,
    KINDS,
    LAYERS,
    ROWS,
    STEPS,
    Rows,
    drawn_of,
    in_rounds,
    options_of,
    write_ablated,
    write_drawn,
)
from recite.errors import ReciteError
from recite.stages.heads.rows import ABLATION_ROWS
from recite.stages.heads.summarize.ranking import aggregate_ablation
from recite.stages.heads.tables import HEADS
from recite.tables import read_metadata


def aggregated(folder: Path, paths: list[Path], *drawn: Path) -> pd.DataFrame:
    """The table heads; all rows were drawn whatever their class, unless told."""
    drawn = drawn or (drawn_of(folder, Rows()),)
    aggregate_ablation(options_of(KINDS), paths, drawn, folder / "heads.parquet")
    return HEADS.read(folder / "heads.parquet").to_pandas()


def test_means_by_brute_force(tmp_path: Path) -> None:
    """Prevents drops of another head or of other rows, sums in place of means, and drops the wrong way round."""
    rows = Rows()
    table = aggregated(tmp_path, write_ablated(tmp_path, rows))
    domain = rows.frame["domain"]
    groups = {("natural", "all"): domain != "control", ("planted", "all"): domain == "control"}
    groups |= {("planted" if name == "control" else "natural", name): domain == name for name in KINDS}
    assert set(zip(table["rows"], table["domain"], strict=True)) == set(groups)
    for (kind, name), chosen in groups.items():
        part = table[(table["rows"] == kind) & (table["domain"] == name)].sort_values(["layer", "head"])
        assert len(part) == COUNT
        assert (part["n"] == chosen.sum()).all()
        assert (part["distinct"] == rows.frame["sequence_id"][chosen].nunique()).all()
        assert part["depth"].tolist() == pytest.approx(np.repeat([1 / 3, 2 / 3, 1], HEADS_OF_A_LAYER))
        hits = (rows.clean_hits[:, None] - rows.hits)[chosen].mean(axis=0) / STEPS
        log_probability = (rows.clean[:, None] - rows.log_probability)[chosen].mean(axis=0) / STEPS
        np.testing.assert_allclose(part["hits_drop"], hits, rtol=1e-9)
        np.testing.assert_allclose(part["log_probability_drop"], log_probability, rtol=1e-4)
        probability = (np.exp(rows.clean.astype(float))[:, None] - np.exp(rows.log_probability.astype(float)))[chosen]
        np.testing.assert_allclose(part["probability_drop"], probability.mean(axis=0), rtol=1e-4)
        for statistic in ("hits_drop", "log_probability_drop", "probability_drop"):
            assert (part[f"{statistic}_low"] < part[statistic]).all()
            assert (part[statistic] < part[f"{statistic}_high"]).all()


def test_ranks(tmp_path: Path) -> None:
    """Prevents ranks over several groups, from the smallest, or that leave ties open."""
    rows = Rows()
    rows.hits[:, :3] = rows.clean_hits[:, None]  # three heads that cost no hit
    table = aggregated(tmp_path, write_ablated(tmp_path, rows))
    for _, part in table.groupby(["rows", "domain"]):
        ordered = part.sort_values(["hits_drop", "log_probability_drop"], ascending=False)
        assert ordered["rank"].tolist() == list(range(1, COUNT + 1))


def test_intervals_take_equal_texts_as_one(tmp_path: Path) -> None:
    """Prevents rows of one text from counting as so many observations: every row twice makes no interval narrower."""
    rows, twice = Rows(), Rows()
    twice.frame = pd.concat([rows.frame, rows.frame.assign(row_id=rows.frame["row_id"] + ROWS)], ignore_index=True)
    for name in ("clean_hits", "clean", "hits", "log_probability"):
        setattr(twice, name, np.concatenate([getattr(rows, name)] * 2))
    once, again = (
        aggregated(tmp_path, write_ablated(tmp_path / name, one, keep=keep), drawn_of(tmp_path, one, keep=keep))
        for name, one, keep in (("once", rows, ROWS), ("twice", twice, 2 * ROWS))
    )
    for end in ("low", "high"):
        np.testing.assert_allclose(once[f"hits_drop_{end}"], again[f"hits_drop_{end}"], rtol=1e-9)


@pytest.mark.parametrize(("parts", "step"), [(3, LAYERS), (1, 1), (2, 2)])
def test_order_split_and_blocks_change_nothing(tmp_path: Path, parts: int, step: int) -> None:
    """Prevents the number of jobs, or the order of their files, from changing the table."""
    whole = aggregated(tmp_path, write_ablated(tmp_path / "whole", Rows()))
    paths = write_ablated(tmp_path / "parts", Rows(), parts=parts, step=step)
    pd.testing.assert_frame_equal(aggregated(tmp_path, paths[::-1]), whole, check_exact=False, rtol=1e-12)


@pytest.mark.parametrize(("parts", "step"), [(1, LAYERS), (3, 1)])
def test_heads_that_were_left(tmp_path: Path, parts: int, step: int) -> None:
    """Of each domain the rows that a head has stand for all that were drawn: by hand, whatever the files."""
    rows = Rows()
    rounds, measured = in_rounds(rows)
    paths = write_ablated(tmp_path, rows, parts=parts, step=step, measured=measured)
    table = aggregated(tmp_path, paths, drawn_of(tmp_path, rows, rounds=rounds))
    lost = (rows.clean_hits[:, None] - rows.hits) / STEPS
    domain, texts = rows.frame["domain"].to_numpy(), rows.frame["sequence_id"].to_numpy()
    assert len(table) == 5 * COUNT
    for line in table.itertuples():
        head = HEADS_OF_A_LAYER * line.layer + line.head
        names = [name for name, kind in KINDS.items() if (kind == "planted") == (line.rows == "planted")]
        names = names if line.domain == "all" else [line.domain]
        known = {name: (domain == name) & measured[:, head] for name in names}
        means = []
        for name, chosen in known.items():
            led = lost[:, measured[domain == name].all(axis=0)].mean(axis=1)
            means.append((lost[chosen, head] - led[chosen]).mean() + led[domain == name].mean())
        drawn = [(domain == name).sum() for name in names]
        assert line.hits_drop == pytest.approx(np.average(means, weights=drawn))
        every = np.any(list(known.values()), axis=0)
        assert (line.n, line.distinct) == (every.sum(), len(np.unique(texts[every])))
        assert line.hits_drop_low < line.hits_drop < line.hits_drop_high
    whole = aggregated(tmp_path, write_ablated(tmp_path / "whole", rows), drawn_of(tmp_path / "whole", rows))
    few = table["n"] < whole["n"]
    longer = (table["hits_drop_high"] - table["hits_drop_low"]) / (whole["hits_drop_high"] - whole["hits_drop_low"])
    assert longer[few].mean() > 1.2 and longer[~few].to_numpy() == pytest.approx(1)


def test_rounds_of_some_rows_alone_do_not_count(tmp_path: Path) -> None:
    """Rows of a round of which others were not run without a head are no random ones: they are passed over."""
    rows = Rows()
    rounds, measured = in_rounds(rows)
    table = aggregated(
        tmp_path, write_ablated(tmp_path, rows, measured=measured), drawn_of(tmp_path, rows, rounds=rounds)
    )
    more = measured.copy()
    more[(rounds == 2) & (rows.clean_hits == STEPS)] = True
    more[(rounds == 2) & ~more.any(axis=1)] = False
    again = aggregated(tmp_path, write_ablated(tmp_path, rows, measured=more), drawn_of(tmp_path, rows, rounds=rounds))
    pd.testing.assert_frame_equal(again, table)


def test_heads_that_matter_for_one_class(tmp_path: Path) -> None:
    """Rows of two classes that each need a head of their own: found by class, and mixed up where classes are."""
    rows, heads = Rows(), {"memorized": 1, "unmemorized": 4}
    rows.hits[:] = rows.clean_hits[:, None]
    of_class = {"memorized": np.arange(ROWS) % 4 == 0, "unmemorized": np.arange(ROWS) % 4 == 1}
    for group, head in heads.items():
        rows.hits[of_class[group], head] -= 4
    groups = of_class | {"all": np.arange(ROWS) < ROWS // 2, "half": np.zeros(ROWS, bool)}
    table = aggregated(tmp_path, write_ablated(tmp_path, rows), drawn_of(tmp_path, rows, **groups))
    table = table[(table["rows"] == "natural") & (table["domain"] == "all")]
    assert table["group"].unique().tolist() == ["all", "memorized", "unmemorized"]
    natural = (rows.frame["domain"] != "control").to_numpy()
    for group, part in table.groupby("group"):
        part = part.reset_index(drop=True)
        assert (part["n"] == (natural & groups[group]).sum()).all()
        matter = set(part.index[(part["hits_drop_q_value"] < 0.05) & (part["hits_drop"] > 0)])
        assert matter == ({heads[group]} if group in heads else set(heads.values()))
        for head in matter:
            share = (of_class[group] if group in heads else rows.hits[:, head] < rows.clean_hits)[
                natural & groups[group]
            ]
            assert part["hits_drop"][head] == pytest.approx(4 / STEPS * share.mean())


def test_tests(tmp_path: Path) -> None:
    """Prevents q-values over several groups of rows, and a head that does nothing from being told from 0."""
    rows = Rows()
    rows.hits[:, 2] = rows.clean_hits
    halves = {"all": np.ones(ROWS, bool), "half": np.arange(ROWS) % 2 == 0}
    table = aggregated(tmp_path, write_ablated(tmp_path, rows), drawn_of(tmp_path, rows, **halves))
    for _, part in table.groupby(["group", "rows", "domain"]):
        for name in ("hits_drop", "log_probability_drop"):
            expected = stats.false_discovery_control(part[f"{name}_p_value"])
            np.testing.assert_allclose(part[f"{name}_q_value"], expected)
            apart = (part[f"{name}_low"] > 0) | (part[f"{name}_high"] < 0)
            assert (part.loc[apart, f"{name}_p_value"] < 0.1 + 0.01).all()
        assert (part.loc[(part["layer"] == 1) & (part["head"] == 0), "hits_drop_p_value"] == 1).all()
    assert table["hits_drop_p_value"].min() == pytest.approx(2 / 401)


def test_groups_are_resampled_as_their_share(tmp_path: Path) -> None:
    """Prevents natural rows of a class taken whole, of a whole corpus, from being given an error of sampling."""
    rows, none = Rows(), np.zeros(ROWS, bool)
    paths = write_ablated(tmp_path, rows)
    lengths = {}
    for name, share in (("some", 0.5), ("whole", 2.0)):  # of a sample of half the corpus
        drawn = drawn_of(tmp_path, rows, all=~none)
        table = ABLATION_ROWS.read(drawn).to_pandas().assign(inclusion_probability=share)
        ABLATION_ROWS.write(drawn, {column: table[column].tolist() for column in table}, read_metadata(drawn))
        options = options_of(KINDS, estimand="corpus")
        aggregate_ablation(options, paths, [drawn], tmp_path / "heads.parquet")
        found = HEADS.read(tmp_path / "heads.parquet").to_pandas()
        found = found[found["rows"] == "natural"]
        lengths[name] = found["hits_drop_high"] - found["hits_drop_low"]
    assert (lengths["some"] > 0).all() and (lengths["whole"] == 0).all()


def test_rows_that_were_not_drawn(tmp_path: Path) -> None:
    """Prevents a summary of other rows than those that were drawn, and a group without rows from having lines."""
    paths = write_ablated(tmp_path, Rows(), keep=ROWS - 1)
    with pytest.raises(ReciteError, match=r"not all rows that .* names were ablated; delete it"):
        aggregated(tmp_path, paths, drawn_of(tmp_path, Rows()))
    empty = write_ablated(tmp_path / "none", Rows(), keep=0)
    assert aggregated(tmp_path, empty, write_drawn(tmp_path / "none.parquet", [])).empty


def test_two_models(tmp_path: Path) -> None:
    """Prevents one model's rows from entering another one's means."""
    drawn = [drawn_of(tmp_path, Rows(), "a-s"), drawn_of(tmp_path, Rows(7), "b-s")]
    alone = aggregated(tmp_path, write_ablated(tmp_path, Rows(7), "b-s"), *drawn)
    paths = [*write_ablated(tmp_path, Rows(), "a-s"), *write_ablated(tmp_path, Rows(7), "b-s")]
    table = aggregated(tmp_path, paths, *drawn)
    pd.testing.assert_frame_equal(table[table["model"] == "b-s"].reset_index(drop=True), alone)


def test_layers_of_other_rows(tmp_path: Path) -> None:
    """Prevents heads of one model from being compared on different rows, and missing layers from passing."""
    first, second, third = write_ablated(tmp_path / "all", Rows(), step=1)
    few = write_ablated(tmp_path / "few", Rows(), step=1, keep=ROWS - 1)
    for paths in ([first, few[1], third], [first, second], [second, third]):
        with pytest.raises(ReciteError, match=r"of a-s were not (all )?ablated on (code|the same rows); delete them"):
            aggregated(tmp_path, paths)
