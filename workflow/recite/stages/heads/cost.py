"""What ablating heads costs."""

from recite.planning import costs
from recite.planning.costs import Facts
from recite.planning.planner import Planner
from recite.stages.heads.asked import (
    SECTION,
    batch_rows,
    block_end,
    blocks,
    classes,
    first_rows,
    models,
    parts,
    screens,
)
from recite.stages.heads.asked import rows as rows_of
from recite.study.declaration import Cost, Wildcards

LISTED = 1.5
"""Heads that all domains put forward, over those of each: 1.1 to 1.6 in the largest models of the mini study."""
PACE = 0.32
"""What it reaches on a GPU, over scoring, in batches of 128 rows (`make bench-gpu`)."""
HEAD_BYTES = 9
"""Bytes that each head adds to an ablated row."""
ESTIMATE_BYTES = 20
"""Bytes of how much a head is estimated to matter in a domain."""
HEAD_SECONDS = 1e-7
"""Reading a row's number of one head, on one core: 20,000 and 300,000 rows."""
HALVES_SECONDS = 3.5e-6
"""Ranking one head in the halves of a domain's texts under one resample, on one core: 48 and 1,024 heads."""
DRAWN_BYTES = 12
"""Bytes that name an ablated row."""
DRAWN_SECONDS = 4e-6
"""Reading a row's score and hashing its name, on one core."""
DRAWING_SECONDS = 2
"""Resampling a domain of a model and group."""


def ablation_flops(facts: Facts, context: int, continuation: int, layers: range) -> int:
    """Operations to run one row twice for every head of some layers, each time from the head's layer on."""
    return facts.heads * costs.restarted_flops(facts, context, continuation, layers)


def listed_share(share: float) -> float:
    """Share of a model's heads that are ablated where each domain puts forward so many: LISTED times that, or all."""
    return min(1.0, LISTED * share)


def traced_bytes(facts: Facts, size: int, rows: int, positions: int) -> int:
    """What a run of the whole model leaves: every layer's input, heads, keys and values, of `size` bytes a number."""
    numbers = 2 * facts.width + 2 * facts.shared_heads * (facts.width // facts.heads)
    return facts.layers * rows * positions * numbers * size


def _share(planner: Planner) -> float:
    """Share of the heads that are ablated."""
    section = planner.study.config[SECTION]
    return listed_share(section["screening"]["share"]) if screens(planner.study) else 1.0


def _peak(planner: Planner, model: str) -> int:
    """Bytes of each GPU: four batches that are continued beside what is kept of the whole model's run."""
    cost = planner.costs[model]
    if not cost.gpus:
        return 0
    size, batch = cost.number_bytes, batch_rows(planner.study, model)
    context, continuation = planner.tokens_of(model)
    continued = costs.peak_bytes(cost.facts, cost.gpus, size, batch, context, continuation, costs.BLOCK_BATCHES)
    fed = context + continuation - 1
    whole = planner.whole_peak(model, batch, fed, continuation)
    return max(continued, whole) + traced_bytes(cost.facts, size, batch, fed)


def _twice(planner: Planner, model: str, written: int) -> Cost:
    """The cost of two passes over all ablated rows."""
    cost, batch = planner.costs[model], batch_rows(planner.study, model)
    rows = sum(sum(shards.values()) for shards in parts(planner.study, model).values())
    seconds = cost.seconds(rows, batch, 2 * cost.row)
    return Cost(seconds, cost.gpus, 1, written, _peak(planner, model))


def drawing(planner: Planner, wildcards: Wildcards) -> Cost:
    """Of drawing a domain's rows by their scores."""
    model, study = wildcards["model"], planner.study
    domains = len(study.domains_of(model))
    rows = sum(sum(shards.values()) for shards in parts(study, model).values()) // domains
    seconds = costs.START_SECONDS + planner.total_rows([model]) // domains * DRAWN_SECONDS
    return Cost(seconds, written=rows * DRAWN_BYTES)


def means(planner: Planner, wildcards: Wildcards) -> Cost:
    """Of the means that replace a model's heads."""
    facts = planner.costs[wildcards["model"]].facts
    return _twice(planner, wildcards["model"], costs.NUMBER_BYTES * facts.layers * facts.width)


def screening(planner: Planner, wildcards: Wildcards) -> Cost:
    """Of an estimate for every head of a model."""
    model = wildcards["model"]
    facts, domains = planner.costs[model].facts, len(planner.study.domains_of(model))
    return _twice(planner, model, ESTIMATE_BYTES * facts.layers * facts.heads * (domains + 1))


def _heads(planner: Planner, model: str, first: int) -> tuple[range, int]:
    """The layers of a job, and how many of their heads are ablated."""
    facts, stop = planner.costs[model].facts, block_end(planner.study, model, first)
    layers = range(first, facts.layers if stop is None else stop)
    return layers, round(_share(planner) * len(layers) * facts.heads)


def ablation(planner: Planner, wildcards: Wildcards) -> Cost:
    """Of one part of the rows without each head of some layers."""
    model, study = wildcards["model"], planner.study
    cost = planner.costs[model]
    layers, heads = _heads(planner, model, int(wildcards["first"]))
    rows = sum(rows_of(study, model, wildcards["part"]).values())
    row = _share(planner) * ablation_flops(cost.facts, *planner.tokens_of(model), layers) + 2 * cost.row
    seconds = cost.seconds(rows, batch_rows(study, model), row, PACE)
    written = rows * (costs.LAYERED_BYTES + heads * HEAD_BYTES)
    return Cost(seconds, cost.gpus, 1, written, _peak(planner, model))


def summary(planner: Planner, wildcards: Wildcards) -> Cost:
    """Of what reads all ablated rows."""
    study = planner.study
    numbers = 0
    for model in models(study):
        rows = sum(sum(shards.values()) for shards in parts(study, model).values())
        numbers += rows * _ablated_heads(planner, model)
    resampled = sum(_resampled(planner, model) for model in models(study))
    return Cost(costs.START_SECONDS + numbers * HEAD_SECONDS + resampled * DRAWING_SECONDS)


def overlap(planner: Planner, wildcards: Wildcards) -> Cost:
    """The same, and of ranking the heads in halves of every domain."""
    study = planner.study
    ranked = sum(_resampled(planner, model) * _ablated_heads(planner, model) for model in models(study))
    seconds = ranked * study.config["aggregation"]["resamples"] * HALVES_SECONDS
    return Cost(summary(planner, wildcards).seconds + seconds)


def _ablated_heads(planner: Planner, model: str) -> int:
    """Heads of a model that are ablated."""
    return sum(_heads(planner, model, first)[1] for first in blocks(planner.study, model))


def _resampled(planner: Planner, model: str) -> int:
    """Domains of a model's groups, and all together in each."""
    groups = len(classes(planner.study)) + bool(first_rows(planner.study, model))
    return groups * (len(planner.study.domains_of(model)) + 1)
