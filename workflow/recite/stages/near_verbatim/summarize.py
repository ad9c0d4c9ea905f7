"""From edit distances to rates of recall within a tolerance; one model in memory at a time."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recite.outcomes.frame import read_frame
from recite.outcomes.rates import Line, share_of
from recite.outcomes.rows import files_by_model, one_table
from recite.stages.near_verbatim.rows import NEAR
from recite.stages.near_verbatim.tables import NEAR_VERBATIM
from recite.tables import read_metadata


def aggregate_nearness(options: Mapping[str, Any], near: Sequence[Path], near_verbatim: Path) -> None:
    """Write the table near_verbatim from parts of the table near; `options` hold the study's tolerances too."""
    lines: list[Line] = []
    for run, paths in files_by_model(near).items():
        place = {"noise_layer": run.noise_layer, "alpha": run.alpha}
        lines += [place | line for line in model_lines(paths, options)]
    NEAR_VERBATIM.write_lines(near_verbatim, lines, {"options": dict(options)})


def model_lines(paths: Sequence[Path], options: Mapping[str, Any]) -> Iterator[Line]:
    """Lines of one model at one strength: every domain, and all natural domains together, at every tolerance."""
    made = read_metadata(paths[0])
    who = {name: made["options"][name] for name in ("model", "family")} | {"parameters": made["parameters"]}
    rows = one_table(NEAR.read(path) for path in paths)
    order, frame = read_frame(rows, who["model"], options)
    steps = made["continuation_tokens"]
    names = ("first_mismatch", "distance", "run")
    values = {f"mean_{name}": rows[name].to_numpy()[order] for name in names}
    for domain, kind, kept in frame.each_domain():
        for tolerance in options["tolerances"]:
            recalled = values["mean_distance"][kept] <= tolerance * steps
            rates = share_of(frame, kept, recalled, options, "rate")
            yield who | {
                "domain": domain,
                "kind": kind,
                "tolerance": tolerance,
                "n": len(kept),
                "distinct": len(np.unique(frame.texts[kept])),
                "recalled": int(recalled.sum()),
                **{name: rates[name] for name in ("rate", "rate_low", "rate_high")},
                **{name: float(column[kept].mean()) / steps for name, column in values.items()},
            }
