"""What ablating heads costs."""

from recite.planning import costs
from recite.planning.costs import Facts
from recite.planning.planner import Planner
from recite.stages.heads.asked import (
    ALL,
    batch_rows,
    block_end,
    blocks,
    classes,
    first_rows,
    models,
    of_class,
    parts,
    rounds,
)
from recite.study.declaration import Cost, Wildcards

OPEN = (1.0, 0.6, 0.25, 0.1)
"""Share of the heads that go into each round, the last for all that follow.

Simulated from the mini study's variances over 150, 400 and 1,000 rows, each head's effect a third of what it is there
(`make bench-looks`); as large as there 0.12, 0.03 and 0.01 go on, a tenth as large 0.9, 0.8 and 0.3.
"""
PASSES = {ALL: 2, "memorized": 1, "half": 2, "unmemorized": 1}
"""Passes of a row for each head: one where it is recited whole, or recites nothing."""
PACE = 0.32
"""What it reaches on a GPU, over scoring, in batches of 128 rows (`make bench-gpu`)."""
HEAD_BYTES = 7
"""Bytes that each head adds to an ablated row."""
HEAD_HELD = 23
"""Bytes in main memory of a row's numbers of one head that are summed up (docs/rehearsal.md)."""
OPEN_BYTES = 8
"""Bytes that a look tells of a head for the rows of a group and domain."""
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
    """Operations to run one row once for every head of some layers, each time from the head's layer on."""
    return facts.heads * costs.restarted_flops(facts, context, continuation, layers)


def open_share(round_: int) -> float:
    """Share of the heads that go into a round."""
    return OPEN[min(round_, len(OPEN) - 1)]


def traced_bytes(facts: Facts, size: int, rows: int, positions: int) -> int:
    """What a run of the whole model leaves: every layer's input, heads, keys and values, of `size` bytes a number."""
    numbers = 2 * facts.width + 2 * facts.shared_heads * (facts.width // facts.heads)
    return facts.layers * rows * positions * numbers * size


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


def _heads(planner: Planner, model: str, first: int) -> tuple[range, int]:
    """The layers of a job, and how many heads they have."""
    facts, stop = planner.costs[model].facts, block_end(planner.study, model, first)
    layers = range(first, facts.layers if stop is None else stop)
    return layers, len(layers) * facts.heads


def ablation(planner: Planner, wildcards: Wildcards) -> Cost:
    """Of one part of the rows of one round without each head of some layers."""
    model, study, number = wildcards["model"], planner.study, int(wildcards["round"])
    cost = planner.costs[model]
    layers, heads = _heads(planner, model, int(wildcards["first"]))
    passes = rows = 0
    for shard in study.parts(model)[wildcards["part"]]:
        for name, count in of_class(study, model, shard, number).items():
            rows += count
            passes += count * PASSES[name]
    each = open_share(number) * ablation_flops(cost.facts, *planner.tokens_of(model), layers) * passes / max(1, rows)
    seconds = cost.seconds(rows, batch_rows(study, model), each + 2 * cost.row, PACE)
    written = rows * (costs.LAYERED_BYTES + round(open_share(number) * heads) * HEAD_BYTES)
    return Cost(seconds, cost.gpus, 1, written, _peak(planner, model))


def looking(planner: Planner, wildcards: Wildcards) -> Cost:
    """Of looking at which heads of a model go on."""
    model, study = wildcards["model"], planner.study
    heads = _ablated_heads(planner, model)
    seen = sum(open_share(n) * _rows(planner, model, n) for n in range(int(wildcards["round"]) + 1))
    written = heads * OPEN_BYTES * (len(classes(study)) or 1) * len(study.domains_of(model))
    return Cost(costs.START_SECONDS + seen * heads * HEAD_SECONDS, written=written, held=held(planner))


def summary(planner: Planner, wildcards: Wildcards) -> Cost:
    """Of what reads all ablated rows."""
    study = planner.study
    numbers = 0.0
    for model in models(study):
        rows = sum(open_share(n) * _rows(planner, model, n) for n in rounds(study))
        numbers += rows * _ablated_heads(planner, model)
    resampled = sum(_resampled(planner, model) for model in models(study))
    return Cost(costs.START_SECONDS + numbers * HEAD_SECONDS + resampled * DRAWING_SECONDS, held=held(planner))


def held(planner: Planner) -> int:
    """Bytes of one model's ablated rows in main memory."""
    study = planner.study
    rows = {model: sum(_rows(planner, model, number) for number in rounds(study)) for model in models(study)}
    return max((HEAD_HELD * count * _ablated_heads(planner, model) for model, count in rows.items()), default=0)


def _rows(planner: Planner, model: str, round_: int) -> int:
    """Rows of a model that are run in a round."""
    shards = [shard for part in parts(planner.study, model).values() for shard in part]
    return sum(sum(of_class(planner.study, model, shard, round_).values()) for shard in shards)


def overlap(planner: Planner, wildcards: Wildcards) -> Cost:
    """The same, and of ranking the heads in halves of every domain."""
    study = planner.study
    ranked = sum(_resampled(planner, model) * _ablated_heads(planner, model) for model in models(study))
    seconds = ranked * study.config["aggregation"]["resamples"] * HALVES_SECONDS
    return summary(planner, wildcards)._replace(seconds=summary(planner, wildcards).seconds + seconds)


def _ablated_heads(planner: Planner, model: str) -> int:
    """Heads of a model."""
    return sum(_heads(planner, model, first)[1] for first in blocks(planner.study, model))


def _resampled(planner: Planner, model: str) -> int:
    """Domains of a model's groups, and all together in each."""
    groups = len(classes(planner.study)) + bool(first_rows(planner.study, model))
    return groups * (len(planner.study.domains_of(model)) + 1)
