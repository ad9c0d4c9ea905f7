"""Claims: those of the paper, each with its statistic, interval and verdict."""

from collections.abc import Sequence
from typing import Any

from recite.planning.planner import short
from recite.study.declaration import Figure, Files, Rule, Stage, Wildcards, table_path
from recite.study.study import Study

TABLE = "claims"


def _tables(study: Study) -> list[str]:
    """The tables that a statistic may be taken from."""
    return [table for table in study.tables if table != TABLE]


def _statistics(study: Study) -> dict[str, str]:
    """Claim -> the module that holds its statistic."""
    return {claim: f"{stage.package}.claims" for stage in study.stages for claim in stage.claims}


def _inputs(study: Study, wildcards: Wildcards) -> Files:
    return {"tables": [table_path(table) for table in _tables(study)]}


def _options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    return {
        "claims": [{"name": name, **claim} for name, claim in study.claims.items()],
        "statistics": _statistics(study),
        "tables": {table: study.table_modules[table] for table in _tables(study)},
    }


def _modules(study: Study, wildcards: Wildcards) -> Sequence[str]:
    return [*study.modules_of(_tables(study)), *sorted(set(_statistics(study).values()))]


STAGE = Stage(
    "recite.comparison.claims",
    (
        Rule(
            "ledger",
            run="recite.comparison.claims.judge:judge",
            inputs=_inputs,
            tables=(TABLE,),
            options=_options,
            modules=_modules,
            cost=short,
        ),
    ),
    words=True,
    figures={
        "claims": Figure(
            "The paper's claims in this study",
            "Claims",
            ("claims",),
            (
                "Each claim of the paper as one statistic with its interval, drawn against the bound that "
                "config/claims.yaml sets before the data are seen. A claim is supported if the whole interval "
                "lies beyond the bound, not supported if none of it does, undecided otherwise. Each line has its "
                "own scale. The verdicts are on this study's models, not on the paper's."
            ),
        ),
    },
)
