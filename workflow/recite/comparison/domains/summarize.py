"""Domains: structural text against free text, and how alike models are in what they memorize where."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from recite.comparison.domains.tables import KINDS, PROFILES
from recite.outcomes.replicates import Drawn, Resampled, read_replicates, together
from recite.statistics.intervals import interval
from recite.statistics.tests import adjusted, correlation, sign_p_value

STRUCTURAL, FREE_TEXT = "structural", "free_text"
FEWEST_DOMAINS = 3
"""Domains that a correlation needs to say anything."""
FEWEST_MEMORIZED = 10
"""Memorized rows that a profile needs: with one row it is the domain of that row."""


def compare_domains(options: Mapping[str, Any], replicates: Sequence[Path], outputs: Mapping[str, Path]) -> None:
    """Write the tables kinds, of all models under all noise, and profiles, of all pairs of undisturbed models."""
    models = read_replicates(replicates)
    kinds = [line for model in models for line in _kinds(model, options["confidence"])]
    for line, q_value in zip(kinds, adjusted([line["p_value"] for line in kinds]), strict=True):
        line["q_value"] = q_value
    profiles = list(_profiles([model for model in models if model.alpha == 0], options["confidence"]))
    for table, lines in ((KINDS, kinds), (PROFILES, profiles)):
        table.write_lines(outputs[table.name], lines, {"options": dict(options)})


def _kinds(model: Resampled, confidence: float) -> Iterator[dict[str, Any]]:
    """One line for a model that has domains of both kinds.

    A kind's rate is the mean over its domains, so that neither the number of domains of a kind nor their sizes, which
    differ between corpora, weigh in: direct standardization (Rothman 2008, chapter 4) to half and half.
    """
    structural, free_text = (_mean_rate(model.of_kind(kind)) for kind in (STRUCTURAL, FREE_TEXT))
    if structural is None or free_text is None:
        return
    both = structural + free_text
    natural = together(list(model.natural.values()))
    drawn = together(model.of_kind(STRUCTURAL)).memorized
    statistics = {
        "structural": structural,
        "free_text": free_text,
        "adjusted": both / 2,
        "structural_share": np.divide(structural, both, out=np.full_like(both, np.nan), where=both > 0),
        "raw_share": np.divide(drawn, natural.memorized, out=np.full_like(both, np.nan), where=natural.memorized > 0),
        "difference": structural - free_text,
    }
    line: dict[str, Any] = {
        "model": model.model,
        "family": model.family,
        "parameters": model.parameters,
        "noise_layer": model.noise_layer,
        "alpha": model.alpha,
        "n": int(natural.n[0]),
        "memorized": int(natural.memorized[0]),
        "p_value": sign_p_value(statistics["difference"][1:]),
    }
    for name, values in statistics.items():
        line |= _with_interval(name, values, confidence)
    yield line


def _mean_rate(parts: Sequence[Drawn]) -> np.ndarray | None:
    return np.mean([part.rate for part in parts], axis=0) if parts else None


def _profiles(models: Sequence[Resampled], confidence: float) -> Iterator[dict[str, Any]]:
    models = [model for model in models if together([*model.natural.values()]).memorized[0] >= FEWEST_MEMORIZED]
    rates = [{domain: drawn.rate for domain, drawn in model.natural.items()} for model in models]
    for a, b in combinations(range(len(models)), 2):
        common = [domain for domain in rates[a] if domain in rates[b]]
        if len(common) < FEWEST_DOMAINS:
            continue
        values = correlation(*(np.column_stack([rates[i][domain] for domain in common]) for i in (a, b)))
        line: dict[str, Any] = {"domains": len(common)}
        line["rows"] = int(min(sum(models[i].domains[domain].n[0] for domain in common) for i in (a, b)))
        for side, model in (("a", models[a]), ("b", models[b])):
            line |= {f"{key}_{side}": getattr(model, key) for key in ("model", "family", "parameters")}
        yield line | _with_interval("similarity", values, confidence)


def _with_interval(name: str, values: np.ndarray, confidence: float) -> dict[str, float]:
    low, high = interval(values[1:], confidence)
    return {name: float(values[0]), f"{name}_low": low, f"{name}_high": high}
