"""From rows without each sublayer to mean drops with tests, and to what carries recall and where."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from recite.outcomes.frame import Frame, read_frame
from recite.outcomes.means import ALL, HALF, MEMORIZED, UNMEMORIZED, bags_of
from recite.outcomes.rows import files_by_model, one_table
from recite.stages.sublayers.rows import SUBLAYERS as NAMES
from recite.stages.sublayers.rows import WITHOUT_SUBLAYERS
from recite.stages.sublayers.tables import CARRIED, SUBLAYERS
from recite.statistics.intervals import ROUNDING, with_ends
from recite.statistics.tests import adjusted, sign_p_value
from recite.tables import read_metadata
from recite.tables.lists import as_array

Line = dict[str, Any]
MEASURES = ("hits", "log_probability")


class Lost(NamedTuple):
    """The rows of one class of a model: hits and log_probability (rows, layers x NAMES), what is lost of either.

    hits: share of a continuation's tokens. log_probability: nats per token.
    """

    frame: Frame
    hits: np.ndarray
    log_probability: np.ndarray


def aggregate_sublayers(options: Mapping[str, Any], without: Sequence[Path], outputs: Mapping[str, Path]) -> None:
    """Write the tables sublayers and carried from parts of the table of rows without sublayers, a model at a time."""
    lines: dict[str, list[Line]] = {name: [] for name in outputs}
    for paths in files_by_model(without).values():
        made = read_metadata(paths[0])
        who = {name: made["options"][name] for name in ("model", "family")} | {"parameters": made["parameters"]}
        for group, lost in read_lost(paths, options):
            for kind, domain, rows in lost.frame.by_kind(ALL):
                about = who | {"group": group, "rows": kind, "domain": domain}
                drops = drawn_drops(lost, rows, options)
                about |= {"n": len(rows), "distinct": len(np.unique(lost.frame.texts[rows]))}
                lines["sublayers"] += [about | line for line in sublayer_lines(drops, about["distinct"], options)]
                lines["carried"] += [about | line for line in carried_lines(drops, options)]
    for table in (SUBLAYERS, CARRIED):
        table.write_lines(outputs[table.name], lines[table.name], {"options": dict(options)})


def read_lost(paths: Sequence[Path], options: Mapping[str, Any]) -> Iterator[tuple[str, Lost]]:
    """The classes of one model, and what their rows lose.

    Their share of the corpus is that of the sample, times that of the drawn rows among the class's.
    """
    made, table = read_metadata(paths[0]), one_table(WITHOUT_SUBLAYERS.read(path) for path in paths)
    groups = np.array(table["group"].to_pylist(), dtype=object)
    for group in (MEMORIZED, HALF, UNMEMORIZED):
        part = table.filter(pa.array(groups == group))
        if not len(part):
            continue
        order, frame = read_frame(part, made["options"]["model"], options, whole=False)
        shares = part["drawn_share"].to_numpy()[order]
        fractions = {domain: frame.fractions[domain] * shares[rows.start] for domain, rows in frame.starts.items()}
        lost = []
        for name in MEASURES:
            clean, without = part[f"clean_{name}"].to_numpy(), as_array(part[name])
            lost.append((clean[:, None].astype(float) - without)[order] / made["continuation_tokens"])
        yield group, Lost(frame._replace(fractions=fractions), *lost)


def drawn_drops(lost: Lost, rows: np.ndarray, options: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Measure -> mean drops of some rows, (1 + resamples, layers, NAMES); NaN in a resample that has none of them."""
    bags = bags_of(lost.frame, rows, options)
    return {
        name: bags.means(bags.sums(getattr(lost, name))).reshape(1 + options["resamples"], -1, len(NAMES))
        for name in MEASURES
    }


def sublayer_lines(drops: Mapping[str, np.ndarray], distinct: int, options: Mapping[str, Any]) -> Iterator[Line]:
    """A line a sublayer; the q-values of a measure are adjusted over all sublayers."""
    layers = drops["hits"].shape[1]
    tested = {}
    for name, values in drops.items():
        p_values = [sign_p_value(drawn, distinct) for drawn in values[1:].reshape(len(values) - 1, -1).T]
        tested[name] = np.array([p_values, adjusted(p_values)]).reshape(2, layers, len(NAMES))
    for layer in range(layers):
        for place, sublayer in enumerate(NAMES):
            line: Line = {"layer": layer, "depth": (layer + 1) / layers, "sublayer": sublayer}
            for name, values in drops.items():
                line |= with_ends(f"{name}_drop", values[:, layer, place], options["confidence"])
                p_value, q_value = tested[name][:, layer, place].tolist()
                line |= {f"{name}_drop_p_value": p_value, f"{name}_drop_q_value": q_value}
            yield line


def carried_lines(drops: Mapping[str, np.ndarray], options: Mapping[str, Any]) -> Iterator[Line]:
    """A line a measure: how much all attentions and all MLPs are worth, one by one, and how deep they lie."""
    for name, values in drops.items():
        sums = values.sum(axis=1)
        line: Line = {"measure": name}
        depths = np.arange(1, values.shape[1] + 1) / values.shape[1]
        losses = values.clip(min=0)
        for place, sublayer in enumerate(NAMES):
            line |= with_ends(f"{sublayer}_sum", sums[:, place], options["confidence"])
            centre = ratio(depths @ losses[..., place].T, losses[..., place].sum(axis=1))
            line |= with_ends(f"{sublayer}_depth", centre, options["confidence"])
        share = ratio(sums[:, NAMES.index("mlp")], sums.sum(axis=1))
        yield line | with_ends("mlp_share", share, options["confidence"])


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole; NaN where that is not above 0."""
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > ROUNDING)
