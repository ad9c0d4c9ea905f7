"""From heads in repeated random tokens to their induction scores, and to whether heads that matter are induction heads.

What a head matters is what rows lose without it, by the rows of the stage `heads` and their resamples.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from recite.files import hash64
from recite.outcomes.means import FEWEST, bags_of
from recite.outcomes.rates import Line
from recite.stages.attention.rows import INDUCED
from recite.stages.attention.tables import INDUCTION, INDUCTION_OVERLAP
from recite.stages.heads.ablated import Group
from recite.stages.heads.first import count_of, first
from recite.stages.heads.summarize.importance import ALL, both_drawn, kinds_of, ranks, read_models
from recite.statistics.intervals import around, around_mean, with_ends
from recite.statistics.tests import correlation
from recite.tables import read_metadata
from recite.tables.lists import as_array

FIFTH = 0.2
"""The share of heads that is compared: the paper's of those that matter most."""
SCORES = ("induction", "previous")


class Scored(NamedTuple):
    """One model's heads in repeated random tokens.

    made: what its file says of its making. sequences: their number. drawn: score -> (1 + resamples, layers x heads), as
    seen and under resamples of the sequences.
    """

    made: dict[str, Any]
    sequences: int
    drawn: dict[str, np.ndarray]


def aggregate_induction(
    options: Mapping[str, Any],
    induced: Sequence[Path],
    ablated: Sequence[Path],
    drawn: Sequence[Path],
    outputs: Mapping[str, Path],
) -> None:
    """Write the tables induction and induction_overlap, the latter of models whose heads were ablated, too.

    `ablated` and `drawn` are rows of the stage `heads`, of which there may be none.
    """
    scored = {read_metadata(path)["options"]["model"]: read_scored(path, options) for path in induced}
    lines: dict[str, list[Line]] = {name: [] for name in outputs}
    for one in scored.values():
        lines[INDUCTION.name] += head_lines(one, options)
    for about, group in read_models(ablated, drawn, options):
        one = scored[group.rows.model]
        lines[INDUCTION_OVERLAP.name] += [about | line for line in overlap_lines(group, one, options)]
    for table in (INDUCTION, INDUCTION_OVERLAP):
        table.write_lines(outputs[table.name], lines[table.name], {"options": dict(options)})


def read_scored(path: Path, options: Mapping[str, Any]) -> Scored:
    """The scores of one model's heads; each resample draws as many sequences, with replacement."""
    table, made = INDUCED.read(path), read_metadata(path)
    count = len(table)
    rng = np.random.default_rng(hash64(options["seed"], "resampled sequences", made["options"]["model"]))
    weights = rng.multinomial(count, np.full(count, 1 / count), options["resamples"]) / count
    weights = np.concatenate([np.full((1, count), 1 / count), weights])
    return Scored(made, count, {name: weights @ as_array(table[name]).astype(float) for name in SCORES})


def head_lines(scored: Scored, options: Mapping[str, Any]) -> Iterator[Line]:
    """Lines of the table induction of one model."""
    made, layers = scored.made, scored.made["layers"]
    about = {"model": made["options"]["model"], "family": made["options"]["family"], "parameters": made["parameters"]}
    for number in range(layers * made["heads"]):
        layer, head = divmod(number, made["heads"])
        line = {"layer": layer, "depth": (layer + 1) / layers, "head": head, "sequences": scored.sequences}
        for name, values in scored.drawn.items():
            line |= with_ends(name, values[:, number], options["confidence"])
        yield about | line | {"even": made["even"]}


def overlap_lines(group: Group, scored: Scored, options: Mapping[str, Any]) -> Iterator[Line]:
    """Lines of the table induction_overlap of one model and group, by measure of importance and by score.

    Resample b of the rows meets resample b of the sequences.
    """
    read = group.rows
    heads = read.measured.shape[1]
    k, layers = count_of(FIFTH, heads), np.arange(heads) // read.shape[1]
    by_chance, tails = stats.hypergeom(heads, k, k), (0.5 - options["confidence"] / 2, 0.5 + options["confidence"] / 2)
    low, high = (float(by_chance.ppf(tail)) / k for tail in tails)
    chance = {"chance": k / heads, "chance_low": low, "chance_high": high}
    for kind, domain, rows in kinds_of(read):
        bags = bags_of(read.frame, rows, options)
        if domain != ALL or bags.distinct < FEWEST:
            continue
        drops = both_drawn(group, rows, options)
        about: Line = {"rows": kind, "n": len(rows), "distinct": bags.distinct, "heads": heads, "k": k}
        for measure in group.measures:
            ranked = ranks(*drops, measure)
            for name, values in scored.drawn.items():
                line = matched(ranked, values, layers, k, options["confidence"])
                yield about | {"measure": measure, "score": name} | line | chance


def matched(ranked: np.ndarray, scores: np.ndarray, layers: np.ndarray, k: int, confidence: float) -> Line:
    """How far ranks by importance, from 0, go with scores, both (1 + resamples, heads), and share their first k.

    `layers` (heads,) are those of the heads, within which they are ranked once more.
    """
    by_importance, by_score = ranked.astype(float), stats.rankdata(-scores, axis=1)
    agreed = correlation(by_importance, by_score)
    within = correlation(*(_within(ranks, layers) for ranks in (by_importance, by_score)))
    shared = ((ranked < k) & first(scores, k)).sum(axis=1) / k
    ends = {
        "rank_correlation": (agreed, around_mean(agreed, confidence)),
        "within_layers": (within, around_mean(within, confidence)),
        "shared": (shared, around(shared, confidence)),
    }
    line = {name: float(values[0]) for name, (values, _) in ends.items()}
    return line | {f"{name}_{end}": getattr(found, end) for name, (_, found) in ends.items() for end in ("low", "high")}


def _within(ranks: np.ndarray, layers: np.ndarray) -> np.ndarray:
    """Ranks among the heads of a layer, about their mean, of ranks among all, (draws, heads)."""
    found = np.empty(ranks.shape)
    for layer in np.unique(layers):
        own = stats.rankdata(ranks[:, layers == layer], axis=1)
        found[:, layers == layer] = own - own.mean(axis=1, keepdims=True)
    return found
