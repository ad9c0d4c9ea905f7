"""How far the most important heads of one model are the same across domains, within one, and by chance.

Two domains are compared as the halves of one are, a random half of each: few rows rank heads by chance in part, which
makes every overlap smaller, and so that within a domain is the most that can be seen between two.

Sets of the k most important heads are compared by their Jaccard index, |A and B| / |A or B|. Two random sets of k among
H heads share a hypergeometric number of heads; the paper's 11.1% for a fifth of the heads is 0.2 / (2 - 0.2).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recite.files import hash64
from recite.outcomes.draws import DRAWS, draw_line
from recite.outcomes.frame import is_natural
from recite.outcomes.means import FEWEST, MEMORIZED, UNMEMORIZED, Bags, bags_of
from recite.stages.heads.ablated import Group
from recite.stages.heads.first import count_of
from recite.stages.heads.places import FIFTH
from recite.stages.heads.summarize.importance import (
    ALL,
    both_drawn,
    ranks,
    read_models,
    weighted_means,
)
from recite.stages.heads.tables import OVERLAP
from recite.statistics.intervals import around
from recite.statistics.overlaps import jaccard, pair_chance

SHARES = (0.05, 0.1, 0.2, 0.3, 0.5)
"""What share of a model's heads counts as the most important."""
SPLITS = 50
"""How often a domain's texts are split into halves."""
OF_A_RESAMPLE = 4
"""Splits of a resample whose mean varies as overlaps do between simulated studies, or up to a third more.

Without the splits' share it would be 0.6 to 0.9 of that, as heads that were seen are more distinct than true ones; of
one split, 1.2 to 2.3 times.
"""
CLAIMED = (MEMORIZED, UNMEMORIZED)
"""Groups whose overlaps are in the claims, by their own measure."""
Line = dict[str, Any]


class Ranked(NamedTuple):
    """Ranks of all ablated heads by importance in one domain; 0 is the most important.

    texts: distinct ones. rows: number of rows. drawn: (1 + resamples, heads), as seen and under resamples of the texts.
    halves: (2, SPLITS + 2 x resamples, heads), of the two halves of the texts: each split as seen, then every resample,
    split anew, then every one again.
    """

    texts: int
    rows: int
    drawn: np.ndarray
    halves: np.ndarray


def measure_overlap(
    options: Mapping[str, Any], ablated: Sequence[Path], drawn: Sequence[Path], outputs: Mapping[str, Path]
) -> None:
    """Write the tables overlap and draws from parts of the table of ablated rows, of which `drawn` says the groups."""
    lines: list[Line] = []
    draws: list[Line] = []
    for who, group in read_models(ablated, drawn, options):
        for measure, ranked in ranked_domains(group, options).items():
            lines += [who | {"measure": measure} | line for line in overlap_lines(ranked, group, options)]
            if group.name in CLAIMED and measure == group.measure:
                draws += claimed_lines(who, ranked, math.prod(group.rows.shape), options)
    OVERLAP.write_lines(outputs["overlap"], lines, {"options": dict(options)})
    DRAWS.write_lines(outputs["draws"], draws, {"options": dict(options)})


def claimed_lines(who: Line, ranked: Mapping[str, Ranked], heads: int, options: Mapping[str, Any]) -> Iterator[Line]:
    """What claims are taken from: by how much two domains' fifths overlap beyond chance, mean over pairs of domains."""
    if len(ranked) > 1:
        k = count_of(FIFTH, heads)
        halves = {domain: one.halves < k for domain, one in ranked.items()}
        overlaps = seen(np.mean(list(between_pairs(halves).values()), axis=0))
        chance = pair_chance(heads, k, options["confidence"])["chance"]
        yield draw_line(who, f"heads_shared_{who['group']}", overlaps - chance)


def ranked_domains(group: Group, options: Mapping[str, Any]) -> dict[str, dict[str, Ranked]]:
    """Measure -> natural domain that has texts enough -> the heads' ranks there."""
    read = group.rows
    found: dict[str, dict[str, Ranked]] = {measure: {} for measure in group.measures}
    for domain, part in read.frame.starts.items():
        bags = bags_of(read.frame, np.arange(part.start, part.stop), options)
        if not is_natural(read.frame.kinds[domain]) or bags.distinct < FEWEST:
            continue
        rng = np.random.default_rng(hash64(options["seed"], "overlap", read.model, domain))
        members = random_halves(len(bags.sizes), SPLITS + 2 * options["resamples"], rng)
        weights, whole = bags.weights, both_drawn(group, bags.rows, options)
        halves = [drops_of_half(group, domain, bags, half_weights(side, weights)) for side in (members, ~members)]
        for measure, domains in found.items():
            of_halves = np.stack([ranks(*half, measure).astype(np.int16) for half in halves])
            domains[domain] = Ranked(bags.distinct, len(bags.rows), ranks(*whole, measure), of_halves)
    return found


def drops_of_half(group: Group, domain: str, bags: Bags, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean drops in hits and in log-probability under weights of a domain's bags, each (weights, heads)."""
    values = group.rows.hits, group.rows.log_probability
    hits, log_probability = (weighted_means(group, domain, bags, weights, lost) for lost in values)
    return hits, log_probability


def random_halves(texts: int, splits: int, rng: np.random.Generator) -> np.ndarray:
    """Which texts are in the first half, (splits, texts) bool; as many in either, but for one where they are odd."""
    return rng.permuted(np.tile(np.arange(texts) % 2 == 0, (splits, 1)), axis=1)


def half_weights(members: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """How much each text counts in its half: the first SPLITS as seen, then each resample, and each once more.

    `members` (SPLITS + 2 x resamples, texts) has the shape of the result, `weights` (1 + resamples, texts) are those of
    the resamples. A half of which a resample leaves nothing is taken as it is.
    """
    found = members * np.concatenate([np.ones((SPLITS, 1)) * weights[:1], weights[1:], weights[1:]])
    return np.where(found.any(axis=1, keepdims=True), found, members)


def overlap_lines(ranked: Mapping[str, Ranked], group: Group, options: Mapping[str, Any]) -> Iterator[Line]:
    """Lines of one model, group and measure: every share of the heads, every comparison.

    Where heads were left when their place was known, it was that in the fifth: there are no other shares.
    """
    if not ranked:
        return
    heads = math.prod(group.rows.shape)
    for share in SHARES if group.whole else [FIFTH]:
        k = count_of(share, heads)
        about = {"share": share, "k": k, "heads": heads}
        tops = {domain: one.drawn < k for domain, one in ranked.items()}
        halves = {domain: one.halves < k for domain, one in ranked.items()}
        yield from (about | line for line in _within(ranked, halves, heads, k, options))
        if len(ranked) > 1:
            rng = np.random.default_rng(hash64(options["seed"], "chance", group.rows.model, k, len(ranked)))
            random = random_tops(heads, k, len(ranked), options["resamples"], rng)
            yield from (about | line for line in _between(ranked, halves, random, k, options))
            yield about | _universal(ranked, tops, random, options)


def _within(
    ranked: Mapping[str, Ranked], halves: Mapping[str, np.ndarray], heads: int, k: int, options: Mapping[str, Any]
) -> Iterator[Line]:
    """Halves of one domain, each domain and the mean of all; chance is that of one pair."""
    found = {domain: jaccard(*sides) for domain, sides in halves.items()}
    chance = pair_chance(heads, k, options["confidence"])
    for domain, values in (found | {ALL: np.mean(list(found.values()), axis=0)}).items():
        chosen = list(ranked.values()) if domain == ALL else [ranked[domain]]
        about = {"comparison": "within", "domain_a": domain, "domain_b": domain}
        yield about | _sizes(chosen) | _around(seen(values), options["confidence"]) | chance


def seen(values: np.ndarray) -> np.ndarray:
    """The mean over splits, as seen and about it under each resample: (1 + resamples,) from (SPLITS + 2 x resamples,).

    What two splits of a resample have in common is the resample's, the rest the splits', of which the mean has little
    (Searle, Casella & McCulloch 1992, chapter 3). Deviations are scaled to the variance of a mean of OF_A_RESAMPLE.
    """
    mean = values[:SPLITS].mean()
    drawn = values[SPLITS:].reshape(2, -1)
    deviations = drawn - drawn.mean(axis=1, keepdims=True)
    together = deviations.mean(axis=0)
    common, single = max(0.0, float(deviations.prod(axis=0).mean())), float((deviations**2).mean())
    wanted, found = common + (single - common) / OF_A_RESAMPLE, float((together**2).mean())
    return np.concatenate([[mean], mean + together * (math.sqrt(wanted / found) if found > 0 else 0.0)])


def _between(
    ranked: Mapping[str, Ranked],
    halves: Mapping[str, np.ndarray],
    random: np.ndarray,
    k: int,
    options: Mapping[str, Any],
) -> Iterator[Line]:
    """Halves of every two domains, and the mean of all pairs, whose chance is the mean of as many random pairs."""
    pairs = between_pairs(halves)
    chance = pair_chance(random.shape[2], k, options["confidence"])
    for (a, b), values in pairs.items():
        about = {"comparison": "between", "domain_a": a, "domain_b": b}
        yield about | _sizes([ranked[a], ranked[b]]) | _around(seen(values), options["confidence"]) | chance
    mean = np.mean(list(pairs.values()), axis=0)
    by_chance = np.mean([jaccard(random[a], random[b]) for a, b in combinations(range(len(halves)), 2)], axis=0)
    about = {"comparison": "between", "domain_a": ALL, "domain_b": ALL}
    ends = _ends(by_chance, options["confidence"]) | {"chance": chance["chance"]}
    yield about | _sizes(list(ranked.values())) | _around(seen(mean), options["confidence"]) | ends


def between_pairs(halves: Mapping[str, np.ndarray]) -> dict[tuple[str, str], np.ndarray]:
    """Overlap of halves of every two domains, each (SPLITS + 2 x resamples,)."""
    return {(a, b): jaccard(halves[a][0], halves[b][1]) for a, b in combinations(halves, 2)}


def _universal(
    ranked: Mapping[str, Ranked], tops: Mapping[str, np.ndarray], random: np.ndarray, options: Mapping[str, Any]
) -> Line:
    """Heads that are among the most important of all domains, as a share of the model's."""
    k, heads = int(random[0, 0].sum()), random.shape[2]
    values = np.all(list(tops.values()), axis=0).sum(axis=1) / heads
    ends = _ends(random.all(axis=0).mean(axis=1), options["confidence"]) | {"chance": (k / heads) ** len(tops)}
    about = {"comparison": "universal", "domain_a": ALL, "domain_b": ALL}
    return about | _sizes(list(ranked.values())) | _around(values, options["confidence"]) | ends


def _sizes(chosen: Sequence[Ranked]) -> Line:
    """How many domains, and rows and texts of the domain that has fewest."""
    fewest = {"n": min(one.rows for one in chosen), "distinct": min(one.texts for one in chosen)}
    return {"domains": len(chosen)} | fewest


def _around(values: np.ndarray, confidence: float) -> Line:
    low, high = around(values, confidence)
    return {"overlap": float(values[0]), "overlap_low": low, "overlap_high": high}


def _ends(values: np.ndarray, confidence: float) -> Line:
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return {"chance_low": float(low), "chance_high": float(high)}


def random_tops(heads: int, k: int, domains: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Random sets of `k` heads, one for each domain of each draw, (domains, draws, heads) bool."""
    return rng.permuted(np.broadcast_to(np.arange(heads) < k, (domains, draws, heads)), axis=2)
