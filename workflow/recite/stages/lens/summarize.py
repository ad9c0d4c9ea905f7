"""From decoded layers to what each layer knows of the true continuation, by class and by position."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from recite.outcomes.draws import DRAWS, draw_line
from recite.outcomes.frame import NATURAL, PLANTED, is_natural
from recite.outcomes.means import FEWEST, MEMORIZED, UNMEMORIZED, bags_of, classes, groups_of, layer_lines
from recite.outcomes.rows import Outcomes, files_by_model, read_outcomes
from recite.outcomes.sums import Block, read_blocks, summed
from recite.stages.lens.profiles import alike
from recite.stages.lens.rows import AMOUNTS, COUNTS, DECODED, DECODED_POSITIONS
from recite.stages.lens.tables import LENS, LENS_DEPTHS, LENS_POSITIONS, LENS_PROFILES
from recite.stages.scoring.rows import SCORES
from recite.statistics.intervals import with_ends
from recite.tables import read_metadata
from recite.tables.lists import as_array

PARTING = "memorized - unmemorized"
THRESHOLDS = ("absolute", "relative")
"""Where a curve counts as risen: at 0.5, or at half of its final value."""
LEVEL = 0.5
NAMES = (*AMOUNTS, *COUNTS)
Line = dict[str, Any]


class Profile(NamedTuple):
    """How probable the true token is after each layer, in one model's natural rows of one class.

    depths: (layers,) relative depth. drawn: (1 + resamples, layers) mean probability as seen and under resamples.
    """

    who: Line
    distinct: int
    depths: np.ndarray
    drawn: np.ndarray


def aggregate_lens(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    lens: Sequence[Path],
    positions: Sequence[Path],
    outputs: Mapping[str, Path],
) -> None:
    """Write the tables lens, lens_positions, lens_profiles, lens_depths and draws.

    `scores` are the scores of the same models, which make the classes. The rows of one domain of one model are in
    memory at a time.
    """
    clean, by_position = files_by_model(scores), files_by_model(positions)
    lines: dict[str, list[Line]] = {name: [] for name in outputs}
    profiles: dict[str, list[Profile]] = {MEMORIZED: [], UNMEMORIZED: []}
    for key, paths in files_by_model(lens).items():
        outcomes, layers = read_outcomes(clean[key], SCORES, options), read_metadata(paths[0])["layers"]
        who = {"model": outcomes.model, "family": outcomes.family, "parameters": outcomes.parameters}
        depths = (np.arange(layers) + 1) / layers
        for about, statistics in group_statistics(read_blocks(DECODED, paths, NAMES, outcomes), outcomes, options):
            for layer, line in enumerate(layer_lines(statistics, options["confidence"])):
                lines["lens"].append(who | about | {"layer": layer, "depth": depths[layer]} | line)
            if about["rows"] == NATURAL and about["group"] in profiles and about["distinct"] >= FEWEST:
                found = Profile(who, about["distinct"], depths, statistics["probability"])
                profiles[about["group"]].append(found)
                lines["lens_depths"].append(depth_line(found, about["group"], options["confidence"]))
        lines["lens_positions"] += [
            who | line
            for line in position_lines(by_position[key], outcomes.frame.kinds, outcomes.steps, layers, options)
        ]
    apart = parting(profiles)
    for group, of_group in (*profiles.items(), (PARTING, apart)):
        pairs = combinations(of_group, 2)
        lines["lens_profiles"] += [{"group": group} | pair_line(a, b, options["confidence"]) for a, b in pairs]
    lines["draws"] += [draw_line(found.who, "depths", crossings(found), THRESHOLDS) for found in profiles[MEMORIZED]]
    lines["draws"] += [
        draw_line(found.who, "parting", found.drawn, [str(depth) for depth in found.depths]) for found in apart
    ]
    for table in (LENS, LENS_POSITIONS, LENS_PROFILES, LENS_DEPTHS, DRAWS):
        table.write_lines(outputs[table.name], lines[table.name], {"options": dict(options)})


def group_statistics(
    blocks: Iterable[Block], outcomes: Outcomes, options: Mapping[str, Any]
) -> Iterator[tuple[Line, dict[str, np.ndarray]]]:
    """What each class is, and its statistics as seen and under resamples, each (1 + resamples, layers).

    `blocks` hold the decoded rows' columns of NAMES, (rows, layers) each.
    """
    groups = [
        (rows, group, bags_of(outcomes.frame, chosen, options)) for rows, group, chosen in groups_of(outcomes, options)
    ]
    sums = summed(blocks, [bags for *_, bags in groups], lambda columns: np.column_stack([*columns.values()]))
    for found, (rows, group, bags) in zip(sums, groups, strict=True):
        parts = dict(zip(NAMES, np.split(bags.means(found), len(NAMES), axis=1), strict=True))
        about = {"rows": rows, "group": group, "n": len(bags.rows), "distinct": bags.distinct}
        yield about, shown(parts, outcomes.steps)


def shown(means: Mapping[str, np.ndarray], positions: int) -> dict[str, np.ndarray]:
    """The statistics of the tables from mean amounts and mean counts among so many positions."""
    amounts = {name: means[name] for name in AMOUNTS if name != "log_rank"}
    return amounts | {"rank": np.exp(means["log_rank"])} | {name: means[name] / positions for name in COUNTS}


def position_lines(
    paths: Sequence[Path], kinds: Mapping[str, str], steps: int, layers: int, options: Mapping[str, Any]
) -> Iterator[Line]:
    """Lines of the table lens_positions of one model from the sums of its parts."""
    table = pa.concat_tables([DECODED_POSITIONS.read(path) for path in paths], promote_options="default")
    of = [kinds[domain] for domain in table["domain"].to_pylist()]
    natural, planted = (np.array(which, bool) for which in ([*map(is_natural, of)], [kind == PLANTED for kind in of]))
    layer, n = table["layer"].to_numpy(), table["n"].to_numpy()
    sums = {name: as_array(table[name]).astype(float) for name in NAMES}
    for rows, of_kind in ((NATURAL, natural), (PLANTED, planted)):
        for group, of_group in classes(table["hits"].to_numpy(), steps, options).items():
            chosen = of_kind & of_group
            if not chosen.any():
                continue
            count = int(n[chosen & (layer == 0)].sum())
            means = {name: np.zeros((layers, steps)) for name in sums}
            for name, total in means.items():
                np.add.at(total, layer[chosen], sums[name][chosen])
            statistics = shown({name: total / count for name, total in means.items()}, 1)
            for place, position in np.ndindex(layers, steps):
                about = {"rows": rows, "group": group, "layer": place, "depth": (place + 1) / layers, "n": count}
                found = {name: values[place, position] for name, values in statistics.items()}
                yield about | {"position": position + 1} | found


def parting(profiles: Mapping[str, Sequence[Profile]]) -> list[Profile]:
    """Of the models that have both classes: the profile of memorized rows less that of unmemorized ones."""
    others = {profile.who["model"]: profile for profile in profiles[UNMEMORIZED]}
    return [
        one._replace(distinct=min(one.distinct, other.distinct), drawn=one.drawn - other.drawn)
        for one in profiles[MEMORIZED]
        if (other := others.get(one.who["model"]))
    ]


def crossings(profile: Profile) -> np.ndarray:
    """Relative depths, (1 + resamples, THRESHOLDS), at which the mean probability passes 0.5, and half of its final
    value.

    Straight between layers, and from 0 at depth 0; NaN where it stays below.
    """
    values = np.concatenate([np.zeros((len(profile.drawn), 1)), profile.drawn], axis=1)
    depths = np.concatenate([[0.0], profile.depths])
    return np.column_stack([first_above(depths, values, level) for level in (LEVEL, values[:, -1] / 2)])


def first_above(depths: np.ndarray, values: np.ndarray, level: float | np.ndarray) -> np.ndarray:
    """Where each curve, (curves, depths), first reaches its level, straight between points; NaN where it does not."""
    level = np.broadcast_to(level, len(values))
    reached = values >= level[:, None]
    after = np.maximum(reached.argmax(axis=1), 1)
    low, high = (np.take_along_axis(values, place[:, None], axis=1)[:, 0] for place in (after - 1, after))
    share = np.divide(level - low, high - low, out=np.zeros(len(values)), where=high > low)
    place = depths[after - 1] + share * (depths[after] - depths[after - 1])
    return np.where(reached.any(axis=1), place, np.nan)


def depth_line(profile: Profile, group: str, confidence: float) -> Line:
    """The line of one model and class in the table lens_depths."""
    line = profile.who | {"group": group, "distinct": profile.distinct}
    for name, values in zip(THRESHOLDS, crossings(profile).T, strict=True):
        line |= with_ends(name, values, confidence)
    return line


def pair_line(a: Profile, b: Profile, confidence: float) -> Line:
    """How alike the profiles of two models are, over the depths that both have; both under the same resamples."""
    similarity = alike(a.depths, a.drawn, b.depths, b.drawn)
    sides = {f"{key}_{side}": value for side, one in (("a", a), ("b", b)) for key, value in one.who.items()}
    return sides | {"distinct": min(a.distinct, b.distinct)} | with_ends("similarity", similarity, confidence)
