"""Dimension: of how many dimensions the residual stream of a class of rows is, locally."""

from typing import Any

from recite.errors import ReciteError
from recite.planning import costs
from recite.planning.planner import Planner
from recite.stages.inputs import checkpoint, own_batches, scores_of, shard_files
from recite.study.asked import Asked
from recite.study.checks import check_models_of
from recite.study.declaration import ONCE, Cost, Figure, Files, Rule, Stage, Wildcards
from recite.study.study import Study

SECTION = "dimension"
PACE = 0.74
"""What it reaches on a GPU, over scoring: taken from the lens, whose passes it makes; not measured."""
GROUPS = 5
"""Natural and planted rows, memorized and unmemorized each, and what no model was trained on."""
PLACES, STORED, FEWEST = 2, 8, 4
"""Held against `recite.stages.dimension` in the tests."""
NEIGHBOUR_BYTES = 8
DRAWING_SECONDS = 1e-5
"""Reading a row's score and context and hashing it, on one core."""
ESTIMATING_SECONDS = 5e-6
"""All half samples of one of a point's stored neighbours in one layer."""


def _check(study: Asked, source: str) -> None:
    """The section's models are of the study, and a class may have as many points as an estimate needs."""
    check_models_of(study, SECTION, source)
    points, neighbours = (study.config[SECTION][key] for key in ("points", "neighbours"))
    if points < FEWEST * neighbours:
        raise ReciteError(
            f"{source}: dimension.points: {neighbours} neighbours need {FEWEST * neighbours} points, but it is {points}"
            "; allow more, or ask for fewer neighbours."
        )


def _inputs(study: Study, wildcards: Wildcards) -> Files:
    model = wildcards["model"]
    family, planted = study.models[model].family, [name for name in study.domains_of(model) if name in study.planted]
    shards = [shard for domain in study.domains_of(model) for shard in study.shards_of(domain)]
    found = {"scores": scores_of(study, [model]), "shards": shard_files(study, family, shards)}
    found |= {"planted": shard_files(study, family, [shard for name in planted for shard in study.shards_of(name)])}
    known = {"controls": study.file("corpus", "controls", {})} if planted else {}
    return checkpoint(study, model) | found | known


def _options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    model, section = wildcards["model"], study.config[SECTION]
    own = {"kinds": study.domains_of(model), "points": section["points"], "neighbours": section["neighbours"]}
    thresholds = {name: study.config["aggregation"][name] for name in ("memorized", "half", "unmemorized")}
    return own_batches(study, SECTION, model) | own | thresholds | {"seed": study.seed}


def _numbers(planner: Planner, model: str) -> int:
    """Points of all groups of a model, times places and layers."""
    points = planner.study.config[SECTION]["points"]
    rows = min(GROUPS * points, planner.total_rows([model]))
    return int(rows * PLACES * planner.costs[model].facts.layers)


def _stored(planner: Planner) -> int:
    section = planner.study.config[SECTION]
    return int(min(section["points"], STORED * section["neighbours"]))


def _cost(planner: Planner, wildcards: Wildcards) -> Cost:
    model, section = wildcards["model"], planner.study.config[SECTION]
    cost, batch, numbers = planner.costs[model], section["batch_rows"], _numbers(planner, model)
    context, continuation = planner.tokens_of(model)
    rows = numbers // (PLACES * cost.facts.layers)
    apart = 3 * numbers * section["points"] * cost.facts.width
    seconds = cost.seconds(rows, batch, costs.pass_flops(cost.facts, context + continuation - 1), PACE)
    seconds += apart / cost.rate + planner.total_rows([model]) * DRAWING_SECONDS
    peak = planner.whole_peak(model, batch, context + continuation - 1, 1)
    return Cost(seconds, cost.gpus, 1, numbers * _stored(planner) * NEIGHBOUR_BYTES, peak)


def _megabytes(study: Study) -> int:
    """The residual streams of one group: 64 layers of 5,120 numbers, if they are kept in float32."""
    return int(study.config[SECTION]["points"] * PLACES * 64 * 5120 * 4 / 1e6) if not study.trains else 0


def _summary_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    numbers = sum(_numbers(planner, model) for model in planner.study.models_of(SECTION))
    return Cost(costs.START_SECONDS + numbers * _stored(planner) * ESTIMATING_SECONDS)


RULES = (
    Rule(
        "dimension",
        place="{model}",
        run="recite.stages.dimension.measure:measure_neighbours",
        jobs=lambda study: [{"model": model} for model in study.models_of(SECTION)],
        inputs=_inputs,
        outputs={"neighbours": "dimension/{model}.parquet"},
        options=_options,
        megabytes=_megabytes,
        runs_model=True,
        cost=_cost,
    ),
    Rule(
        "dimension_aggregation",
        run="recite.stages.dimension.summarize:aggregate_dimension",
        jobs=lambda study: ONCE if study.models_of(SECTION) else (),
        inputs=lambda study, wildcards: {"neighbours": study.files("dimension")},
        tables=("dimension", "dimension_known", "dimension_differences"),
        options=lambda study, wildcards: (
            study.resampling_options() | {"neighbours": study.config[SECTION]["neighbours"]}
        ),
        cost=_summary_cost,
    ),
)

STAGE = Stage(
    "recite.stages.dimension",
    RULES,
    section=SECTION,
    check=_check,
    words=True,
    figures={
        "dimension": Figure(
            "Intrinsic dimension of the residual stream",
            "Layers",
            ("dimension", "dimension_known"),
            (
                "Intrinsic dimension of the residual stream after every layer, of memorized and of as many unmemorized "
                "texts, by two estimators, at the last token of the context and at the last that is fed of the "
                "continuation. Natural rows where both classes have texts enough, else planted ones; each family's "
                "largest model. Grey, what the same estimator gives of as many points of a uniform ball of the "
                "dimension that stands at the line's end: with so few points all is underestimated. Bars are normal "
                "intervals by half samples, about texts such as these whatever the study's estimand."
            ),
        ),
        "dimension_known": Figure(
            "What the estimators of dimension give where it is known",
            "Layers",
            ("dimension_known",),
            (
                "Estimate against the true dimension of a uniform ball and of a normal distribution, mean over draws "
                "with their standard deviation, for the smallest and the largest number of points that a class of the "
                "study has. Dotted, what would be right. An isometry into a model's width changes no distance, so the "
                "manifolds are drawn in their own dimension."
            ),
        ),
    },
)
