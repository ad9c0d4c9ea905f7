"""Main memory of jobs that sum up rows, one model after the other."""

from collections.abc import Iterable

from recite.planning.planner import Planner

SCORE_HELD = 160
"""Bytes in main memory of a row whose score is summed up (docs/rehearsal.md)."""


def held(planner: Planner, models: Iterable[str], row: int = SCORE_HELD, layer: int = 0) -> int:
    """Bytes of tables that are in main memory at once.

    row: bytes of every row of a model. layer: bytes a layer of a row, of which one domain's are read at a time.
    """
    domain, facts = planner.study.config["sampling"]["rows_per_domain"], planner.costs
    return max(
        (planner.total_rows([name]) * row + domain * facts[name].facts.layers * layer for name in models), default=0
    )
