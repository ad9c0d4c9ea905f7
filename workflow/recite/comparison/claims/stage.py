"""Claims: those of the paper, each with its statistic, interval and verdict."""

from collections.abc import Sequence
from typing import Any

from recite.planning.planner import short
from recite.study.declaration import Figure, Files, Rule, Stage, Wildcards, table_path
from recite.study.study import Study

TABLES = ("claims", "claim_families")


def _tables(study: Study) -> list[str]:
    """The tables that a statistic may be taken from."""
    return [table for table in study.tables if table not in TABLES]


def _statistics(study: Study) -> dict[str, str]:
    """Claim -> the module that holds its statistic."""
    return {claim: f"{stage.package}.claims" for stage in study.stages for claim in stage.claims}


def _inputs(study: Study, wildcards: Wildcards) -> Files:
    makers = [rule for rule in study.rules if "draws" in study.outputs(rule)]
    draws = [file for rule in makers for file in study.files(rule, "draws")]
    return {"tables": [table_path(table) for table in _tables(study)], "draws": draws}


def _options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    return {
        "claims": [{"name": name, **claim} for name, claim in study.claims.items()],
        "confidence": study.config["aggregation"]["confidence"],
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
            tables=TABLES,
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
            ("claims", "claim_families"),
            (
                "Each claim of the paper as one statistic, drawn against the bound that config/claims.yaml sets "
                "before the data are seen. Thick bars: these models (sampling error, {about}). Thin bars: models of "
                "such families (Student's t over the families). Small marks: every family's own value. A verdict is "
                "by the interval that the rule names, thin unless it says otherwise: supported if all of it lies "
                "beyond the bound, not supported if none of it does, undecided otherwise. Each line has its own "
                "scale. The verdicts are on this study's models, not on the paper's."
            ),
        ),
    },
)
