"""What a model's rows of each group lose by each of its heads: mean drops, as seen and under resamples of the texts.

A head that was left after some rounds has fewer rows than others, and rows that lose much lose it by many heads. So
its drop is taken beside that of the heads that have most rows in the domain, on the rows that it has; their mean drop
on all rows is then added (the difference estimator of double sampling; Cochran 1977, chapter 12). Domains count as they
do for other heads.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recite.outcomes.means import Bags, totals
from recite.outcomes.rows import files_by_model
from recite.stages.heads.ablated import LOST, Ablated, Group, groups_of, read_ablated
from recite.tables import read_metadata

ALL = "all"
"""In place of a domain: all domains of that kind of rows."""
COLUMNS = 256
"""Heads that are summed up at once."""
DECIMALS = 9
"""Of a mean number of hits."""


class Drops(NamedTuple):
    """Mean drops of some rows, as seen and then under resamples of their texts, by head.

    n: (heads,) rows that were run without each head; distinct: their texts. hits: (1 + resamples, heads), share of a
    continuation's tokens. log_probability: the same shape, nats per token. probability: of the whole continuation.
    """

    n: np.ndarray
    distinct: np.ndarray
    hits: np.ndarray
    log_probability: np.ndarray
    probability: np.ndarray


def read_models(
    paths: Sequence[Path], drawn: Sequence[Path], options: Mapping[str, Any]
) -> Iterator[tuple[dict[str, Any], Group]]:
    """Each model of some parts of the table, and each group of its rows: their names elsewhere, and the rows.

    `drawn` are the tables of the ablated rows, each of a model and a domain. Groups without rows are left out; one
    model is in memory at a time.
    """
    drawn_of: dict[str, list[Path]] = {}
    for path in drawn:
        drawn_of.setdefault(read_metadata(path)["options"]["model"], []).append(path)
    for parts in files_by_model(paths).values():
        read = read_ablated(parts, options)
        who = {"model": read.model, "family": read.family, "parameters": read.parameters}
        for group in groups_of(read, drawn_of[read.model]):
            yield who | {"group": group.name}, group


def kinds_of(read: Ablated) -> Iterator[tuple[str, str, np.ndarray]]:
    """Natural and planted rows, of all their domains and of each: (kind, domain or ALL, indices)."""
    return read.frame.by_kind(ALL)


def drops_of(group: Group, rows: np.ndarray, options: Mapping[str, Any]) -> Drops:
    """Mean drops of some rows; NaN in a resample that has none of them."""
    read = group.rows
    values = [drawn_means(group, rows, getattr(read, name), options) for name in LOST]
    return Drops(*counts_of(group, rows), values[0] / read.steps, values[1] / read.steps, values[2])


def counts_of(group: Group, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many of some rows, and of how many texts, were run without each head, both (heads,)."""
    frame, count = group.rows.frame, group.rows.measured.shape[1]
    n, distinct = np.zeros(count, np.int64), np.zeros(count, np.int64)
    domains = [domain for domain, _ in frame.domains_of(rows)]
    patterns, places = np.unique([group.rounds[domain] for domain in domains], axis=1, return_inverse=True)
    for place, pattern in enumerate(patterns.T):
        limits = {domain: int(limit) for domain, limit in zip(domains, pattern, strict=True)}
        parts = [frame.starts[domain] for domain in domains]
        known = [group.round[part] < limits[domain] for domain, part in zip(domains, parts, strict=True)]
        texts = np.concatenate([frame.texts[part][chosen] for part, chosen in zip(parts, known, strict=True)])
        n[places.ravel() == place], distinct[places.ravel() == place] = len(texts), len(np.unique(texts))
    return n, distinct


def drawn_means(group: Group, rows: np.ndarray, values: np.ndarray, options: Mapping[str, Any]) -> np.ndarray:
    """Means of `values` (rows of the group, heads) as seen and under resamples, (1 + resamples, heads).

    `rows` are whole domains. NaN in a resample that has none of the rows.
    """
    frame, shape = group.rows.frame, (1 + options["resamples"], values.shape[1])
    sums, counts = np.zeros(shape), np.zeros(shape)
    for domain, own in frame.domains_of(rows):
        most, led = group.led(domain, values)
        base = totals(frame, rows[own], most, led[:, None], options).means
        for heads, known in group.patterns(domain):
            beside = led[np.searchsorted(most, known), None]
            for block in np.split(heads, range(COLUMNS, len(heads), COLUMNS)):
                found = totals(frame, rows[own], known, values[np.ix_(known, block)] - beside, options)
                there = (found.rows > 0) & ~np.isnan(base)
                sums[:, block] += np.where(there, found.sums + found.rows * np.nan_to_num(base), 0)
                counts[:, block] += np.where(there, found.rows, 0)
    return np.divide(sums, counts, out=np.full(shape, np.nan), where=counts > 0)


def weighted_means(group: Group, domain: str, bags: Bags, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Means over a domain's rows under weights of their bags, (weights, bags): (weights, heads).

    A head of whose rows nothing has a weight has its mean over all of them.
    """
    found = np.empty((len(weights), values.shape[1]))
    most, led = group.led(domain, values)
    base = _weighted(bags, most, led[:, None], weights)
    for heads, known in group.patterns(domain):
        beside = led[np.searchsorted(most, known), None]
        for block in np.split(heads, range(COLUMNS, len(heads), COLUMNS)):
            found[:, block] = base + _weighted(bags, known, values[np.ix_(known, block)] - beside, weights)
    return found


def _weighted(bags: Bags, rows: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Means of `values`, (rows, columns), of some of the rows of the bags; plain ones where these have no weight."""
    places = bags.places[np.searchsorted(bags.rows, rows)]
    part = bags._replace(rows=np.arange(len(rows)), places=places)
    sizes = (weights @ np.bincount(places, minlength=bags.bags))[:, None]
    plain = np.broadcast_to(values.mean(axis=0), (len(weights), values.shape[1]))
    return np.divide(weights @ part.sums(values), sizes, out=plain.copy(), where=sizes > 0)


def ranks(hits: np.ndarray, log_probability: np.ndarray, measure: str) -> np.ndarray:
    """Ranks of the heads, from 0, by their mean drops, all three (draws, heads).

    By the mean drop in hits and, of equal ones, by that in log-probability; or by log-probability alone. Means of hits
    are equal where they differ by rounding.
    """
    if measure == "hits":
        order = np.lexsort((-log_probability, -hits.round(DECIMALS)), axis=1)
    else:
        order = np.argsort(-log_probability, axis=1, kind="stable")
    found = np.empty(order.shape, np.int32)
    np.put_along_axis(found, order, np.arange(order.shape[1], dtype=np.int32)[None], axis=1)
    return found


def both_drawn(group: Group, rows: np.ndarray, options: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Mean drops in hits and in log-probability by `drawn_means`; as seen where a resample has none of the rows."""
    read = group.rows
    means = (drawn_means(group, rows, values, options) for values in (read.hits, read.log_probability))
    hits, log_probability = (np.where(np.isnan(drawn), drawn[:1], drawn) for drawn in means)
    return hits, log_probability
