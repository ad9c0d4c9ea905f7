"""From scores to rates with intervals, distributions, and the resampled rates that every later fit and comparison uses.

All families of one corpus are in memory at a time, some 30 bytes for each of their scores.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recite.errors import ReciteError
from recite.files import hash64
from recite.outcomes import NATURAL, PLANTED, Outcomes, Run, files_by_model, read_outcomes
from recite.planted import known_copies
from recite.statistics import adjusted, clusters, effective_clusters, equal_rates_p_value, resampled, wilson
from recite.tables import Table
from recite.tables.aggregates import CONTROL_RATES, DISJOINT_SAMPLES, DISTRIBUTION, NOISE_RATES, RATES
from recite.tables.replicates import REPLICATES
from recite.tables.scores import NOISE_SCORES, SCORES

Line = dict[str, Any]


def aggregate_scores(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    planted: Sequence[Path],
    controls: Path | None,
    outputs: Mapping[str, Path],
) -> None:
    """Write rates, distribution, disjoint_samples, replicates and, where texts are planted, control_rates.

    `scores` are parts of the scores table, each naming its model; `planted` the sample shards of the
    planted domains, which tie rows to documents; `controls` the known repetition counts, if texts are planted.
    """
    repetitions = known_copies(planted, controls) if controls else {}
    lines: dict[str, list[Line]] = {name: [] for name in outputs}
    for corpus, files in _by_corpus(files_by_model(scores), options):
        read = [read_outcomes(paths, SCORES, options) for paths in files]
        for outcomes in read:
            lines["rates"] += rate_lines(outcomes, options)
            lines["distribution"] += distribution_lines(outcomes)
            lines["disjoint_samples"] += half_lines(outcomes, options)
            if controls:
                lines["control_rates"] += control_lines(outcomes, repetitions, options)
        lines["replicates"] += replicate_lines(corpus, read, options)
    halves = lines["disjoint_samples"]
    for line, q_value in zip(halves, adjusted([line["p_value"] for line in halves]), strict=True):
        line["q_value"] = q_value
    for table in (RATES, DISTRIBUTION, DISJOINT_SAMPLES, CONTROL_RATES, REPLICATES):
        if table.name in outputs:
            _write(table, outputs[table.name], lines[table.name], options)


def aggregate_noise(
    options: Mapping[str, Any], scores: Sequence[Path], noisy: Sequence[Path], rates: Path, replicates: Path
) -> None:
    """Write noise_rates and replicates of the disturbed models at every strength, zero included.

    `scores` are the undisturbed scores of the same models; they are the rates at strength zero, whatever the layer. One
    model's scores are in memory at a time.
    """
    clean, disturbed = files_by_model(scores), files_by_model(noisy)
    lines: list[Line] = []
    resamples: list[Line] = []
    for run, paths in clean.items():
        undisturbed = read_outcomes(paths, SCORES, options)
        noisy_runs = {key: found for key, found in disturbed.items() if key.model == run.model}
        read = [read_outcomes(found, NOISE_SCORES, options) for found in noisy_runs.values()]
        for layer in dict.fromkeys(key.noise_layer for key in noisy_runs) or [0]:
            for outcomes in (undisturbed, *(one for one in read if one.noise_layer == layer)):
                place = {"noise_layer": layer, "alpha": outcomes.alpha}
                lines += [place | line for line in rate_lines(outcomes, options)]
        resamples += replicate_lines(options["corpora"][run.model], [undisturbed, *read], options)
    _write(NOISE_RATES, rates, lines, options)
    _write(REPLICATES, replicates, resamples, options)


def rate_lines(outcomes: Outcomes, options: Mapping[str, Any]) -> Iterator[Line]:
    """Lines of the rates table of one model: every domain, and all natural domains together."""
    for domain, part in outcomes.starts.items():
        yield _who(outcomes) | {
            "domain": domain,
            "kind": outcomes.kinds[domain],
            **summarize(outcomes, np.arange(part.start, part.stop), options),
        }
    natural = outcomes.rows_of(NATURAL)
    if len(natural):
        yield _who(outcomes) | {"domain": NATURAL, "kind": "mixed", **summarize(outcomes, natural, options)}


def summarize(outcomes: Outcomes, rows: np.ndarray, options: Mapping[str, Any]) -> Line:
    """Counts of some rows, their memorization rate with its Wilson interval, and their mean score."""
    score = outcomes.hits[rows] / outcomes.steps
    memorized, unmemorized = score >= options["memorized"], score <= options["unmemorized"]
    by_text = clusters(memorized, outcomes.texts[rows])
    effective, rate = effective_clusters(by_text), int(memorized.sum()) / len(rows)
    low, high = wilson(rate, effective, options["confidence"])
    between = ~memorized & ~unmemorized
    share = int(between.sum()) / len(rows)
    apart = effective_clusters(clusters(between, outcomes.texts[rows]))
    between_low, between_high = wilson(share, apart, options["confidence"])
    return {
        "n": len(rows),
        "distinct": len(by_text.sizes),
        "effective_n": effective,
        "memorized": int(memorized.sum()),
        "rate": rate,
        "rate_low": low,
        "rate_high": high,
        "mean_score": int(outcomes.hits[rows].sum(dtype=np.int64)) / (len(rows) * outcomes.steps),
        "half": int((score == options["half"]).sum()),
        "unmemorized": int(unmemorized.sum()),
        "between": share,
        "between_low": between_low,
        "between_high": between_high,
        "at_risk": int(outcomes.at_risk[rows].sum()) / len(rows),
    }


def distribution_lines(outcomes: Outcomes) -> Iterator[Line]:
    """Natural rows of one model by number of hits, empty counts included."""
    counts = np.bincount(outcomes.hits[outcomes.rows_of(NATURAL)], minlength=outcomes.steps + 1)
    for hits, n in enumerate(counts.tolist()):
        yield _who(outcomes) | {"hits": hits, "n": n, "share": n / counts.sum() if n else 0.0}


def half_lines(outcomes: Outcomes, options: Mapping[str, Any]) -> Iterator[Line]:
    """Each domain's sample as two disjoint ones, by the last bit of the text's name, which is a hash."""
    memorized = outcomes.memorized(options)
    for domain, part in outcomes.starts.items():
        texts = outcomes.texts[part]
        halves = [clusters(memorized[part][texts % 2 == bit], texts[texts % 2 == bit]) for bit in (0, 1)]
        if not all(len(half.sizes) for half in halves):
            continue
        line = _who(outcomes) | {"domain": domain, "kind": outcomes.kinds[domain]}
        for name, half in zip(("first", "second"), halves, strict=True):
            n = int(half.sizes.sum())
            line |= {f"{name}_n": n, f"{name}_rate": float(half.sums.sum()) / n}
        yield line | {"p_value": equal_rates_p_value(*halves)}


def control_lines(outcomes: Outcomes, repetitions: Mapping[int, int], options: Mapping[str, Any]) -> Iterator[Line]:
    """Rates of one model's planted rows by their known repetition count."""
    rows = outcomes.rows_of(PLANTED)
    lost = [row_id for row_id in outcomes.row_ids[rows].tolist() if row_id not in repetitions]
    if lost:
        raise ReciteError("scores hold planted rows that no sample holds; delete the scores and run again.")
    counts = np.array([repetitions[row_id] for row_id in outcomes.row_ids[rows].tolist()], np.int64)
    for count in np.unique(counts).tolist():
        line = _who(outcomes) | {"repetitions": count, **summarize(outcomes, rows[counts == count], options)}
        yield {name: line[name] for name in CONTROL_RATES.names}


def replicate_lines(corpus: str, read: Sequence[Outcomes], options: Mapping[str, Any]) -> Iterator[Line]:
    """Every domain's rates under resamples of its texts, the same for all of `read`, which keeps their dependence.

    Tokenizers cut a document differently; its text bears the name that the first family gives it.
    """
    ordered = sorted(read, key=lambda one: (one.family, one.parameters, one.model, one.noise_layer, one.alpha))
    for domain in dict.fromkeys(domain for outcomes in ordered for domain in outcomes.starts):
        given = [outcomes for outcomes in ordered if domain in outcomes.starts]
        sums = _sums_by_text(given, domain, options)
        rng = np.random.default_rng(hash64(options["seed"], "replicates", corpus, domain))
        drawn = resampled(sums, options["resamples"], rng).astype(np.int64)
        totals = sums.sum(axis=0)
        for place, outcomes in enumerate(given):
            yield _who(outcomes) | {
                "noise_layer": outcomes.noise_layer,
                "alpha": outcomes.alpha,
                "domain": domain,
                "kind": outcomes.kinds[domain],
                "n": int(totals[2 * place]),
                "memorized": int(totals[2 * place + 1]),
                "drawn_n": drawn[:, 2 * place],
                "drawn_memorized": drawn[:, 2 * place + 1],
            }


def _sums_by_text(read: Sequence[Outcomes], domain: str, options: Mapping[str, Any]) -> np.ndarray:
    """What each text of a domain adds: (texts, 2 x read), its rows that a model was given and those it memorized."""
    ids = np.unique(np.concatenate([outcomes.row_ids[outcomes.starts[domain]] for outcomes in read]))
    places = [np.searchsorted(ids, outcomes.row_ids[outcomes.starts[domain]]) for outcomes in read]
    names = np.zeros(len(ids), np.uint64)
    for outcomes, rows in zip(reversed(read), reversed(places), strict=True):
        names[rows] = outcomes.texts[outcomes.starts[domain]]
    _, texts = np.unique(names, return_inverse=True)
    sums = np.zeros((texts.max() + 1, 2 * len(read)), np.int32)
    for place, (outcomes, rows) in enumerate(zip(read, places, strict=True)):
        memorized = outcomes.memorized(options)[outcomes.starts[domain]]
        sums[:, 2 * place] = np.bincount(texts[rows], minlength=len(sums))
        sums[:, 2 * place + 1] = np.bincount(texts[rows], weights=memorized, minlength=len(sums))
    return sums


def _who(outcomes: Outcomes) -> Line:
    return {"model": outcomes.model, "family": outcomes.family, "parameters": outcomes.parameters}


def _by_corpus(files: Mapping[Run, list[Path]], options: Mapping[str, Any]) -> Iterator[tuple[str, list[list[Path]]]]:
    """Corpora with the files of each of their models."""
    found: dict[str, list[list[Path]]] = {}
    for run, paths in files.items():
        found.setdefault(options["corpora"][run.model], []).append(paths)
    yield from sorted(found.items())


def _write(table: Table, path: Path, lines: Sequence[Line], options: Mapping[str, Any]) -> None:
    columns = {name: [line[name] for line in lines] for name in table.names}
    table.write(path, columns, {"options": dict(options)})
