"""The stage of screening: how much every head of one model is estimated to matter, before any is ablated."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recite.checkpoints.loading import load_checkpoint
from recite.engine.finite import naming
from recite.engine.made import made
from recite.engine.memory import halving
from recite.engine.residuals import texts_of
from recite.outcomes.frame import is_natural
from recite.progress import Progress
from recite.stages.heads.measure.ablation import replacement_of, seed_of
from recite.stages.heads.measure.attribution import estimated_changes
from recite.stages.heads.measure.chosen import read_chosen
from recite.stages.heads.rows import SCREENED

ALL = "all"
"""In place of a domain: every natural one."""


def screen_heads(
    options: Mapping[str, Any],
    shards: Sequence[Path],
    drawn: Sequence[Path],
    checkpoint: Path,
    means: Path | None,
    screened: Path,
    threads: int,
) -> None:
    """Estimate how much each head matters to one model's rows whose heads are to be ablated, and write the means.

    `options` are those of ablation without layers, and `kinds`: sampled domain -> kind. `shards` are all of the
    model's, `drawn` and `means` as in ablation. Nothing is put forward where no row was drawn.
    """
    torch.set_num_threads(threads)
    rows, donors = read_chosen(shards, drawn, seed_of(options))
    loaded = load_checkpoint(checkpoint, options["dtype"], options["batch_rows"])
    text = texts_of(rows, options["bos"])
    steps, layers = rows.continuation.shape[1], range(len(loaded.layers))
    replacement = replacement_of(options, donors, means)
    print(f"{options['model']}: {len(text)} rows, {len(layers)} layers of {loaded.heads} heads on {loaded.device}")

    def call(size: int) -> Tensor:
        return estimated_changes(loaded, text, steps, size, layers, done=Progress(len(text)), **replacement)

    with naming(options["model"], rows.ids):
        found, batch_rows = halving(call, options["batch_rows"])
    columns: dict[str, list[Any]] = {name: [] for name in SCREENED.names}
    for domain, chosen in groups_of(rows.domains.tolist(), options["kinds"]).items():
        estimates = found.flatten(1).numpy()[chosen].mean(axis=0, dtype=np.float64)
        for number, estimate in enumerate(estimates.tolist()):
            line = (domain, *divmod(number, loaded.heads), len(chosen), estimate)
            for name, value in zip(SCREENED.names, line, strict=True):
                columns[name].append(value)
    SCREENED.write(screened, columns, made(options, loaded, batch_rows, continuation_tokens=steps))


def groups_of(domains: Sequence[str], kinds: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Indices of the rows of all natural domains and of each domain, where there are any."""
    names = np.array(domains)
    groups = {ALL: np.flatnonzero([is_natural(kinds[name]) for name in domains])}
    groups |= {domain: np.flatnonzero(names == domain) for domain in kinds}
    return {name: rows for name, rows in groups.items() if len(rows)}
