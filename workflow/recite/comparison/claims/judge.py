"""The claims ledger: each claim of the paper as one statistic with its interval, and a verdict by a rule fixed before.

The statistics stand with the stages whose tables they are taken from, in `claims.py`.
"""

import importlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recite.comparison.claims.tables import CLAIM_FAMILIES, CLAIMS
from recite.outcomes.draws import read_draws
from recite.outcomes.findings import Finding, Measured, Statistics
from recite.tables.declared import read_frames

SUPPORTED, NOT_SUPPORTED, UNDECIDED, NOT_MEASURED = "supported", "not supported", "undecided", "not measured"
FAMILIES, MODELS = "families", "models"
"""What a verdict is about: models of such families, or these models."""
LEVEL = 0.05
"""What the p-value of a claim that has one must not exceed."""
UNKNOWN = Finding(math.nan, math.nan, math.nan, math.nan, math.nan, 0, 0)


def judge(
    options: Mapping[str, Any], tables: Sequence[Path], draws: Sequence[Path], outputs: Mapping[str, Path]
) -> None:
    """Write the tables claims and claim_families.

    `options` hold `claims`, the entries of the claims file with their names; `statistics`, claim -> the module that
    holds its statistic; `tables`, table -> the module that declares it; and the level of intervals.
    """
    measured = Measured(read_frames(tables, options["tables"]), read_draws(draws), options["confidence"])
    lines, families = [], []
    for claim in options["claims"]:
        name = claim["name"]
        finding = statistics_in(options["statistics"][name])[name](measured)
        shown = finding or UNKNOWN
        sign, bound = (">", claim["above"]) if "above" in claim else ("<", claim["below"])
        over = about(claim, finding)
        lines.append(
            {
                "claim": name,
                "text": claim["claim"],
                "statistic": claim["statistic"],
                **{key: value for key, value in shown._asdict().items() if key != "parts"},
                "over": over,
                "rule": f"{sign} {bound:g}",
                "verdict": verdict(finding, over, sign, bound),
                "figure": claim["figure"],
            }
        )
        families += [{"claim": name, **part._asdict()} for part in shown.parts]
    for table, found in ((CLAIMS, lines), (CLAIM_FAMILIES, families)):
        table.write_lines(outputs[table.name], found, {"claims": list(options["claims"])})


def statistics_in(module: str) -> Statistics:
    """The statistics of a stage."""
    found: Statistics = importlib.import_module(module).STATISTICS
    return found


def about(claim: Mapping[str, Any], finding: Finding | None) -> str:
    """What the verdict is about: as the claim's rule says, but these models where there are too few families."""
    few = finding is None or math.isnan(finding.families_low)
    return MODELS if few else str(claim["over"])


def verdict(finding: Finding | None, over: str, sign: str, bound: float) -> str:
    """Supported where the whole interval lies on the claim's side of the bound, not supported where none of it does.

    Where the claim has a permutation test, it must not be by chance either.
    """
    if finding is None:
        return NOT_MEASURED
    ends = (finding.families_low, finding.families_high) if over == FAMILIES else (finding.low, finding.high)
    if any(math.isnan(end) for end in ends):
        return NOT_MEASURED
    low, high = ends if sign == ">" else (-ends[1], -ends[0])
    bound = bound if sign == ">" else -bound
    if low > bound:
        return UNDECIDED if finding.p_value > LEVEL else SUPPORTED
    return NOT_SUPPORTED if high <= bound else UNDECIDED
