"""Which rows are ablated: against a draw by hand, whatever the files; and jobs that have none of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_head_effects import HEADS, LAYERS, STEPS, job, sample, shards
from torch import Tensor

from ablated import write_drawn
from recite.engine.rows import Rows, donors_of, taken
from recite.files import hash64
from recite.stages.heads.draw import draw_rows
from recite.stages.heads.measure.ablation import measure_heads, measure_means, read_means
from recite.stages.heads.measure.chosen import read_chosen
from recite.stages.heads.measure.screening import screen_heads
from recite.stages.heads.rows import ABLATED, ABLATION_ROWS, SCREENED
from recite.stages.heads.summarize.ranking import aggregate_ablation
from recite.stages.heads.tables import HEADS as HEADS_TABLE
from recite.stages.scoring.rows import SCORES
from recite.tables import read_metadata
from recite.tables.lists import as_array
from samples import write_shard

__all__ = ["shards"]
ROWS, TOKENS = 90, 8
CLASSES = {"memorized": TOKENS, "half": TOKENS // 2, "unmemorized": 0}
DOMAINS = ["code", "prose", "poems"]


@pytest.fixture(scope="module")
def scored() -> pd.DataFrame:
    """Rows of three domains, the last of which recites nothing."""
    source = np.random.default_rng(1)
    table = pd.DataFrame({"row_id": source.permutation(10**6)[:ROWS], "domain": np.repeat(DOMAINS, ROWS // 3)})
    hits = source.choice([0, 4, 5, 8], ROWS)
    return table.assign(hits=np.where(table["domain"] == "poems", 0, hits))


def options_of(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"model": "a-s", "seed": 3, "first": 0, "classes": {"memorized": 4}}
    return made | {"memorized": 1.0, "half": 0.5, "unmemorized": 0.0} | changes


def drawn_from(folder: Path, scored: pd.DataFrame, parts: int = 1, **changes: Any) -> pd.DataFrame:
    """The drawn rows of scores in so many files."""
    paths = []
    for number, part in enumerate(np.array_split(np.arange(len(scored)), parts)):
        columns: dict[str, Any] = {name: scored[name].iloc[part].tolist() for name in scored}
        columns |= {"sequence_id": columns["row_id"], "generated": [[1]] * len(part), "margin": [1.0] * len(part)}
        columns["inclusion_probability"] = [0.25] * len(part)
        paths.append(folder / f"{number}.parquet")
        SCORES.write(paths[-1], columns | {"first_mismatch": [0] * len(part)}, {"continuation_tokens": TOKENS})
    return pd.concat([drawn_in(folder, paths, domain, **changes) for domain in DOMAINS], ignore_index=True)


def drawn_in(folder: Path, scores: list[Path], domain: str, **changes: Any) -> pd.DataFrame:
    """The drawn rows of one domain."""
    draw_rows(options_of(domain=domain, **changes), scores, folder / f"drawn-{domain}.parquet")
    return ABLATION_ROWS.read(folder / f"drawn-{domain}.parquet").to_pandas().astype({"domain": str, "group": str})


def by_hand(scored: pd.DataFrame, domain: str, group: str, count: int) -> tuple[set[int], float]:
    """The rows of a class with the smallest hashes, and the share that they are."""
    table = scored[(scored["domain"] == domain) & (scored["hits"] == CLASSES[group])]
    hashes = [hash64(3, "ablation rows", row) for row in table["row_id"]]
    found = table.assign(key=hashes).sort_values("key").head(count)
    return set(found["row_id"]), len(found) / max(1, len(table))


@pytest.mark.parametrize("count", [1, 4, 50])
def test_rows_of_a_class_by_hand(tmp_path: Path, scored: pd.DataFrame, count: int) -> None:
    """Prevents rows of another class or domain, another draw, and a share of other rows; all where there are fewer."""
    table = drawn_from(tmp_path, scored, classes=dict.fromkeys(CLASSES, count))
    assert set(table["group"]) == set(CLASSES)
    for domain in DOMAINS:
        for group in CLASSES:
            part = table[(table["domain"] == domain) & (table["group"] == group)]
            rows, share = by_hand(scored, domain, group, count)
            assert set(part["row_id"]) == rows and len(part) == len(rows)
            assert (part["inclusion_probability"] == share).all()
            assert part.empty == (domain == "poems" and group != "unmemorized")


def test_the_draw_is_of_the_rows_alone(tmp_path: Path, scored: pd.DataFrame) -> None:
    """Prevents files, their order, and the classes beside a class from deciding which of its rows are drawn."""
    one = drawn_from(tmp_path, scored)
    mixed = scored.sample(frac=1, random_state=2)
    pd.testing.assert_frame_equal(drawn_from(tmp_path, mixed, parts=7), one)
    more = drawn_from(tmp_path, scored, classes=dict.fromkeys(CLASSES, 4), first=9)
    found = more[more["group"] == "memorized"]
    assert found["row_id"].tolist() == one["row_id"].tolist()
    assert found["inclusion_probability"].tolist() == one["inclusion_probability"].tolist()
    assert set(drawn_from(tmp_path, scored, seed=4)["row_id"]) != set(one["row_id"])


def test_first_rows(tmp_path: Path, scored: pd.DataFrame) -> None:
    """Prevents a random draw, or one by class, in place of the paper's first rows of every domain."""
    table = drawn_from(tmp_path, scored, parts=4, first=7, classes={})
    assert set(table["group"]) == {"all"}
    for domain in DOMAINS:
        part = table[table["domain"] == domain]
        assert part["row_id"].tolist() == sorted(scored.loc[scored["domain"] == domain, "row_id"].head(7))
        assert (part["inclusion_probability"] == 7 / 30).all()
    whole = drawn_from(tmp_path, scored, first=300, classes={})
    assert set(whole["row_id"]) == set(scored["row_id"]) and (whole["inclusion_probability"] == 1).all()


def test_every_row_once(tmp_path: Path, shards: list[Path]) -> None:
    """Prevents a row of two groups from being ablated twice, another order, and a row of that id elsewhere."""
    rows = [(52, "code", "all"), (50, "code", "all"), (50, "code", "memorized"), (51, "prose", "all")]
    drawn = write_drawn(tmp_path / "drawn.parquet", [*rows, (57, "prose", "unmemorized")])
    assert read_chosen(shards, [drawn]).rows.ids.tolist() == [50, 52, 57]
    assert read_chosen(shards[::-1], [drawn]).rows.ids.tolist() == [57, 50, 52]


def test_donors_of_drawn_rows(tmp_path: Path, shards: list[Path], context: Tensor) -> None:
    """Prevents a row that was drawn alone from going without a donor, and a donor of another shard."""
    drawn = write_drawn(tmp_path / "drawn.parquet", [(53, "code", "half"), (55, "prose", "half")])
    found = read_chosen(shards, [drawn], seed=3)
    rows = sample(context)
    expected = [
        part.ids[donors_of(part, [place], seed=3)[0]]
        for part, place in ((taken(rows, [0, 1, 2, 3]), 3), (taken(rows, [4, 5, 6, 7]), 1))
    ]
    assert found.rows.ids.tolist() == [53, 55] and found.donors and found.donors.ids.tolist() == expected


@pytest.mark.parametrize("by", ["mean_of_others", "dataset_mean", "resample"])
def test_no_row_was_drawn(
    tmp_path: Path, shards: list[Path], checkpoint_folder: Callable[[str], Path], by: str, context: Tensor
) -> None:
    """Prevents a model that recites nothing, and a shard without a drawn row, from failing their jobs."""
    weights, options = checkpoint_folder("olmo2") / "model.safetensors", job(replacement=by, seed=1, kinds={})
    equal = write_shard(tmp_path / "equal-0000.parquet", taken(sample(context), [0, 2]))
    drawn, means = write_drawn(tmp_path / "drawn.parquet", []), tmp_path / "means.parquet"
    measure_means(job(), [*shards, equal], [drawn], weights, means, threads=1)
    assert len(read_means(means)) == LAYERS and not any(mean.any() for mean in read_means(means))
    given, paths = means if by == "dataset_mean" else None, [tmp_path / name for name in ("screened", "a", "b")]
    screen_heads(options, [*shards, equal], [drawn], weights, given, paths[0], threads=1)
    assert not len(SCREENED.read(paths[0]))
    for path, screened in ((paths[1], None), (paths[2], paths[0])):
        measure_heads(job(**options, share=0.5), [equal], [drawn], weights, given, screened, path, threads=1)
        assert not len(ABLATED.read(path)) and as_array(ABLATED.read(path)["hits"]).shape == (0, 0)
        made = read_metadata(path)
        assert made["ablated"] == ([] if screened else list(range(LAYERS * HEADS)))
        assert (made["continuation_tokens"], made["layers"], made["heads"]) == (STEPS, LAYERS, HEADS)


def test_a_part_without_rows_beside_one_with_them(
    tmp_path: Path, shards: list[Path], checkpoint_folder: Callable[[str], Path], context: Tensor
) -> None:
    """From scores to the importance of heads: prevents an empty file from stopping the summary or changing it."""
    rows, weights = sample(context), checkpoint_folder("olmo2") / "model.safetensors"
    columns: dict[str, Any] = {"row_id": rows.ids, "sequence_id": rows.sequences, "domain": rows.domains}
    columns |= {"inclusion_probability": [0.5] * 8, "hits": [8, 0, 0, 4, 0, 0, 4, 0], "first_mismatch": [0] * 8}
    made = {"continuation_tokens": TOKENS}
    SCORES.write(tmp_path / "s.parquet", columns | {"generated": [[1]] * 8, "margin": [1.0] * 8}, made)
    asked = {"model": "m", "classes": {"memorized": 3, "half": 1}}
    draws = pd.concat([drawn_in(tmp_path, [tmp_path / "s.parquet"], domain, **asked) for domain in ("code", "prose")])
    whole = [tmp_path / f"drawn-{domain}.parquet" for domain in ("code", "prose")]
    paths = [tmp_path / "code" / "a.parquet", tmp_path / "rest" / "a.parquet"]
    few = [write_drawn(tmp_path / "few.parquet", [(50, "code", "memorized")], "m")]
    for drawn in (whole, few):
        for path, shard in zip(paths, shards, strict=True):
            measure_heads(job(), [shard], drawn, weights, None, None, path, threads=1)
        study = {"seed": 1, "kinds": {"texts": {"code": "structural", "prose": "free_text"}}, "corpora": {"m": "texts"}}
        study |= {"confidence": 0.9, "resamples": 100, "estimand": "texts"}
        aggregate_ablation(study, paths, drawn, {"heads": tmp_path / "heads.parquet"})
        table = HEADS_TABLE.read(tmp_path / "heads.parquet").to_pandas()
        counts = table.groupby(["group", "domain"])["n"].first().to_dict()
        if drawn == few:
            assert [len(ABLATED.read(path)) for path in paths] == [1, 0]
            assert counts == {("memorized", "all"): 1, ("memorized", "code"): 1}
        else:
            assert draws[["row_id", "group"]].to_numpy().tolist() == [[50, "memorized"], [53, "half"], [56, "half"]]
            expected = {("memorized", "all"): 1, ("memorized", "code"): 1, ("half", "all"): 2}
            assert counts == expected | {("half", "code"): 1, ("half", "prose"): 1}


def test_rows_as_tensors_and_lists(context: Tensor) -> None:
    """Prevents a column that is left behind where rows are taken."""
    rows = sample(context)
    found = taken(rows, [3, 1])
    assert isinstance(found, Rows) and found.ids.tolist() == [53, 51] and found.sequences.tolist() == [3, 2]
    assert found.context.equal(rows.context[[3, 1]]) and taken(rows, []).context.shape == (0, rows.context.shape[1])
