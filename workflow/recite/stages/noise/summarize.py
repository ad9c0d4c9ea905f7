"""From scores under noise to rates at every strength."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recite.outcomes.rates import Line, rate_lines
from recite.outcomes.replicates import REPLICATES, replicate_lines, resampled
from recite.outcomes.rows import files_by_model, read_outcomes
from recite.stages.noise.rows import NOISE_SCORES
from recite.stages.noise.tables import NOISE_RATES
from recite.stages.scoring.rows import SCORES


def aggregate_noise(
    options: Mapping[str, Any], scores: Sequence[Path], noisy: Sequence[Path], outputs: Mapping[str, Path]
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
        resamples += [
            line for outcomes in (undisturbed, *read) for line in replicate_lines(resampled(outcomes, options))
        ]
    NOISE_RATES.write_lines(outputs["noise_rates"], lines, {"options": dict(options)})
    REPLICATES.write_lines(outputs["replicates"], resamples, {"options": dict(options)})
