"""Ways of counting the same rows, set against each other: what a tokenizer's detour does to the counts of texts."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from scipy import stats

from recite.stages.frequency.rows import FREQUENCIES
from recite.statistics.intervals import ROUNDING, Interval
from recite.tables import read_metadata

SPANS = ("sequence", "context", "continuation")
TOKEN_FREQUENCY = "token_frequency"


class Frequencies(NamedTuple):
    """What one way of counting found for a family's rows, by row id.

    row_ids, texts: (rows,) uint64. values: measure -> (rows,) counts, or the mean frequency of the tokens. tokens:
    whose were counted, a family's or a tokenizer's name; "" for bytes.
    """

    row_ids: np.ndarray
    texts: np.ndarray
    values: dict[str, np.ndarray]
    tokens: str = ""

    def of(self, row_ids: np.ndarray, measure: str) -> np.ndarray:
        """The values of some rows, all of which were counted."""
        return self.values[measure][np.searchsorted(self.row_ids, row_ids)]


def read_frequencies(paths: Sequence[Path], countings: Sequence[str]) -> dict[str, dict[str, Frequencies]]:
    """Family -> counting -> what it found, in the order of `countings`; only rows that all of these have counted."""
    tables: dict[str, dict[str, pa.Table]] = {}
    tokens: dict[tuple[str, str], str] = {}
    for path in paths:
        made = read_metadata(path)["options"]
        tables.setdefault(made["family"], {})[made["counting"]] = FREQUENCIES.read(path).sort_by("row_id")
        whose = made["family"] if made.get("by") == "own" else made.get("tokenizer", "")
        tokens[made["family"], made["counting"]] = whose
    found: dict[str, dict[str, Frequencies]] = {}
    for family, counted in sorted(tables.items()):
        row_ids = {counting: table["row_id"].to_numpy() for counting, table in counted.items()}
        shared = row_ids[countings[0]]
        for others in row_ids.values():
            shared = np.intersect1d(shared, others)
        found[family] = {}
        for counting in countings:
            rows = counted[counting].take(pa.array(np.searchsorted(row_ids[counting], shared)))
            values = {name: rows[name].to_numpy() for name in (*SPANS, TOKEN_FREQUENCY)}
            texts = rows["sequence_id"].to_numpy()
            found[family][counting] = Frequencies(shared, texts, values, tokens[family, counting])
    return found


def counting_lines(family: str, counted: Mapping[str, Frequencies], confidence: float) -> Iterator[dict[str, Any]]:
    """Lines of the table countings: every other way of counting against the first, each distinct text once."""
    (reference, truth), *others = counted.items()
    _, once = np.unique(truth.texts, return_index=True)
    for counting, found in others:
        for measure in SPANS:
            known, counts = (of.values[measure][once].astype(float) for of in (truth, found))
            both = (known > 0) & (counts > 0)
            line: dict[str, Any] = {"family": family, "measure": measure, "counting": counting, "reference": reference}
            line |= {"tokens": found.tokens, "texts": len(once), "equal": float((known == counts).mean())}
            line["missed"] = float((known > 0)[counts == 0].sum() / max(1, (known > 0).sum()))
            ratios = np.log2(counts[both] / known[both])
            statistics = {
                "bias": ratios.mean() if len(ratios) else math.nan,
                "correlation": rank_correlation(known, counts),
            }
            intervals = {
                "bias": mean_interval(ratios, confidence),
                "correlation": correlation_interval(statistics["correlation"], len(once), confidence),
            }
            for name, value in statistics.items():
                line |= {name: float(value), f"{name}_low": intervals[name].low, f"{name}_high": intervals[name].high}
            yield line


def mean_interval(values: np.ndarray, confidence: float) -> Interval:
    """Student's interval of a mean; NaN of nothing, without width for a single value or equal ones."""
    if len(values) < 2 or np.ptp(values) < ROUNDING:
        return Interval(*[float(values.mean()) if len(values) else math.nan] * 2)
    found = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    return Interval(float(found.low), float(found.high))


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rho; NaN where one of both is constant."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    return float(stats.spearmanr(first, second).statistic)


def correlation_interval(rho: float, n: int, confidence: float) -> Interval:
    """Interval of Spearman's rho of n pairs by Fisher's z, with the variance of Bonett & Wright (2000)."""
    if math.isnan(rho) or n < 4 or abs(rho) > 1 - ROUNDING:
        return Interval(rho, rho) if n >= 4 else Interval(math.nan, math.nan)
    half = stats.norm.ppf((1 + confidence) / 2) * math.sqrt((1 + rho**2 / 2) / (n - 3))
    return Interval(math.tanh(math.atanh(rho) - half), math.tanh(math.atanh(rho) + half))
