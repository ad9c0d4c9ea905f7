"""Whether the tables of a rehearsed study show what was planted."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from recite.study.study import Study
from recite.tables.declared import read_frames
from rehearsal.drawn import EXPLAINED, TO_THE_LAST
from rehearsal.planted import Planted

REACH = 2
"""How many times as far as its interval a number may lie from what is planted: some four standard errors.

That 95% of the intervals hold it would be asked in vain: the layers of a model, strengths of noise and models of a
family have rows in common and miss it together. How often intervals hold the truth is what `make bench-coverage` asks.
"""
FOUND = 0.98
"""Share of the numbers of which that must be so."""
AGAIN_VARIES = 1.1
"""By how much rows of one text make the variance of a count greater."""
FEWEST = 30
"""Distinct texts of a class whose intervals are looked at."""


class Looked(NamedTuple):
    """One kind of plant: how many were looked for, and how many were found."""

    what: str
    found: int
    of: int
    least: float = FOUND

    @property
    def holds(self) -> bool:
        return self.found >= self.least * self.of

    @property
    def verdict(self) -> str:
        if not self.of:
            return "too few rows"
        return "found" if self.holds else "NOT FOUND"


def check(study: Study, folder: Path) -> int:
    """Print what was looked for, and return how many kinds of plants are not there."""
    truths = {model: Planted(study, model) for model in study.models}
    failed = 0
    for look in (rates, noise, recovery, layers, heads, induction, sublayers, attention, explained):
        for one in look(folder, study, truths):
            print(f"{one.what:<66}{one.found:>7} of {one.of:<7}{one.verdict}")
            failed += not one.holds
    return failed


def table(study: Study, folder: Path, name: str) -> pd.DataFrame:
    return read_frames([folder / f"tables/{name}.parquet"], study.table_modules)[name]


def held(what: str, lines: pd.DataFrame, column: str, truth: Callable[[pd.Series], float]) -> Looked:
    """How many of the lines have a number that is near the truth by its interval, or equals it but for rounding."""
    true = np.array([truth(line) for _, line in lines.iterrows()], float)
    seen, low, high = (lines[name].to_numpy() for name in (column, f"{column}_low", f"{column}_high"))
    inside = (seen - REACH * (seen - low) <= true) & (true <= seen + REACH * (high - seen))
    inside |= np.isclose(seen, true, rtol=2e-3)
    return Looked(what, int(inside.sum()), len(lines))


Truths = dict[str, Planted]


def fits(truth: Planted, lines: pd.DataFrame) -> bool:
    """Whether what is recited of a model's domains differs from what is planted as rows drawn at random do."""
    expected = lines["n"] * [truth.rate(domain) for domain in lines["domain"]]
    apart = (lines["memorized"] - expected) ** 2 / expected
    return bool(stats.chi2.sf((apart / AGAIN_VARIES).sum(), len(lines)) > 1e-3)


def rates(folder: Path, study: Study, truths: Truths) -> Iterator[Looked]:
    """Every domain's rate, the rate of all, and that the larger of two models of a family recites more."""
    lines = table(study, folder, "rates")
    whole = lines["domain"] == "natural"
    alike = [fits(truths[str(model)], part) for model, part in lines[~whole].groupby("model")]
    yield Looked("rates of a model's domains together, chi-square", sum(alike), len(alike), 1.0)
    yield held("rate of a domain", lines[~whole], "rate", lambda line: truths[line["model"]].rate(line["domain"]))
    yield held("rate of all domains", lines[whole], "rate", lambda line: truths[line["model"]].natural_rate())
    rows = lines[whole].sort_values(["family", "parameters"])
    rises = np.concatenate([np.diff(part["rate"]) for _, part in rows.groupby("family")])
    yield Looked("the larger model recites more", int((rises >= 0).sum()), len(rises))


def noise(folder: Path, study: Study, truths: Truths) -> Iterator[Looked]:
    """What noise leaves at every strength, and between which strengths it halves the rate."""
    lines = table(study, folder, "noise_rates")
    lines = lines[(lines["domain"] == "natural")]
    yield held("rate under noise", lines, "rate", lambda line: truths[line["model"]].natural_rate(line["alpha"]))
    halved = []
    for model, part in lines.groupby("model"):
        part = part.sort_values("alpha")
        if part["memorized"].iloc[0] >= FEWEST:
            left = (part["rate"] / part["rate"].iloc[0]).to_numpy()
            strength = np.interp(-0.5, -left, part["alpha"])  # rates fall
            halved.append(abs(strength - truths[str(model)].traits.noise) < 0.05)
    yield Looked("strength of noise that halves the rate, to 0.05", sum(halved), len(halved))


def recovery(folder: Path, study: Study, truths: Truths) -> Iterator[Looked]:
    """Growth of the noise after every layer, of memorized and of unmemorized rows."""
    lines = table(study, folder, "recovery")
    for group in ("memorized", "unmemorized"):
        own = lines[(lines["rows"] == "natural") & (lines["group"] == group) & (lines["distinct"] >= FEWEST)]
        own = own[own["alpha"] == own["alpha"].max()]

        def grown(line: pd.Series, memorized: bool = group == "memorized") -> float:
            return float(truths[line["model"]].growth(memorized)[line["layer"]])

        yield held(f"growth of noise by layer, {group} rows", own, "growth", grown)


def layers(folder: Path, study: Study, truths: Truths) -> Iterator[Looked]:
    """The true token's probability after every layer, and where it passes half of its final value."""
    lines = table(study, folder, "lens")
    for group in ("memorized", "unmemorized"):
        own = lines[(lines["rows"] == "natural") & (lines["group"] == group) & (lines["distinct"] >= FEWEST)]

        def known(line: pd.Series, group: str = group) -> float:
            return float(truths[line["model"]].probability(group)[line["layer"]])

        yield held(f"probability by layer, {group} rows", own, "probability", known)
    depths = table(study, folder, "lens_depths")
    rises = np.array([truths[model].traits.rise for model in depths["model"]])
    near = np.abs(depths["relative"].to_numpy() - rises) < 0.05
    yield Looked("depth at which a layer profile rises", int(near.sum()), len(depths))


def heads(folder: Path, study: Study, truths: Truths) -> Iterator[Looked]:
    """That the heads that carry recall are in the fifth that matters most to memorized rows."""
    lines = table(study, folder, "heads")
    lines = lines[(lines["rows"] == "natural") & (lines["domain"] == "all") & (lines["group"] == "memorized")]
    found = of = 0
    for model, part in lines.groupby("model"):
        truth = truths[str(model)]
        numbers = part["layer"].astype(int) * truth.heads + part["head"]
        first = set(numbers[part["rank"] <= 0.2 * len(part)])
        found, of = found + len(first & set(truth.carriers.tolist())), of + len(truth.carriers)
    yield Looked("planted heads in the fifth that matters most", found, of, 0.95)


def induction(folder: Path, study: Study, truths: Truths) -> Iterator[Looked]:
    """That these are the heads of the highest induction score."""
    lines = table(study, folder, "induction")
    found = of = 0
    for model, part in lines.groupby("model"):
        truth = truths[str(model)]
        numbers = part["layer"].astype(int) * truth.heads + part["head"]
        first = numbers[part["induction"].rank(ascending=False) <= len(truth.carriers)]
        found, of = found + len(set(first) & set(truth.carriers.tolist())), of + len(truth.carriers)
    yield Looked("planted heads among the highest induction scores", found, of, 0.95)


def sublayers(folder: Path, study: Study, truths: Truths) -> Iterator[Looked]:
    """The layer whose MLP costs memorized rows most."""
    lines = table(study, folder, "sublayers")
    lines = lines[(lines["rows"] == "natural") & (lines["domain"] == "all") & (lines["group"] == "memorized")]
    lines = lines[lines["sublayer"] == "mlp"]
    peaks = {str(model): int(part.loc[part["hits_drop"].idxmax(), "layer"]) for model, part in lines.groupby("model")}
    right = sum(abs(peak - truths[model].peak) <= 1 for model, peak in peaks.items())
    yield Looked("layer at which an MLP carries most", right, len(peaks), 0.95)


def attention(folder: Path, study: Study, truths: Truths) -> Iterator[Looked]:
    """Attention to the last segment of the context, by class."""
    lines = table(study, folder, "attention")
    segments = study.config["attention"]["segments"]
    lines = lines[(lines["place"] == f"context {segments}/{segments}") & lines["group"].isin([*TO_THE_LAST])]
    lines = lines[lines["distinct"] >= FEWEST]
    near = [abs(line.mass - TO_THE_LAST[line.group]) < 0.02 for line in lines.itertuples()]
    yield Looked("attention to the last segment", sum(near), len(near), 0.95)


def explained(folder: Path, study: Study, truths: Truths) -> Iterator[Looked]:
    """The share of what is recited that unrelated contexts explain."""
    lines = table(study, folder, "predictability")
    lines = lines[(lines["domain"] == "natural") & (lines["drawn"] >= FEWEST)]
    yield held("share that unrelated contexts explain", lines, "explained", lambda _: EXPLAINED)
