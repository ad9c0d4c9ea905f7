"""Batch size: measured once for each model where the config leaves it open, then the same for all its jobs."""

from typing import Any

from recite.planning import costs
from recite.planning.planner import Planner
from recite.stages.inputs import checkpoint
from recite.study.declaration import Cost, Rule, Stage, Wildcards
from recite.study.study import Study


def _options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    sampling, model = study.config["sampling"], wildcards["model"]
    return {
        "model": model,
        "dtype": study.run_options(model)["dtype"],
        "context_tokens": sampling["context_tokens"] + (study.models[model].bos is not None),
        "continuation_tokens": sampling["continuation_tokens"],
    }


def _cost(planner: Planner, wildcards: Wildcards) -> Cost:
    """Batches of every size from the smallest, doubling up to the largest that fits, are timed."""
    cost = planner.costs[wildcards["model"]]
    rows = 2 * cost.batch_rows - costs.SMALLEST_BATCH
    seconds = cost.load + costs.BATCH_TRIALS * rows * cost.row / cost.rate
    return Cost(seconds, cost.gpus, peak=cost.peak)


STAGE = Stage(
    "recite.stages.batching",
    (
        Rule(
            "batching",
            place="{model}",
            run="recite.stages.batching.measure:search",
            jobs=lambda study: [{"model": model} for model in study.models] if study.measures_batches else (),
            inputs=lambda study, wildcards: checkpoint(study, wildcards["model"]),
            outputs={"batch": "batches/{model}.json"},
            options=_options,
            runs_model=True,
            cost=_cost,
        ),
    ),
)
