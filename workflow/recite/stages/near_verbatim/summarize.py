"""From edit distances to rates of recall within a tolerance; one model in memory at a time."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from recite.outcomes.rates import Line
from recite.outcomes.rows import by_domain, each_domain, files_by_model, one_table
from recite.stages.near_verbatim.rows import NEAR
from recite.stages.near_verbatim.tables import NEAR_VERBATIM
from recite.statistics.intervals import clusters, effective_clusters, wilson
from recite.tables import read_metadata


def aggregate_nearness(options: Mapping[str, Any], near: Sequence[Path], near_verbatim: Path) -> None:
    """Write the table near_verbatim from parts of the table near; `options` hold the study's tolerances too."""
    lines: list[Line] = []
    for run, paths in files_by_model(near).items():
        lines += model_lines(paths, options["kinds"][options["corpora"][run.model]], options)
    NEAR_VERBATIM.write_lines(near_verbatim, lines, {"options": dict(options)})


def model_lines(paths: Sequence[Path], kinds: Mapping[str, str], options: Mapping[str, Any]) -> Iterator[Line]:
    """Lines of one model: every domain, and all natural domains together, at every tolerance."""
    made = read_metadata(paths[0])
    who = {name: made["options"][name] for name in ("model", "family")} | {"parameters": made["parameters"]}
    rows = one_table(NEAR.read(path) for path in paths)
    order, starts = by_domain(rows, kinds, who["model"])
    steps, columns = made["continuation_tokens"], ("sequence_id", "distance", "run")
    texts, distances, runs = (rows[name].to_numpy()[order] for name in columns)
    for domain, kind, kept in each_domain(kinds, starts):
        for tolerance in options["tolerances"]:
            recalled = distances[kept] <= tolerance * steps
            by_text, rate = clusters(recalled, texts[kept]), int(recalled.sum()) / len(kept)
            low, high = wilson(rate, effective_clusters(by_text), options["confidence"])
            yield who | {
                "domain": domain,
                "kind": kind,
                "tolerance": tolerance,
                "n": len(kept),
                "distinct": len(by_text.sizes),
                "recalled": int(recalled.sum()),
                "rate": rate,
                "rate_low": low,
                "rate_high": high,
                "mean_distance": float(distances[kept].mean()) / steps,
                "mean_run": float(runs[kept].mean()) / steps,
            }
