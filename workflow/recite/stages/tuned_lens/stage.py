"""Tuned lens: what every layer says once an affine map has brought it into the last layer's coordinates."""

from typing import Any

from recite.errors import ReciteError
from recite.planning import costs
from recite.planning.costs import Facts
from recite.planning.held import held
from recite.planning.planner import Planner
from recite.stages.inputs import checkpoint, own_batches, ready, scores_of, shard_files
from recite.stages.lens.stage import LAYER_BYTES, decoding_flops
from recite.stages.lens.stage import SECTION as LENS
from recite.study.asked import Asked
from recite.study.checks import check_models_of
from recite.study.declaration import ONCE, Cost, Figure, Files, Rule, Stage, Wildcards
from recite.study.study import Study

SECTION = "tuned_lens"
PACE = 0.74
"""What both jobs reach on a GPU, over scoring: that of the lens, which unembeds as they do; not measured."""
HELD, GROUP_BYTES, TOKENS = 16, 4 * 10**9, 512
"""Held against `recite.stages.tuned_lens.training` in the tests."""
KEPT_BYTES = 20
LAYER_PASSES = 6
"""Operations of a weight that a gradient flows through, forward and backward."""


def rows_per_domain(study: Study) -> int:
    """Rows of each domain, the first of its sample."""
    total = int(study.config["sampling"]["rows_per_domain"])
    return int(min(study.config[SECTION].get("rows_per_domain", total), total))


def _check(study: Asked, source: str) -> None:
    """The section's models are of the study, and the plain lens stands beside the tuned one."""
    check_models_of(study, SECTION, source)
    for model in study.models_of(SECTION):
        if model not in study.models_of(LENS):
            raise ReciteError(
                f"{source}: tuned_lens.models: {model} is not decoded by the plain lens, which the tuned one is set "
                "beside; add it to lens.models, or leave it out."
            )


def _jobs(study: Study) -> list[Wildcards]:
    return [{"model": model} for model in study.models_of(SECTION)]


def _inputs(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    model = wildcards["model"]
    needed = -(-rows_per_domain(study) // study.config["sampling"]["shard_rows"])
    shards = [shard for domain in study.domains_of(model) for shard in study.shards_of(domain)[:needed]]
    rows = {"shards": shard_files(study, study.models[model].family, shards)}
    return checkpoint(study, model) | ready(study) | rows


def _measured_inputs(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    made = {name: study.file("tuned_lens_training", name, wildcards) for name in ("translators", "kept")}
    return _inputs(study, wildcards) | made


def _options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    return own_batches(study, SECTION, wildcards["model"]) | {"rows_per_domain": rows_per_domain(study)}


def _training_options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    recipe = {key: study.config[SECTION][key] for key in ("training_share", "steps", "step_rows")}
    return _options(study, wildcards) | {"seed": study.seed} | recipe


def translator_weights(facts: Facts) -> int:
    """Numbers of the translators of a model."""
    return (facts.layers - 1) * facts.width * (facts.width + 1)


def _training_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    """The model is run once for each group of layers that are trained beside each other."""
    model, section = wildcards["model"], planner.study.config[SECTION]
    cost, batch = planner.costs[model], section["batch_rows"]
    fed = sum(planner.tokens_of(model)) - 1
    facts, weights = cost.facts, translator_weights(cost.facts)
    together = max(1, GROUP_BYTES // (HELD * facts.width * (facts.width + 1)))
    groups = -(-(facts.layers - 1) // together)
    learnt = LAYER_PASSES * fed * (weights + (facts.layers - 1) * facts.embedding)
    row = groups * (costs.pass_flops(facts, fed) + 2 * fed * facts.embedding) + learnt
    seconds = cost.seconds(section["steps"] * section["step_rows"], batch, row, PACE)
    rows = len(planner.study.domains_of(model)) * rows_per_domain(planner.study)
    peak = planner.whole_peak(model, batch, fed, -(-TOKENS // batch))
    streams = facts.layers * batch * fed * facts.width * cost.number_bytes
    held = max(min(GROUP_BYTES, HELD * weights), costs.NUMBER_BYTES * weights) + streams if cost.gpus else 0
    return Cost(seconds, cost.gpus, 1, costs.NUMBER_BYTES * weights + rows * KEPT_BYTES, peak + held)


def _cost(planner: Planner, wildcards: Wildcards) -> Cost:
    model, batch = wildcards["model"], planner.study.config[SECTION]["batch_rows"]
    cost, rows = planner.costs[model], len(planner.study.domains_of(model)) * rows_per_domain(planner.study)
    context, continuation = planner.tokens_of(model)
    weights = translator_weights(cost.facts)
    row = decoding_flops(cost.facts, context, continuation) + 2 * continuation * weights
    written = rows * (costs.LAYERED_BYTES + cost.facts.layers * LAYER_BYTES)
    peak = planner.whole_peak(model, batch, context + continuation - 1, min(costs.CHUNK, continuation))
    held = costs.NUMBER_BYTES * weights if cost.gpus else 0
    return Cost(cost.seconds(rows, batch, row, PACE), cost.gpus, 1, written, peak + held)


def _summary_inputs(study: Study, wildcards: Wildcards) -> Files:
    models = study.models_of(SECTION)
    return {
        "scores": scores_of(study, models),
        "lens": [file for model in models for file in study.files("lens", "lens", model=model)],
        "translated": study.files("tuned_lens", "translated"),
        "training": study.files("tuned_lens_training", "training"),
    }


def _summary_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    models = planner.study.models_of(SECTION)
    read = 2 * planner.total_rows(models)
    seconds = costs.START_SECONDS + read * costs.LAYERS_SECONDS + 2 * len(models) * costs.RESAMPLING_SECONDS
    return Cost(seconds, held=held(planner, models))


RULES = (
    Rule(
        "tuned_lens_training",
        place="{model}",
        run="recite.stages.tuned_lens.training:train_translators",
        jobs=_jobs,
        inputs=_inputs,
        outputs={
            "translators": "tuned_lens/{model}/translators.safetensors",
            "kept": "tuned_lens/{model}/kept.parquet",
            "training": "tuned_lens/{model}/training.parquet",
        },
        options=_training_options,
        runs_model=True,
        cost=_training_cost,
    ),
    Rule(
        "tuned_lens",
        place="{model}",
        run="recite.stages.tuned_lens.measure:decode_translated",
        jobs=_jobs,
        inputs=_measured_inputs,
        outputs={"translated": "tuned_lens/{model}/decoded.parquet"},
        options=_options,
        runs_model=True,
        cost=_cost,
    ),
    Rule(
        "tuned_lens_aggregation",
        run="recite.stages.tuned_lens.summarize:aggregate_tuned_lens",
        jobs=lambda study: ONCE if study.models_of(SECTION) else (),
        inputs=_summary_inputs,
        tables=("tuned_lens", "tuned_lens_depths", "tuned_lens_training"),
        options=lambda study, wildcards: study.summary_options(),
        cost=_summary_cost,
    ),
)

STAGE = Stage(
    "recite.stages.tuned_lens",
    RULES,
    section=SECTION,
    check=_check,
    words=True,
    figures={
        "tuned_lens": Figure(
            "Layer decoding by the plain and by the tuned lens",
            "Layers",
            ("tuned_lens",),
            (
                "Mean probability of the true token after every layer, by the plain lens (dashed) and through the "
                "layer's translator (solid), an affine map that was trained, on rows apart, to make the layer say what "
                "the model says in the end; the last layer has none. Both lenses on the same rows, which no translator "
                "was trained on, by class; each family's largest model. Dotted at one half. Bars are bootstrap "
                "intervals for these translators, {about}. Classes of fewer than five texts are in the table only."
            ),
        ),
        "tuned_lens_depths": Figure(
            "Depth at which the true token is known, by both lenses",
            "Layers",
            ("tuned_lens_depths",),
            (
                "Relative depth at which the true token's mean probability passes one half, and half of its final "
                "value, by the plain lens (open) and the tuned one (filled), on the same rows. Bars are bootstrap "
                "intervals for these translators, {about}; where a curve stays below the threshold there is no "
                "point. Classes of fewer than five texts are left out."
            ),
        ),
    },
)
