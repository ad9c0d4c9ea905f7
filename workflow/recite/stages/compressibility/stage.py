"""Compressibility: by which suffixes of its context a memorized row is still recited."""

import math

from recite.errors import ReciteError
from recite.planning import costs
from recite.planning.costs import Facts
from recite.planning.planner import Planner
from recite.stages.inputs import model_and_scores, own_batches, part_jobs
from recite.study.asked import Asked
from recite.study.checks import check_models_of
from recite.study.declaration import ONCE, Cost, Figure, Rule, Stage, Wildcards

SECTION = "compressibility"
MASK_BITS = 64
"""Bits of the mask in the table of suffixes."""
MEMORIZED = 0.05
"""Assumed share of rows that a model recites whole, which are those whose context is shortened."""
SUFFIX_BYTES = 27


def _check(study: Asked, source: str) -> None:
    """A mask holds every suffix of a context."""
    check_models_of(study, SECTION, source)
    context = study.config["sampling"]["context_tokens"]
    if context > MASK_BITS:
        raise ReciteError(
            f"{source}: sampling.context_tokens is {context}, but compressibility keeps one bit for each suffix of a "
            f"context, {MASK_BITS} at most; choose fewer or drop the section compressibility."
        )


def suffix_flops(facts: Facts, bos: int, context: int, continuation: int) -> int:
    """Operations to continue one row from every suffix of its context, behind `bos` tokens."""
    return sum(costs.row_flops(facts, bos + length, continuation) for length in range(1, context + 1))


def _recited(planner: Planner, model: str, part: str) -> int:
    return math.ceil(MEMORIZED * planner.rows(model)[part])


def _cost(planner: Planner, wildcards: Wildcards) -> Cost:
    """As if all texts were distinct and no suffix failed before its end."""
    model = wildcards["model"]
    cost, bos = planner.costs[model], int(planner.study.models[model].bos is not None)
    context, continuation = planner.tokens
    batch, recited = planner.study.config[SECTION]["batch_rows"], _recited(planner, model, wildcards["part"])
    shape = (cost.number_bytes, batch, bos + context, continuation, costs.BLOCK_BATCHES)
    peak = costs.peak_bytes(cost.facts, cost.gpus, *shape) if cost.gpus else 0
    seconds = cost.seconds(recited, batch, suffix_flops(cost.facts, bos, context, continuation))
    return Cost(seconds, cost.gpus, 1, recited * SUFFIX_BYTES, peak)


def _summary_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    read = sum(_recited(planner, job["model"], job["part"]) for job in planner.study.jobs("compressibility"))
    return Cost(costs.START_SECONDS + read * costs.AGGREGATION_SECONDS)


RULES = (
    Rule(
        "compressibility",
        place="{model}/{part}",
        run="recite.stages.compressibility.measure:shorten",
        jobs=lambda study: part_jobs(study, study.models_of(SECTION)),
        inputs=model_and_scores,
        outputs={"suffixes": "compressibility/{model}/{part}.parquet"},
        options=lambda study, wildcards: own_batches(study, SECTION, wildcards["model"]),
        runs_model=True,
        cost=_cost,
    ),
    Rule(
        "compressibility_aggregation",
        run="recite.stages.compressibility.summarize:aggregate_suffixes",
        jobs=lambda study: ONCE if study.models_of(SECTION) else (),
        inputs=lambda study, wildcards: {"suffixes": study.files("compressibility")},
        outputs={"draws": "draws/compressibility.parquet"},
        tables=("compressibility", "suffix_lengths"),
        options=lambda study, wildcards: study.summary_options(),
        cost=_summary_cost,
    ),
)

STAGE = Stage(
    "recite.stages.compressibility",
    RULES,
    section=SECTION,
    check=_check,
    claims=("compressibility",),
    words=True,
    figures={
        "compressibility": Figure(
            "How much of the context memorized rows need",
            "Compressibility",
            ("compressibility", "suffix_lengths"),
            (
                "Rows that a model recites whole are recited again from every suffix of their contexts. Above, share "
                "of them that a suffix of the given length or a shorter one suffices for, a thick line for each "
                "family's largest model, thin ones for the others; bars at half the context (dotted) are Wilson "
                "intervals {about}. Below, the mean by domain of the shortest sufficient suffix over the context, for "
                "each family's largest model, with bootstrap intervals; hollow where there are fewer than five texts, "
                "too few for one. A model with learned positions that saw each text from its first position only, as "
                "StarCoder does in the mini study, recites hardly any row from a suffix."
            ),
        ),
    },
)
