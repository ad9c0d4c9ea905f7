"""recite.stages.verification.verify: passes where the planted truth is recovered, names the claim where it is not."""

import math
from pathlib import Path
from typing import Any

import pytest

from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tables.training import CONTROLS
from recite.errors import ReciteError
from recite.files import read_json
from recite.stages.frequency.rows import FREQUENCIES
from recite.stages.scoring.tables import CONTROL_RATES, RATES
from recite.stages.verification.verify import count_verdicts, verify

MODELS = {"a-s": ("a", 10), "a-m": ("a", 100), "a-l": ("a", 1000), "b-s": ("b", 20), "b-l": ("b", 200)}
Rates = dict[tuple[str, str], float]
ByCount = dict[tuple[str, int], float]


@pytest.fixture
def rates() -> Rates:
    """Rate of every model and domain; code, a single natural domain, goes against the truth and is not asserted."""
    good = {("a-s", "natural"): 0.1, ("a-m", "natural"): 0.05, ("a-l", "natural"): 0.3}
    good |= {("b-s", "natural"): 0.2, ("b-l", "natural"): 0.21}
    good |= {("a-s", "control"): 0.2, ("a-m", "control"): 0.3, ("a-l", "control"): 0.6}
    good |= {("b-s", "control"): 0.0, ("b-l", "control"): 0.4}
    return good | {(name, "code"): 1 / parameters for name, (_, parameters) in MODELS.items()}


@pytest.fixture
def controls() -> ByCount:
    """Rate of every model and repetition count; b-s recites nothing, a-m has a dip."""
    good = {(name, count): count / 20 for name in MODELS for count in (1, 2, 4, 16)}
    return good | {("a-m", 4): 0.08} | {("b-s", count): 0.0 for count in (1, 2, 4, 16)}


def check(folder: Path, rates: Rates, controls: ByCount, **counts: Any) -> dict[str, Any]:
    """Write the tables, verify them and read the verdicts; lines are written largest first."""

    def line(name: str, rate: float) -> dict[str, Any]:
        family, parameters = MODELS[name]
        counts = {"n": 100, "distinct": 100, "effective_n": 100.0, "memorized": round(100 * rate), "rate": rate}
        ends = {"rate_low": 0.0, "rate_high": 1.0, "mean_score": 0.5}
        return {"model": name, "family": family, "parameters": parameters} | counts | ends

    kinds = {"natural": "mixed", "control": "planted", "code": "structural"}
    rest = {
        "half": 0,
        "unmemorized": 0,
        "between": 0.0,
        "between_low": 0.0,
        "between_high": 1.0,
        "at_risk": 0.0,
        "memorized_at_risk": 0.0,
        "false_rate": math.nan,
        "false_rate_low": math.nan,
        "false_rate_high": math.nan,
    }
    by_domain = [line(name, rate) | rest | {"domain": d, "kind": kinds[d]} for (name, d), rate in rates.items()]
    by_count = [line(name, rate) | {"repetitions": count} for (name, count), rate in controls.items()]
    for table, lines in ((RATES, by_domain), (CONTROL_RATES, by_count)):
        columns = {column.name: [found[column.name] for found in reversed(lines)] for column in table.columns}
        table.write(folder / f"{table.name}.parquet", columns, {})
    verify(folder / "rates.parquet", folder / "control_rates.parquet", folder / "verification.json", **counts)
    return read_json(folder / "verification.json")


def test_good_tables_pass(tmp_path: Path, rates: Rates, controls: ByCount) -> None:
    """Prevents a true study from being refused, and verdicts without their numbers."""
    verdicts = check(tmp_path, rates, controls)
    sizes = {verdict["claim"]: verdict["numbers"] for verdict in verdicts["size"]}
    assert sizes == {
        "a-l memorizes more natural rows than a-s": {"smallest": 0.1, "largest": 0.3},
        "a-l memorizes more control rows than a-s": {"smallest": 0.2, "largest": 0.6},
        "b-l memorizes more natural rows than b-s": {"smallest": 0.2, "largest": 0.21},
        "b-l memorizes more control rows than b-s": {"smallest": 0.0, "largest": 0.4},
    }
    repetition = {verdict["claim"].split()[1]: verdict["numbers"] for verdict in verdicts["repetition"]}
    assert repetition.keys() == {"a-s", "a-m", "a-l", "b-l"}
    assert repetition["a-s"] == pytest.approx({"rho": 1.0, "least": 0.05, "most": 0.8})
    assert repetition["a-m"]["rho"] == pytest.approx(0.8)
    assert all(verdict["holds"] for verdict in verdicts["size"] + verdicts["repetition"])


@pytest.mark.parametrize("domain", ["natural", "control"])
@pytest.mark.parametrize("rate", [0.0, 0.2])
def test_a_large_model_that_recites_no_more(
    tmp_path: Path, rates: Rates, controls: ByCount, domain: str, rate: float
) -> None:
    """Prevents a study in which size does not raise memorization from passing; equal rates do not hold either."""
    rates |= {("a-s", domain): 0.2, ("a-l", domain): rate}
    claim = f"the planted truth is not recovered: a-l memorizes more {domain} rows than a-s does not hold .*{rate}"
    with pytest.raises(ReciteError, match=claim):
        check(tmp_path, rates, controls)
    assert not (tmp_path / "verification.json").exists()


@pytest.mark.parametrize(
    "by_count",
    [(0.8, 0.4, 0.2, 0.1), (0.3, 0.1, 0.2, 0.3), (0.2, 0.1, 0.15, 0.19), (0.2, 0.4, 0.1, 0.3)],
    ids=["falls", "ends equal", "ends lower", "has no trend"],
)
def test_a_rate_that_does_not_rise_with_repetition(
    tmp_path: Path, rates: Rates, controls: ByCount, by_count: tuple[float, ...]
) -> None:
    """Prevents a study in which repetition does not raise memorization from passing."""
    controls |= {("a-m", count): rate for count, rate in zip((1, 2, 4, 16), by_count, strict=True)}
    with pytest.raises(ReciteError, match=r"under a-m the rate of planted rows rises .* does not hold"):
        check(tmp_path, rates, controls)


def counted(folder: Path, by: str, counts: dict[int, int]) -> Path:
    """Frequencies of rows of family a."""
    number = len(counts)
    columns: dict[str, Any] = {"row_id": list(counts), "sequence_id": list(counts), "domain": ["control"] * number}
    columns |= {name: list(counts.values()) for name in ("sequence", "context", "continuation")}
    columns |= {"token_frequency": [0.1] * number}
    FREQUENCIES.write(folder / by, columns, {"options": {"family": "a", "by": by}})
    return folder / by


def test_planted_copies_are_counted(tmp_path: Path) -> None:
    """Prevents a way of counting that is inexact by design from being asserted, and natural rows from being so."""
    known = {1: 4, 2: 16}
    (verdict,) = count_verdicts(counted(tmp_path, "bytes", {1: 4, 2: 16, 3: 99}), known)
    assert (verdict["numbers"], verdict["holds"]) == ({"rows": 2, "exact": 2}, True)
    assert verdict["claim"] == "every planted row of a occurs as often as planted, counted by bytes"
    (verdict,) = count_verdicts(counted(tmp_path, "own", {1: 4, 2: 15}), known)
    assert (verdict["numbers"], verdict["holds"]) == ({"rows": 2, "exact": 1}, False)
    (verdict,) = count_verdicts(counted(tmp_path, "bytes", {3: 9}), known)
    assert not verdict["holds"]
    assert count_verdicts(counted(tmp_path, "other", {1: 0}), known) == []


@pytest.mark.parametrize(("count", "holds"), [(4, True), (5, False)])
def test_counts_are_verified(tmp_path: Path, rates: Rates, controls: ByCount, count: int, holds: bool) -> None:
    """Prevents a study whose index loses copies from passing."""
    line: dict[str, Any] = {column.name: [0] for column in SAMPLES.columns}
    line |= {"row_id": [7], "document_id": ["control/one"], "domain": ["control"], "source_file": ["f"], "text": [b""]}
    line |= {"inclusion_probability": [1.0], "context": [[1]], "continuation": [[1]]}
    SAMPLES.write(tmp_path / "samples", line, {})
    CONTROLS.write(tmp_path / "copies", {"document_id": ["control/one"], "repetitions": [4]}, {})
    files = {"frequencies": [counted(tmp_path, "bytes", {7: count})], "planted": [tmp_path / "samples"]}
    files |= {"copies": tmp_path / "copies"}  # type: ignore[dict-item]
    if holds:
        assert [verdict["numbers"] for verdict in check(tmp_path, rates, controls, **files)["counts"]] == [
            {"rows": 1, "exact": 1}
        ]
    else:
        with pytest.raises(ReciteError, match="every planted row of a occurs as often as planted, counted by bytes"):
            check(tmp_path, rates, controls, **files)


def test_a_flat_rate(tmp_path: Path, rates: Rates, controls: ByCount) -> None:
    """Prevents an undefined correlation of equal rates from passing, or from ending in a warning."""
    controls |= {("b-l", count): 0.25 for count in (1, 2, 4, 16)}
    with pytest.raises(ReciteError, match=r"under b-l the rate of planted rows rises .* does not hold"):
        check(tmp_path, rates, controls)


def test_families_of_one_size(tmp_path: Path, rates: Rates, controls: ByCount) -> None:
    """Prevents a study of one size from being refused because a model does not surpass itself."""
    kept = {key: rate for key, rate in rates.items() if key[0] in ("a-l", "b-s", "b-l")}
    sizes = check(tmp_path, kept, controls)["size"]
    assert {verdict["claim"].split()[0] for verdict in sizes} == {"b-l"}
