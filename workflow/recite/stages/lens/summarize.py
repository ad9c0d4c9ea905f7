"""From decoded layers to what each layer knows of the true continuation, by class and by position."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from recite.files import hash64
from recite.outcomes.means import FEWEST, MEMORIZED, bags_of, classes, drawn_means, groups_of, layer_lines
from recite.outcomes.rows import NATURAL, PLANTED, Outcomes, files_by_model, one_table, order_of, read_outcomes
from recite.stages.lens.rows import AMOUNTS, COUNTS, DECODED, DECODED_POSITIONS
from recite.stages.lens.tables import LENS, LENS_POSITIONS, LENS_PROFILES
from recite.stages.scoring.rows import SCORES
from recite.statistics.intervals import interval
from recite.statistics.tests import correlation
from recite.tables import read_metadata
from recite.tables.lists import as_array

DEPTHS = 20
"""Relative depths at which the profiles of two models are compared."""
Line = dict[str, Any]


class Profile(NamedTuple):
    """How probable the true token is after each layer, in one model's memorized natural rows.

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
    """Write the tables lens, lens_positions and lens_profiles.

    `scores` are the scores of the same models, which make the classes. One statistic of one model's rows is in memory
    at a time.
    """
    clean, by_position = files_by_model(scores), files_by_model(positions)
    lines: dict[str, list[Line]] = {name: [] for name in outputs}
    profiles = []
    for key, paths in files_by_model(lens).items():
        outcomes, layers = read_outcomes(clean[key], SCORES, options), read_metadata(paths[0])["layers"]
        who = {"model": outcomes.model, "family": outcomes.family, "parameters": outcomes.parameters}
        depths = (np.arange(layers) + 1) / layers
        for about, statistics in group_statistics(paths, outcomes, options):
            for layer, line in enumerate(layer_lines(statistics, options["confidence"])):
                lines["lens"].append(who | about | {"layer": layer, "depth": depths[layer]} | line)
            if (about["rows"], about["group"]) == (NATURAL, MEMORIZED) and about["distinct"] >= FEWEST:
                profiles.append(Profile(who, about["distinct"], depths, statistics["probability"]))
        lines["lens_positions"] += [
            who | line for line in position_lines(by_position[key], outcomes.kinds, outcomes.steps, layers, options)
        ]
    lines["lens_profiles"] += [pair_line(a, b, options["confidence"]) for a, b in combinations(profiles, 2)]
    for table in (LENS, LENS_POSITIONS, LENS_PROFILES):
        table.write_lines(outputs[table.name], lines[table.name], {"options": dict(options)})


def group_statistics(
    paths: Sequence[Path], outcomes: Outcomes, options: Mapping[str, Any]
) -> Iterator[tuple[Line, dict[str, np.ndarray]]]:
    """What each class is, and its statistics as seen and under resamples, each (1 + resamples, layers)."""
    names = one_table(DECODED.read(path, ["row_id", "domain"]) for path in paths)
    order = order_of(names, outcomes, paths[0].parent)
    groups = [(rows, group, bags_of(outcomes.texts, chosen)) for rows, group, chosen in groups_of(outcomes, options)]
    sums: list[list[np.ndarray]] = [[] for _ in groups]
    for name in (*AMOUNTS, *COUNTS):
        values = as_array(pa.concat_tables([DECODED.read(path, [name]) for path in paths])[name])[order]
        for found, (_, _, bags) in zip(sums, groups, strict=True):
            found.append(bags.sums(values))
    for found, (rows, group, bags) in zip(sums, groups, strict=True):
        rng = np.random.default_rng(hash64(options["seed"], "lens", outcomes.model, rows, group))
        means = drawn_means(bags, np.concatenate(found, axis=1), options["resamples"], rng)
        parts = dict(zip((*AMOUNTS, *COUNTS), np.split(means, len(found), axis=1), strict=True))
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
    planted = np.array([kinds[domain] == PLANTED for domain in table["domain"].to_pylist()], bool)
    layer, n = table["layer"].to_numpy(), table["n"].to_numpy()
    sums = {name: as_array(table[name]).astype(float) for name in (*AMOUNTS, *COUNTS)}
    for rows, of_kind in ((NATURAL, ~planted), (PLANTED, planted)):
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


def pair_line(a: Profile, b: Profile, confidence: float) -> Line:
    """How alike the profiles of two models are, over the depths that both have.

    The models' texts are resampled apart: families cut them into different rows.
    """
    depths = np.linspace(max(a.depths[0], b.depths[0]), 1, DEPTHS)
    similarity = correlation(*(at_depths(profile, depths) for profile in (a, b)))
    low, high = interval(similarity[1:], confidence)
    sides = {f"{key}_{side}": value for side, one in (("a", a), ("b", b)) for key, value in one.who.items()}
    ends = {"similarity": similarity[0], "similarity_low": low, "similarity_high": high}
    return sides | {"distinct": min(a.distinct, b.distinct)} | ends


def at_depths(profile: Profile, depths: np.ndarray) -> np.ndarray:
    """A profile at other depths, between its layers on straight lines: (1 + resamples, depths)."""
    weights = [np.interp(depths, profile.depths, one) for one in np.eye(len(profile.depths))]
    return profile.drawn @ np.stack(weights)
