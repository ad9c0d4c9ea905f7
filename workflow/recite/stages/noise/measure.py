"""Memorization under noise: the scores again, with the residual stream of one layer disturbed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from recite.checkpoints.loading import load_checkpoint
from recite.engine.interventions.noise import ResidualNoise
from recite.engine.rows import continue_rows, read_rows, rows_of_a_batch
from recite.engine.scores import score_columns, score_metadata
from recite.errors import ReciteError
from recite.stages.noise.rows import NOISE_SCORES


def score_under_noise(
    options: Mapping[str, Any],
    alpha: float,
    shards: Sequence[Path],
    checkpoint: Path,
    batch: Path | None,
    scores: Path,
    threads: int,
) -> None:
    """Score one model at noise strength `alpha` on some shards of its sample.

    `options` holds the scoring options of the model and, under `noise`, seed, layer, rms and positions. The undisturbed
    continuation is no draft here: strong noise makes most rows leave it, and checking it costs more than it saves.
    """
    torch.set_num_threads(threads)
    noise = options["noise"]
    rows = read_rows(shards)
    batch_rows = rows_of_a_batch(options, batch)
    loaded = load_checkpoint(checkpoint, options["dtype"], batch_rows)
    if noise["layer"] >= len(loaded.layers):
        raise ReciteError(
            f"model {options['model']} has {len(loaded.layers)} layers, noise.layers has {noise['layer']}; "
            "choose layers that all models of noise.models have."
        )
    continuation, batch_rows = continue_rows(
        loaded,
        rows,
        options,
        batch_rows,
        ResidualNoise(loaded, noise["layer"], rows.ids, alpha, noise["seed"], noise["rms"], noise["positions"]),
    )
    columns = score_columns(rows, continuation) | {"alpha": [alpha] * len(rows.ids)}
    metadata = score_metadata(options, loaded, continuation, batch_rows) | {"alpha": alpha}
    NOISE_SCORES.write(scores, columns, metadata)
