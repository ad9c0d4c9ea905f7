"""Examples: rows to read, with what was given, what follows in the corpus and what the model said."""

from typing import Any

from recite.planning import costs
from recite.planning.planner import Planner
from recite.stages.inputs import scores_of, shard_files, tokenizer
from recite.study.checks import check_models_of
from recite.study.declaration import Cost, Files, Rule, Stage, Wildcards
from recite.study.study import Study

SECTION = "examples"
ROW_SECONDS = 4e-6
"""Seconds on one core to class a row of 32 tokens and 32, and to look for the chosen ones: 300,000 rows."""
EXAMPLE_SECONDS = 5e-3
"""To decode a chosen row token by token, and to mask it."""
EXAMPLE_BYTES = 1500
PART_BYTES, SHARD_BYTES = 200, 600
"""Of a row of the part of scores, and of the shard, that are in memory."""
CLASSES = 4


def _inputs(study: Study, wildcards: Wildcards) -> Files:
    model = wildcards["model"]
    family = study.models[model].family
    files = {
        "scores": scores_of(study, [model]),
        "shards": shard_files(study, family, study.shards(family)),
        "tokenizer": tokenizer(study, family),
    }
    if near := _undisturbed(study, model):
        files["near"] = [study.file("near_verbatim", "near", job) for job in near]
    counted = [job for job in study.jobs("frequency") if job["family"] == family]
    if counted:
        files["frequencies"] = study.file("frequency", "frequencies", counted[0])
    if study.planted:
        names = [shard for domain in study.planted for shard in study.shards_of(domain)]
        files["planted"] = shard_files(study, family, names)
        files["controls"] = study.file("corpus", "controls", {})
    return files


def _undisturbed(study: Study, model: str) -> list[Wildcards]:
    """The jobs of edit distances that are of the same parts as the model's scores, in their order."""
    return [job for job in study.jobs("near_verbatim") if job["model"] == model and not float(job["alpha"])]


def _options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    model = study.models[wildcards["model"]]
    section, aggregation = study.config[SECTION], study.config["aggregation"]
    near = {}
    if _undisturbed(study, model.name):
        near = {"nearness": max(study.config["near_verbatim"]["tolerances"])}
    return {
        "model": model.name,
        "family": model.family,
        "seed": study.seed,
        "domains": list(study.domains_of(model.name)),
        **{name: aggregation[name] for name in ("memorized", "half", "unmemorized")},
        **{name: section[name] for name in ("per_class", "mask")},
        **near,
    }


def _cost(planner: Planner, wildcards: Wildcards) -> Cost:
    study, model = planner.study, wildcards["model"]
    rows = planner.rows(model)
    chosen = study.config[SECTION]["per_class"] * CLASSES * len(study.domains_of(model))
    seconds = costs.START_SECONDS + sum(rows.values()) * ROW_SECONDS + chosen * EXAMPLE_SECONDS
    held = max(rows.values()) * PART_BYTES + study.config["sampling"]["shard_rows"] * SHARD_BYTES
    return Cost(seconds, written=chosen * EXAMPLE_BYTES, held=held)


RULES = (
    Rule(
        "examples",
        place="{model}",
        run="recite.stages.examples.measure:pick_examples",
        jobs=lambda study: [{"model": model} for model in study.models_of(SECTION)],
        inputs=_inputs,
        outputs={"examples": "examples/{model}.parquet"},
        options=_options,
        cost=_cost,
    ),
)

STAGE = Stage(
    "recite.stages.examples",
    RULES,
    section=SECTION,
    check=lambda study, source: check_models_of(study, SECTION, source),
)
