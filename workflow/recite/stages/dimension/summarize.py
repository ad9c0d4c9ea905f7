"""From nearest neighbours to intrinsic dimensions, beside those of manifolds that are known.

Intervals are by half samples: of a group's n points n / 2 are drawn without replacement, the estimate is made anew with
the neighbours that are left, and its standard deviation over such halves is the standard error (the delete-d jackknife
with d = n / 2, Shao & Wu 1989, whose factor is 1). On manifolds it is 0.9 to 1.5 times what it should be. A bootstrap
with replacement would put copies of points at distance 0 from each other.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recite.files import hash64
from recite.outcomes.means import MEMORIZED, UNMEMORIZED
from recite.stages.dimension.estimators import ESTIMATORS
from recite.stages.dimension.manifolds import Known, as_balls, known
from recite.stages.dimension.rows import NEIGHBOURS, PLACES
from recite.stages.dimension.tables import DIMENSION, DIMENSION_DIFFERENCES, DIMENSION_KNOWN
from recite.statistics.intervals import around_mean
from recite.tables import read_metadata
from recite.tables.lists import as_array

HALVES = 200
"""Half samples of a group."""
Line = dict[str, Any]


class Group(NamedTuple):
    """Points of one class of a model.

    n: their number. coincident: (places, layers) points at distance 0 from another. values: estimator -> as seen, then
    in half samples, (1 + HALVES, places, layers).
    """

    n: int
    coincident: np.ndarray
    values: dict[str, np.ndarray]


def aggregate_dimension(options: Mapping[str, Any], neighbours: Sequence[Path], outputs: Mapping[str, Path]) -> None:
    """Write the tables dimension, dimension_known and dimension_differences.

    `options` hold `neighbours`, `confidence` and the seed. One group of one model is in memory at a time.
    """
    lines: dict[str, list[Line]] = {name: [] for name in outputs}
    curves: dict[int, list[Known]] = {}
    for path in sorted(neighbours):
        made = read_metadata(path)
        who = {"model": made["options"]["model"], "family": made["options"]["family"], "parameters": made["parameters"]}
        groups: dict[tuple[str, str], Group] = {}
        for of_rows, place, distance in read_groups(path, made["layers"]):
            key = hash64(options["seed"], "half samples", who["model"], *of_rows)
            groups[of_rows] = estimated(place, distance, options["neighbours"], key)
        for group in groups.values():
            if group.n not in curves:
                curves[group.n] = [*known(group.n, options["neighbours"], options["seed"])]
        for (rows, name), group in groups.items():
            about = who | {"rows": rows, "group": name}
            lines["dimension"] += [about | line for line in layer_lines(group, curves[group.n], options["confidence"])]
        for rows in dict.fromkeys(rows for rows, _ in groups):
            one, other = (groups.get((rows, name)) for name in (MEMORIZED, UNMEMORIZED))
            if one and other:
                about = who | {"rows": rows}
                lines["dimension_differences"] += [
                    about | line for line in pair_lines(one, other, options["confidence"])
                ]
    lines["dimension_known"] = [one._asdict() for n in sorted(curves) for one in curves[n]]
    for table in (DIMENSION, DIMENSION_KNOWN, DIMENSION_DIFFERENCES):
        table.write_lines(outputs[table.name], lines[table.name], {"options": dict(options)})


def read_groups(path: Path, layers: int) -> Iterator[tuple[tuple[str, str], np.ndarray, np.ndarray]]:
    """Every group of a model: its name, and neighbours' places and distances, (places, layers, points, neighbours)."""
    names = NEIGHBOURS.read(path, ["rows", "group"])
    of_row = list(zip(names["rows"].to_pylist(), names["group"].to_pylist(), strict=True))
    for name in dict.fromkeys(of_row):
        first, count = of_row.index(name), of_row.count(name)
        table = NEIGHBOURS.read(path, ["nearest", "distance"]).slice(first, count)
        shape = (count, len(PLACES), layers, -1)
        place, distance = (as_array(table[column]).reshape(shape) for column in ("nearest", "distance"))
        yield name, np.moveaxis(place, 0, 2), np.moveaxis(distance, 0, 2).astype(float)


def estimated(place: np.ndarray, distance: np.ndarray, neighbours: int, key: int) -> Group:
    """The dimension of a group's points as seen and in half samples; `key` seeds which halves these are."""
    n, rng = place.shape[2], np.random.default_rng(key)
    values: dict[str, list[np.ndarray]] = {name: [] for name in ESTIMATORS}
    for draw in range(1 + HALVES):
        chosen = np.sort(rng.permutation(n)[: n // 2]) if draw else np.arange(n)
        taken = taken_of(place, distance, chosen, neighbours)
        for name, estimate in ESTIMATORS.items():
            values[name].append(estimate(taken))
    coincident = (distance[..., 0] == 0).sum(axis=2)
    return Group(n, coincident, {name: np.stack(found) for name, found in values.items()})


def taken_of(place: np.ndarray, distance: np.ndarray, chosen: np.ndarray, neighbours: int) -> np.ndarray:
    """Distances of the `chosen` points' nearest neighbours among each other, (places, layers, chosen, neighbours).

    A point at distance 0 is the same point and no neighbour. NaN for what is not among the neighbours that are known.
    """
    among = np.zeros(place.shape[2], bool)
    among[chosen] = True
    place, distance = place[:, :, chosen], distance[:, :, chosen]
    return np.sort(np.where(among[place] & (distance > 0), distance, np.nan), axis=-1)[..., :neighbours]


def layer_lines(group: Group, curve: list[Known], confidence: float) -> Iterator[Line]:
    """Lines of the table dimension of one group."""
    layers = group.coincident.shape[1]
    for estimator, values in group.values.items():
        for place, name in enumerate(PLACES):
            for layer in range(layers):
                ends = scaled("dimension", values[:, place, layer], confidence)
                balls = as_balls(np.array([*ends.values()]), group.n, estimator, curve)
                line: Line = {"place": name, "layer": layer, "depth": (layer + 1) / layers, "estimator": estimator}
                line |= {"n": group.n, "coincident": group.coincident[place, layer]} | ends
                yield line | dict(zip(("as_ball", "as_ball_low", "as_ball_high"), balls.tolist(), strict=True))


def pair_lines(memorized: Group, unmemorized: Group, confidence: float) -> Iterator[Line]:
    """Lines of the table dimension_differences: means over layers of memorized rows less those of unmemorized ones.

    The halves of the two are drawn apart, as the points are others.
    """
    for estimator in ESTIMATORS:
        for place, name in enumerate(PLACES):
            one, other = (group.values[estimator][:, place].mean(axis=1) for group in (memorized, unmemorized))
            line: Line = {"place": name, "estimator": estimator, "n": memorized.n}
            line |= scaled(MEMORIZED, one, confidence) | scaled(UNMEMORIZED, other, confidence)
            yield line | spread("difference", one - other, confidence)


def scaled(name: str, values: np.ndarray, confidence: float) -> dict[str, float]:
    """Columns of an estimate, `values` (1 + HALVES,) as seen and in half samples, with its interval.

    Its error grows with it, so that the interval is the normal one of its logarithm.
    """
    ends = spread(name, np.log(values), confidence)
    return {column: float(np.exp(value)) for column, value in ends.items()}


def spread(name: str, values: np.ndarray, confidence: float) -> dict[str, float]:
    """The same with the normal interval, of a difference; half samples in which there is none are left out."""
    if np.isnan(values[0]):
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"), float("nan"))
    low, high = around_mean(values[~np.isnan(values)], confidence)
    return {name: float(values[0]), f"{name}_low": low, f"{name}_high": high}
