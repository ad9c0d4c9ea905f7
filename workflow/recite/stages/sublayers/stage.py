"""Sublayers: what rows of every class lose by the attention and by the MLP of each layer."""

from typing import Any

from recite.planning import costs
from recite.planning.planner import Planner
from recite.stages.heads.cost import PACE, traced_bytes
from recite.stages.inputs import domain_jobs, domains_of_part, drawing_of_classes, model_and_drawn, own_batches
from recite.study.checks import check_models_of
from recite.study.declaration import ONCE, Cost, Figure, Files, Rule, Stage, Wildcards
from recite.study.study import Study

SECTION = "sublayers"
SUBLAYERS = 2
"""Of a layer."""
LOST_BYTES = 6
"""Bytes that each sublayer adds to a drawn row."""
LOST_SECONDS = 1e-7
"""Reading a row's number of one sublayer, on one core: as of a head."""
DRAWING_SECONDS = 1e-5
"""Reading a row's score and context and hashing its name, on one core."""


def _models(study: Study) -> list[Wildcards]:
    """The models whose sublayers are replaced by their means."""
    section = study.config.get(SECTION, {})
    averaged = section.get("replacement") == "dataset_mean"
    return [{"model": model} for model in study.models_of(SECTION)] if averaged else []


def _means_inputs(study: Study, wildcards: Wildcards) -> Files:
    model = wildcards["model"]
    return model_and_drawn(study, model, study.domains_of(model))


def _means_options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    model = wildcards["model"]
    return own_batches(study, SECTION, model) | drawing_of_classes(study, SECTION, study.domains_of(model))


def _inputs(study: Study, wildcards: Wildcards) -> Files:
    model = wildcards["model"]
    means = {"means": study.file("sublayer_means", "means", {"model": model})} if _models(study) else {}
    return model_and_drawn(study, model, domains_of_part(study, model, wildcards["part"])) | means


def _options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    model = wildcards["model"]
    drawn = drawing_of_classes(study, SECTION, domains_of_part(study, model, wildcards["part"]))
    return own_batches(study, SECTION, model) | drawn | {"replacement": study.config[SECTION]["replacement"]}


def _rows(study: Study, domains: int) -> int:
    """Rows of so many domains, where every class has enough."""
    most = study.config["sampling"]["rows_per_domain"]
    return domains * sum(min(most, count) for count in study.config[SECTION]["classes"].values())


def _reading(planner: Planner, domains: int) -> float:
    """Seconds to draw the rows of so many domains."""
    return float(domains * planner.study.config["sampling"]["rows_per_domain"] * DRAWING_SECONDS)


def _means_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    model, batch = wildcards["model"], planner.study.config[SECTION]["batch_rows"]
    cost, domains = planner.costs[model], len(planner.study.domains_of(model))
    seconds = cost.seconds(_rows(planner.study, domains), batch, cost.row, PACE) + _reading(planner, domains)
    written = costs.NUMBER_BYTES * SUBLAYERS * cost.facts.layers * cost.facts.width
    context, continuation = planner.tokens_of(model)
    fed = context + continuation - 1
    kept = traced_bytes(cost.facts, cost.number_bytes, batch, fed) if cost.gpus else 0
    return Cost(seconds, cost.gpus, 1, written, planner.whole_peak(model, batch, fed, 1) + kept)


def _cost(planner: Planner, wildcards: Wildcards) -> Cost:
    """Every row is continued and fed once for each sublayer, from its layer on."""
    model, study = wildcards["model"], planner.study
    cost, batch = planner.costs[model], study.config[SECTION]["batch_rows"]
    domains = len(domains_of_part(study, model, wildcards["part"]))
    rows, (context, continuation) = _rows(study, domains), planner.tokens_of(model)
    layers, fed = range(cost.facts.layers), context + continuation - 1
    row = 2 * SUBLAYERS * costs.restarted_flops(cost.facts, context, continuation, layers) + 3 * cost.row
    seconds = cost.seconds(rows, batch, row, PACE) + _reading(planner, domains)
    written = rows * (costs.LAYERED_BYTES + SUBLAYERS * cost.facts.layers * LOST_BYTES)
    if not cost.gpus:
        return Cost(seconds, 0, 1, written)
    continued = costs.peak_bytes(cost.facts, cost.gpus, cost.number_bytes, batch, context, continuation)
    peak = max(continued, planner.whole_peak(model, batch, fed, continuation))
    return Cost(seconds, cost.gpus, 1, written, peak + traced_bytes(cost.facts, cost.number_bytes, batch, fed))


def _summary_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    study, seconds = planner.study, float(costs.START_SECONDS)
    for model in study.models_of(SECTION):
        domains, layers = len(study.domains_of(model)), planner.costs[model].facts.layers
        seconds += _rows(study, domains) * SUBLAYERS * layers * LOST_SECONDS
        seconds += len(study.config[SECTION]["classes"]) * costs.RESAMPLING_SECONDS
    return Cost(seconds)


RULES = (
    Rule(
        "sublayer_means",
        place="{model}",
        run="recite.stages.sublayers.measure:measure_means",
        jobs=_models,
        inputs=_means_inputs,
        outputs={"means": "sublayer_means/{model}.parquet"},
        options=_means_options,
        runs_model=True,
        cost=_means_cost,
    ),
    Rule(
        "sublayers",
        place="{model}/{part}",
        run="recite.stages.sublayers.measure:measure_sublayers",
        jobs=lambda study: domain_jobs(study, study.models_of(SECTION)),
        inputs=_inputs,
        outputs={"without": "sublayers/{model}/{part}.parquet"},
        options=_options,
        runs_model=True,
        cost=_cost,
    ),
    Rule(
        "sublayers_aggregation",
        run="recite.stages.sublayers.summarize:aggregate_sublayers",
        jobs=lambda study: ONCE if study.models_of(SECTION) else (),
        inputs=lambda study, wildcards: {"without": study.files("sublayers")},
        tables=("sublayers", "carried"),
        options=lambda study, wildcards: study.summary_options(),
        cost=_summary_cost,
    ),
)

STAGE = Stage(
    "recite.stages.sublayers",
    RULES,
    section=SECTION,
    check=lambda study, source: check_models_of(study, SECTION, source),
    words=True,
    figures={
        "sublayers": Figure(
            "Attention or MLP",
            "Heads",
            ("sublayers",),
            (
                "What natural rows lose without the attention or the MLP of one layer, whose output is replaced by its "
                "mean over the drawn rows unless the study's config says otherwise, against the layer's depth, for "
                "each family's largest model. Left, the drop of the memorization score M of memorized rows, in "
                "points; right, that of the log-probability of the true continuation, of memorized rows (full) and of "
                "unmemorized ones (pale, dashed), on a scale that is linear up to one and logarithmic beyond. Bars are "
                "bootstrap intervals {about}. Tests, planted rows and single domains are in the table `sublayers`."
            ),
        ),
        "carried": Figure(
            "Where recall is carried",
            "Heads",
            ("carried",),
            (
                "Of what memorized natural rows lose without single sublayers, summed over layers, the share that MLPs "
                "have, against model size: by hits of the greedy continuation and by log-probability of the true one. "
                "Half of it would be as much as attention has. What single sublayers are worth does not add up to what "
                "all are worth together. Bars are bootstrap intervals {about}; sums and depths are in the table "
                "`carried`."
            ),
        ),
    },
)
