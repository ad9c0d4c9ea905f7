"""Which heads go on: those of which it is open whether they are in the fifth that matters most.

A fifth of the heads counts as the most important. For most heads few rows show on which side they are; further rows
would only make their drops more exact. So all heads are run on a first round of rows, and after each round, domain by
domain and group by group, the heads whose place is known are left.

Known is meant of the ranking that all rows drawn would give: these are finitely many, and of them n are seen, so that
the mean over all N is known up to a standard error of s sqrt(1/n - 1/N) (Cochran 1977, chapter 2). Drops are taken
beside those of the heads at the boundary in the same rows, as rows that lose much lose it by many heads. The
probability p that a head is in the fifth is then that of a t distribution, and leaving it costs min(p, 1 - p) heads. At
each look the heads that cost least are left, as long as they cost together no more than that look's part of LOSS of the
fifth: what is expected to be lost over all looks is therefore at most LOSS, whatever was seen at the earlier ones.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize, stats

from recite.stages.heads.ablated import Group, groups_of, read_ablated
from recite.stages.heads.first import count_of
from recite.stages.heads.rows import OPEN_HEADS
from recite.tables import read_metadata

FIFTH = 0.2
"""The paper's share of heads that matter most."""
LOSS = 0.05
"""Share of the fifth that may be lost on average, over all looks."""
FEWEST_UNITS = 20
"""Units of sampling, documents or texts, below which nothing is left: a standard error of fewer says little."""
PRIOR = 4
"""Units that the heads' mean variance counts beside a head's own, which is 0 where no row lost a thing."""
NEAR = 0.25
"""Heads on either side of the boundary whose mean is what others are compared with, as a share of those above it."""
NORMAL_QUARTILES = 1.349
"""Of a normal distribution, its quartiles' distance over its standard deviation."""
TIE = 1e-4
"""Tokens that a nat counts, where heads that lose as many hits are ranked by log-probability."""


def tell_open_heads(
    options: Mapping[str, Any], ablated: Sequence[Path], drawn: Sequence[Path], before: Path | None, open_heads: Path
) -> None:
    """Write which heads of a model go on after `options["round"]` of `options["looks"]` + 1 rounds, and all others.

    `ablated` are the parts of all rounds up to this one, `before` is what the look before this one told.
    """
    read = read_ablated(ablated, options)
    columns: dict[str, list[Any]] = {name: [] for name in OPEN_HEADS.names}
    known = OPEN_HEADS.read(before).to_pandas().set_index(["domain", "group"]) if before else None
    for group in groups_of(read, drawn, options["round"] + 1):
        for domain, part in group.rows.frame.starts.items():
            earlier = known.loc[(domain, group.name)] if known is not None else None
            count = group.rows.measured.shape[1]
            probability = np.full(count, 0.5) if earlier is None else earlier["probability"].to_numpy().copy()
            going = np.ones(count, bool) if earlier is None else earlier["open"].to_numpy().copy()
            look(group, domain, len(options["looks"]), probability, going)
            rows = np.arange(part.start, part.stop)
            n = group.rows.measured[rows].sum(axis=0)
            for head in range(count):
                line = domain, group.name, head, int(n[head]), float(probability[head]), bool(going[head])
                for column, value in zip(OPEN_HEADS.names, line, strict=True):
                    columns[column].append(value)
    made = read_metadata(ablated[0])
    OPEN_HEADS.write(open_heads, columns, {"options": dict(options), "heads": made["heads"], "layers": made["layers"]})


def look(group: Group, domain: str, looks: int, probability: np.ndarray, going: np.ndarray) -> None:
    """Look at the heads of a domain that are still `going`, and leave those whose place is known.

    Changes `probability`, that each is in the fifth, and `going`, both (heads,).
    """
    part, most = group.rows.frame.starts[domain], group.drawn[domain]
    values = getattr(group.rows, group.measure)[part][:, going].astype(np.float64)
    if group.measure == "hits":
        values += TIE * group.rows.log_probability[part][:, going]
    k = count_of(FIFTH, len(going))
    wanted = k - int((~going & (probability >= 0.5)).sum())
    if len(values) >= most:
        going[:] = False
        return
    units = np.unique(group.rows.frame.units[part], return_inverse=True)[1]
    if units.max() + 1 < FEWEST_UNITS:
        return
    found = probabilities(values, units, most, wanted)
    probability[going] = found
    going[going] = ~known(found, LOSS * k / looks)


def probabilities(values: np.ndarray, units: np.ndarray, most: int, k: int) -> np.ndarray:
    """That each column is among the `k` whose means over `most` rows are greatest, of which `values` are some.

    values: (rows, columns). units: (rows,), from 0, what each row was sampled with. Returns (columns,).
    """
    count, columns = values.shape
    if not 0 < k < columns:
        return np.full(columns, float(k > 0))
    order = np.argsort(-values.mean(axis=0), kind="stable")
    near = max(1, round(NEAR * k))
    values = values - values[:, order[max(0, k - near) : k + near]].mean(axis=1, keepdims=True)
    means, variance, freedom = values.mean(axis=0), *_variances(values, units)
    low, centre, high = np.quantile(means, [0.25, 0.5, 0.75])
    spread = max(0.0, ((high - low) / NORMAL_QUARTILES) ** 2 - float(np.median(variance)))
    kept = np.divide(spread, spread + variance, out=np.ones(columns), where=variance > 0)
    coming = (most - count) / most
    expected = means + coming * (1 - kept) * (centre - means)
    errors = coming * np.sqrt(kept * variance + variance * count / (most - count))

    def beyond(boundary: float) -> np.ndarray:
        away = np.divide(expected - boundary, errors, out=np.sign(expected - boundary) * 1e9, where=errors > 0)
        return np.asarray(stats.t.cdf(away, freedom))

    below, above = float((expected - 9 * errors).min()) - 1, float((expected + 9 * errors).max()) + 1
    return beyond(optimize.brentq(lambda boundary: beyond(boundary).sum() - k, below, above))


def _variances(values: np.ndarray, units: np.ndarray) -> tuple[np.ndarray, int]:
    """Of the means of columns, (columns,), each drawn to the mean of all as if by PRIOR units; degrees of freedom."""
    count = int(units.max()) + 1
    residuals = values - values.mean(axis=0)
    sums = np.stack([np.bincount(units, weights=column, minlength=count) for column in residuals.T], axis=1)
    variance = count / (count - 1) * (sums**2).sum(axis=0) / len(values) ** 2
    return ((count - 1) * variance + PRIOR * variance.mean()) / (count - 1 + PRIOR), count - 1 + PRIOR


def known(probability: np.ndarray, allowed: float) -> np.ndarray:
    """Of which the place is known well enough, (heads,) bool: those that cost least, together at most `allowed`."""
    cost = np.minimum(probability, 1 - probability)
    order = np.argsort(cost, kind="stable")
    found = np.zeros(len(cost), bool)
    found[order] = np.cumsum(cost[order]) <= allowed
    return found
