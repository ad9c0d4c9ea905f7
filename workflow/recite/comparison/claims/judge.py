"""The claims ledger: each claim of the paper as one statistic with its interval, and a verdict by a rule fixed before.

The statistics stand with the stages whose tables they are taken from, in `claims.py`.
"""

import importlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recite.comparison.claims.tables import CLAIMS
from recite.outcomes.findings import Finding, Statistics
from recite.tables.declared import read_frames

SUPPORTED, NOT_SUPPORTED, UNDECIDED, NOT_MEASURED = "supported", "not supported", "undecided", "not measured"


def judge(options: Mapping[str, Any], tables: Sequence[Path], claims: Path) -> None:
    """Write the table claims.

    `options` hold `claims`, the entries of the claims file with their names; `statistics`, claim -> the module that
    holds its statistic; and `tables`, table -> the module that declares it.
    """
    frames = read_frames(tables, options["tables"])
    lines = []
    for claim in options["claims"]:
        needed, statistic = statistics_in(options["statistics"][claim["name"]])[claim["name"]]
        finding = statistic(frames) if set(needed) <= set(frames) else None
        if finding is not None and math.isnan(finding.value + finding.low + finding.high):
            finding = None
        shown = finding or Finding(math.nan, math.nan, math.nan, 0)
        sign, bound = (">", claim["above"]) if "above" in claim else ("<", claim["below"])
        lines.append(
            {
                "claim": claim["name"],
                "text": claim["claim"],
                "statistic": claim["statistic"],
                **shown._asdict(),
                "rule": f"{sign} {bound:g}",
                "verdict": verdict(finding, sign, bound),
                "figure": claim["figure"],
            }
        )
    CLAIMS.write_lines(claims, lines, {"claims": list(options["claims"])})


def statistics_in(module: str) -> Statistics:
    """The statistics of a stage."""
    found: Statistics = importlib.import_module(module).STATISTICS
    return found


def verdict(finding: Finding | None, sign: str, bound: float) -> str:
    """Supported where the whole interval lies on the claim's side of the bound, not supported where none of it does."""
    if finding is None:
        return NOT_MEASURED
    low, high = (finding.low, finding.high) if sign == ">" else (-finding.high, -finding.low)
    bound = bound if sign == ">" else -bound
    return SUPPORTED if low > bound else NOT_SUPPORTED if high <= bound else UNDECIDED
