"""Domains: structural text against free text, and how alike models are in what they memorize where."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from recite.comparison.domains.tables import KINDS, PROFILES
from recite.outcomes.draws import DRAWS, draw_line
from recite.outcomes.replicates import Drawn, Resampled, read_replicates, together
from recite.statistics.intervals import with_ends
from recite.statistics.resampling import correlation_of_rates
from recite.statistics.tests import adjusted, sign_p_value

STRUCTURAL, FREE_TEXT = "structural", "free_text"
FEWEST_CLASSES = 3
"""Classes of text that a correlation needs to say anything."""
FEWEST_MEMORIZED = 10
"""Memorized rows that a profile needs: with one row it is the domain of that row."""


def compare_domains(options: Mapping[str, Any], replicates: Sequence[Path], outputs: Mapping[str, Path]) -> None:
    """Write the tables kinds, of all models under all noise, profiles, of all pairs of undisturbed models, and draws.

    `options` hold the level of intervals and `classes`: model -> domain -> canonical class of text.
    """
    models = read_replicates(replicates)
    kinds = [line for model in models for line in _kinds(model, options["confidence"])]
    undisturbed = [model for model in models if model.alpha == 0]
    by_class = [(model, rates_by_class(model, options["classes"][model.model])) for model in undisturbed]
    for line, q_value in zip(kinds, adjusted([line["p_value"] for line in kinds]), strict=True):
        line["q_value"] = q_value
    profiles = list(_profiles([(model, drawn) for model, drawn in by_class if drawn], options["confidence"]))
    draws = [line for model, drawn in by_class for line in _claimed(model, drawn)]
    for table, lines in ((KINDS, kinds), (PROFILES, profiles), (DRAWS, draws)):
        table.write_lines(outputs[table.name], lines, {"options": dict(options)})


def rates_by_class(model: Resampled, classes: Mapping[str, str]) -> dict[str, Drawn]:
    """Class of text -> the model's natural domains of that class as one; none where too little is memorized."""
    if together([*model.natural.values()]).memorized[0] < FEWEST_MEMORIZED:
        return {}
    parts: dict[str, list[Drawn]] = {}
    for domain, drawn in model.natural.items():
        parts.setdefault(classes[domain], []).append(drawn)
    return {name: together(drawn) for name, drawn in sorted(parts.items())}


def _claimed(model: Resampled, by_class: Mapping[str, Drawn]) -> Iterator[dict[str, Any]]:
    """What claims are taken from: the structural share, and rates by class of text."""
    share = structural_share(model)
    if share is not None:
        yield draw_line(model._asdict(), "structural_share", share)
    if by_class:
        yield draw_line(
            model._asdict(), "class_rates", np.column_stack([drawn.rate for drawn in by_class.values()]), [*by_class]
        )


def structural_share(model: Resampled) -> np.ndarray | None:
    """Share of structural rows among the memorized ones if both kinds weighed the same, (1 + resamples,); or None."""
    structural, free_text = (_mean_rate(model.of_kind(kind)) for kind in (STRUCTURAL, FREE_TEXT))
    if structural is None or free_text is None:
        return None
    both = structural + free_text
    return np.divide(structural, both, out=np.full_like(both, np.nan), where=both > 0)


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
        "structural_share": structural_share(model),
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
        line |= with_ends(name, values, confidence)
    yield line


def _mean_rate(parts: Sequence[Drawn]) -> np.ndarray | None:
    return np.mean([part.rate for part in parts], axis=0) if parts else None


def _profiles(models: Sequence[tuple[Resampled, Mapping[str, Drawn]]], confidence: float) -> Iterator[dict[str, Any]]:
    for (a, rates_a), (b, rates_b) in combinations(models, 2):
        common = [name for name in rates_a if name in rates_b]
        if len(common) < FEWEST_CLASSES:
            continue
        values = correlation_of_rates(
            *(np.column_stack([rates[name].rate for name in common]) for rates in (rates_a, rates_b))
        )
        line: dict[str, Any] = {"classes": len(common)}
        line["rows"] = int(min(sum(rates[name].n[0] for name in common) for rates in (rates_a, rates_b)))
        for side, model in (("a", a), ("b", b)):
            line |= {f"{key}_{side}": getattr(model, key) for key in ("model", "family", "parameters")}
        yield line | with_ends("similarity", values, confidence)
