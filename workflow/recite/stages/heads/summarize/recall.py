"""How many of the heads that matter most a screening would have found, where all were ablated, and at what cost."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from recite.outcomes.means import FEWEST, bags_of
from recite.stages.heads.shortlist import count_of, first, shortlist
from recite.stages.heads.summarize.importance import MEASURES, Ablated, both_drawn, drawn_means, groups_of, ranks
from recite.statistics.intervals import around
from recite.statistics.tests import correlation

FIFTH = 0.2
"""The share of heads that matters most: the paper's."""
SHARES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
"""What share of the heads a screening puts forward."""
CLEAN_PASSES, ESTIMATE_PASSES, HEAD_PASSES = 3, 2, 2
"""Passes of a row: through the whole model, where it is continued, traced and fed; forward and backward, for the
estimate; and through a head's layer and those above, where it is continued and fed without that head."""
Line = dict[str, Any]


def recall_lines(read: Ablated, options: Mapping[str, Any]) -> Iterator[Line]:
    """Lines of one model and group, where every head was ablated: by rows, measure and share.

    What the estimate puts forward of a group's rows is held against the exact fifth of the same rows; `ablated` and
    `cost` are of all groups together, as in a study that screens.
    """
    groups = [(kind, domain, bags_of(read.frame, rows, options)) for kind, domain, rows in groups_of(read)]
    estimates = [drawn_means(bags, read.estimate) for *_, bags in groups]
    heads = len(read.heads)
    whole, k = layer_passes(read.shape, read.heads), count_of(FIFTH, heads)
    listed = {share: shortlist([estimate[0] for estimate in estimates], share) for share in SHARES}
    costs = {
        share: (ESTIMATE_PASSES * read.shape[0] + layer_passes(read.shape, numbers)) / whole
        for share, numbers in listed.items()
    }
    for (kind, domain, bags), drawn in zip(groups, estimates, strict=True):
        if bags.distinct < FEWEST:
            continue
        estimate, drops = np.where(np.isnan(drawn), drawn[:1], drawn), both_drawn(read, bags)
        about = {"rows": kind, "domain": domain, "n": len(bags.rows), "distinct": bags.distinct, "k": k, "heads": heads}
        for measure in MEASURES:
            exact = ranks(*drops, measure)
            order = (-estimate[0]).argsort(kind="stable").argsort()
            about |= {"measure": measure, "rank_correlation": float(correlation(exact[0], order))}
            for share in SHARES:
                taken = count_of(share, heads)
                recalls = ((exact < k) & first(estimate, taken)).sum(axis=1) / k
                low, high = around(recalls, options["confidence"])
                found = {"recall": float(recalls[0]), "recall_low": low, "recall_high": high, "chance": taken / heads}
                yield about | found | {"share": share, "ablated": len(listed[share]), "cost": costs[share]}


def layer_passes(shape: Sequence[int], numbers: np.ndarray) -> int:
    """Passes of one row through one layer to ablate some heads of a model of so many layers of so many heads.

    A backward pass counts as one. Tokens that are made one by one, where a row leaves its draft, are not counted.
    """
    layers, heads = shape
    return (CLEAN_PASSES + ESTIMATE_PASSES) * layers + HEAD_PASSES * int((layers - numbers // heads).sum())
