"""The planted truths, asserted on the finished tables: size and repetition must raise memorization."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from scipy import stats

from recite.corpora.planted import known_copies
from recite.errors import ReciteError
from recite.files import write_json
from recite.stages.frequency.rows import FREQUENCIES
from recite.stages.scoring.tables import CONTROL_RATES, RATES
from recite.tables import read_metadata

EXACT = ("bytes", "own")
"""Ways of counting that find every copy of a planted text: each stands at the head of its document, in one form."""


def verify(
    rates: Path,
    controls: Path,
    verdicts: Path,
    frequencies: Sequence[Path] = (),
    planted: Sequence[Path] = (),
    copies: Path | None = None,
) -> None:
    """Write what was asserted with its numbers; ReciteError names the first assertion that fails.

    In every family the largest model recites a larger share of the rows, natural and planted, than
    the smallest; under every model that recites a planted row, the rate rises with the repetition
    count (Spearman's rho > 0), and the most repeated texts are recited more than the least. Every planted
    row occurs in the corpus exactly as often as it was planted, by the tables `frequencies` in which its bytes or its
    family's own tokens were counted; `planted` are sample shards and `copies` the table of controls.
    """
    sizes = size_verdicts(RATES.read(rates).to_pandas())
    repetition = repetition_verdicts(CONTROL_RATES.read(controls).to_pandas())
    known = known_copies(planted, copies) if copies else {}
    counts = [verdict for path in frequencies for verdict in count_verdicts(path, known)]
    for verdict in (*sizes, *repetition, *counts):
        if not verdict["holds"]:
            raise ReciteError(
                f"the planted truth is not recovered: {verdict['claim']} does not hold ({verdict['numbers']})."
            )
    write_json(verdicts, {"size": sizes, "repetition": repetition, "counts": counts})


def size_verdicts(rates: pd.DataFrame) -> list[dict]:
    """Largest against smallest model, per family, over natural and over planted rows."""
    found = []
    for (_, domain), part in rates[rates["kind"].isin(["mixed", "planted"])].groupby(["family", "domain"]):
        ordered = part.sort_values("parameters")
        small, large = ordered.iloc[0], ordered.iloc[-1]
        if small["parameters"] == large["parameters"]:
            continue
        found.append(
            {
                "claim": f"{large['model']} memorizes more {domain} rows than {small['model']}",
                "numbers": {"smallest": small["rate"], "largest": large["rate"]},
                "holds": bool(large["rate"] > small["rate"]),
            }
        )
    return found


def repetition_verdicts(controls: pd.DataFrame) -> list[dict]:
    """Rate against repetition count, per model that recites any planted row."""
    found = []
    for model, part in controls.groupby("model"):
        if part["memorized"].sum() == 0 or len(part) < 2:
            continue
        ordered = part.sort_values("repetitions")
        flat = ordered["rate"].nunique() == 1
        rho = 0.0 if flat else float(stats.spearmanr(ordered["repetitions"], ordered["rate"]).statistic)
        found.append(
            {
                "claim": f"under {model} the rate of planted rows rises with their repetition count",
                "numbers": {"rho": rho, "least": ordered["rate"].iloc[0], "most": ordered["rate"].iloc[-1]},
                "holds": bool(rho > 0 and ordered["rate"].iloc[-1] > ordered["rate"].iloc[0]),
            }
        )
    return found


def count_verdicts(frequencies: Path, planted: Mapping[int, int]) -> list[dict]:
    """Count of every planted row of a family against its known number of copies, where the way of counting is exact."""
    made = read_metadata(frequencies)["options"]
    if made["by"] not in EXACT:
        return []
    table = FREQUENCIES.read(frequencies, ["row_id", "sequence"])
    pairs = zip(table["row_id"].to_pylist(), table["sequence"].to_pylist(), strict=True)
    found = [(planted[row_id], count) for row_id, count in pairs if row_id in planted]
    return [
        {
            "claim": f"every planted row of {made['family']} occurs as often as planted, counted by {made['by']}",
            "numbers": {"rows": len(found), "exact": sum(known == count for known, count in found)},
            "holds": bool(found) and all(known == count for known, count in found),
        }
    ]
