"""Family signatures: do models of one family spread what they know of memorized text over their layers alike?

A model's profile is a number for every layer: what ablating one of its heads costs, how much similarity it has
regained, or how probable it makes the true token. Profiles are compared on a common relative depth (the paper's
comparison of families). Sizes differ between models of a family, so what a tenfold size does to a profile within
families is taken off before. Whether families matter is asked by a permutation of their names over the models (Good
2005).
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from recite.comparison.signatures.tables import SIGNATURE_PAIRS, SIGNATURE_TESTS, SIGNATURES
from recite.files import hash64
from recite.outcomes.findings import families_interval
from recite.outcomes.frame import NATURAL
from recite.stages.heads.tables import HEADS
from recite.stages.lens.tables import LENS
from recite.stages.recovery.tables import RECOVERY
from recite.statistics import fits
from recite.statistics.intervals import ROUNDING, wilson
from recite.statistics.tests import adjusted, correlation, permutation_p_value
from recite.tables import Table

DEPTHS = 20
"""Relative depths at which profiles are compared."""
FEWEST_LAYERS = 3
"""Layers without which a profile is left out: any two of two points are alike or opposite."""
WHO = ["model", "family", "parameters"]
SOURCES: dict[str, Table] = {table.name: table for table in (HEADS, RECOVERY, LENS)}
ABLATED = {"ablation": "all", "ablation_memorized": "memorized", "ablation_unmemorized": "unmemorized"}
"""Measure -> the rows, by their score, that lost heads."""
Line = dict[str, Any]


class Profile(NamedTuple):
    """One model's measure by layer: relative depths and values, both (layers,)."""

    who: Line
    depths: np.ndarray
    values: np.ndarray


class Alike(NamedTuple):
    """How alike models are, (models, models), and the family of each as a number, (models,)."""

    similarity: np.ndarray
    families: np.ndarray


def compare_signatures(options: Mapping[str, Any], tables: Sequence[Path], outputs: Mapping[str, Path]) -> None:
    """Write the tables signatures, signature_pairs and signature_tests from those of heads, recovery and lens.

    `options` holds seed, confidence and resamples, the number of permutations.
    """
    frames = {path.stem: SOURCES[path.stem].read(path).to_pandas() for path in tables}
    lines: dict[str, list[Line]] = {name: [] for name in outputs}
    for measure, profiles in measured_profiles(frames).items():
        about = {"measure": measure}
        depths = common_depths(profiles)
        drawn = [np.interp(depths, profile.depths, profile.values) for profile in profiles]
        for profile, values in zip(profiles, drawn, strict=True):
            place = about | profile.who | {"layers": len(profile.depths)}
            points = zip(depths.tolist(), values.tolist(), strict=True)
            lines["signatures"] += [place | {"depth": depth, "value": value} for depth, value in points]
        similarity = similarities(np.array(drawn), [profile.who for profile in profiles])
        for (i, a), (j, b) in combinations(enumerate(profiles), 2):
            sides = {f"{key}_{side}": one.who[key] for side, one in (("a", a), ("b", b)) for key in WHO}
            lines["signature_pairs"].append(about | sides | {"similarity": similarity[i, j]})
        families = np.unique([profile.who["family"] for profile in profiles], return_inverse=True)[1]
        lines["signature_tests"] += [
            about | line for line in comparison_lines(Alike(similarity, families), measure, options)
        ]
    tests = lines["signature_tests"]
    for line, q_value in zip(tests, adjusted([line["p_value"] for line in tests]), strict=True):
        line["q_value"] = q_value
    for table in (SIGNATURES, SIGNATURE_PAIRS, SIGNATURE_TESTS):
        table.write_lines(outputs[table.name], lines[table.name], {"options": dict(options)})


def measured_profiles(frames: Mapping[str, pd.DataFrame]) -> dict[str, list[Profile]]:
    """Measure -> the models' profiles, by family and size, from what tables there are; natural rows."""
    found: dict[str, list[Profile]] = {}
    if "heads" in frames:
        heads = frames["heads"]
        heads = heads[(heads["rows"] == NATURAL) & (heads["domain"] == "all")]
        for measure, group in ABLATED.items():
            by_layer = heads[heads["group"] == group].groupby([*WHO, "layer", "depth"], as_index=False)
            mean = by_layer[["hits_drop", "log_probability_drop"]].mean()
            found[measure] = _profiles(mean, "hits_drop")
            found[f"{measure}_log_probability"] = _profiles(mean, "log_probability_drop")
    if "recovery" in frames:
        recovery = frames["recovery"]
        first, strongest = recovery["noise_layer"].min(), recovery["alpha"].max()
        kept = recovery[(recovery["noise_layer"] == first) & (recovery["alpha"] == strongest)]
        found["recovery"] = _profiles(_all_natural(kept), "regained")
    if "lens" in frames:
        found["lens"] = _profiles(_all_natural(frames["lens"]), "probability")
    return {measure: profiles for measure, profiles in found.items() if len(profiles) > 1}


def _all_natural(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["rows"] == NATURAL) & (table["group"] == "all")]


def _profiles(table: pd.DataFrame, name: str) -> list[Profile]:
    found = []
    for (family, parameters, model), part in table.groupby(["family", "parameters", "model"]):
        part = part.sort_values("layer")
        if len(part) >= FEWEST_LAYERS and part[name].notna().all():
            who = {"model": model, "family": family, "parameters": int(parameters)}
            found.append(Profile(who, part["depth"].to_numpy(), part[name].to_numpy(float)))
    return found


def common_depths(profiles: Sequence[Profile]) -> np.ndarray:
    """Evenly spaced relative depths, (DEPTHS,), from the first that all models have to the last."""
    first, last = max(profile.depths[0] for profile in profiles), min(profile.depths[-1] for profile in profiles)
    return np.linspace(first, last, DEPTHS)


def correlations(values: np.ndarray) -> np.ndarray:
    """Pearson correlation of every two rows of (models, depths); NaN where one is flat."""
    return correlation(values[:, None], values[None])


def similarities(values: np.ndarray, whose: Sequence[Line]) -> np.ndarray:
    """Correlation over depth of every two profiles, (models, depths), without size; NaN where one is flat."""
    vary = np.flatnonzero(~np.isnan(np.diag(correlations(values))))
    found = np.full((len(values), len(values)), np.nan)
    if len(vary):
        found[np.ix_(vary, vary)] = correlations(without_size(values[vary], [whose[place] for place in vary.tolist()]))
    return found


def without_size(values: np.ndarray, whose: Sequence[Line]) -> np.ndarray:
    """Profiles, (models, depths), as if all models had their mean log size: by its common slope within families.

    Unchanged where no family has two sizes.
    """
    families = [who["family"] for who in whose]
    x = np.log10([float(who["parameters"]) for who in whose])
    apart = fits.within(x, families)
    if np.ptp(apart) <= ROUNDING:
        return values
    return values - np.outer(x - x.mean(), fits.line(apart, fits.within(values.T, families)).slope)


def comparison_lines(alike: Alike, measure: str, options: Mapping[str, Any]) -> Iterator[Line]:
    """The line of one measure in the table of tests; none without two families of which one has two models."""
    varies = ~np.isnan(np.diag(alike.similarity))
    alike = Alike(alike.similarity[np.ix_(varies, varies)], alike.families[varies])
    sizes = np.bincount(alike.families)
    sizes = sizes[sizes > 0]
    if len(sizes) < 2 or sizes.max() < 2:
        return
    count = len(alike.families)
    rng = np.random.default_rng(hash64(options["seed"], "signatures", measure))
    orders = [np.arange(count), *(rng.permutation(count) for _ in range(options["resamples"]))]
    gains, right = np.array([statistics(Alike(alike.similarity, alike.families[order])) for order in orders]).T
    within = np.equal.outer(alike.families, alike.families)
    apart = ~np.eye(count, dtype=bool)
    asked = int(sizes[sizes > 1].sum())
    low_of_families, high_of_families = families_interval(gains[0], without_each(alike), options["confidence"])
    low, high = wilson(right[0] / asked, asked, options["confidence"])
    yield {
        "models": count,
        "families": len(sizes),
        "within": alike.similarity[within & apart].mean(),
        "between": alike.similarity[~within].mean(),
        "difference": gains[0],
        "difference_low": low_of_families,
        "difference_high": high_of_families,
        "p_value": permutation_p_value(gains),
        "identified": int(right[0]),
        "asked": asked,
        "accuracy": right[0] / asked,
        "accuracy_low": low,
        "accuracy_high": high,
        "chance": float((sizes * (sizes - 1)).sum() / (asked * (count - 1))),
        "accuracy_p_value": permutation_p_value(right),
    }


def statistics(alike: Alike) -> tuple[float, int]:
    """Mean similarity within families minus between, and how many models are nearest to one of their own family."""
    within = np.equal.outer(alike.families, alike.families)
    apart = ~np.eye(len(within), dtype=bool)
    gain = alike.similarity[within & apart].mean() - alike.similarity[~within].mean()
    nearest = np.where(apart, alike.similarity, -np.inf).argmax(axis=1)
    return gain, int((alike.families[nearest] == alike.families).sum())


def without_each(alike: Alike) -> np.ndarray:
    """The difference without each family in turn, (families,); NaN where no two models of one family are left."""
    found = []
    for family in np.unique(alike.families):
        kept = alike.families != family
        names = alike.families[kept]
        enough = len(np.unique(names)) > 1 and np.bincount(names).max() > 1
        rest = Alike(alike.similarity[np.ix_(kept, kept)], names)
        found.append(statistics(rest)[0] if enough else np.nan)
    return np.array(found)
