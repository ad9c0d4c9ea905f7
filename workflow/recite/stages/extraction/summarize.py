"""From the probabilities of true continuations to shares of rows that are extractable, beside greedy recitation."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recite.outcomes.rates import Line, share_of, who
from recite.outcomes.rows import Outcomes, files_by_model, one_table, order_of, read_outcomes
from recite.stages.extraction.rows import EXTRACTED
from recite.stages.extraction.tables import EXTRACTION
from recite.stages.noise.rows import NOISE_SCORES
from recite.stages.scoring.rows import SCORES
from recite.tables.lists import as_array

DRAWS = tuple(10**power for power in range(7))
PROBABILITIES = (0.1, 0.5, 0.9)


def aggregate_extraction(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    noisy: Sequence[Path],
    extracted: Sequence[Path],
    extraction: Path,
) -> None:
    """Write the table extraction of every model, undisturbed and at every strength of noise.

    `options` hold the names of the schemes too, in the order of the files' lists. `scores` and, under noise, `noisy`
    say what is recited greedily. The scores of one model at one strength are in memory at a time.
    """
    greedy = files_by_model(scores) | files_by_model(noisy)
    lines: list[Line] = []
    for run, paths in files_by_model(extracted).items():
        rows = one_table(EXTRACTED.read(path) for path in paths)
        outcomes = read_outcomes(greedy[run], NOISE_SCORES if run.alpha else SCORES, options)
        outcomes = outcomes.part(np.isin(outcomes.frame.row_ids, rows["row_id"].to_numpy()))
        order = order_of(rows, outcomes, paths[0].parent)
        lines += extraction_lines(outcomes, as_array(rows["log_probability"])[order], options)
    EXTRACTION.write_lines(extraction, lines, {"options": dict(options)})


def extraction_lines(outcomes: Outcomes, log_probability: np.ndarray, options: Mapping[str, Any]) -> Iterator[Line]:
    """Lines of one run, of every domain and of all natural ones together; `log_probability` is (rows, schemes)."""
    recited = outcomes.hits == outcomes.steps
    place = who(outcomes) | {"noise_layer": outcomes.noise_layer, "alpha": outcomes.alpha}
    for domain, kind, rows in outcomes.frame.each_domain():
        about = place | {"domain": domain, "kind": kind, "n": len(rows)}
        about |= {"distinct": len(np.unique(outcomes.frame.texts[rows]))}
        about |= share_of(outcomes.frame, rows, recited[rows], options, "greedy")
        for scheme, values in zip(options["schemes"], log_probability[rows].T, strict=True):
            for draws in DRAWS:
                for probability in PROBABILITIES:
                    met = extractable(values, draws, probability)
                    rates = share_of(outcomes.frame, rows, met, options, "rate")
                    counted = {"draws": draws, "probability": probability, "extractable": int(met.sum())}
                    yield about | {"scheme": scheme} | counted | rates


def extractable(log_probability: np.ndarray, draws: int, probability: float) -> np.ndarray:
    """Which rows, of log p_z (rows,), are met in `draws` draws with at least `probability`.

    1 - (1 - p_z)^n >= p, (n, p)-discoverable extraction (arXiv 2410.19482), as n log(1 - p_z) <= log(1 - p).
    """
    with np.errstate(divide="ignore"):  # log 0, of what is met in every draw
        missed = np.log1p(-np.exp(np.minimum(log_probability.astype(float), 0.0)))
    return np.asarray(draws * missed <= np.log1p(-probability))
