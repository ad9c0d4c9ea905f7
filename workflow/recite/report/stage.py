"""Report: figures from tables, and the study in words and numbers, put together from what the stages declare."""

from collections.abc import Sequence
from typing import Any

from recite.planning.planner import short
from recite.study.declaration import Files, Rule, Stage, Wildcards, table_path
from recite.study.study import Study


def _figure_inputs(study: Study, wildcards: Wildcards) -> Files:
    return {"tables": [table_path(table) for table in study.figures[wildcards["figure"]].tables]}


def _figure_options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    name = wildcards["figure"]
    figure = study.figures[name]
    return {
        "study": study.name,
        "figure": name,
        "title": figure.title,
        "module": study.figure_modules[name],
        "tables": {table: study.table_modules[table] for table in figure.tables},
    }


def _figure_modules(study: Study, wildcards: Wildcards) -> Sequence[str]:
    name = wildcards["figure"]
    return [study.figure_modules[name], *study.modules_of(study.figures[name].tables)]


def _words(study: Study) -> list[str]:
    """The modules that say what there is to say of the tables."""
    return [f"{stage.package}.words" for stage in study.stages if stage.words]


def _summary_inputs(study: Study, wildcards: Wildcards) -> Files:
    manifest = {"manifest": study.file("corpus", "manifest", {})} if study.trains else {}
    return {"tables": [table_path(table) for table in study.tables], **manifest}


def _summary_options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    return {
        "study": study.name,
        "published": study.published,
        "about": study.about,
        "words": _words(study),
        "tables": study.table_modules,
    }


RULES = (
    Rule(
        "figures",
        place="{figure}",
        run="recite.report.drawing:draw",
        jobs=lambda study: [{"figure": figure} for figure in study.figures],
        inputs=_figure_inputs,
        outputs={kind: f"figures/{{figure}}.{kind}" for kind in ("png", "svg", "csv")},
        options=_figure_options,
        modules=_figure_modules,
        cost=short,
    ),
    Rule(
        "summary",
        run="recite.report.summary:write_summary",
        inputs=_summary_inputs,
        outputs={"summary": "summary.md"},
        options=_summary_options,
        modules=lambda study, wildcards: [*_words(study), *study.modules_of(list(study.tables))],
        cost=short,
    ),
)

STAGE = Stage("recite.report", RULES)
