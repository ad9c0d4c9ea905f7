"""Memorization under noise: the scores again, with the residual stream of one layer disturbed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from recite.checkpoints import load_checkpoint
from recite.errors import ReciteError
from recite.interventions import residual_noise
from recite.scoring import continue_rows, read_rows, score_columns, score_metadata
from recite.tables.scores import NOISE_SCORES


def score_under_noise(
    options: Mapping[str, Any], alpha: float, shards: Sequence[Path], checkpoint: Path, scores: Path, threads: int
) -> None:
    """Score one model at noise strength `alpha` on some shards of its sample.

    `options` holds the scoring options of the model and, under `noise`, seed, layer, rms and positions.
    """
    torch.set_num_threads(threads)
    noise = options["noise"]
    rows = read_rows(shards)
    loaded = load_checkpoint(checkpoint, options["dtype"])
    if noise["layer"] >= len(loaded.layers):
        raise ReciteError(
            f"model {options['model']} has {len(loaded.layers)} layers, noise.layer is {noise['layer']}; "
            "choose a layer that all models of noise.models have."
        )
    layer = loaded.layers[noise["layer"]]
    continuation = continue_rows(
        loaded,
        rows,
        options,
        lambda batch: residual_noise(
            layer,
            noise["layer"],
            [rows.ids[row] for row in batch],
            alpha,
            noise["seed"],
            noise["rms"],
            noise["positions"],
        ),
    )
    columns = score_columns(rows, continuation) | {"alpha": [alpha] * len(rows.ids)}
    NOISE_SCORES.write(scores, columns, score_metadata(options, loaded, continuation) | {"alpha": alpha})
