"""Offsets: where in its document a window begins, how long its context is, and what is recited of it."""

from typing import Any

from recite.errors import ReciteError
from recite.planning import costs
from recite.planning.planner import Planner
from recite.stages.inputs import batch, checkpoint, ready, shard_files, tokenizer
from recite.stages.sampling.stage import candidates_cost, candidates_options, documents, group_jobs, most
from recite.study.asked import Asked
from recite.study.checks import check_models_of
from recite.study.declaration import ONCE, Cost, Figure, Files, Rule, Stage, Wildcards
from recite.study.study import Study

SECTION = "offsets"
POSITIONS_BEYOND = 64
"""Positions of a trained model beyond its training rows, as in `recite.checkpoints.training`."""
SCORE_BYTES, TOKEN_BYTES = 30, 2
"""Bytes of a window's score, and of a token of a document's beginning, on disk."""


def _check(study: Asked, source: str) -> None:
    """A model that is trained here can address the longest window."""
    check_models_of(study, SECTION, source)
    if not study.trains:
        return
    longest, steps = max(study.config[SECTION]["contexts"]), study.config["sampling"]["continuation_tokens"]
    for name in study.models_of(SECTION):
        fed = longest + steps - 1 + (study.models[name].bos is not None)
        positions = study.config["training"]["row_tokens"] + POSITIONS_BEYOND
        if fed > positions:
            raise ReciteError(
                f"{source}: offsets.contexts has {longest}, which with {steps} tokens of continuation is {fed} "
                f"positions, but {name} has {positions} (training.row_tokens and {POSITIONS_BEYOND} more); ask for a "
                "shorter context."
            )


def _families(study: Study) -> list[str]:
    """Families of the models that are measured."""
    return list(dict.fromkeys(study.models[model].family for model in study.models_of(SECTION)))


def _rows(study: Study) -> int:
    """Documents of a domain at most."""
    sampled = study.config["sampling"]["rows_per_domain"]
    return int(min(sampled, study.config[SECTION].get("rows_per_domain", sampled)))


def _tokens(study: Study) -> int:
    """Tokens from a document's beginning to the end of the last window."""
    section = study.config[SECTION]
    return int(max(section["places"]) + max(section["contexts"]) + study.config["sampling"]["continuation_tokens"])


def _document_jobs(study: Study) -> list[Wildcards]:
    """A job for every group of files of the corpora of these families."""
    corpora = {study.families[family].corpus for family in _families(study)}
    return [job for job in group_jobs(study) if job["corpus"] in corpora]


def _document_options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    """As candidates are read, but from the documents' beginnings, and as far as the last window reaches.

    A document's key is the same, so that those of the first rows of a sample are among the fewer that are kept.
    """
    found = candidates_options(study, wildcards)
    excerpt = study.config["sampling"]["characters_per_token"] * _tokens(study)
    return found | {"draw": found["draw"] | {"most": most(study, _rows(study)), "excerpt": excerpt, "place": "head"}}


def _document_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    """As for candidates, with other excerpts of fewer documents."""
    study, found = planner.study, candidates_cost(planner, wildcards)
    share = most(study, _rows(study)) / most(study, study.config["sampling"]["rows_per_domain"])
    share *= _tokens(study) / sum(planner.tokens)
    return found._replace(written=int(found.written * share), held=int((found.held or 0) * share))


def _beginning_jobs(study: Study) -> list[Wildcards]:
    return [
        {"family": family, "domain": domain}
        for family in _families(study)
        for domain in study.domains[study.families[family].corpus]
    ]


def _beginning_inputs(study: Study, wildcards: Wildcards) -> Files:
    family = wildcards["family"]
    return {
        "shards": shard_files(study, family, study.shards_of(wildcards["domain"])),
        "documents": study.files("offset_documents", corpus=study.families[family].corpus),
        "tokenizer": tokenizer(study, family),
    }


def _beginning_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    rows, tokens = _rows(planner.study), _tokens(planner.study)
    return Cost(costs.START_SECONDS, written=rows * tokens * TOKEN_BYTES)


def _inputs(study: Study, wildcards: Wildcards) -> Files:
    model = wildcards["model"]
    beginnings = study.files("offset_beginnings", family=study.models[model].family)
    return {"beginnings": beginnings, **checkpoint(study, model), **ready(study), **batch(study, model)}


def _options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    asked = {name: sorted(study.config[SECTION][name]) for name in ("places", "contexts")}
    return study.run_options(wildcards["model"]) | asked | {"steps": study.config["sampling"]["continuation_tokens"]}


def _windows(study: Study, model: str) -> int:
    """Windows of a model for one length of contexts, as if every document had all."""
    return _rows(study) * len(study.domains_of(model)) * len(study.config[SECTION]["places"])


def _cost(planner: Planner, wildcards: Wildcards) -> Cost:
    study, model = planner.study, wildcards["model"]
    cost, (context, steps), bos = planner.costs[model], planner.tokens, int(study.models[model].bos is not None)
    contexts, rows = study.config[SECTION]["contexts"], _windows(study, model)
    flops = sum(costs.row_flops(cost.facts, bos + length, steps) for length in contexts)
    longest = bos + max(context, *contexts)
    shape = (cost.number_bytes, cost.batch_rows, longest, steps)
    peak = costs.peak_bytes(cost.facts, cost.gpus, *shape) if cost.gpus else 0
    seconds = cost.seconds(rows, cost.batch_rows, flops)
    return Cost(seconds, cost.gpus, 1, rows * len(contexts) * SCORE_BYTES, peak)


def _summary_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    study = planner.study
    rows = sum(_windows(study, model) for model in study.models_of(SECTION)) * len(study.config[SECTION]["contexts"])
    return Cost(costs.START_SECONDS + 2 * rows * costs.AGGREGATION_SECONDS)


RULES = (
    Rule(
        "offset_documents",
        place="{corpus}/{group}",
        run="recite.stages.sampling.jobs:gather_candidates",
        jobs=_document_jobs,
        inputs=lambda study, wildcards: {"documents": documents(study, wildcards["corpus"])},
        outputs={"candidates": "offsets/documents/{corpus}/{group}.parquet"},
        options=_document_options,
        cost=_document_cost,
    ),
    Rule(
        "offset_beginnings",
        place="{family}/{domain}",
        run="recite.stages.offsets.beginnings:find_beginnings",
        jobs=_beginning_jobs,
        inputs=_beginning_inputs,
        outputs={"beginnings": "offsets/beginnings/{family}/{domain}.parquet"},
        options=lambda study, wildcards: {
            "domain": wildcards["domain"],
            "rows": _rows(study),
            "tokens": _tokens(study),
        },
        cost=_beginning_cost,
    ),
    Rule(
        "offsets",
        place="{model}",
        run="recite.stages.offsets.measure:score_offsets",
        jobs=lambda study: [{"model": model} for model in study.models_of(SECTION)],
        inputs=_inputs,
        outputs={"scores": "offsets/{model}.parquet"},
        options=_options,
        runs_model=True,
        cost=_cost,
    ),
    Rule(
        "offsets_aggregation",
        run="recite.stages.offsets.summarize:aggregate_offsets",
        jobs=lambda study: ONCE if study.models_of(SECTION) else (),
        inputs=lambda study, wildcards: {"scores": study.files("offsets")},
        tables=("offsets", "offset_changes"),
        options=lambda study, wildcards: study.summary_options(),
        cost=_summary_cost,
    ),
)

STAGE = Stage(
    "recite.stages.offsets",
    RULES,
    section=SECTION,
    check=_check,
    words=True,
    figures={
        "offsets": Figure(
            "Where in the document the window begins",
            "Scores",
            ("offsets",),
            (
                "Share of windows that are recited whole, by how many tokens of the document come before the window, a "
                "line for every length of its context; natural rows, and planted ones dotted, of each family's largest "
                "model that was measured. All windows continue for as many tokens. A later place has fewer and longer "
                "documents: the table offset_changes holds the differences over documents that have both windows. In "
                "the mini study models are trained on a document's first tokens (training.row_tokens) only; a window "
                "that ends behind them was never seen whole. Bars are Wilson intervals {about}."
            ),
        ),
    },
)
