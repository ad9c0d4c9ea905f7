"""Scoring: the memorization score of every sampled row under every model, and the rates that follow."""

from recite.planning import costs
from recite.planning.held import held
from recite.planning.planner import Planner
from recite.stages.inputs import batch, model_and_rows, part_jobs, planted
from recite.study.declaration import Cost, Figure, Files, Rule, Stage, Wildcards
from recite.study.study import Study

SCORE_BYTES = 90


def _aggregation_inputs(study: Study, wildcards: Wildcards) -> Files:
    return {"scores": study.files("scoring", "scores")} | planted(study)


def _aggregation_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    rows, memory = planner.total_rows(planner.study.models), held(planner, planner.study.models)
    return Cost(costs.START_SECONDS + rows * costs.AGGREGATION_SECONDS, held=memory)


RULES = (
    Rule(
        "scoring",
        place="{model}/{part}",
        run="recite.stages.scoring.measure:score",
        jobs=lambda study: part_jobs(study, study.models),
        inputs=lambda study, wildcards: {**model_and_rows(study, wildcards), **batch(study, wildcards["model"])},
        outputs={"scores": "scores/{model}/{part}.parquet"},
        options=lambda study, wildcards: study.run_options(wildcards["model"]),
        runs_model=True,
        cost=lambda planner, wildcards: planner.continuing(wildcards["model"], wildcards["part"], SCORE_BYTES),
    ),
    Rule(
        "aggregation",
        run="recite.stages.scoring.summarize:aggregate_scores",
        inputs=_aggregation_inputs,
        outputs={"replicates": "replicates/scores.parquet", "draws": "draws/scoring.parquet"},
        tables=lambda study: (
            "rates",
            "distribution",
            "disjoint_samples",
            *(("control_rates",) if study.planted else ()),
        ),
        options=lambda study, wildcards: study.summary_options(),
        cost=_aggregation_cost,
    ),
)

STAGE = Stage(
    "recite.stages.scoring",
    RULES,
    claims=("family_divergence", "bipolar_scores"),
    words=True,
    figures={
        "distribution": Figure(
            "Distribution of the memorization score",
            "Scores",
            ("distribution",),
            (
                "Share of each model's natural rows by their number of hits among the continuation tokens, on a "
                "logarithmic colour scale; white where no row has that number. The last column is the memorized "
                "rows, the first the unmemorized ones."
            ),
        ),
        "controls": Figure(
            "Planted rows by known repetition count",
            "Planted truth",
            ("control_rates",),
            (
                "Planted control rows are texts that occur nowhere else, each planted in the training data a known "
                "number of times; those of no copy were never trained on. Share of memorized rows against that number, "
                "a panel per family and a line per size, with Wilson intervals {about}. The truth is known here. A "
                "rate that did not rise with the count would be an error of the pipeline."
            ),
        ),
    },
)
