"""Where the steps of a lineage stand in its picture: what was asked for on top, every step above what it was made from.

The layers of Sugiyama et al. (1981): an edge over several rows is cut by bends, rows are ordered by the means of their
neighbours' places, and each row is then put as near to its neighbours as its widths allow.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from recite.lineage import Step

WIDTH, HEIGHT = 184, 44
"""Of a step, in px."""
BEND = 10
"""Room that an edge takes where it passes a row."""
BETWEEN, ROW = 14, 92
"""Between two of a row; from one row to the next."""
SWEEPS = 12
Vertex = tuple[int, int, int]
"""A step as (step, step, row), or the bend of an edge as (upper step, lower step, row)."""
Neighbours = Mapping[Vertex, list[Vertex]]


class Layout(NamedTuple):
    """Width and height of the picture; left upper corner of each step; SVG path of each edge."""

    width: int
    height: int
    places: list[tuple[int, int]]
    edges: list[str]


def layout(steps: Sequence[Step]) -> Layout:
    """Place the steps of a lineage, each of which comes after its inputs."""
    depths = _depths(steps)
    chains = [_chain(depths, upper, lower) for upper, step in enumerate(steps) for lower in step.inputs]
    rows: list[list[Vertex]] = [[] for _ in range(max(depths) + 1)]
    for vertex in sorted({(i, i, depths[i]) for i in range(len(steps))} | {v for chain in chains for v in chain}):
        rows[vertex[2]].append(vertex)
    above: dict[Vertex, list[Vertex]] = {vertex: [] for row in rows for vertex in row}
    below: dict[Vertex, list[Vertex]] = {vertex: [] for row in rows for vertex in row}
    for chain in chains:
        for one, other in pairwise(chain):
            below[one].append(other)
            above[other].append(one)
    rows = _ordered(rows, above, below)
    x = _columns(rows, above, below)
    left = min(x[vertex] - _width(vertex) / 2 for row in rows for vertex in row)
    right = max(x[vertex] + _width(vertex) / 2 for row in rows for vertex in row)
    centres = {vertex: (round(x[vertex] - left) + BETWEEN, vertex[2] * ROW + HEIGHT // 2 + BETWEEN) for vertex in x}
    places = [centres[i, i, depths[i]] for i in range(len(steps))]
    return Layout(
        round(right - left) + 2 * BETWEEN,
        (len(rows) - 1) * ROW + HEIGHT + 2 * BETWEEN,
        [(cx - WIDTH // 2, cy - HEIGHT // 2) for cx, cy in places],
        [_path([centres[vertex] for vertex in chain]) for chain in chains],
    )


def _depths(steps: Sequence[Step]) -> list[int]:
    """Row of each step: the longest way to it from the top."""
    depths = [0] * len(steps)
    for place in reversed(range(len(steps))):
        for lower in steps[place].inputs:
            depths[lower] = max(depths[lower], depths[place] + 1)
    return depths


def _chain(depths: Sequence[int], upper: int, lower: int) -> list[Vertex]:
    """An edge from step to step, with a bend in every row between."""
    bends = [(upper, lower, row) for row in range(depths[upper] + 1, depths[lower])]
    return [(upper, upper, depths[upper]), *bends, (lower, lower, depths[lower])]


def _ordered(rows: list[list[Vertex]], above: Neighbours, below: Neighbours) -> list[list[Vertex]]:
    """The rows in the order with the fewest crossings that the sweeps come by."""
    best, fewest = rows, _crossings(rows, below)
    for sweep in range(SWEEPS):
        neighbours = above if sweep % 2 == 0 else below
        rows = [list(row) for row in rows]
        for row in rows if sweep % 2 == 0 else reversed(rows):
            at = {vertex: place for other in rows for place, vertex in enumerate(other)}
            row.sort(key=_mean_of(at, neighbours))
        crossings = _crossings(rows, below)
        if crossings < fewest:
            best, fewest = rows, crossings
    return best


def _crossings(rows: list[list[Vertex]], below: Neighbours) -> int:
    at = {vertex: place for row in rows for place, vertex in enumerate(row)}
    count = 0
    for row in rows:
        ends = [[at[lower] for lower in below[vertex]] for vertex in row]
        pairs = ((left, right) for i, left in enumerate(ends) for right in ends[i + 1 :])
        count += sum(a > b for left, right in pairs for a in left for b in right)
    return count


def _columns(rows: list[list[Vertex]], above: Neighbours, below: Neighbours) -> dict[Vertex, float]:
    """The middle of each vertex: near the mean of its neighbours, without overlaps, in the order of its row."""
    x: dict[Vertex, float] = {}
    for row in rows:
        x |= zip(row, _spread([0.0] * len(row), row), strict=True)
    for sweep in range(SWEEPS):
        neighbours = above if sweep % 2 == 0 else below
        for row in rows if sweep % 2 == 0 else reversed(rows):
            x |= zip(row, _spread(list(map(_mean_of(x, neighbours), row)), row), strict=True)
    return x


def _mean_of(at: Mapping[Vertex, float], neighbours: Neighbours) -> Callable[[Vertex], float]:
    """The mean place of a vertex's neighbours; its own place where it has none."""

    def mean(vertex: Vertex) -> float:
        found = [at[name] for name in neighbours[vertex]] or [at[vertex]]
        return sum(found) / len(found)

    return mean


def _spread(wished: Sequence[float], row: Sequence[Vertex]) -> list[float]:
    """The places nearest to those wished for (least squares) at which a row does not overlap."""
    offsets = [0.0]
    for one, other in pairwise(row):
        offsets.append(offsets[-1] + (_width(one) + _width(other)) / 2 + BETWEEN)
    # Without the offsets the places must not fall: pools of neighbours that would are put at their mean.
    pools: list[tuple[float, int]] = []
    for wish, offset in zip(wished, offsets, strict=True):
        pools.append((wish - offset, 1))
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            (left, n), (right, m) = pools[-2:]
            pools[-2:] = [((left * n + right * m) / (n + m), n + m)]
    flat = [value for value, count in pools for _ in range(count)]
    return [value + offset for value, offset in zip(flat, offsets, strict=True)]


def _width(vertex: Vertex) -> int:
    return WIDTH if vertex[0] == vertex[1] else BEND


def _path(points: Sequence[tuple[int, int]]) -> str:
    """From the lower side of the first step through the bends to the upper side of the last."""
    half = HEIGHT // 2
    (x, y), *rest = points
    text = f"M{x} {y + half}"
    for place, (to_x, to_y) in enumerate(rest):
        start, end = (y + half, to_y - half)
        middle = (start + end) // 2
        text += f"C{x} {middle} {to_x} {middle} {to_x} {end}"
        if place < len(rest) - 1:
            text += f"V{to_y + half}"
        x, y = to_x, to_y
    return text
