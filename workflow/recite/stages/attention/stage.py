"""Attention: which places of its context a continuation attends to and needs; which heads are induction heads."""

from typing import Any

from recite.errors import ReciteError
from recite.planning import costs
from recite.planning.held import held
from recite.planning.planner import Planner
from recite.stages.inputs import (
    checkpoint,
    domain_jobs,
    domains_of_part,
    drawing_of_classes,
    model_and_drawn,
    own_batches,
    planted,
    scores_of,
    shard_files,
)
from recite.study.asked import Asked
from recite.study.checks import check_models_of
from recite.study.declaration import ONCE, Cost, Figure, Files, Rule, Stage, Wildcards
from recite.study.study import Study

SECTION = "attention"
IMPORTANCE = "ablation"
"""The section, and the rule, of what heads matter."""
PACE = 0.32
"""What it reaches on a GPU, over scoring: that of ablated heads, whose continuations leave their drafts, too."""
UNSEEN, PLANTED, HELD_OUT = "unseen", "planted", "held_out"
OTHER_PLACES = 3
"""Places beside the segments: the first token, the continuation and the query itself, which alone is not cut."""
MASS_COPIES = 3
"""How often what drawn rows attend to is in main memory while it is summed up (docs/rehearsal.md)."""
DRAWING_SECONDS = 1e-5
"""Reading a row's score and context and hashing its name, on one core."""
LINE_SECONDS = 2e-4
"""Resampling a number of one class of rows and taking its interval, on one core."""


def _check(study: Asked, source: str) -> None:
    """The section's models are of the study; every segment of the context has a token beside the first."""
    check_models_of(study, SECTION, source)
    tokens, segments = study.config["sampling"]["context_tokens"], study.config[SECTION]["segments"]
    if 2 * segments > tokens:
        raise ReciteError(
            f"{source}: attention.segments: {segments} segments of two tokens or more are longer than the context "
            f"({tokens} tokens); ask for fewer."
        )


def _inputs(study: Study, wildcards: Wildcards) -> Files:
    """A model with all rows and scores of some domains and, where unseen rows are drawn, the copies of planted ones."""
    model, part = wildcards["model"], wildcards["part"]
    domains = _domains_of_kind(study, model, part, PLANTED) if UNSEEN in study.config[SECTION]["classes"] else []
    shards = [shard for domain in domains for shard in study.shards_of(domain)]
    copies = {"controls": study.file("corpus", "controls", {})} if domains else {}
    planted_shards = shard_files(study, study.models[model].family, shards)
    drawn = model_and_drawn(study, model, domains_of_part(study, model, part))
    return drawn | {"planted": planted_shards} | copies


def _domains_of_kind(study: Study, model: str, part: str, *kinds: str) -> list[str]:
    """The domains of a job that are of some kinds."""
    every = study.domains_of(model)
    return [domain for domain in domains_of_part(study, model, part) if every[domain] in kinds]


def _options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    model, section = wildcards["model"], study.config[SECTION]
    kinds = study.domains_of(model)
    domains = {domain: kinds[domain] for domain in domains_of_part(study, model, wildcards["part"])}
    own = drawing_of_classes(study, SECTION, domains) | {"domains": domains, "segments": section["segments"]}
    return own_batches(study, SECTION, model) | own


def _induction_options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    own = {key: study.config[SECTION][key] for key in ("sequences", "repeated_tokens")}
    return own_batches(study, SECTION, wildcards["model"]) | own | {"seed": study.seed}


def _rows(study: Study, model: str, part: str) -> int:
    """Rows of a job to expect; of planted domains at most all as unseen."""
    most, counts = study.config["sampling"]["rows_per_domain"], dict(study.config[SECTION]["classes"])
    unseen = min(most, counts.pop(UNSEEN, 0)) * len(_domains_of_kind(study, model, part, PLANTED, HELD_OUT))
    return unseen + min(most, sum(counts.values())) * len(domains_of_part(study, model, part))


def _cost(planner: Planner, wildcards: Wildcards) -> Cost:
    """Of feeding and continuing every row, whole and without each place."""
    model, study = wildcards["model"], planner.study
    section, cost = study.config[SECTION], planner.costs[model]
    domains, batch = len(domains_of_part(study, model, wildcards["part"])), section["batch_rows"]
    rows, places = _rows(study, model, wildcards["part"]), section["segments"] + OTHER_PLACES
    drawing = domains * study.config["sampling"]["rows_per_domain"] * DRAWING_SECONDS
    seconds = cost.seconds(2 * places * rows, batch, cost.row, PACE) + drawing
    context, continuation = planner.tokens_of(model)
    peak = _peak(planner, model, context + continuation - 1, continuation)
    return Cost(seconds, cost.gpus, 1, rows * _row_bytes(planner, model), peak)


def _row_bytes(planner: Planner, model: str) -> int:
    facts = planner.costs[model].facts
    places = planner.study.config[SECTION]["segments"] + OTHER_PLACES
    return costs.LAYERED_BYTES + facts.layers * facts.heads * places * costs.NUMBER_BYTES


def _peak(planner: Planner, model: str, positions: int, unembedded: int) -> int:
    """Bytes of each GPU: a pass over whole rows with one layer's weights, in float32, and their scores."""
    batch = planner.study.config[SECTION]["batch_rows"]
    whole = planner.whole_peak(model, batch, positions, unembedded)
    return whole and whole + 2 * costs.NUMBER_BYTES * batch * planner.costs[model].facts.heads * positions**2


def _induction_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    model, section = wildcards["model"], planner.study.config[SECTION]
    cost, positions = planner.costs[model], 2 * section["repeated_tokens"] + 1
    row = costs.pass_flops(cost.facts, positions) + 2 * cost.facts.embedding
    seconds = cost.seconds(section["sequences"], section["batch_rows"], row, PACE)
    written = section["sequences"] * 2 * cost.facts.layers * cost.facts.heads * costs.NUMBER_BYTES
    return Cost(seconds, cost.gpus, 1, written, _peak(planner, model, positions, 1))


def _summary_inputs(study: Study, wildcards: Wildcards) -> Files:
    scores = scores_of(study, study.models_of(SECTION))
    return {"scores": scores, "attended": study.files("attention")} | planted(study)


def _summary_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    study, seconds, memory = planner.study, float(costs.START_SECONDS), 0
    classes = len(study.config[SECTION]["classes"])
    for model in study.models_of(SECTION):
        facts, rows = planner.costs[model].facts, sum(_rows(study, model, part) for part in study.parts(model))
        numbers = facts.layers * (facts.heads + 2) * (study.config[SECTION]["segments"] + OTHER_PLACES)
        seconds += planner.total_rows([model]) * costs.AGGREGATION_SECONDS + classes * numbers * LINE_SECONDS
        memory = max(memory, held(planner, [model]) + MASS_COPIES * rows * _row_bytes(planner, model))
    return Cost(seconds, held=memory)


def _matching_inputs(study: Study, wildcards: Wildcards) -> Files:
    """The models' heads in random tokens, and what those matter that are ablated, too."""
    models = [model for model in study.models_of(IMPORTANCE) if model in study.models_of(SECTION)]
    rows = {
        name: [file for model in models for file in study.files(rule, name, model=model)]
        for name, rule in (("ablated", IMPORTANCE), ("drawn", "ablation_rows"))
    }
    return {"induced": study.files("induction")} | rows


def _matching_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    models = planner.study.models_of(SECTION)
    numbers = sum(2 * planner.costs[model].facts.layers * planner.costs[model].facts.heads for model in models)
    return Cost(costs.START_SECONDS + numbers * LINE_SECONDS + len(models) * costs.RESAMPLING_SECONDS)


RULES = (
    Rule(
        "attention",
        place="{model}/{part}",
        run="recite.stages.attention.measure:measure_attention",
        jobs=lambda study: domain_jobs(study, study.models_of(SECTION)),
        inputs=_inputs,
        outputs={"attended": "attention/{model}/{part}.parquet"},
        options=_options,
        runs_model=True,
        cost=_cost,
    ),
    Rule(
        "induction",
        place="{model}",
        run="recite.stages.attention.induction:measure_induction",
        jobs=lambda study: [{"model": model} for model in study.models_of(SECTION)],
        inputs=lambda study, wildcards: checkpoint(study, wildcards["model"]),
        outputs={"induced": "induction/{model}.parquet"},
        options=_induction_options,
        runs_model=True,
        cost=_induction_cost,
    ),
    Rule(
        "attention_aggregation",
        run="recite.stages.attention.summarize:aggregate_attention",
        jobs=lambda study: ONCE if study.models_of(SECTION) else (),
        inputs=_summary_inputs,
        tables=("attention", "attention_layers", "attention_heads"),
        options=lambda study, wildcards: study.summary_options(),
        cost=_summary_cost,
    ),
    Rule(
        "induction_aggregation",
        run="recite.stages.attention.matching:aggregate_induction",
        jobs=lambda study: ONCE if study.models_of(SECTION) else (),
        inputs=_matching_inputs,
        tables=("induction", "induction_overlap"),
        options=lambda study, wildcards: study.summary_options(),
        cost=_matching_cost,
    ),
)

STAGE = Stage(
    "recite.stages.attention",
    RULES,
    section=SECTION,
    check=_check,
    words=True,
    figures={
        "attention": Figure(
            "What a continuation attends to, and needs",
            "Heads",
            ("attention",),
            (
                "Above, the attention from the positions that predict the true continuation to each place before "
                "them, mean over layers and heads: the row's first token, segments of the context, the continuation so "
                "far, the position itself; the grey line is even attention to all that is seen. Below, what the true "
                "continuation's log-probability loses where attention to the place is cut in all layers, the rest "
                "taking its weight. Natural rows drawn by class, each domain's standing for all of it, beside rows "
                "that the model was not trained on; each family's largest model; n counts drawn rows. Bars are "
                "bootstrap intervals {about}. Layers, heads and hits are in the tables."
            ),
        ),
        "induction": Figure(
            "Induction heads, and heads that matter",
            "Heads",
            ("induction", "heads", "induction_overlap"),
            (
                "Each point is a head: its induction score, the attention from a random token that recurs to the one "
                "that followed it before, against what the log-probability of memorized natural rows loses without "
                "it; darker heads lie deeper, and the upright line is even attention. Above each panel the rank "
                "correlation of the two, over all heads and within layers, and of the fifth of the heads that matters "
                "most the share that is among the fifth of highest score, with intervals, beside chance. Each family's "
                "largest model whose heads were ablated."
            ),
        ),
    },
)
