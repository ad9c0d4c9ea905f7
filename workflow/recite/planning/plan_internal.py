"""The plan's jobs of the internal level: recovery from noise, layer decoding, head ablation, and their tables."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING

from recite.planning import costs
from recite.planning.job import Job

if TYPE_CHECKING:
    from recite.planning.planner import Planner


def recovery_jobs(planner: Planner) -> Iterator[Job]:
    """A job for every part, disturbed layer and strength; each waits for the samples of all families."""
    study, names, read = planner.study, [], 0
    scored: list[str] = []
    for model in study.recovery_models:
        batch, cost = study.config["recovery"]["batch_rows"], planner.costs[model]
        prompt = planner.tokens[0] + (study.models[model].bos is not None)
        row = costs.recovery_flops(cost.facts, prompt)
        peak = _peak(planner, model, 2 * batch, prompt, 1)
        for part, rows in planner.rows(model).items():
            scored.append(f"scoring/{model}/{part}")
            read += rows * (1 + len(study.noise_layers) * len(study.recovery_strengths))
            seconds = cost.load + -(-rows // batch) * batch * row / cost.rate
            for layer, alpha in product(study.noise_layers, study.recovery_strengths):
                written = costs.LAYERED_BYTES + (cost.facts.layers - layer) * costs.RECOVERY_LAYER_BYTES
                names.append(f"recovery/{model}/layer-{layer}/alpha-{alpha}/{part}")
                after = (planner.maker(model), "samples")
                yield Job(names[-1], "recovery", model, seconds, after, cost.gpus, 1, rows * written, peak)
    if names:
        drawn = len(study.recovery_models) * len(study.noise_layers) * len(study.recovery_strengths)
        seconds = costs.START_SECONDS + read * costs.LAYERS_SECONDS + drawn * costs.RESAMPLING_SECONDS
        yield Job("recovery_aggregation", "recovery_aggregation", "", seconds, (*scored, *names))


def lens_jobs(planner: Planner) -> Iterator[Job]:
    """A job for every part of a model's scores."""
    study, names, read = planner.study, [], 0
    scored: list[str] = []
    for model in study.lens_models:
        options, cost = study.lens_options(model), planner.costs[model]
        context, continuation = planner.tokens[0] + (options["bos"] is not None), planner.tokens[1]
        row_bytes = costs.LAYERED_BYTES + cost.facts.layers * costs.LENS_LAYER_BYTES
        row, batch = costs.decoding_flops(cost.facts, context, continuation), options["batch_rows"]
        peak = _peak(planner, model, batch, context + continuation - 1, min(costs.CHUNK, continuation))
        for part, rows in planner.rows(model).items():
            scored.append(f"scoring/{model}/{part}")
            names.append(f"lens/{model}/{part}")
            read += rows
            seconds = cost.load + -(-rows // batch) * batch * row / cost.pace("lens")
            after = (planner.maker(model), scored[-1])
            yield Job(names[-1], "lens", model, seconds, after, cost.gpus, 1, rows * row_bytes, peak)
    if names:
        drawn = len(study.lens_models) * costs.RESAMPLING_SECONDS
        seconds = costs.START_SECONDS + read * costs.LAYERS_SECONDS + drawn
        yield Job("lens_aggregation", "lens_aggregation", "", seconds, (*scored, *names))


def ablation_jobs(planner: Planner) -> Iterator[Job]:
    """A job for every block of layers and part of a model's ablated rows, and what these wait for.

    That is one for means that replace its heads and one that screens these.
    """
    study, names, numbers, groups = planner.study, [], 0, 0
    share = costs.listed_share(study.config["ablation"]["screening"]["share"]) if study.screens else 1.0
    for model in study.ablation_models:
        cost, parts = planner.costs[model], study.ablation_parts(model)
        batch, tokens = study.ablation_batch_rows(model), _tokens(planner, model)
        ready: tuple[str, ...] = (planner.maker(model), "samples")
        peak = _ablation_peak(planner, model)
        rows = sum(sum(shards.values()) for shards in parts.values())
        seconds = cost.load + 2 * -(-rows // batch) * batch * cost.row / cost.rate
        domains = len(study.domains[study.models[model].corpus])
        if study.needs_head_means:
            written = costs.NUMBER_BYTES * cost.facts.layers * cost.facts.width
            mean = Job(f"ablation_means/{model}", "ablation_means", model, seconds, ready, cost.gpus, 1, written, peak)
            ready = (*ready, mean.name)
            yield mean
        if study.screens:
            written = costs.ESTIMATE_BYTES * cost.facts.layers * cost.facts.heads * (domains + 1)
            screen = Job(f"screening/{model}", "screening", model, seconds, ready, cost.gpus, 1, written, peak)
            ready = (*ready, screen.name)
            yield screen
        for first, stop in study.ablation_blocks(model).items():
            layers = range(first, cost.facts.layers if stop is None else stop)
            row = share * costs.ablation_flops(cost.facts, *tokens, layers) + 2 * cost.row
            for part, shards in parts.items():
                rows = sum(shards.values())
                seconds = cost.load + -(-rows // batch) * batch * row / cost.pace("ablation")
                heads = round(share * len(layers) * cost.facts.heads)
                written = rows * (costs.LAYERED_BYTES + heads * costs.HEAD_BYTES)
                numbers += rows * heads
                names.append(f"ablation/{model}/layers-{first}/{part}")
                yield Job(names[-1], "ablation", model, seconds, ready, cost.gpus, 1, written, peak)
        groups += domains + 1
    if names:
        seconds = costs.START_SECONDS + numbers * costs.HEAD_SECONDS + groups * costs.DRAWING_SECONDS
        for stage in ("ablation_aggregation", "overlap", "power"):
            yield Job(stage, stage, "", seconds, tuple(names))


def _ablation_peak(planner: Planner, model: str) -> int:
    """Bytes of each GPU: four batches that are continued beside what is kept of the whole model's run."""
    cost = planner.costs[model]
    if not cost.gpus:
        return 0
    size, batch = cost.weights // cost.facts.parameters, planner.study.ablation_batch_rows(model)
    context, continuation = _tokens(planner, model)
    continued = costs.peak_bytes(cost.facts, cost.gpus, size, batch, context, continuation, costs.BLOCK_BATCHES)
    fed = context + continuation - 1
    whole = costs.whole_peak_bytes(cost.facts, cost.gpus, size, batch, fed, continuation)
    return max(continued, whole) + costs.traced_bytes(cost.facts, size, batch, fed)


def _tokens(planner: Planner, model: str) -> tuple[int, int]:
    """Tokens of a row's context, with its begin-of-sequence token, and of its continuation."""
    context, continuation = planner.tokens
    return context + (planner.study.models[model].bos is not None), continuation


def _peak(planner: Planner, model: str, rows: int, positions: int, unembedded: int) -> int:
    """Bytes of each GPU, where there are any."""
    cost = planner.costs[model]
    size = cost.weights // cost.facts.parameters
    return costs.whole_peak_bytes(cost.facts, cost.gpus, size, rows, positions, unembedded) if cost.gpus else 0
