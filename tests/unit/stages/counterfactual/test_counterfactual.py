"""recite.stages.counterfactual: planted truths on siblings that were trained, means and rates by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recite.checkpoints.training import train_model
from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tables.training import CONTROLS, TRAINING_ROWS
from recite.corpora.tokenization import train_tokenizer
from recite.engine.rows import Rows
from recite.errors import ReciteError
from recite.files import sha256_file, write_json
from recite.report.told import Told
from recite.stages.counterfactual.figures.counterfactual import draw
from recite.stages.counterfactual.halving import halve
from recite.stages.counterfactual.rows import HALVES
from recite.stages.counterfactual.summarize import aggregate_counterfactual
from recite.stages.counterfactual.tables import COUNTERFACTUAL
from recite.stages.counterfactual.words import sections
from recite.stages.scoring.measure import score
from recite.stages.scoring.rows import SCORES
from recite.statistics.intervals import wilson
from recite.tables import read_metadata
from samples import write_shard

LENGTH, HALF = 16, 8
COPIES = {0: 12, 1: 6, 40: 5}
"""Planted copies of a text -> texts of so many."""
SEEDS = (1, 2)
SUMMARY: dict[str, Any] = {
    "seed": 1,
    "corpora": {"a-s": "mini"},
    "kinds": {"mini": {"code": "structural", "prose": "free_text", "control": "planted"}},
    "estimand": "texts",
    "confidence": 0.95,
    "resamples": 400,
    "memorized": 1.0,
    "half": 0.5,
    "unmemorized": 0.0,
    "margin_tolerance": {"float32": 1e-4},
}


def shard(path: Path, domain: str, rows: dict[str, list[int]], first: int) -> Path:
    """A sample of texts by document."""
    ids, tokens = list(range(first, first + len(rows))), torch.tensor(list(rows.values()))
    made = Rows(ids, ids, [domain] * len(ids), [1.0] * len(ids), tokens[:, :HALF], tokens[:, HALF:])
    table = SAMPLES.read(write_shard(path, made))
    columns = {name: table[name] for name in table.column_names} | {"document_id": list(rows)}
    SAMPLES.write(path, columns, {})
    return path


def plant(folder: Path) -> tuple[list[Path], Path]:
    """Natural texts and planted ones, as rows to train on; their shards and the table of controls."""
    tokenizer = train_tokenizer(["abc " * 40], 270)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})
    size, count = tokenizer.get_vocab_size(), 30
    texts = np.random.default_rng(5).integers(3, size, (count + sum(COPIES.values()), LENGTH)).tolist()
    natural = {f"code/{place}": tokens for place, tokens in enumerate(texts[:count])}
    known = [copies for copies, number in COPIES.items() for _ in range(number)]
    planted = {f"control/{place}": tokens for place, tokens in enumerate(texts[count:])}
    rows = list(natural.items())
    rows += [pair for pair, copies in zip(planted.items(), known, strict=True) for _ in range(copies)]
    columns = {"document_id": [name for name, _ in rows], "tokens": [tokens for _, tokens in rows]}
    TRAINING_ROWS.write(folder / "rows.parquet", columns, {})
    CONTROLS.write(folder / "controls.parquet", {"document_id": list(planted), "repetitions": known}, {})
    shards = [shard(folder / "code.parquet", "code", natural, 0)]
    return [*shards, shard(folder / "control.parquet", "control", planted, 500)], folder / "controls.parquet"


def sibling(folder: Path, shards: list[Path], seed: int, half: str) -> Path:
    """The scores of one sibling, from its rows."""
    recipe = {"seed": seed, "learning_rate": 0.02, "order": "shuffled", "epochs": 2, "batch_rows": 4, "bos": False}
    options = {"family": "pythia", "shape": {"layers": 2, "width": 32, "heads": 2}, "recipe": recipe}
    model = folder / f"{seed}-{half}"
    rows, *tokenizer = (folder / name for name in (f"{seed}-{half}.rows", "tokenizer.json", "tokenizer_config.json"))
    train_model(options, rows, *tokenizer, model, threads=1)
    told = {"model": "a-s", "family": "a", "bos": None, "batch_rows": 16, "dtype": "float32"}
    told |= {"seed": seed, "without": half}
    score(told, shards, model / "model.safetensors", None, model / "scores.parquet", 1)
    return model / "scores.parquet"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[Path], Path]:
    """Scores of four siblings, halves of two seeds, and their folder."""
    folder = tmp_path_factory.mktemp("siblings")
    shards, _ = plant(folder)
    scores, halves = [], []
    for seed in SEEDS:
        halves.append(folder / f"{seed}.halves")
        parts = [folder / f"{seed}-{half}.rows" for half in "ab"]
        halve({"seed": seed}, folder / "rows.parquet", shards, halves[-1], *parts)
        scores += [sibling(folder, shards, seed, half) for half in "ab"]
    return scores, halves, folder


def aggregate(scores: list[Path], halves: list[Path], folder: Path, name: str = "table") -> Any:
    """The table, by domain and copies."""
    made, planted = folder / f"{name}.parquet", [folder / "control.parquet"]
    aggregate_counterfactual(SUMMARY, scores, halves, planted, folder / "controls.parquet", made)
    return COUNTERFACTUAL.read(made).to_pandas().set_index(["domain", "copies"])


def test_planted_truth(trained: tuple[list[Path], list[Path], Path]) -> None:
    """Forty copies are recited where they were seen and nowhere else; what no sibling saw is alike under all."""
    scores, halves, folder = trained
    table = aggregate(scores, halves, folder)
    never, once, often = (table.loc["control", copies] for copies in COPIES)
    assert often["difference"] > 0.9 and often["difference_low"] > 0.8
    assert (often["rate_in"], often["rate_out"]) == (1, 0) and often["mean_in"] == 1
    assert never["difference_low"] <= 0 <= never["difference_high"] and abs(never["difference"]) < 0.03
    assert never["rate_in"] == never["rate_out"] == 0 < never["rate_in_high"]
    assert abs(once["difference"]) < 0.2 < often["difference"]
    assert table["n"].to_dict() == {("code", 0): 30, ("natural", 0): 30} | {
        ("control", copies): number for copies, number in COPIES.items()
    }
    assert set(table["seeds"]) == {2} and (table["spread"] >= 0).all() and table["spread"].max() > 0


def test_the_same_again(trained: tuple[list[Path], list[Path], Path]) -> None:
    """Prevents weights, or a table, that hang on what ran before or on the order of files."""
    scores, halves, folder = trained
    before = read_metadata(scores[0])["weights_sha256"]
    shards = [folder / "code.parquet", folder / "control.parquet"]
    assert read_metadata(sibling(folder, shards, SEEDS[0], "a"))["weights_sha256"] == before
    assert len({read_metadata(path)["weights_sha256"] for path in scores}) == 4
    aggregate(scores, halves, folder, "one")
    aggregate(scores[::-1], halves[::-1], folder, "two")
    assert sha256_file(folder / "one.parquet") == sha256_file(folder / "two.parquet")


def test_words_and_figure(trained: tuple[list[Path], list[Path], Path]) -> None:
    """Prevents a cheap correction of another model, or of all planted rows, from standing beside the truth."""
    table = aggregate(*trained).reset_index()
    _, behind = draw({"counterfactual": table})
    assert [*zip(behind["domain"], behind["copies"], strict=True)] == [
        ("natural", 0),
        *(("control", n) for n in COPIES),
    ]
    alone = sections(Told({"counterfactual": table}, None, []))
    assert len(alone) == 1 and "| x40 | 5 | 1.000 |" in alone[0] and "out / in" not in alone[0]
    table.loc[table["domain"] == "natural", ["rate_in", "rate_out"]] = [0.4, 0.1]
    cheap = table[["domain"]].assign(model="a-s", explained=0.2).drop_duplicates()
    (text,) = sections(Told({"counterfactual": table, "predictability": cheap}, None, []))
    assert "| natural | 25.0% | 20.0% |" in text and "| code | – | 20.0% |" in text and "| control |" not in text
    (text,) = sections(Told({"counterfactual": table, "predictability": cheap.assign(model="a-m")}, None, []))
    assert "out / in" not in text
    assert sections(Told({}, None, [])) == []


ROWS = [("code", 1, "a"), ("code", 2, "b"), ("code", 2, "b"), ("prose", 3, "a"), ("control", 4, "b")]
"""Domain, text and half of rows by hand, under seed 1; under seed 2 they are of the other half."""
HITS = {
    (1, "a"): [2, 8, 8, 0, 4],
    (1, "b"): [8, 4, 4, 8, 2],
    (2, "a"): [8, 0, 0, 8, 1],
    (2, "b"): [1, 8, 8, 8, 8],
}
"""Hits of eight of the sibling without that half."""


def write_scores(folder: Path) -> tuple[list[Path], list[Path]]:
    """Scores and halves by hand."""
    scores, halves = [], []
    ids, shares = list(range(len(ROWS))), [0.5] * len(ROWS)
    for (seed, half), hits in HITS.items():
        columns = {"row_id": ids, "sequence_id": [text for _, text, _ in ROWS], "hits": hits}
        columns |= {"domain": [domain for domain, _, _ in ROWS], "inclusion_probability": shares}
        columns |= {"first_mismatch": hits, "generated": [[0]] * len(ids), "margin": [1.0] * len(ids)}
        options = {"model": "a-s", "family": "a", "seed": seed, "without": half}
        about = {"options": options, "parameters": 7, "continuation_tokens": 8, "dtype": "float32"}
        scores.append(folder / f"{seed}-{half}.scores")
        SCORES.write(scores[-1], columns, about)
    for seed in SEEDS:
        other = {"a": "b", "b": "a"} if seed == 2 else {"a": "a", "b": "b"}
        columns = {"row_id": ids, "half": [other[half] for _, _, half in ROWS], "held": [1] * len(ids)}
        halves.append(folder / f"{seed}.halves")
        HALVES.write(halves[-1], columns, {"options": {"seed": seed}})
    shard(folder / "control.parquet", "control", {"control/x": [1] * LENGTH}, 4)
    CONTROLS.write(folder / "controls.parquet", {"document_id": ["control/x"], "repetitions": [3]}, {})
    return scores, halves


def test_means_by_hand(tmp_path: Path) -> None:
    """Prevents a text from being taken as seen by the sibling without it, and means over seeds of the wrong halves."""
    table = aggregate(*write_scores(tmp_path), tmp_path)
    # In: text 1 has 8 hits (seed 1, without b) and 8 (seed 2, without a), text 2 twice 8 and 8; out 2 and 1, 4 and 0.
    code = table.loc["code", 0]
    assert (code["n"], code["distinct"], code["mean_in"], code["rate_in"]) == (3, 2, 1, 1)
    assert code["mean_out"] == pytest.approx((1.5 + 2 + 2) / 3 / 8) and code["rate_out"] == 0
    assert code["difference"] == pytest.approx(1 - 5.5 / 24)
    assert code["spread"] == pytest.approx(((2 + 4 + 4) - (1 + 0 + 0)) / 24)
    # Text 3: in 8 and 8, out 0 and 8; text 4: in 4 and 8, out 2 and 1.
    prose, planted = table.loc["prose", 0], table.loc["control", 3]
    assert (prose["rate_in"], prose["rate_out"], prose["mean_out"]) == (1, 0.5, 0.5)
    assert planted["mean_in"] == pytest.approx(6 / 8) and planted["rate_in"] == 0.5
    assert planted["difference"] == pytest.approx((12 - 3) / 16)
    natural = table.loc["natural", 0]
    assert natural["rate_out"] == pytest.approx(0.5 / 4) and natural["mean_in"] == 1
    # All recited: rows alike within a text; two of code (one row and two), one of prose.
    low, _ = wilson(1, 1 / ((1 + 4 + 1) / 16), 0.95)
    assert natural["rate_in_low"] == pytest.approx(low)


def test_a_single_seed(tmp_path: Path) -> None:
    """Prevents a spread of what was seen once, and numbers that need a second seed."""
    scores, halves = write_scores(tmp_path)
    table = aggregate(scores[:2], halves[:1], tmp_path)
    assert set(table["seeds"]) == {1} and set(table["spread"]) == {0.0}
    assert table.loc["prose", 0]["difference"] == 1


@pytest.mark.parametrize("wrong", ["scores", "halves"])
def test_other_rows_are_refused(tmp_path: Path, wrong: str) -> None:
    """Prevents one row's score from standing beside another's, or a row whose half is not known."""
    scores, halves = write_scores(tmp_path)
    path, table = (scores[3], SCORES) if wrong == "scores" else (halves[1], HALVES)
    found = table.read(path)
    table.write(path, {name: found[name][1:] for name in found.column_names}, read_metadata(path))
    with pytest.raises(ReciteError, match=r"holds other rows than its siblings' scores; delete it and run again"):
        aggregate(scores, halves, tmp_path)
    assert not (tmp_path / "table.parquet").exists()
