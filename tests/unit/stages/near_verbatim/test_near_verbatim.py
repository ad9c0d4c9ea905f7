"""recite.stages.near_verbatim: distances and runs by brute force, rates by hand."""

from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recite.corpora.tables.samples import SAMPLES
from recite.errors import ReciteError
from recite.report.told import Told
from recite.stages.near_verbatim import measure
from recite.stages.near_verbatim.figures.near_verbatim import draw
from recite.stages.near_verbatim.figures.near_verbatim_noise import draw as draw_noise
from recite.stages.near_verbatim.measure import edit_distances, longest_runs, measure_nearness
from recite.stages.near_verbatim.rows import NEAR
from recite.stages.near_verbatim.summarize import aggregate_nearness
from recite.stages.near_verbatim.tables import NEAR_VERBATIM
from recite.stages.near_verbatim.words import sections
from recite.stages.noise.rows import NOISE_SCORES
from recite.stages.scoring.rows import SCORES
from recite.statistics.intervals import wilson

STEPS = 8
OPTIONS = {"model": "a-s", "family": "a"}
SUMMARY = {
    "corpora": {"a-s": "mini"},
    "kinds": {"mini": {"code": "structural", "prose": "free_text", "control": "planted"}},
    "estimand": "texts",
    "confidence": 0.95,
    "tolerances": [0.0, 0.25],
}


def distance(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """Levenshtein's own recursion."""

    @cache
    def rest(i: int, j: int) -> int:
        if i == len(a) or j == len(b):
            return len(a) - i + len(b) - j
        return min(rest(i + 1, j) + 1, rest(i, j + 1) + 1, rest(i + 1, j + 1) + (a[i] != b[j]))

    return rest(0, 0)


@pytest.mark.parametrize("tokens", [2, 3, 50])
def test_distances_and_runs_by_brute_force(monkeypatch: pytest.MonkeyPatch, tokens: int) -> None:
    """Prevents a table filled from the wrong neighbour, a run that is found at equal places alone, and lost blocks."""
    monkeypatch.setattr(measure, "BLOCK", 25)
    rng = np.random.default_rng(tokens)
    first, second = rng.integers(0, tokens, (60, 7)), rng.integers(0, tokens, (60, 9))
    pairs = [(tuple(a), tuple(b)) for a, b in zip(first.tolist(), second.tolist(), strict=True)]
    assert edit_distances(first, second).tolist() == [distance(a, b) for a, b in pairs]
    expected = [SequenceMatcher(None, a, b, autojunk=False).find_longest_match().size for a, b in pairs]
    assert longest_runs(first, second).tolist() == expected


def test_one_token_too_many_costs_one_edit() -> None:
    """What a score by place counts as a loss of all that follows."""
    true = np.arange(STEPS)[None]
    made = np.array([[0, 99, *range(1, STEPS - 1)]])
    assert (made == true).sum() == 1
    assert edit_distances(made, true).tolist() == [2]  # one too many, and the last is cut off
    assert longest_runs(made, true).tolist() == [STEPS - 2]


def write(folder: Path, rows: list[tuple[int, str, list[int], list[int]]], alpha: float = 0.0) -> tuple[Path, Path]:
    """Scores, under noise in layer 1 at an `alpha` above 0, and samples of rows: text, domain, made and true tokens."""
    ids, texts = range(len(rows)), [row[0] for row in rows]
    domains = [row[1] for row in rows]
    same: dict[str, Any] = {"row_id": ids, "sequence_id": texts, "domain": domains}
    same |= {"inclusion_probability": [0.5] * len(rows)}
    scores, samples = folder / "scores.parquet", folder / "samples.parquet"
    hits = [sum(a == b for a, b in zip(row[2], row[3], strict=True)) for row in rows]
    first = [next((i for i in range(STEPS) if row[2][i] != row[3][i]), STEPS) for row in rows]
    made = {"generated": [row[2] for row in rows], "hits": hits, "first_mismatch": first, "margin": [1.0] * len(rows)}
    about = {"continuation_tokens": STEPS, "parameters": 1000, "weights_sha256": "ab"}
    about |= {"options": OPTIONS | {"dtype": "float32"}}
    if alpha:
        NOISE_SCORES.write(scores, same | made | {"alpha": [alpha] * len(rows)}, about | {"alpha": alpha})
    else:
        SCORES.write(scores, same | made, about)
    nothing = [0] * len(rows)
    SAMPLES.write(
        samples,
        same
        | {"document_id": [str(i) for i in ids], "source_file": ["f"] * len(rows), "source_row": nothing}
        | {"window_start": nothing, "text": [b"x"] * len(rows), "context_bytes": nothing}
        | {"context": [[1]] * len(rows), "continuation": [row[3] for row in rows]},
        {},
    )
    return scores, samples


TRUE = list(range(STEPS))
OFF = [99, *TRUE[:-1]]
"""A token too many at the head: two edits."""
ROWS = [
    (1, "code", TRUE, TRUE),
    (2, "code", OFF, TRUE),
    (2, "prose", OFF, TRUE),
    (3, "prose", [7] * STEPS, TRUE),
    (4, "control", OFF, TRUE),
]


def test_rates_by_hand(tmp_path: Path) -> None:
    """Prevents planted rows among the natural ones, and a tolerance that is not a share of the tokens."""
    scores, samples = write(tmp_path, ROWS)
    measure_nearness(OPTIONS, scores, [samples], tmp_path / "near.parquet")
    near = NEAR.read(tmp_path / "near.parquet")
    assert near["distance"].to_pylist() == [0, 2, 2, 7, 2]
    assert near["run"].to_pylist() == [8, 7, 7, 1, 7]
    assert near["first_mismatch"].to_pylist() == [8, 0, 0, 0, 0]
    assert near["inclusion_probability"].to_pylist() == [0.5] * 5
    aggregate_nearness(SUMMARY, [tmp_path / "near.parquet"], tmp_path / "table.parquet")
    table = NEAR_VERBATIM.read(tmp_path / "table.parquet").to_pandas()
    rates = {(line.domain, line.tolerance): line for line in table.itertuples()}
    assert rates["code", 0.0].recalled == 1 and rates["code", 0.25].recalled == 2
    natural = rates["natural", 0.25]
    assert (natural.n, natural.distinct, natural.recalled, natural.rate) == (4, 3, 3, 0.75)
    # 3/4 x 1/4 over a variance of 2 x 1/2 / 4^2: code's two rows do not differ, prose's two do by 1
    assert (natural.rate_low, natural.rate_high) == pytest.approx(wilson(0.75, 0.75 * 0.25 / (2 * 0.5 / 16), 0.95))
    assert natural.mean_distance == (0 + 2 + 2 + 7) / 4 / STEPS and natural.mean_run == (8 + 7 + 7 + 1) / 4 / STEPS
    assert natural.mean_first_mismatch == 8 / 4 / STEPS and natural.alpha == 0
    assert rates["control", 0.0].recalled == 0 and rates["control", 0.25].rate == 1


def test_what_is_told(tmp_path: Path) -> None:
    """The figure draws natural rows alone, and the page says the rates that the table holds."""
    scores, samples = write(tmp_path, ROWS)
    measure_nearness(OPTIONS, scores, [samples], tmp_path / "near.parquet")
    aggregate_nearness(SUMMARY, [tmp_path / "near.parquet"], tmp_path / "table.parquet")
    frame = NEAR_VERBATIM.read(tmp_path / "table.parquet").to_pandas()
    _, behind = draw({"near_verbatim": frame})
    assert set(behind["domain"]) == {"natural"} and len(behind) == 2
    (text,) = sections(Told({"near_verbatim": frame}, None, []))
    assert "| model | rows | texts | 0% | 25% |" in text and "| a-s | 4 | 3 | 25.0% | 75.0% |" in text
    assert "under noise" not in text
    assert sections(Told({}, None, [])) == []


def test_what_noise_leaves(tmp_path: Path) -> None:
    """Prevents the rows of one strength from being counted at another, or as undisturbed ones."""
    paths = []
    for alpha, made in ((0.0, TRUE), (0.3, OFF), (0.5, [7] * STEPS)):
        folder = tmp_path / str(alpha)
        folder.mkdir()
        scores, samples = write(folder, [(1, "code", made, TRUE), (2, "prose", OFF, TRUE)], alpha)
        options = OPTIONS | ({"noise": {"layer": 1}} if alpha else {})
        paths.append(folder / "near.parquet")
        measure_nearness(options, scores, [samples], paths[-1])
    aggregate_nearness(SUMMARY, paths[::-1], tmp_path / "table.parquet")
    frame = NEAR_VERBATIM.read(tmp_path / "table.parquet").to_pandas()
    code = frame[frame["domain"] == "code"].set_index(["noise_layer", "alpha", "tolerance"])["rate"]
    expected = {(0, 0.0): (1, 1), (1, 0.3): (0, 1), (1, 0.5): (0, 0)}
    assert {(*key, tolerance): code[(*key, tolerance)] for key in expected for tolerance in (0.0, 0.25)} == {
        (*key, tolerance): rate
        for key, rates in expected.items()
        for tolerance, rate in zip((0.0, 0.25), rates, strict=True)
    }
    assert len(code) == 6
    _, behind = draw({"near_verbatim": frame})
    assert len(behind) == 2 and (behind["alpha"] == 0).all()
    picture, behind = draw_noise({"near_verbatim": frame})
    assert len(behind) == 6 and sorted(behind["alpha"].unique()) == [0.0, 0.3, 0.5]
    bars = [container.lines[0].get_ydata().tolist() for container in picture.axes[0].containers]
    assert bars == [[0.5, 0, 0], [1, 1, 0.5]]
    picture, behind = draw_noise({"near_verbatim": frame[frame["alpha"] == 0]})
    assert behind.empty and "No model is disturbed" in picture.texts[0].get_text()
    (text,) = sections(Told({"near_verbatim": frame}, None, []))
    assert "| a-s | 1 | 0.3 | 0.0% | 100.0% | 25.0% | 87.5% |" in text and text.count("| a-s | 2 | 2 |") == 1


def test_scores_of_other_rows_are_refused(tmp_path: Path) -> None:
    """Prevents distances between one row's continuation and another row's."""
    scores, _ = write(tmp_path, ROWS)
    (tmp_path / "other").mkdir()
    _, samples = write(tmp_path / "other", ROWS[:-1])
    with pytest.raises(ReciteError, match="holds other rows than its samples"):
        measure_nearness(OPTIONS, scores, [samples], tmp_path / "near.parquet")
    assert not (tmp_path / "near.parquet").exists()
