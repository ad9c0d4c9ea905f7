"""Extraction: how many draws from a model it takes to meet the true continuation."""

from typing import Any

from recite.planning import costs
from recite.planning.held import held
from recite.planning.planner import Planner
from recite.stages.inputs import checkpoint, own_batches, ready, scores_of, shard_files
from recite.stages.noise.stage import check_layers, options_in, runs
from recite.study.asked import Asked
from recite.study.checks import check_models_of
from recite.study.declaration import ONCE, Cost, Figure, Files, Rule, Stage, Wildcards
from recite.study.study import Study

SECTION = "extraction"
PLAIN = "plain"
"""The scheme that every study has: each token is drawn as the model says."""
PACE = 0.74
"""What it reaches on a GPU, over scoring: taken from the lens, which reads logits in float32 too; not measured."""
SORTED_SECONDS = 5e-10
"""To sort a logit on a GPU; assumed."""
LINE_SECONDS = 1e-7
"""To hold a row against one number of draws."""
LINES = 63
"""Lines of a domain, with the schemes that are there unless others are named."""


def rows_per_domain(study: Study) -> int:
    """Rows of each domain, the first of its sample."""
    total = int(study.config["sampling"]["rows_per_domain"])
    return int(min(study.config[SECTION].get("rows_per_domain", total), total))


def first_shards(study: Study, model: str) -> list[str]:
    """The shards that hold them."""
    needed = -(-rows_per_domain(study) // study.config["sampling"]["shard_rows"])
    return [shard for domain in study.domains_of(model) for shard in study.shards_of(domain)[:needed]]


def schemes(study: Study) -> dict[str, Any]:
    """Scheme -> its cuts."""
    return {**study.config[SECTION]["schemes"], PLAIN: {}}


def _check(study: Asked, source: str) -> None:
    """The section's models are of the study, and those that are disturbed have the disturbed layers."""
    check_models_of(study, SECTION, source)
    disturbed = [name for name in study.models_of(SECTION) if name in study.models_of("noise")]
    if disturbed:
        check_layers(study, disturbed, "noise", source)


def _jobs(study: Study) -> list[Wildcards]:
    return [{"model": model, **run} for model in study.models_of(SECTION) for run in runs(study, model)]


def _inputs(study: Study, wildcards: Wildcards) -> Files:
    model = wildcards["model"]
    rows = {"shards": shard_files(study, study.models[model].family, first_shards(study, model))}
    return checkpoint(study, model) | ready(study) | rows


def _options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    own = {"rows_per_domain": rows_per_domain(study), "schemes": schemes(study)}
    noise = {"noise": options_in(study, int(wildcards["layer"]))} if float(wildcards["alpha"]) else {}
    return own_batches(study, SECTION, wildcards["model"]) | own | noise


def _rows(study: Study, model: str) -> int:
    return len(study.domains_of(model)) * rows_per_domain(study)


def _cost(planner: Planner, wildcards: Wildcards) -> Cost:
    model, study = wildcards["model"], planner.study
    cost, batch, rows = planner.costs[model], study.config[SECTION]["batch_rows"], _rows(study, model)
    context, continuation = planner.tokens_of(model)
    cuts = sum("top_p" in scheme for scheme in schemes(study).values())
    sorting = rows * continuation * cost.facts.vocabulary * cuts * SORTED_SECONDS
    written = rows * (costs.LAYERED_BYTES + costs.NUMBER_BYTES * len(schemes(study)))
    peak = planner.whole_peak(model, batch, context + continuation - 1, continuation)
    return Cost(cost.seconds(rows, batch, cost.row, PACE) + sorting, cost.gpus, 1, written, peak)


def _summary_inputs(study: Study, wildcards: Wildcards) -> Files:
    models = study.models_of(SECTION)
    noisy = [file for model in models for file in study.files("noise", "scores", model=model)]
    return {"scores": scores_of(study, models), "noisy": noisy, "extracted": study.files("extraction")}


def _summary_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    study, seconds = planner.study, costs.START_SECONDS
    for model in study.models_of(SECTION):
        count, read = len(runs(study, model)), planner.total_rows([model])
        seconds += count * (read * costs.AGGREGATION_SECONDS + 2 * _rows(study, model) * LINES * LINE_SECONDS)
    return Cost(seconds, held=held(planner, study.models_of(SECTION)))


RULES = (
    Rule(
        "extraction",
        place="{model}/layer-{layer}/alpha-{alpha}",
        run="recite.stages.extraction.measure:measure_extraction",
        jobs=_jobs,
        inputs=_inputs,
        outputs={"extracted": "extraction/{model}/layer-{layer}/alpha-{alpha}.parquet"},
        options=_options,
        runs_model=True,
        cost=_cost,
    ),
    Rule(
        "extraction_aggregation",
        run="recite.stages.extraction.summarize:aggregate_extraction",
        jobs=lambda study: ONCE if study.models_of(SECTION) else (),
        inputs=_summary_inputs,
        tables=("extraction",),
        options=lambda study, wildcards: study.summary_options() | {"schemes": sorted(schemes(study))},
        cost=_summary_cost,
    ),
)

STAGE = Stage(
    "recite.stages.extraction",
    RULES,
    section=SECTION,
    check=_check,
    words=True,
    figures={
        "extraction": Figure(
            "Extraction by sampling",
            "Scores",
            ("extraction",),
            (
                "Share of natural rows whose true continuation is met with a probability of at least one half in so "
                "many draws, each of which draws every token as the model says, without cut, at temperature 1. "
                "Dashed, the share that the greedy continuation recites, on the same rows: the limit of drawing at "
                "ever lower temperature. Bars are Wilson intervals {about}. Other schemes, probabilities and domains "
                "are in the table `extraction`."
            ),
        ),
        "extraction_noise": Figure(
            "Extraction under noise",
            "Noise",
            ("extraction",),
            (
                "Share of natural rows whose true continuation is met with a probability of at least one half in so "
                "many draws, with noise of strength α in the first of the disturbed layers; dashed, greedy "
                "recitation of the same rows under the same noise. Each family's largest model that is disturbed. "
                "Bars are Wilson intervals {about}."
            ),
        ),
    },
)
