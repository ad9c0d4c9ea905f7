"""Scores of one model as columns of numbers, put in one order whatever files they came from."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from recite.errors import ReciteError
from recite.outcomes import frame
from recite.outcomes.frame import Frame, by_domain, read_frame
from recite.tables import Table, read_metadata

COLUMNS = (*frame.COLUMNS, "hits", "margin")


class Run(NamedTuple):
    """One model under one disturbance at most; layer and strength are 0 where it is undisturbed."""

    model: str
    noise_layer: int = 0
    alpha: float = 0.0


class Outcomes(NamedTuple):
    """What one model made of its rows, under one disturbance at most; rows by domain, then by row id.

    noise_layer, alpha: disturbed layer and noise strength, both 0 where undisturbed. steps: tokens of the continuation.
    frame: how the rows were sampled. Columns (rows,): ranks (each row's place in its domain's sample), hits, and
    at_risk (whether the smallest margin is under the dtype's noise).
    """

    model: str
    family: str
    parameters: int
    noise_layer: int
    alpha: float
    steps: int
    frame: Frame
    ranks: np.ndarray
    hits: np.ndarray
    at_risk: np.ndarray

    def memorized(self, options: Mapping[str, Any]) -> np.ndarray:
        """Which rows have a score of `options["memorized"]` or above."""
        return self.hits / self.steps >= options["memorized"]

    def part(self, chosen: np.ndarray) -> "Outcomes":
        """The `chosen` rows, (rows,) bool, as a smaller sample."""
        columns = {name: getattr(self, name)[chosen] for name in ("ranks", "hits", "at_risk")}
        return self._replace(frame=self.frame.part(chosen), **columns)


def files_by_model(paths: Sequence[Path]) -> dict[Run, list[Path]]:
    """Files of scores by model, disturbed layer and strength; ReciteError where one name stands for two models."""
    found: dict[Run, list[Path]] = {}
    parameters: dict[str, tuple[Any, ...]] = {}
    for path in paths:
        made = read_metadata(path)
        model = made["options"]["model"]
        kind = made["options"]["family"], made["parameters"], made["continuation_tokens"]
        if parameters.setdefault(model, kind) != kind:
            raise ReciteError(f"scores of {model} come from different models of that name; delete them and run again.")
        found.setdefault(_run(made), []).append(path)
    return {key: found[key] for key in sorted(found)}


def _run(made: Mapping[str, Any]) -> Run:
    """The run that a file's metadata tell of."""
    layer = made["options"]["noise"]["layer"] if "alpha" in made else 0
    return Run(made["options"]["model"], layer, made.get("alpha", 0.0))


def read_outcomes(paths: Sequence[Path], table: Table, options: Mapping[str, Any]) -> Outcomes:
    """All scores of one model and strength; ReciteError for a row scored twice, or of a domain that is not sampled.

    `options` are the study's aggregation options, of which `margin_tolerance` (dtype -> logit) and those of
    `read_frame` are used.
    """
    made = read_metadata(paths[0])
    model, family = made["options"]["model"], made["options"]["family"]
    parts, risks = [], []
    for path in sorted(paths):
        part = table.read(path, COLUMNS)
        risks.append(part["margin"].to_numpy() < options["margin_tolerance"][read_metadata(path)["dtype"]])
        parts.append(part.drop_columns("margin"))
    rows = one_table(parts)
    order, sampled = read_frame(rows, model, options)
    return Outcomes(
        model,
        family,
        made["parameters"],
        *_run(made)[1:],
        made["continuation_tokens"],
        sampled,
        _ranks(order, sampled.starts),
        rows["hits"].to_numpy()[order],
        np.concatenate(risks)[order],
    )


def _ranks(order: np.ndarray, starts: Mapping[str, slice]) -> np.ndarray:
    """Each row's place among its domain's, from 0: files by name, and rows in them, are in the order of the draw."""
    ranks = np.empty(len(order), np.int64)
    for part in starts.values():
        ranks[part] = order[part].argsort().argsort()
    return ranks


def one_table(parts: Iterable[pa.Table]) -> pa.Table:
    """Parts of a table as one, its columns in one piece and their names encoded alike."""
    return pa.concat_tables(parts, promote_options="default").unify_dictionaries().combine_chunks()


def order_of(table: pa.Table, outcomes: Outcomes, folder: Path) -> np.ndarray:
    """The order of a table's rows that is that of `outcomes`; ReciteError where `folder` holds other rows."""
    order, _ = by_domain(table, outcomes.frame.kinds, outcomes.model)
    if not np.array_equal(table["row_id"].to_numpy()[order], outcomes.frame.row_ids):
        raise ReciteError(f"{folder} holds other rows than were scored; delete it and run again.")
    return order
