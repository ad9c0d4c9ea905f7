"""Files of ablated rows whose texts recur."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recite.stages.heads.rows import ABLATED, ABLATION_ROWS

KINDS = {"code": "structural", "prose": "free_text", "control": "planted"}
STEPS, LAYERS, HEADS_OF_A_LAYER, ROWS = 8, 3, 2, 200
COUNT = LAYERS * HEADS_OF_A_LAYER


def options_of(kinds: dict[str, str], **changes: Any) -> dict[str, Any]:
    """Options of an aggregation of the models a-s and b-s."""
    options: dict[str, Any] = {"seed": 1, "kinds": {"texts": kinds}, "corpora": {"a-s": "texts", "b-s": "texts"}}
    return options | {"confidence": 0.9, "resamples": 400, "estimand": "texts"} | changes


class Rows:
    """Rows of recurring texts: what each has of hits and log-probability, whole and without each head."""

    def __init__(self, seed: int = 1) -> None:
        source = np.random.default_rng(seed)
        texts = np.sort(source.integers(0, ROWS // 2, ROWS))
        self.frame = pd.DataFrame({"row_id": source.permutation(ROWS), "sequence_id": texts})
        self.frame["domain"] = np.array(list(KINDS))[texts % 3]
        of_text = np.random.default_rng(seed + 1)
        self.clean_hits = of_text.integers(4, STEPS + 1, ROWS // 2)[texts]
        self.clean = of_text.normal(-20, 3, ROWS // 2).astype(np.float32)[texts]
        lost = of_text.binomial(4, np.linspace(0.1, 0.6, COUNT), (ROWS // 2, COUNT))[texts]
        self.hits = self.clean_hits[:, None] - lost
        self.log_probability = (self.clean[:, None] - of_text.normal(1, 1, (ROWS // 2, COUNT))[texts]).astype(
            np.float32
        )


def write_ablated(
    folder: Path,
    rows: Rows,
    model: str = "a-s",
    parts: int = 1,
    step: int = LAYERS,
    keep: int = ROWS,
    heads: Sequence[int] = range(COUNT),
    measured: np.ndarray | None = None,
) -> list[Path]:
    """Files of the first `keep` rows, a file for each part and block of `step` layers, without each of `heads`.

    Or without those of them that were `measured`, (rows, heads) bool.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, Any] = {"options": {"model": model, "family": model[0], "round": 0}}
    made |= {"parameters": 9}
    made |= {"continuation_tokens": STEPS, "layers": LAYERS, "heads": HEADS_OF_A_LAYER}
    paths = []
    for first in range(0, LAYERS, step):
        chosen = [head for head in heads if first <= head // HEADS_OF_A_LAYER < first + step]
        for number, part in enumerate(np.array_split(np.arange(keep), parts)):
            columns = {name: rows.frame[name].iloc[part].tolist() for name in rows.frame}
            columns |= {"clean_hits": rows.clean_hits[part].tolist(), "inclusion_probability": [0.5] * len(part)}
            columns |= {"clean_log_probability": rows.clean[part].tolist()}
            own = [[head for head in chosen if measured is None or measured[row, head]] for row in part]
            columns |= {"heads": own}
            columns |= {"hits": [rows.hits[row, some].tolist() for row, some in zip(part, own, strict=True)]}
            logs = [rows.log_probability[row, some].tolist() for row, some in zip(part, own, strict=True)]
            columns |= {"log_probability": logs}
            paths.append(folder / f"{model}-{first}-{number}.parquet")
            ABLATED.write(paths[-1], columns, made | {"first_layer": first})
    return paths


def drawn_of(
    folder: Path,
    rows: Rows,
    model: str = "a-s",
    keep: int = ROWS,
    rounds: np.ndarray | None = None,
    **groups: np.ndarray,
) -> Path:
    """A file that says that the first `keep` rows were drawn whatever their class, or which were for some groups.

    All of them for the first round, or each for that of `rounds`.
    """
    chosen = groups or {"all": np.arange(len(rows.frame)) < keep}
    names = rows.frame[["row_id", "domain"]].itertuples(index=False)
    found = [
        ((*name, group), 0 if rounds is None else int(rounds[place]))
        for place, name in enumerate(names)
        for group, of_group in chosen.items()
        if of_group[place]
    ]
    lines, numbers = [line for line, _ in found], [number for _, number in found]
    return write_drawn(folder / f"drawn-{model}.parquet", lines, model, numbers)


def in_rounds(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """A round for each row, of three, and which heads it was run without: all, then fewer, others in each domain."""
    rounds = rows.frame["sequence_id"].to_numpy() // len(KINDS) % 3
    place = rows.frame["domain"].map({name: at for at, name in enumerate(KINDS)}).to_numpy()
    limits = 1 + (np.arange(COUNT)[None] + place[:, None]) % 3
    return rounds, rounds[:, None] < limits


def write_drawn(
    path: Path, rows: Sequence[tuple[int, str, str]], model: str = "a-s", rounds: Sequence[int] | None = None
) -> Path:
    """A file that says which rows were drawn: (row id, domain, group) each, as if there were no others."""
    columns: dict[str, Any] = {name: [row[at] for row in rows] for at, name in enumerate(("row_id", "domain", "group"))}
    columns |= {"inclusion_probability": [1.0] * len(rows), "round": rounds or [0] * len(rows)}
    ABLATION_ROWS.write(path, columns, {"options": {"model": model}})
    return path
