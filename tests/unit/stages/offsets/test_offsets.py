"""Scores of windows against those of scoring, rates and changes by counting, costs, and configs that cannot be."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from recite.checkpoints.training import MARGIN_POSITIONS
from recite.engine.rows import Rows
from recite.errors import ReciteError
from recite.files import hash64, sha256_file
from recite.planning import costs
from recite.planning.costs import Machine
from recite.planning.planner import Planner
from recite.report.told import Told
from recite.stages.offsets.figures.offsets import draw
from recite.stages.offsets.measure import score_offsets
from recite.stages.offsets.rows import BEGINNINGS, OFFSET_SCORES
from recite.stages.offsets.stage import POSITIONS_BEYOND
from recite.stages.offsets.summarize import aggregate_offsets, linked
from recite.stages.offsets.tables import OFFSET_CHANGES, OFFSETS
from recite.stages.offsets.words import sections
from recite.stages.scoring.measure import score
from recite.stages.scoring.rows import SCORES
from recite.statistics.intervals import wilson
from recite.tables import read_metadata
from samples import write_shard
from studies import ROOT, load, loaded, shipped
from turns import in_turn

PLACES, CONTEXTS, STEPS = [0, 3, 30], [5, 12], 8
LENGTHS = [60, 60, 50, 49, 23, 20, 12] * 3
SUMMARY = {
    "seed": 1,
    "corpora": {"a-s": "mini"},
    "kinds": {"mini": {"code": "structural", "prose": "free_text", "control": "planted"}},
    "estimand": "texts",
    "confidence": 0.95,
    "resamples": 400,
    "memorized": 1.0,
}


def options(family: str, bos: int | None = None) -> dict[str, Any]:
    run = {"model": f"{family}-test", "family": family, "bos": bos, "batch_rows": 8, "dtype": "float32"}
    return run | {"places": PLACES, "contexts": CONTEXTS, "steps": STEPS}


def write_documents(path: Path, tokens: list[list[int]], first: int = 100) -> Path:
    count = len(tokens)
    columns = {"row_id": list(range(first, first + count)), "domain": ["prose"] * count, "tokens": tokens}
    BEGINNINGS.write(path, columns | {"inclusion_probability": [0.5] * count, "whole": [True] * count}, {})
    return path


@pytest.fixture
def tokens() -> list[list[int]]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 300, length).tolist() for length in LENGTHS]


def test_scores_are_those_of_scoring(tmp_path: Path, family: str, checkpoint_folder: Any, tokens: Any) -> None:
    """Prevents a shifted window, a lost BOS, and a place whose scores hang on those beside it: bit for bit."""
    folder, run = checkpoint_folder(family), options(family, in_turn(family, [None, 0]))
    score_offsets(run, [write_documents(tmp_path / "all", tokens)], folder, None, tmp_path / "scores", 1)
    found = OFFSET_SCORES.read(tmp_path / "scores").to_pandas()
    for place, context in ((0, 12), (3, 5)):
        rows = [(100 + at, row[place : place + context + STEPS]) for at, row in enumerate(tokens)]
        rows = [(row_id, window) for row_id, window in rows if len(window) == context + STEPS]
        ids, windows = [row_id for row_id, _ in rows], torch.tensor([window for _, window in rows])
        sequences = [hash64("sequence", window) for _, window in rows]
        same = Rows(ids, sequences, ["prose"] * len(ids), [0.5] * len(ids), windows[:, :context], windows[:, context:])
        score(run, [write_shard(tmp_path / "shard", same)], folder, None, tmp_path / "own", 1)
        own = SCORES.read(tmp_path / "own").to_pandas()
        here = found[(found["place"] == place) & (found["context"] == context)].reset_index(drop=True)
        for name in ("row_id", "sequence_id", "hits", "margin", "inclusion_probability"):
            assert here[name].tolist() == own[name].tolist()
    cells = {cell: len(part) for cell, part in found.groupby(["place", "context"])}
    assert cells == {
        (place, context): sum(length >= place + context + STEPS for length in LENGTHS)
        for place, context in product(PLACES, CONTEXTS)
    }


def test_files_of_documents_and_another_run_change_nothing(
    tmp_path: Path, checkpoint_folder: Any, tokens: list[list[int]]
) -> None:
    """Prevents a score that hangs on where its document was written, or on what ran before."""
    folder, run = checkpoint_folder("olmo2"), options("olmo2")
    whole = [write_documents(tmp_path / "all", tokens)]
    parts = [write_documents(tmp_path / "one", tokens[:8]), write_documents(tmp_path / "two", tokens[8:], first=108)]
    for name, files in (("scores", whole), ("again", whole), ("parts", parts)):
        score_offsets(run, files, folder, None, tmp_path / name, 1)
    assert len({sha256_file(tmp_path / name) for name in ("scores", "again", "parts")}) == 1
    made = read_metadata(tmp_path / "scores")
    assert made["continuation_tokens"] == STEPS and made["options"] == run
    line = next(line for line in made["counts"] if (line["place"], line["context"]) == (30, 12))
    assert line == {"domain": "prose", "place": 30, "context": 12, "documents": 21, "short": 12, "cut": 0}


def test_documents_that_are_all_too_short(tmp_path: Path, checkpoint_folder: Any) -> None:
    """Prevents a table without a row from being taken for a model that recites nothing."""
    written = write_documents(tmp_path / "all", [[1, 2, 3]])
    with pytest.raises(ReciteError, match=r"model pythia-test: no sampled document has a window of offsets\.contexts"):
        score_offsets(options("pythia"), [written], checkpoint_folder("pythia"), None, tmp_path / "scores", 1)
    assert not (tmp_path / "scores").exists()


def test_windows_longer_than_the_models_positions(tmp_path: Path, checkpoint_folder: Any) -> None:
    """Prevents positions that a model was never given from being looked up."""
    written = write_documents(tmp_path / "all", [[1] * 300])
    with pytest.raises(ReciteError, match=r"are longer than the model's .* choose shorter rows"):
        run = options("starcoder") | {"contexts": [200]}
        score_offsets(run, [written], checkpoint_folder("starcoder"), None, tmp_path / "scores", 1)


# domain, text at place 0, hits at it, text at place 9 (None: the document is too short), hits at it
DOCUMENTS = [
    ("code", 1, STEPS, 11, STEPS),
    ("code", 2, STEPS, 12, 0),
    ("code", 2, STEPS, 13, 0),
    ("prose", 3, STEPS, 14, 3),
    ("prose", 4, 0, 14, STEPS),
    ("prose", 5, 0, None, None),
    ("prose", 6, STEPS, 15, 0),
    ("control", 7, STEPS, None, None),
]


def write_scores(path: Path, probability: float = 0.5) -> Path:
    """Scores of these documents' windows, in the order of documents."""
    lines = []
    for row_id, (domain, *pairs) in enumerate(DOCUMENTS):
        for place, text, hits in ((0, *pairs[:2]), (9, *pairs[2:])):
            if text is not None:
                lines.append((row_id, text, domain, probability, place, 5, hits, 1.0))
    columns = dict(zip(OFFSET_SCORES.names, zip(*lines, strict=True), strict=True))
    asked = {"model": "a-s", "family": "a", "places": [0, 9, 70], "contexts": [5], "dtype": "float32"}
    counts = []
    for place, domain in product([0, 9, 70], ["code", "prose", "control"]):
        mine = [document for document in DOCUMENTS if document[0] == domain]
        without = 0 if place == 0 else len(mine) if place == 70 else sum(document[3] is None for document in mine)
        line = {"domain": domain, "place": place, "context": 5, "documents": len(mine)}
        counts.append(line | {"short": without if place == 9 else 0, "cut": without if place == 70 else 0})
    about = {"options": asked, "continuation_tokens": STEPS, "parameters": 1000, "counts": counts}
    OFFSET_SCORES.write(path, columns, about)
    return path


def summed(folder: Path, **changes: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    outputs = {table.name: folder / f"{table.name}.parquet" for table in (OFFSETS, OFFSET_CHANGES)}
    scores = write_scores(folder / "scores", changes.pop("probability", 0.5))
    aggregate_offsets(SUMMARY | changes, [scores], outputs)
    rates, changed = (table.read(outputs[table.name]).to_pandas() for table in (OFFSETS, OFFSET_CHANGES))
    return rates, changed


def test_rates_by_counting(tmp_path: Path) -> None:
    """Prevents planted rows among the natural ones, documents that vanish, and a place that is taken for another."""
    rates, _ = summed(tmp_path)
    assert len(rates) == 3 * 4
    for place, domain in product([0, 9], ["code", "prose", "control", "natural"]):
        (line,) = rates[(rates["place"] == place) & (rates["domain"] == domain)].itertuples()
        mine = [d for d in DOCUMENTS if d[0] == domain or (domain == "natural" and d[0] != "control")]
        windows = [(d[1], d[2]) if place == 0 else (d[3], d[4]) for d in mine]
        there = [window for window in windows if window[0] is not None]
        assert (line.documents, line.short, line.cut) == (len(mine), len(mine) - len(there), 0)
        assert (line.n, line.distinct) == (len(there), len({text for text, _ in there}))
        if there:
            assert line.memorized == sum(hits == STEPS for _, hits in there) and line.rate == line.memorized / line.n
            assert line.mean_score == pytest.approx(sum(hits for _, hits in there) / line.n / STEPS)
            assert line.rate_low <= line.rate <= line.rate_high
    far = rates[rates["place"] == 70]
    assert (far["n"] == 0).all() and (far["cut"] == far["documents"]).all() and far["rate"].isna().all()
    (first,) = rates[(rates["place"] == 0) & (rates["domain"] == "control")].itertuples()
    assert (first.rate_low, first.rate_high) == pytest.approx(wilson(1.0, 1, 0.95))


def test_changes_are_of_the_same_documents(tmp_path: Path) -> None:
    """Prevents a difference between the rates of two sets of documents; one more of the first place would move it."""
    _, changes = summed(tmp_path)
    by_domain = {line.domain: line for line in changes.itertuples()}
    assert set(by_domain) == {"code", "prose", "natural"} and set(changes["place"]) == {9}
    assert (by_domain["code"].n, by_domain["code"].lost, by_domain["code"].gained) == (3, 2, 0)
    assert (by_domain["prose"].n, by_domain["prose"].lost, by_domain["prose"].gained) == (3, 2, 1)
    natural = by_domain["natural"]
    assert (natural.n, natural.lost, natural.gained) == (6, 4, 1) and natural.rate_first == 5 / 6
    assert natural.change == pytest.approx(-3 / 6) and natural.change_low < natural.change < natural.change_high
    # Documents 1 and 2 share their beginning, 3 and 4 the later window.
    assert (by_domain["code"].distinct, by_domain["prose"].distinct, natural.distinct) == (2, 2, 4)


def test_a_census_has_no_sampling_error(tmp_path: Path) -> None:
    """Prevents another frame than the study's: all documents of this corpus are what they are."""
    _, changes = summed(tmp_path, estimand="corpus", probability=1.0)
    assert (changes["change_low"] == changes["change"]).all() and (changes["change_high"] == changes["change"]).all()


def test_linked_documents_by_brute_force() -> None:
    """Prevents texts that recur at one place only from being counted as independent."""
    rng = np.random.default_rng(0)
    for size in (4, 12, 40):
        first, later = rng.integers(0, size, 30).astype(np.uint64), rng.integers(0, size, 30).astype(np.uint64)
        groups = list(range(30))
        for _ in range(30):
            for a, b in product(range(30), repeat=2):
                if first[a] == first[b] or later[a] == later[b]:
                    groups[a] = groups[b] = min(groups[a], groups[b])
        found = linked(first, later)
        assert [[x == y for y in found] for x in found] == [[x == y for y in groups] for x in groups]


def test_what_is_told(tmp_path: Path) -> None:
    """The page and the figure say what the tables hold, and what is left out."""
    rates, changes = summed(tmp_path)
    (text,) = sections(Told({"offsets": rates, "offset_changes": changes}, None, []))
    assert "| a-s | natural | 5 | 71.4% (7) | 33.3% (6) | – (0) |" in text
    assert "| a-s | control | 5 | 100.0% (1) | – (0) | – (0) |" in text
    assert "at most 0 that end before it and 7 that were not read so far, of 7 (natural rows of a-s, from 70" in text
    assert "| a-s | natural | 5 | -50.0 | – |" in text  # four texts, too few for an interval
    figure, behind = draw({"offsets": rates})
    assert set(behind["domain"]) == {"natural", "control"} and len(behind) == 3
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["5 tokens of context", "5 tokens of context, planted"]
    blank, none = draw({"offsets": rates[rates["n"] == 0]})
    assert none.empty and "No document has a window." in [text.get_text() for text in blank.texts]
    assert sections(Told({}, None, [])) == []


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"places": [0, -3]}, r"offsets\.places\.1: -3 is less than the minimum of 0"),
        ({"places": [3, 9]}, r"offsets\.places: .*expected: .*0, its beginning, is what the others are held against"),
        ({"places": [0]}, r"offsets\.places: \[0\] is too short"),
        ({"contexts": [0]}, r"offsets\.contexts\.0: 0 is less than the minimum of 1"),
        (
            {"contexts": [8, 98]},
            r"contexts has 98, .* 129 positions, but pythia-xs has 128 .* ask for a shorter context",
        ),
        ({"models": ["gpt-2"]}, r"offsets\.models: 'gpt-2' is not a model of this study"),
    ],
)
def test_windows_that_cannot_be(monkeypatch: pytest.MonkeyPatch, section: dict[str, Any], sentence: str) -> None:
    """Prevents a run of hours from ending at its first window."""
    monkeypatch.chdir(ROOT)
    with pytest.raises(ReciteError, match=f"^mini.yaml: .*{sentence}|^mini.yaml: {sentence}"):
        load(shipped("mini") | {"offsets": section})


def test_the_longest_window_that_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents the bound from lying a token off: with a begin-of-sequence token there is room for one less."""
    monkeypatch.chdir(ROOT)
    assert POSITIONS_BEYOND == MARGIN_POSITIONS
    load(shipped("mini") | {"offsets": {"models": ["pythia-xs"], "contexts": [97]}})
    load(shipped("mini") | {"offsets": {"models": ["openllama-xs"], "contexts": [96]}})
    with pytest.raises(ReciteError, match="129 positions, but openllama-xs has 128"):
        load(shipped("mini") | {"offsets": {"models": ["openllama-xs"], "contexts": [97]}})


def test_what_a_job_costs_beside_scoring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a plan that forgets a place or a length, or counts them for every row of the sample."""
    monkeypatch.chdir(ROOT)
    section = {"places": [0, 16, 256], "contexts": [8, 64], "rows_per_domain": 2048, "models": ["openllama-7b"]}
    study = loaded(shipped("paper") | {"offsets": section})
    made = Planner(study, Machine())
    job = next(job for job in made.jobs if job.name == "offsets/openllama-7b")
    cost, domains = made.costs["openllama-7b"], len(study.domains_of("openllama-7b"))
    flops = sum(costs.row_flops(cost.facts, 1 + length, 32) for length in (8, 64))
    batches = -(-2048 * domains * 3 // cost.batch_rows)
    assert job.seconds == pytest.approx(cost.load + batches * cost.batch_rows * flops / cost.rate)
    read = [job for job in made.jobs if job.stage == "offset_documents"]
    assert {job.subject for job in read} == {study.models["openllama-7b"].corpus}
    draws = [
        study.rules[rule].options(study, {"corpus": read[0].subject}) for rule in ("candidates", "offset_documents")
    ]
    assert draws[1]["draw"] == draws[0]["draw"] | {"place": "head", "most": 2561, "excerpt": 16 * (256 + 64 + 32)}
    assert draws[1]["layout"] == draws[0]["layout"]
