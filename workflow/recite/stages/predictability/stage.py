"""Predictability: what is recited after unrelated contexts too was not memorized."""

from typing import Any

from recite.errors import ReciteError
from recite.planning import costs
from recite.planning.held import held
from recite.planning.planner import Planner
from recite.stages.inputs import (
    domain_jobs,
    domains_of_part,
    drawing_of_classes,
    model_and_drawn,
    own_batches,
    planted,
    scores_of,
)
from recite.study.asked import Asked
from recite.study.checks import check_models_of
from recite.study.declaration import ONCE, Cost, Figure, Files, Rule, Stage, Wildcards
from recite.study.study import Study

SECTION = "predictability"
COUNTS = "frequency"
"""The rule, and the section, of what counts rows in their corpus."""
PACE = 0.74
"""What it reaches on a GPU, over scoring: that of the lens, whose passes it makes."""
PRIOR_BYTES = 40
DRAWING_SECONDS = 1e-5
"""Reading a row's score and context and hashing its name, on one core."""


def _check(study: Asked, source: str) -> None:
    """The section's models are of the study, and domains have rows enough to lend contexts."""
    check_models_of(study, SECTION, source)
    rows, contexts = study.config["sampling"]["rows_per_domain"], study.config[SECTION]["contexts"]
    if rows <= contexts:
        raise ReciteError(
            f"{source}: predictability.contexts: a row needs {contexts} other rows of its domain, but "
            f"sampling.rows_per_domain is {rows}; ask for fewer contexts, or sample more rows."
        )


def _inputs(study: Study, wildcards: Wildcards) -> Files:
    model = wildcards["model"]
    return model_and_drawn(study, model, domains_of_part(study, model, wildcards["part"]))


def _options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    model = wildcards["model"]
    drawn = drawing_of_classes(study, SECTION, domains_of_part(study, model, wildcards["part"]))
    return own_batches(study, SECTION, model) | drawn | {"contexts": study.config[SECTION]["contexts"]}


def _cost(planner: Planner, wildcards: Wildcards) -> Cost:
    model, study = wildcards["model"], planner.study
    section, cost, most = study.config[SECTION], planner.costs[model], study.config["sampling"]["rows_per_domain"]
    domains = len(domains_of_part(study, model, wildcards["part"]))
    rows = domains * min(most, sum(section["classes"].values()))
    passes, batch = rows * (1 + section["contexts"]), section["batch_rows"]
    context, continuation = planner.tokens_of(model)
    seconds = cost.seconds(passes, batch, cost.row, PACE) + domains * most * DRAWING_SECONDS
    peak = planner.whole_peak(model, batch, context + continuation - 1, continuation)
    return Cost(seconds, cost.gpus, 1, rows * PRIOR_BYTES, peak)


def _counts(study: Study) -> list[str]:
    """Counts of the families' rows by the study's first way of counting, where there are any."""
    section = study.config.get(COUNTS)
    return study.files(COUNTS, "frequencies", counting=section["countings"][0]) if section else []


def _summary_inputs(study: Study, wildcards: Wildcards) -> Files:
    scores = scores_of(study, study.models_of(SECTION))
    return {"scores": scores, "priors": study.files("predictability"), "frequencies": _counts(study)} | planted(study)


def _summary_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    models = planner.study.models_of(SECTION)
    read = planner.total_rows(models)
    seconds = costs.START_SECONDS + read * costs.AGGREGATION_SECONDS + len(models) * costs.RESAMPLING_SECONDS
    return Cost(seconds, held=held(planner, models))


RULES = (
    Rule(
        "predictability",
        place="{model}/{part}",
        run="recite.stages.predictability.measure:measure_priors",
        jobs=lambda study: domain_jobs(study, study.models_of(SECTION)),
        inputs=_inputs,
        outputs={"priors": "priors/{model}/{part}.parquet"},
        options=_options,
        runs_model=True,
        cost=_cost,
    ),
    Rule(
        "predictability_aggregation",
        run="recite.stages.predictability.summarize:aggregate_predictability",
        jobs=lambda study: ONCE if study.models_of(SECTION) else (),
        inputs=_summary_inputs,
        outputs={"draws": "draws/predictability.parquet"},
        tables=("predictability", "prior_gains", "taxonomy"),
        options=lambda study, wildcards: study.summary_options(),
        cost=_summary_cost,
    ),
)

STAGE = Stage(
    "recite.stages.predictability",
    RULES,
    section=SECTION,
    check=_check,
    claims=("not_predictable",),
    words=True,
    figures={
        "predictability": Figure(
            "Memorized or predictable",
            "Scores",
            ("predictability",),
            (
                "Share of natural rows that are recited, and what is left of it when every memorized row counts by the "
                "share of unrelated contexts, of other documents of its domain, after which its continuation would not "
                "be recited; against model size, with Wilson intervals {about}. Beside them the share that is recited "
                "of rows that no model was trained on, where there are any: planted ones of no copy, or a domain that "
                "is held out."
            ),
        ),
        "taxonomy": Figure(
            "Kinds of memorized rows",
            "Scores",
            ("taxonomy",),
            (
                "Memorized natural rows by why they may be recited (arXiv 2406.17746): recite, more than five "
                "occurrences in the corpus; reconstruct, of the others, those that repeat or count on what the context "
                "shows; recollect, the rest. Rows whose occurrences were counted, each domain's standing for all its "
                "memorized rows. Bars are bootstrap intervals {about}. Models of fewer than five texts are in the "
                "table only."
            ),
        ),
    },
)
