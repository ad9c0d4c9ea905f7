"""Erasing: noise, heads, sublayers and neurons at equal damage to other rows, and which removes recall best."""

from typing import Any

from recite.planning import costs
from recite.planning.planner import Planner
from recite.stages.heads.cost import PACE
from recite.stages.inputs import drawing, model_and_drawn, own_batches, planted
from recite.study.checks import check_models_of
from recite.study.declaration import ONCE, Cost, Figure, Files, Rule, Stage, Wildcards
from recite.study.study import Study

SECTION = "erasing"
STRENGTHS = ("noise", "heads", "sublayers", "neurons")
RANDOM = ("heads", "neurons")
"""What is also replaced at random."""
RUNG_BYTES = 3
DRAWING_SECONDS = 1e-5
"""Reading a row's score and context and hashing its name, on one core."""


def _inputs(study: Study, wildcards: Wildcards) -> Files:
    """A model, its rows, and what ranks its heads and sublayers, if the study measures it."""
    model = wildcards["model"]
    ranked = {"ablated": study.files("ablation", model=model), "without": study.files("sublayers", model=model)}
    return model_and_drawn(study, model, study.domains_of(model)) | ranked | planted(study)


def _options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    model, section = wildcards["model"], study.config[SECTION]
    kinds = study.domains_of(model)
    own = {name: section[name] for name in ("rows", *STRENGTHS)} | {"kinds": kinds}
    return own_batches(study, SECTION, model) | own | drawing(study, kinds)


def _rows(study: Study, model: str) -> tuple[int, int]:
    """Memorized rows and other ones of a model, where every domain has enough."""
    rows, most = study.config[SECTION]["rows"], study.config["sampling"]["rows_per_domain"]
    domains = len(study.domains_of(model))
    return domains * min(most, rows["memorized"]), domains * min(most, rows["other"])


def _rungs(study: Study) -> int:
    section = study.config[SECTION]
    return sum(len(section[name]) for name in (*STRENGTHS, *RANDOM))


def _cost(planner: Planner, wildcards: Wildcards) -> Cost:
    """Of continuing half of the memorized rows, and of feeding the other ones, at every rung."""
    model, study = wildcards["model"], planner.study
    cost, batch = planner.costs[model], study.config[SECTION]["batch_rows"]
    (memorized, others), (context, continuation) = _rows(study, model), planner.tokens_of(model)
    once = memorized // 2 + others
    passes = once * (1 + _rungs(study)) + 3 * (memorized + others)
    reading = len(study.domains_of(model)) * study.config["sampling"]["rows_per_domain"] * DRAWING_SECONDS
    peak = planner.whole_peak(model, batch, context + continuation - 1, continuation)
    return Cost(
        cost.seconds(passes, batch, cost.row, PACE) + reading, cost.gpus, 1, once * _rungs(study) * RUNG_BYTES, peak
    )


def _summary_inputs(study: Study, wildcards: Wildcards) -> Files:
    return {name: study.files("erasing", name) for name in ("recalled", "damaged")}


def _summary_options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    return study.summary_options() | {"damages": study.config[SECTION]["damages"]}


def _summary_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    return Cost(costs.START_SECONDS + len(planner.study.models_of(SECTION)) * costs.RESAMPLING_SECONDS)


RULES = (
    Rule(
        "erasing",
        place="{model}",
        run="recite.stages.erasing.measure.erasing:erase",
        jobs=lambda study: [{"model": model} for model in study.models_of(SECTION)],
        inputs=_inputs,
        outputs={"recalled": "erasing/{model}/recalled.parquet", "damaged": "erasing/{model}/damaged.parquet"},
        options=_options,
        runs_model=True,
        cost=_cost,
    ),
    Rule(
        "erasing_aggregation",
        run="recite.stages.erasing.summarize:aggregate_erasing",
        jobs=lambda study: ONCE if study.models_of(SECTION) else (),
        inputs=_summary_inputs,
        tables=("erasing", "erased"),
        options=_summary_options,
        cost=_summary_cost,
    ),
)

STAGE = Stage(
    "recite.stages.erasing",
    RULES,
    section=SECTION,
    check=lambda study, source: check_models_of(study, SECTION, source),
    words=True,
    figures={
        "erasing": Figure(
            "Recall left, and damage done",
            "Heads",
            ("erasing",),
            (
                "What memorized rows still recite (mean score M) against what other rows, unmemorized or of no "
                "copy, lose in log-probability, as each intervention grows: noise in the first layer, and heads, "
                "sublayers and neurons replaced by their means, first those by which memorized rows of other texts "
                "lose most; dashed, as many at random. Points are rungs of the ladders, which start at the whole "
                "model, and lines between them are straight in nats, drawn on a scale that is linear up to 0.1 and "
                "logarithmic beyond; the lower a line at one damage, the better it erases. Natural rows of each "
                "family's largest model, planted ones where natural ones are of fewer than five texts. Bars are "
                "bootstrap intervals {about}."
            ),
        ),
    },
)
