"""The claims ledger: each claim of the paper as one statistic with its interval, and a verdict by a rule fixed before.

A statistic over several models is the mean of theirs, with the mean of their interval's ends: models of one study were
given the same texts, so their errors are taken to go together, and the interval is not narrowed by their number.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from recite.comparison.claims.tables import CLAIMS
from recite.outcomes.rows import NATURAL
from recite.stages import TABLES

ALL_DOMAINS = "all"
SUPPORTED, NOT_SUPPORTED, UNDECIDED, NOT_MEASURED = "supported", "not supported", "undecided", "not measured"


class Finding(NamedTuple):
    """A claim's statistic with its interval, over so many models."""

    value: float
    low: float
    high: float
    models: int


Tables = Mapping[str, pd.DataFrame]
Statistic = Callable[[Tables], Finding | None]
"""From the study's tables to a finding; None where the study's models do not suffice."""


def judge(claims: Sequence[Mapping[str, Any]], tables: Sequence[Path], ledger: Path) -> None:
    """Write the table claims: a line for each of `claims`, the entries of the claims file with their names."""
    frames = {path.stem: TABLES[path.stem].read(path).to_pandas() for path in tables}
    lines = []
    for claim in claims:
        needed, statistic = STATISTICS[claim["name"]]
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
    CLAIMS.write(ledger, {name: [line[name] for line in lines] for name in CLAIMS.names}, {"claims": list(claims)})


def verdict(finding: Finding | None, sign: str, bound: float) -> str:
    """Supported where the whole interval lies on the claim's side of the bound, not supported where none of it does."""
    if finding is None:
        return NOT_MEASURED
    low, high = (finding.low, finding.high) if sign == ">" else (-finding.high, -finding.low)
    bound = bound if sign == ">" else -bound
    return SUPPORTED if low > bound else NOT_SUPPORTED if high <= bound else UNDECIDED


def mean_of(table: pd.DataFrame, name: str) -> Finding | None:
    """Mean of a statistic and of its interval's ends over the lines where it is defined."""
    defined = table[table[name].notna()]
    if defined.empty:
        return None
    value, low, high = (float(defined[column].mean()) for column in (name, f"{name}_low", f"{name}_high"))
    return Finding(value, low, high, len(defined))


def largest(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of each family's largest model."""
    return table[table["parameters"] == table.groupby("family")["parameters"].transform("max")]


def scaling(tables: Tables) -> Finding | None:
    table = tables["scaling"]
    lines = table[table["rows"] == NATURAL]
    pooled = lines[lines["family"] == "pooled"]
    found = mean_of(pooled if len(pooled) else lines, "slope")
    return found and found._replace(models=int(lines["models"].max()))


def compressibility(tables: Tables) -> Finding | None:
    table = tables["compressibility"]
    return mean_of(largest(table[table["domain"] == NATURAL]), "short")


def frequency(tables: Tables) -> Finding | None:
    """Thresholds by the study's first way of counting, of the models whose rate rises so far in all of the interval."""
    table = tables["thresholds"]
    first = table["counting"].iloc[:1].to_list()
    kept = table[(table["rows"] == NATURAL) & (table["measure"] == "sequence") & table["counting"].isin(first)]
    kept = largest(kept)
    return mean_of(kept[kept["threshold_high"] < math.inf], "threshold")


def domain_pattern(tables: Tables) -> Finding | None:
    return _between_families(tables["profiles"])


def _between_families(pairs: pd.DataFrame) -> Finding | None:
    """Mean similarity of the largest models of different families, from a table of pairs of models."""
    if pairs.empty:
        return None
    sides = [
        pairs[["family_" + side, "parameters_" + side]].set_axis(["family", "parameters"], axis=1) for side in "ab"
    ]
    sizes = pd.concat(sides).groupby("family")["parameters"].max()
    kept = pairs[
        (pairs["family_a"] != pairs["family_b"])
        & (pairs["parameters_a"] == pairs["family_a"].map(sizes))
        & (pairs["parameters_b"] == pairs["family_b"].map(sizes))
    ]
    found = mean_of(kept, "similarity")
    return found and found._replace(models=len(set(kept["model_a"]) | set(kept["model_b"])))


def structural_dominance(tables: Tables) -> Finding | None:
    table = tables["kinds"]
    return mean_of(largest(table[table["alpha"] == 0]), "structural_share")


def family_divergence(tables: Tables) -> Finding | None:
    """Interval by the worst case: the higher rate's lower end over the lower rate's upper end, and the reverse."""
    table = largest(_natural(tables)).sort_values("rate")
    if len(table) < 2 or not table["rate"].iloc[0]:
        return None
    lowest, highest = table.iloc[0], table.iloc[-1]
    return Finding(
        highest["rate"] / lowest["rate"],
        highest["rate_low"] / lowest["rate_high"],
        highest["rate_high"] / lowest["rate_low"],
        len(table),
    )


def bipolar_scores(tables: Tables) -> Finding | None:
    return mean_of(largest(_natural(tables)), "between")


def noise_removed(tables: Tables) -> Finding | None:
    table = _strongest(tables["recovery"])
    return mean_of(largest(table[(table["group"] == "all") & (table["depth"] == 1)]), "recovered")


def memorized_recover_less(tables: Tables) -> Finding | None:
    return mean_of(largest(_strongest(tables["recovery_tests"])), "difference")


def shared_decoding(tables: Tables) -> Finding | None:
    return _between_families(tables["lens_profiles"])


def heads_shared(tables: Tables) -> Finding | None:
    """By the paper's fifth of the heads; chance is known without error."""
    table = tables["overlap"]
    pairs = (table["comparison"] == "between") & (table["domain_a"] == ALL_DOMAINS)
    table = largest(table[pairs & (table["measure"] == "hits") & (table["share"] == 0.2)])
    above = {name: table[name] - table["chance"] for name in ("overlap", "overlap_low", "overlap_high")}
    return mean_of(table.assign(**above), "overlap")


def family_signature(tables: Tables) -> Finding | None:
    """Accuracy of naming the family by the nearest other model, with its Wilson interval, beyond chance."""
    table = tables["signature_tests"]
    beyond = {name: table[name] - table["chance"] for name in ("accuracy", "accuracy_low", "accuracy_high")}
    found = mean_of(table.assign(**beyond), "accuracy")
    return found and found._replace(models=int(table["models"].max()))


def _strongest(table: pd.DataFrame) -> pd.DataFrame:
    """The natural rows under the strongest noise, in the first of the disturbed layers."""
    first = table["noise_layer"] == table["noise_layer"].min()
    return table[(table["rows"] == NATURAL) & first & (table["alpha"] == table["alpha"].max())]


def _natural(tables: Tables) -> pd.DataFrame:
    return tables["rates"][tables["rates"]["domain"] == NATURAL]


STATISTICS: dict[str, tuple[tuple[str, ...], Statistic]] = {
    "scaling": (("scaling",), scaling),
    "compressibility": (("compressibility",), compressibility),
    "frequency": (("thresholds",), frequency),
    "domain_pattern": (("profiles",), domain_pattern),
    "structural_dominance": (("kinds",), structural_dominance),
    "family_divergence": (("rates",), family_divergence),
    "bipolar_scores": (("rates",), bipolar_scores),
    "noise_removed": (("recovery",), noise_removed),
    "memorized_recover_less": (("recovery_tests",), memorized_recover_less),
    "family_signature": (("signature_tests",), family_signature),
    "shared_decoding": (("lens_profiles",), shared_decoding),
    "heads_shared": (("overlap",), heads_shared),
}
"""Claim -> the tables that its statistic needs, and the statistic."""
