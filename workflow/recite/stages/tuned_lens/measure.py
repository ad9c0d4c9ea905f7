"""Layer decoding through translators: what each layer says of each measured row's true continuation after its map."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recite.checkpoints.loading import load_checkpoint
from recite.engine.decoding import decode
from recite.engine.finite import naming
from recite.engine.made import made
from recite.engine.memory import halving
from recite.engine.residuals import prompts
from recite.engine.rows import Rows, read_rows, same_rows, taken
from recite.errors import ReciteError
from recite.files import sha256_file
from recite.progress import Progress
from recite.stages.tuned_lens.kept import refuse_shared
from recite.stages.tuned_lens.rows import KEPT, TRANSLATED
from recite.stages.tuned_lens.translators import read_translators
from recite.tables import read_metadata
from recite.tables.lists import as_lists


def decode_translated(
    options: Mapping[str, Any],
    shards: Sequence[Path],
    checkpoint: Path,
    translators: Path,
    kept: Path,
    translated: Path,
    threads: int,
) -> None:
    """Decode every layer of one model through its translators, on the rows that these were not trained on.

    `options` are those of scoring, with rows_per_domain.
    """
    torch.set_num_threads(threads)
    rows = measured_rows(read_rows(shards, options["rows_per_domain"]), kept)
    digest = sha256_file(translators)
    if read_metadata(kept)["translators_sha256"] != digest:
        raise ReciteError(f"{translators} is not what {kept} was written with; delete both and run again.")
    loaded = load_checkpoint(checkpoint, options["dtype"], options["batch_rows"])
    maps = read_translators(translators, loaded)
    text, steps = torch.cat([prompts(rows, options["bos"]), rows.continuation], dim=1), rows.continuation.shape[1]
    print(f"{options['model']}: {len(text)} rows of {len(loaded.layers)} layers on {loaded.device}", flush=True)

    def call(size: int) -> dict[str, np.ndarray]:
        found = decode(loaded, text, steps, size, Progress(len(text)), maps.translated)
        parts = [part.by_row(rows.continuation[chosen]) for chosen, part in found]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    with naming(options["model"], rows.ids):
        found, batch_rows = halving(call, options["batch_rows"])
    metadata = made(
        options,
        loaded,
        batch_rows,
        layers=len(loaded.layers),
        continuation_tokens=steps,
        teacher_forced=True,
        translators_sha256=digest,
    )
    columns = {"row_id": rows.ids, "sequence_id": rows.sequences, "domain": rows.domains}
    TRANSLATED.write(translated, columns | {name: as_lists(values) for name, values in found.items()}, metadata)


def measured_rows(rows: Rows, kept: Path) -> Rows:
    """The rows that are not trained on; ReciteError where `kept` is of other rows, or where texts are shared."""
    table = KEPT.read(kept)
    if not same_rows(table, rows):
        raise ReciteError(f"{kept} is of other rows than the samples hold; delete it and run again.")
    mine = table["kept"].to_numpy()
    refuse_shared(rows, mine, str(kept))
    return taken(rows, np.flatnonzero(~mine))
