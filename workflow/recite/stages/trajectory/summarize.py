"""From what became of rows to rates along the training; one model in memory at a time."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recite.corpora.planted import known_copies
from recite.outcomes.frame import PLANTED, Frame, read_frame
from recite.outcomes.rates import Line, share_of
from recite.stages.trajectory.recency import checks_of, recall_lines, recency_lines
from recite.stages.trajectory.rows import FOLLOWED
from recite.stages.trajectory.tables import FATES, RECALL, RECENCY, TRAJECTORY
from recite.tables import read_metadata
from recite.tables.lists import as_array


class Followed(NamedTuple):
    """A model's rows by domain, then by row id.

    recited: at each checkpoint (rows, checkpoints). steps: of the checkpoints. kept, forgotten, relearnt: (rows,).
    seen: the steps at which each row's text was seen. copies: planted ones, (rows,).
    """

    who: Line
    frame: Frame
    recited: np.ndarray
    steps: np.ndarray
    kept: np.ndarray
    forgotten: np.ndarray
    relearnt: np.ndarray
    seen: list[list[int]]
    copies: np.ndarray

    def groups(self) -> Iterator[tuple[Line, np.ndarray]]:
        """Every domain, planted ones by copies, and all natural domains together: columns, and indices of the rows."""
        for domain, kind, rows in self.frame.each_domain():
            for copies in np.unique(self.copies[rows]).tolist():
                yield {"domain": domain, "kind": kind, "copies": copies}, rows[self.copies[rows] == copies]


def aggregate_trajectories(
    options: Mapping[str, Any],
    followed: Sequence[Path],
    planted: Sequence[Path],
    controls: Path | None,
    outputs: Mapping[str, Path],
) -> None:
    """Write trajectory, trajectory_fates and, where it is known when texts were seen, the two on recall.

    `followed` is a file a model; `options` hold `late_after` beside the study's; `planted` and `controls` as for the
    scores.
    """
    copies = known_copies(planted, controls) if controls else {}
    lines: dict[str, list[Line]] = {name: [] for name in outputs}
    for path in followed:
        model = read_followed(path, copies, options)
        lines["trajectory"] += [model.who | line for line in rate_lines(model, options)]
        lines["trajectory_fates"] += [model.who | line for line in fate_lines(model, options)]
        if controls:
            rows = model.frame.rows_of(PLANTED)
            checks = checks_of(rows, model.recited[rows], [model.seen[row] for row in rows], model.steps)
            lines["trajectory_recall"] += [model.who | line for line in recall_lines(model.frame, checks, options)]
            lines["trajectory_recency"] += [model.who | line for line in recency_lines(model.frame, checks, options)]
    for table in (TRAJECTORY, FATES, RECALL, RECENCY):
        if table.name in outputs:
            table.write_lines(outputs[table.name], lines[table.name], {"options": dict(options)})


def read_followed(path: Path, copies: Mapping[int, int], options: Mapping[str, Any]) -> Followed:
    """One model's rows; `copies` is row id -> planted copies."""
    made, table = read_metadata(path), FOLLOWED.read(path)
    who = {name: made["options"][name] for name in ("model", "family")} | {"parameters": made["parameters"]}
    order, frame = read_frame(table, who["model"], options)
    hits, seen = as_array(table["hits"])[order], table["seen"].to_pylist()
    kept, forgotten, relearnt = (table[name].to_numpy()[order] for name in ("kept", "forgotten", "relearnt"))
    return Followed(
        who,
        frame,
        hits / made["continuation_tokens"] >= options["memorized"],
        np.array(made["steps"]),
        kept,
        forgotten,
        relearnt,
        [seen[place] for place in order],
        np.array([copies.get(row_id, 0) for row_id in frame.row_ids.tolist()]),
    )


def rate_lines(model: Followed, options: Mapping[str, Any]) -> Iterator[Line]:
    """Rates of every group at every checkpoint."""
    for group, rows in model.groups():
        for place, step in enumerate(model.steps.tolist()):
            recited = model.recited[rows, place]
            line = group | {"step": step, "progress": step / model.steps[-1], **_sizes(model.frame, rows)}
            yield line | _share(model.frame, rows, recited, options, "memorized", "rate", among=None)


def fate_lines(model: Followed, options: Mapping[str, Any]) -> Iterator[Line]:
    """What became of every group's rows."""
    early = model.steps <= options["late_after"] * model.steps[-1]
    last = np.array([steps[-1] if steps else np.iinfo(np.int64).max for steps in model.seen])
    final, recited = model.recited[:, -1], model.recited[:, :-1]
    late = ~np.asarray(model.recited[:, early].any(axis=1))
    earlier = np.asarray(recited.any(axis=1))
    settled = np.asarray((recited & (model.steps[:-1] >= last[:, None])).any(axis=1))
    asked: tuple[tuple[str, str, np.ndarray, np.ndarray], ...] = (
        ("memorized", "late", final, late),
        ("memorized", "kept", final, model.kept),
        ("earlier", "forgotten", earlier, ~final),
        ("lost", "relearnt", model.forgotten > 0, model.relearnt > 0),
        ("settled", "faded", settled, ~final),
    )
    for group, rows in model.groups():
        line = group | _sizes(model.frame, rows)
        for count, name, among, chosen in asked:
            line |= _share(model.frame, rows, chosen[rows], options, count, name, among[rows])
        yield line


def _sizes(frame: Frame, rows: np.ndarray) -> Line:
    return {"n": len(rows), "distinct": len(np.unique(frame.texts[rows]))}


def _share(
    frame: Frame,
    rows: np.ndarray,
    chosen: np.ndarray,
    options: Mapping[str, Any],
    count: str,
    name: str,
    among: np.ndarray | None,
) -> Line:
    """Share of the rows that are `chosen`, under `name`, and how many are, under `count`.

    With `among`: the share of the rows that are among these, and how many they are; NaN without any.
    """
    number = int((chosen if among is None else among).sum())
    rows, chosen = (rows, chosen) if among is None else (rows[among], chosen[among])
    ends = (name, f"{name}_low", f"{name}_high")
    if not len(rows):
        return {count: number, **dict.fromkeys(ends, math.nan)}
    found = share_of(frame, rows, chosen, options, name)
    return {count: number, **{end: found[end] for end in ends}}
