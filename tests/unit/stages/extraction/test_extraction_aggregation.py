"""recite.stages.extraction.summarize: shares by counting, beside greedy recitation of the same rows; what is told."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recite.errors import ReciteError
from recite.report.told import Told
from recite.stages.extraction.figures.extraction import draw
from recite.stages.extraction.figures.extraction_noise import draw as draw_noise
from recite.stages.extraction.rows import EXTRACTED
from recite.stages.extraction.summarize import DRAWS, PROBABILITIES, aggregate_extraction
from recite.stages.extraction.tables import EXTRACTION
from recite.stages.extraction.words import sections
from recite.stages.noise.rows import NOISE_SCORES
from recite.stages.scoring.rows import SCORES
from recite.statistics.intervals import wilson
from recite.tables.lists import as_lists

STEPS, ROWS = 4, 60
KINDS = {"code": "structural", "prose": "free_text", "control": "planted"}
SCHEMES = ("nucleus", "plain")
OPTIONS: dict[str, Any] = {"seed": 1, "kinds": {"mini": KINDS}, "corpora": {"a-s": "mini"}, "estimand": "corpus"}
OPTIONS |= {"confidence": 0.95, "margin_tolerance": {"float32": 1e-4}, "schemes": list(SCHEMES)}
ABOUT = {"parameters": 1000, "continuation_tokens": STEPS, "dtype": "float32"}


def study(folder: Path, kept: int = ROWS, parts: int = 1, alpha: float = 0.0) -> tuple[dict[str, Any], pd.DataFrame]:
    """Scores of ROWS rows, p_z of the first `kept`, as arguments of the aggregation; and the same as a frame."""
    folder.mkdir(parents=True, exist_ok=True)
    source = np.random.default_rng(int(alpha * 10) + 3)
    frame = pd.DataFrame({"row_id": np.random.default_rng(1).permutation(ROWS)})
    frame["sequence_id"], frame["domain"] = frame["row_id"], np.array(list(KINDS))[np.arange(ROWS) % 3]
    frame["inclusion_probability"] = 0.5
    frame["hits"] = source.choice([STEPS, 1], ROWS)
    columns: dict[str, Any] = {name: frame[name].tolist() for name in frame}
    columns |= {"first_mismatch": columns["hits"], "generated": [[1]] * ROWS, "margin": [1.0] * ROWS}
    made: dict[str, Any] = ABOUT | {"options": {"model": "a-s", "family": "a"}}
    if alpha:
        made |= {"alpha": alpha, "options": {"model": "a-s", "family": "a", "noise": {"layer": 2}}}
        NOISE_SCORES.write(folder / "scores.parquet", columns | {"alpha": [alpha] * ROWS}, made)
    else:
        SCORES.write(folder / "scores.parquet", columns, made)
    frame["plain"] = -source.exponential(6, ROWS).astype(np.float32)
    frame["nucleus"] = np.where(source.random(ROWS) < 0.3, -np.inf, frame["plain"] / 2).astype(np.float32)
    frame = frame.iloc[:kept]
    paths = []
    for number, part in enumerate(np.array_split(np.arange(kept), parts)):
        chosen = frame.iloc[part]
        named = {name: chosen[name].tolist() for name in EXTRACTED.names[:4]}
        paths.append(folder / f"{number}.parquet")
        EXTRACTED.write(paths[-1], named | {"log_probability": as_lists(chosen[list(SCHEMES)].to_numpy())}, made)
    scores = {"noisy" if alpha else "scores": [folder / "scores.parquet"]}
    return {"scores": [], "noisy": [], "extracted": paths} | scores, frame


def aggregated(folder: Path, *parts: dict[str, Any]) -> pd.DataFrame:
    arguments = {name: [path for part in parts for path in part[name]] for name in parts[0]}
    aggregate_extraction(OPTIONS, extraction=folder / "extraction.parquet", **arguments)
    return EXTRACTION.read(folder / "extraction.parquet").to_pandas()


def test_shares_by_counting(tmp_path: Path) -> None:
    """Prevents p_z of other rows or schemes, planted rows among natural ones, and greedy recitation of rows beside."""
    arguments, frame = study(tmp_path, kept=45)
    table = aggregated(tmp_path, arguments)
    groups = {name: frame["domain"] == name for name in KINDS} | {"natural": frame["domain"] != "control"}
    assert len(table) == len(groups) * len(SCHEMES) * len(DRAWS) * len(PROBABILITIES)
    for line in table.itertuples():
        chosen = frame[groups[line.domain]]
        met = [1 - (1 - np.exp(float(value))) ** int(line.draws) >= line.probability for value in chosen[line.scheme]]
        assert (line.n, line.extractable) == (len(chosen), sum(met))
        assert line.rate == pytest.approx(np.mean(met)) and line.rate_low <= line.rate <= line.rate_high
        assert line.greedy == pytest.approx((chosen["hits"] == STEPS).mean())
    assert table["rate"].nunique() > 20
    # 15 of 20 sampled rows, which are half of the domain's documents: three eighths of these are known
    line = table[(table["domain"] == "code") & (table["scheme"] == "plain") & (table["draws"] == 100)].iloc[1]
    share = line["rate"]
    variance = (1 - 0.5 * 15 / 20) * 15 * share * (1 - share) * 15 / 14 / 15**2
    expected = wilson(share, share * (1 - share) / variance, 0.95)
    assert 0 < share < 1 and (line["rate_low"], line["rate_high"]) == pytest.approx(expected)


def test_order_and_parts_change_nothing(tmp_path: Path) -> None:
    """Prevents the order of rows in files, or their number, from changing the table."""
    whole = aggregated(tmp_path, study(tmp_path / "whole")[0])
    arguments, _ = study(tmp_path / "parts", parts=3)
    arguments["extracted"] = arguments["extracted"][::-1]
    pd.testing.assert_frame_equal(aggregated(tmp_path, arguments), whole)


def test_other_rows_are_refused(tmp_path: Path) -> None:
    """Prevents rows that were never scored from being left out unseen."""
    arguments, _ = study(tmp_path)
    table = EXTRACTED.read(arguments["extracted"][0])
    changed = table.set_column(0, "row_id", pd.Series(table["row_id"].to_numpy() + 1).to_numpy()[None].tolist())
    EXTRACTED.write(arguments["extracted"][0], changed, {"options": {"model": "a-s", "family": "a"}, **ABOUT})
    with pytest.raises(ReciteError, match="holds other rows than were scored"):
        aggregated(tmp_path, arguments)


def test_strengths_stand_apart(tmp_path: Path) -> None:
    """Prevents p_z under noise from standing beside what is recited without it, in table, figures and words."""
    clean, first = study(tmp_path / "clean")
    noisy, second = study(tmp_path / "noisy", alpha=0.5)
    table = aggregated(tmp_path, noisy, clean)
    natural = table[(table["domain"] == "natural") & (table["scheme"] == "plain") & (table["probability"] == 0.5)]
    for alpha, layer, frame in ((0.0, 0, first), (0.5, 2, second)):
        frame = frame[frame["domain"] != "control"]
        lines = natural[(natural["alpha"] == alpha) & (natural["noise_layer"] == layer)]
        assert (lines["greedy"] == (frame["hits"] == STEPS).mean()).all()
        rates = [(1 - (1 - np.exp(frame["plain"].astype(float))) ** int(draws) >= 0.5).mean() for draws in DRAWS]
        assert lines["rate"].tolist() == pytest.approx(rates)
    picture, behind = draw({"extraction": table})
    assert len(behind) == len(DRAWS) and (behind["alpha"] == 0).all()
    (bars,), (axes,) = picture.axes[0].containers, picture.axes
    assert bars.lines[0].get_ydata().tolist() == behind["rate"].tolist()
    (dashed,) = [line for line in axes.get_lines() if line.get_linestyle() == "--"]
    assert set(dashed.get_ydata()) == {behind["greedy"].iloc[0]}
    picture, behind = draw_noise({"extraction": table})
    assert len(behind) == 2 * len(DRAWS)
    drawn = [container.lines[0].get_ydata().tolist() for container in picture.axes[0].containers]
    assert drawn == [
        natural[natural["draws"] == draws].sort_values("alpha")["rate"].tolist() for draws in (1, 100, 10**4)
    ]
    (text,) = sections(Told({"extraction": table}, None, []))
    of_plain, noisy_part = text.split("The same under noise")
    line = behind[(behind["alpha"] == 0) & (behind["draws"] == 100)].iloc[0]
    assert f"| a-s | 40 | 40 | {100 * line['greedy']:.1f}% |" in of_plain
    assert "| n = 1 | n = 100 | n = 10,000 | nucleus, n = 100 |" in of_plain
    under = behind[behind["alpha"] == 0.5].set_index("draws")["rate"]
    rates = " | ".join(f"{100 * under[draws]:.1f}%" for draws in (1, 100, 10**4))
    greedy = behind[behind["alpha"] == 0.5]["greedy"].iloc[0]
    assert f"| a-s | 2 | 0.5 | {100 * greedy:.1f}% | {rates} |" in noisy_part


def test_nothing_to_tell(tmp_path: Path) -> None:
    """Prevents a study without natural rows, noise or the table from failing at its figures and its page."""
    table = aggregated(tmp_path, study(tmp_path)[0])
    picture, behind = draw_noise({"extraction": table})
    assert behind.empty and "No model is disturbed" in picture.texts[0].get_text()
    planted = table[table["domain"] == "control"]
    picture, behind = draw({"extraction": planted})
    assert behind.empty and "No natural rows" in picture.texts[0].get_text()
    assert sections(Told({"extraction": planted}, None, [])) == [""] and sections(Told({}, None, [])) == []
