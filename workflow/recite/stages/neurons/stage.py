"""Neurons: what single neurons of the MLPs carry of a row's recall, alone and as a set."""

from typing import Any

from recite.planning import costs
from recite.planning.planner import Planner
from recite.stages.counterfactual.stage import siblings
from recite.stages.inputs import checkpoint, own_batches, planted, scores_of, shards
from recite.study.checks import check_models_of
from recite.study.declaration import ONCE, Cost, Figure, Files, Rule, Stage, Wildcards
from recite.study.study import Study

SECTION = "neurons"
PLACE = "neurons/{model}"
SIBLING = f"{PLACE}/seed-{{seed}}/without-{{half}}"
TWIN = {"a": "b", "b": "a"}
RANKINGS = 6
"""Rankings of which sets are taken out; of siblings there are fewer."""
GRADIENT = 3
"""Operations of a pass and its gradient, in passes."""
PACE = 0.32
"""What it reaches on a GPU, over scoring: that of head ablation, which makes such passes in such batches."""
NEURON_BYTES = 10
"""Of a neuron that is named."""
NAMED = 100
"""Neurons of a row that are named, as in `recite.stages.neurons.rows`."""
SET_BYTES = 5
"""Of what a row makes without a set."""
PAIR_SECONDS = 2e-7
"""Of a pair of rows under all resamples, on one core: 1,000 resamples."""
PAIR_BYTES = 40
"""Of a pair of rows: how far they are alike, whether it counts, and the products of both."""


def _models(study: Study) -> list[str]:
    return study.models_of(SECTION)


def _siblings(study: Study) -> list[Wildcards]:
    """The siblings of the study, where neurons are asked for."""
    return siblings(study) if SECTION in study.config else []


def _all_shards(study: Study, model: str) -> list[str]:
    return [file for part in study.parts(model) for file in shards(study, model, part)]


def _inputs(study: Study, wildcards: Wildcards) -> Files:
    model = wildcards["model"]
    rows = {"scores": scores_of(study, [model]), "shards": _all_shards(study, model)}
    return rows | checkpoint(study, model)


def _sibling_inputs(study: Study, wildcards: Wildcards) -> Files:
    """The sibling, and as its twin the one of the same seed that saw the other half."""
    model, twin = wildcards["model"], {**wildcards, "half": TWIN[wildcards["half"]]}
    files: dict[str, Any] = {}
    for name, one in (("", wildcards), ("twin_", twin)):
        files[f"{name}scores"] = [
            study.file("counterfactual", "scores", {**one, "part": part}) for part in study.parts(model)
        ]
        weights, config = (study.file("counterfactual_training", output, one) for output in ("weights", "config"))
        files |= {name.rstrip("_") or "checkpoint": weights, f"{name or 'checkpoint_'}config": config}
    halves = study.file("counterfactual_halves", "halves", wildcards)
    return files | {"halves": halves, "shards": _all_shards(study, model)}


def _options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    section = study.config[SECTION]
    own = {key: section[key] for key in ("classes", "points", "ladder")} | {"seed": study.seed}
    thresholds = {name: study.config["aggregation"][name] for name in ("memorized", "half", "unmemorized")}
    return own_batches(study, SECTION, wildcards["model"]) | own | thresholds


def _sibling_options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    return _options(study, wildcards) | {"without": wildcards["half"]}


def _rows(planner: Planner, model: str) -> int:
    """Rows that are drawn at most."""
    most = planner.study.config["sampling"]["rows_per_domain"]
    classes = planner.study.config[SECTION]["classes"].values()
    return len(planner.study.domains_of(model)) * sum(min(most, count) for count in classes)


def _cost(planner: Planner, wildcards: Wildcards) -> Cost:
    """Two passes for every set of neurons, and one with its gradient for every point of the way."""
    model, study = wildcards["model"], planner.study
    cost, section, rows = planner.costs[model], study.config[SECTION], _rows(planner, model)
    sets, batch = RANKINGS * len(section["ladder"]), section["batch_rows"]
    passes = GRADIENT * section["points"] + 2 * sets
    context, continuation = planner.tokens_of(model)
    peak = 0
    if cost.gpus:
        shape = (cost.facts, cost.gpus, cost.number_bytes, batch, context, continuation)
        chosen = costs.BLOCK_BATCHES * batch * cost.facts.layers * cost.facts.feed_forward
        peak = chosen + max(
            costs.peak_bytes(*shape, costs.BLOCK_BATCHES),
            planner.whole_peak(model, batch, context + continuation - 1, continuation),
        )
    written = rows * (costs.LAYERED_BYTES + NAMED * NEURON_BYTES + sets * SET_BYTES)
    return Cost(cost.seconds(rows, batch, passes * cost.row, PACE), cost.gpus, 1, written, peak)


def _summary_inputs(study: Study, wildcards: Wildcards) -> Files:
    rows = {name: study.files("neurons", name) for name in ("neuron_rows", "class_neurons")}
    of_siblings = study.files("neurons_siblings", "neuron_rows") if _siblings(study) else []
    return rows | {"siblings": of_siblings} | planted(study)


def _summary_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    rows = [_rows(planner, model) for model in _models(planner.study)]
    seconds = len(rows) * costs.RESAMPLING_SECONDS + sum(count**2 for count in rows) * PAIR_SECONDS
    return Cost(costs.START_SECONDS + seconds, held=PAIR_BYTES * max(rows) ** 2)


RULES = (
    Rule(
        "neurons",
        place="{model}",
        run="recite.stages.neurons.measure.jobs:measure_neurons",
        jobs=lambda study: [{"model": model} for model in _models(study)],
        inputs=_inputs,
        outputs={"neuron_rows": f"{PLACE}/rows.parquet", "class_neurons": f"{PLACE}/class.parquet"},
        options=_options,
        runs_model=True,
        cost=_cost,
    ),
    Rule(
        "neurons_siblings",
        place="{model}/seed-{seed}/without-{half}",
        run="recite.stages.neurons.measure.jobs:measure_siblings",
        jobs=_siblings,
        inputs=_sibling_inputs,
        outputs={"neuron_rows": f"{SIBLING}/rows.parquet", "class_neurons": f"{SIBLING}/class.parquet"},
        options=_sibling_options,
        runs_model=True,
        cost=_cost,
    ),
    Rule(
        "neurons_aggregation",
        run="recite.stages.neurons.summarize.aggregate:aggregate_neurons",
        jobs=lambda study: ONCE if _models(study) else (),
        inputs=_summary_inputs,
        tables=lambda study: (
            "neurons",
            "neuron_overlap",
            "neuron_layers",
            *(("neuron_siblings",) if _siblings(study) else ()),
        ),
        options=lambda study, wildcards: study.summary_options(),
        cost=_summary_cost,
    ),
)

STAGE = Stage(
    "recite.stages.neurons",
    RULES,
    section=SECTION,
    check=lambda study, source: check_models_of(study, SECTION, source),
    words=True,
    figures={
        "neurons": Figure(
            "Recall without some neurons",
            "Neurons",
            ("neurons", "neuron_layers"),
            (
                "Memorized natural rows of each family's largest model with so many neurons of its MLPs at their "
                "means: those that a row's own continuation is attributed to, those of other memorized texts (class), "
                "those that are farthest from their means, and random ones of the same layers. Beside it the "
                "log-probability that the class's neurons carry, of memorized rows and of others, and the layers in "
                "which rows' foremost 100 neurons lie. Bars are bootstrap intervals {about}."
            ),
        ),
        "neuron_siblings": Figure(
            "Neurons of texts in the training, and of others",
            "Planted truth",
            ("neuron_siblings",),
            (
                "Siblings of one model, each trained without one half of all texts: log-probability lost by texts that "
                "a sibling saw and recites and its twin does not, and by texts that it has not seen, with so many "
                "neurons of its MLPs at their means. Neurons are ranked by other texts of the first kind: by "
                "attribution, by how far they are from their means, by how far from the twin's, and at random in the "
                "same layers. Bars are bootstrap intervals {about}, for these siblings' seeds."
            ),
        ),
    },
)
