"""Near-verbatim recall: rows that are recited but for a few tokens."""

from typing import Any

from recite.planning import costs
from recite.planning.held import held
from recite.planning.planner import Planner
from recite.stages.inputs import part_jobs, shards
from recite.stages.noise.stage import runs
from recite.study.checks import check_models_of
from recite.study.declaration import ONCE, Cost, Figure, Files, Rule, Stage, Wildcards
from recite.study.study import Study

SECTION = "near_verbatim"
NEAR_BYTES = 17
ROW_SECONDS = 1e-5
"""Seconds on one core for a row of 32 tokens and 32: 300,000 random rows."""


def _jobs(study: Study) -> list[Wildcards]:
    """A job for every part of a model's scores, and of those under noise."""
    parts = part_jobs(study, study.models_of(SECTION))
    return [{**job, **run} for job in parts for run in runs(study, job["model"])]


def _inputs(study: Study, wildcards: Wildcards) -> Files:
    scores = study.file("noise" if float(wildcards["alpha"]) else "scoring", "scores", wildcards)
    return {"scores": scores, "shards": shards(study, wildcards["model"], wildcards["part"])}


def _options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    model = study.models[wildcards["model"]]
    noise = {"noise": {"layer": int(wildcards["layer"])}} if float(wildcards["alpha"]) else {}
    return {"model": model.name, "family": model.family} | noise


def _cost(planner: Planner, wildcards: Wildcards) -> Cost:
    rows = planner.rows(wildcards["model"])[wildcards["part"]]
    return Cost(costs.START_SECONDS + rows * ROW_SECONDS, written=rows * NEAR_BYTES)


def _summary_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    study = planner.study
    rows = sum(len(runs(study, model)) * planner.total_rows([model]) for model in study.models_of(SECTION))
    memory = held(planner, study.models_of(SECTION))
    return Cost(costs.START_SECONDS + rows * costs.AGGREGATION_SECONDS, held=memory)


RULES = (
    Rule(
        "near_verbatim",
        place="{model}/layer-{layer}/alpha-{alpha}/{part}",
        run="recite.stages.near_verbatim.measure:measure_nearness",
        jobs=_jobs,
        inputs=_inputs,
        outputs={"near": "near_verbatim/{model}/layer-{layer}/alpha-{alpha}/{part}.parquet"},
        options=_options,
        cost=_cost,
    ),
    Rule(
        "near_verbatim_aggregation",
        run="recite.stages.near_verbatim.summarize:aggregate_nearness",
        jobs=lambda study: ONCE if study.models_of(SECTION) else (),
        inputs=lambda study, wildcards: {"near": study.files("near_verbatim")},
        tables=("near_verbatim",),
        options=lambda study, wildcards: study.summary_options() | {"tolerances": study.config[SECTION]["tolerances"]},
        cost=_summary_cost,
    ),
)

STAGE = Stage(
    "recite.stages.near_verbatim",
    RULES,
    section=SECTION,
    check=lambda study, source: check_models_of(study, SECTION, source),
    words=True,
    figures={
        "near_verbatim": Figure(
            "Recall that is not verbatim",
            "Scores",
            ("near_verbatim",),
            (
                "Share of natural rows whose greedy continuation is the true one but for so many edits of tokens "
                "(insertions, deletions, substitutions), against model size. The lowest line is verbatim recall. "
                "Bars are Wilson intervals {about}."
            ),
        ),
        "near_verbatim_noise": Figure(
            "Recall that is not verbatim, under noise",
            "Noise",
            ("near_verbatim",),
            (
                "The same share under noise of strength α in the first of the disturbed layers, for each family's "
                "largest model that is disturbed. The lowest line is verbatim recall. Bars are Wilson intervals "
                "{about}."
            ),
        ),
    },
)
