"""Where the steps of a lineage stand in its picture: what was asked for at the left, every step left of its inputs.

The layers of Sugiyama et al. (1981): an edge over several columns is cut by bends, columns are ordered by the means of
their neighbours' places, and each is then put as near to its neighbours as its heights allow.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from recite.provenance.lineage import Step

WIDTH, HEIGHT = 184, 44
"""Of a step, in px."""
BEND = 10
"""Room that an edge takes where it passes a column."""
BETWEEN, COLUMN = 14, WIDTH + 56
"""Between two of a column; from one column to the next."""
SWEEPS = 12
Vertex = tuple[int, int, int]
"""A step as (step, step, column), or the bend of an edge as (step, its input, column)."""
Neighbours = Mapping[Vertex, list[Vertex]]


class Layout(NamedTuple):
    """Width and height of the picture; left upper corner of each step; SVG path of each edge."""

    width: int
    height: int
    places: list[tuple[int, int]]
    edges: list[str]


def layout(steps: Sequence[Step]) -> Layout:
    """Place the steps of a lineage, each of which comes after its inputs.

    No edge is drawn from a step to an input of its inputs, to which a longer way leads.
    """
    inputs = _reduced(steps)
    depths = _depths(inputs)
    chains = [_chain(depths, step, lower) for step, names in enumerate(inputs) for lower in names]
    columns: list[list[Vertex]] = [[] for _ in range(max(depths) + 1)]
    for vertex in sorted({(i, i, depths[i]) for i in range(len(steps))} | {v for chain in chains for v in chain}):
        columns[vertex[2]].append(vertex)
    before: dict[Vertex, list[Vertex]] = {vertex: [] for column in columns for vertex in column}
    after: dict[Vertex, list[Vertex]] = {vertex: [] for column in columns for vertex in column}
    for chain in chains:
        for one, other in pairwise(chain):
            after[one].append(other)
            before[other].append(one)
    y = _heights(_ordered(columns, before, after), before, after)
    top = min(y[vertex] - _height(vertex) / 2 for vertex in y)
    bottom = max(y[vertex] + _height(vertex) / 2 for vertex in y)
    middles = {vertex: (vertex[2] * COLUMN + WIDTH // 2 + BETWEEN, round(y[vertex] - top) + BETWEEN) for vertex in y}
    places = [middles[i, i, depths[i]] for i in range(len(steps))]
    return Layout(
        (len(columns) - 1) * COLUMN + WIDTH + 2 * BETWEEN,
        round(bottom - top) + 2 * BETWEEN,
        [(x - WIDTH // 2, y - HEIGHT // 2) for x, y in places],
        [_path([middles[vertex] for vertex in chain]) for chain in chains],
    )


def _reduced(steps: Sequence[Step]) -> list[list[int]]:
    """The inputs of each step but for those that its other inputs rest on."""
    below: list[set[int]] = []
    for step in steps:
        below.append({*step.inputs}.union(*(below[place] for place in step.inputs)))
    return [[p for p in step.inputs if not any(p in below[other] for other in step.inputs)] for step in steps]


def _depths(inputs: Sequence[Sequence[int]]) -> list[int]:
    """Column of each step: the longest way to it from the left."""
    depths = [0] * len(inputs)
    for place in reversed(range(len(inputs))):
        for lower in inputs[place]:
            depths[lower] = max(depths[lower], depths[place] + 1)
    return depths


def _chain(depths: Sequence[int], step: int, lower: int) -> list[Vertex]:
    """An edge from a step to its input, with a bend in every column between."""
    bends = [(step, lower, column) for column in range(depths[step] + 1, depths[lower])]
    return [(step, step, depths[step]), *bends, (lower, lower, depths[lower])]


def _ordered(columns: list[list[Vertex]], before: Neighbours, after: Neighbours) -> list[list[Vertex]]:
    """The columns in the order with the fewest crossings that the sweeps come by."""
    best, fewest = columns, _crossings(columns, after)
    for sweep in range(SWEEPS):
        neighbours = before if sweep % 2 == 0 else after
        columns = [list(column) for column in columns]
        for column in columns if sweep % 2 == 0 else reversed(columns):
            at = {vertex: place for other in columns for place, vertex in enumerate(other)}
            column.sort(key=_mean_of(at, neighbours))
        crossings = _crossings(columns, after)
        if crossings < fewest:
            best, fewest = columns, crossings
    return best


def _crossings(columns: list[list[Vertex]], after: Neighbours) -> int:
    at = {vertex: place for column in columns for place, vertex in enumerate(column)}
    count = 0
    for column in columns:
        ends = [[at[lower] for lower in after[vertex]] for vertex in column]
        pairs = ((left, right) for i, left in enumerate(ends) for right in ends[i + 1 :])
        count += sum(a > b for left, right in pairs for a in left for b in right)
    return count


def _heights(columns: list[list[Vertex]], before: Neighbours, after: Neighbours) -> dict[Vertex, float]:
    """The middle of each vertex: near the mean of its neighbours, without overlaps, in the order of its column."""
    y: dict[Vertex, float] = {}
    for column in columns:
        y |= zip(column, _spread([0.0] * len(column), column), strict=True)
    for sweep in range(SWEEPS):
        neighbours = before if sweep % 2 == 0 else after
        for column in columns if sweep % 2 == 0 else reversed(columns):
            y |= zip(column, _spread(list(map(_mean_of(y, neighbours), column)), column), strict=True)
    return y


def _mean_of(at: Mapping[Vertex, float], neighbours: Neighbours) -> Callable[[Vertex], float]:
    """The mean place of a vertex's neighbours; its own place where it has none."""

    def mean(vertex: Vertex) -> float:
        found = [at[name] for name in neighbours[vertex]] or [at[vertex]]
        return sum(found) / len(found)

    return mean


def _spread(wished: Sequence[float], column: Sequence[Vertex]) -> list[float]:
    """The places nearest to those wished for (least squares) at which a column does not overlap."""
    offsets = [0.0]
    for one, other in pairwise(column):
        offsets.append(offsets[-1] + (_height(one) + _height(other)) / 2 + BETWEEN)
    # Without the offsets the places must not fall: pools of neighbours that would are put at their mean.
    pools: list[tuple[float, int]] = []
    for wish, offset in zip(wished, offsets, strict=True):
        pools.append((wish - offset, 1))
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            (left, n), (right, m) = pools[-2:]
            pools[-2:] = [((left * n + right * m) / (n + m), n + m)]
    flat = [value for value, count in pools for _ in range(count)]
    return [value + offset for value, offset in zip(flat, offsets, strict=True)]


def _height(vertex: Vertex) -> int:
    return HEIGHT if vertex[0] == vertex[1] else BEND


def _path(points: Sequence[tuple[int, int]]) -> str:
    """From the right side of the first step through the bends to the left side of the last."""
    half = WIDTH // 2
    (x, y), *rest = points
    text = f"M{x + half} {y}"
    for place, (to_x, to_y) in enumerate(rest):
        middle = (x + to_x) // 2
        text += f"C{middle} {y} {middle} {to_y} {to_x - half} {to_y}"
        if place < len(rest) - 1:
            text += f"H{to_x + half}"
        x, y = to_x, to_y
    return text
