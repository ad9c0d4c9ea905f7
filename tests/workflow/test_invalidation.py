"""What runs again after an edit: exactly what the edit invalidates."""

import os
import shutil
from typing import NamedTuple

import pytest
from conftest import Checkout

from changes import Change, code, config, edit, lose, restore


class Edit(NamedTuple):
    """An edit, and the jobs that it costs, by rule; what these name in saying what they do, and what none names."""

    change: Change
    jobs: dict[str, int]
    named: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()


def remarks(checkout: Checkout) -> None:
    """Comments, an empty line and another docstring in what scores and trains."""
    line = "    length = context.shape[1] + steps - 1\n"
    checkout.edit("workflow/recite/engine/continuation.py", line, f"    # a remark\n\n{line}")
    checkout.edit("workflow/recite/checkpoints/training.py", '"""Training the mini', '"""Training the very mini')
    checkout.edit("scripts/job.py", "work(snakemake)", "# a remark\nwork(snakemake)")


def figure(checkout: Checkout) -> None:
    """A figure of its own module: the distribution drawn once more."""
    stage = "workflow/recite/stages/scoring"
    folder = checkout.root / stage / "figures"
    shutil.copy(folder / "distribution.py", folder / "again.py")
    again = '"again": Figure("Again", "Scores", ("distribution",), "Once more."),'
    checkout.edit(f"{stage}/stage.py", "    figures={\n", f"    figures={{\n        {again}\n")


def touch(checkout: Checkout) -> None:
    for folder in ("workflow", "scripts", "config", "tests"):
        for path in (checkout.root / folder).rglob("*"):
            os.utime(path)


UNDISTURBED = dict.fromkeys(("aggregation", "scaling", "domains", "ledger", "summary"), 1) | {"figures": 14}
UNDISTURBED |= {"compressibility_aggregation": 1, "frequency_aggregation": 1, "lens_aggregation": 1, "signatures": 1}
"""What follows from any model's scores."""
DOWNSTREAM = UNDISTURBED | {"noise_aggregation": 1, "recovery_aggregation": 1, "figures": 17}
"""What follows from the scores of a model that is disturbed too."""
ABLATED = dict.fromkeys(("ablation_aggregation", "overlap", "power", "signatures", "ledger", "summary"), 1)
ABLATED |= {"figures": 6}
"""What follows from a model's rows without its heads."""
SUMMED = DOWNSTREAM | {"ablation_aggregation": 1, "overlap": 1, "power": 1, "figures": 20}
"""All that sums up."""
DRAWN = {"ablation_rows": 3, "ablation": 2}
"""One model's heads ablated, layer by layer, in rows that are drawn anew."""
ANEW = SUMMED | DRAWN
"""What follows from a model that is disturbed and has its heads ablated."""
SCORED = {"scoring": 4, "compressibility": 2, "noise": 1, "recovery": 1, "lens": 2}
"""Every model's own jobs, but for the ablation."""
SWEPT = dict.fromkeys(("noise", "recovery", "noise_aggregation", "recovery_aggregation"), 1)
SWEPT |= dict.fromkeys(("domains", "signatures", "ledger", "summary"), 1) | {"figures": 8}
"""What follows from one strength in one layer."""
COUNTED = {"frequency_aggregation": 1, "ledger": 1, "figures": 3, "summary": 1}
"""What follows from how rows are counted."""
NOISY = {"noise_aggregation": 1, "domains": 1, "ledger": 1, "figures": 4, "summary": 1}
"""What follows from scores under noise."""
PYTHIA = {"training": 2, "scoring": 2, "compressibility": 1, "noise": 1, "recovery": 1, "lens": 1}
"""The jobs of one family's models, one of which is disturbed."""

SIZE = "    s: {layers: 2, width: 64, heads: 4}\n"
ABLATION = "ablation:\n  models: [pythia-s]"
SHORTENED = "compressibility:\n  models: [pythia-s, starcoder-s]"
LENGTHS = "context_tokens: 16\n  continuation_tokens: 16"
LOST = "noise/pythia-s/layer-0/alpha-0.5/code-0000.parquet"

EDITS = {
    # What is added runs alone.
    "new α": Edit(config(("[0.0, 0.5]", "[0.0, 0.25, 0.5]")), SWEPT),
    "new layer to disturb": Edit(
        config(("  strengths: [0.0, 0.5]", "  strengths: [0.0, 0.5]\n  layers: [0, 1]")),
        SWEPT,
        named=("layer 1 of pythia-s",),
        spared=("layer 0",),
    ),
    "new model": Edit(
        config((SIZE, f"{SIZE}    m: {{layers: 2, width: 32, heads: 2}}\n")),
        {"training": 2, "scoring": 2, **SUMMED},
        named=("pythia-m", "starcoder-m"),
        spared=("pythia-s", "pythia-xs", "starcoder-s", "starcoder-xs"),
    ),
    "new domain": Edit(
        config(("[code, licences, control]", "[code, licences, control, headers]")),
        {"sampling": 2, "samples": 1, "frequency": 6, **SCORED, **ANEW, "ablation_rows": 1},
        spared=("code-0000",),
    ),
    "new figure": Edit(figure, {"figures": 1}),
    "another model in one analysis": Edit(
        config((SHORTENED, SHORTENED.replace("]", ", pythia-xs]"))),
        {"compressibility": 1, "compressibility_aggregation": 1, "ledger": 1, "figures": 2, "summary": 1},
    ),
    "another model with its heads ablated": Edit(
        config((ABLATION, ABLATION.replace("]", ", starcoder-s]"))), DRAWN | ABLATED
    ),
    # Code.
    "changed plot code": Edit(
        edit("workflow/recite/stages/noise/figures/noise.py", ("* len(parts), 3.3 *", "* len(parts), 3.4 *")),
        {"figures": 1},
    ),
    "changed style of figures": Edit(code("report/style"), {"figures": 20}),
    "changed words": Edit(
        edit("workflow/recite/stages/noise/words.py", ("## Under noise", "## Noise")), {"summary": 1}
    ),
    "changed costs": Edit(
        edit("workflow/recite/stages/heads/cost.py", ("PACE = 0.32", "PACE = 0.33")),
        {},
    ),
    "changed declaration, costs alone": Edit(
        edit("workflow/recite/stages/noise/stage.py", ("NOISE_BYTES = 90", "NOISE_BYTES = 91")), {}
    ),
    "changed statistic of a claim": Edit(code("stages/lens/claims"), {"ledger": 1, "figures": 1, "summary": 1}),
    "changed scoring code": Edit(
        code("stages/scoring/measure"), {"scoring": 4, "compressibility": 2, "lens": 2, **ANEW}
    ),
    "changed noise code": Edit(code("stages/noise/measure"), {"noise": 1, **NOISY}),
    "changed engine": Edit(code("engine/continuation"), SCORED | ANEW),
    "changed reading of weights": Edit(code("checkpoints/loading"), SCORED | ANEW),
    "changed counting code": Edit(code("stages/frequency/measure"), {"frequency": 6, **COUNTED}),
    "comment in scoring code": Edit(remarks, {}),
    # Values.
    "two seeds swapped": Edit(
        config(("seed: 11", "seed: 12"), ("seed: 13", "seed: 11"), ("seed: 12", "seed: 13")),
        {"training": 4, **SCORED, **ANEW},
    ),
    "rows and rows of a shard swapped": Edit(
        config(("rows_per_domain: 12\n  shard_rows: 8", "rows_per_domain: 8\n  shard_rows: 12")),
        {"candidates": 1, "sampling": 6, "frequency": 6, **SCORED, **ANEW},
    ),
    "two α swapped": Edit(config(("[0.0, 0.5]", "[0.5, 0.0]")), {}),
    "tokens moved from context to continuation": Edit(
        config((LENGTHS, "context_tokens: 12\n  continuation_tokens: 20")),
        {"sampling": 6, "frequency": 6, **SCORED, **ANEW},
    ),
    "one family's recipe": Edit(
        config(("seed: 11", "seed: 21")), PYTHIA | ANEW, named=("pythia-xs",), spared=("starcoder",)
    ),
    # The tokenizer decides the sample too; Pythia's rows are counted in StarCoder's tokens.
    "one family's vocabulary": Edit(
        config(("vocabulary: 500", "vocabulary: 510")),
        dict.fromkeys(("tokenization", "compressibility", "lens", "frequency_index"), 1)
        | {"sampling": 3, "training": 2, "scoring": 2, "frequency": 4}
        | UNDISTURBED,
        named=("starcoder-xs",),
        spared=("pythia-xs",),
    ),
    "one size": Edit(
        config(("width: 16, heads: 2", "width: 32, heads: 2")),
        {"training": 2, "scoring": 2, "aggregation": 1, "frequency_aggregation": 1, "figures": 9}
        | dict.fromkeys(("scaling", "domains", "ledger", "summary"), 1),
        named=("pythia-xs", "starcoder-xs"),
        spared=("starcoder-s", "noise"),
    ),
    "one model's precision": Edit(
        config(("batch_rows: 16", "batch_rows: 16\n  dtypes: {starcoder-s: bfloat16}")),
        {"scoring": 1, "compressibility": 1, "lens": 1, **UNDISTURBED},
    ),
    "measured batch sizes": Edit(
        config(("batch_rows: 16", "batch_rows: auto")),
        {"batching": 4, "scoring": 4, "compressibility": 2, "noise": 1, "lens": 2, **ANEW},
    ),
    "both layers' heads in a job": Edit(config(("layers_per_job: 1", "layers_per_job: 2")), {"ablation": 1, **ABLATED}),
    "heads left after a look": Edit(
        config(("layers_per_job: 1", "layers_per_job: 1\n  looks: [4]")),
        {**DRAWN, "ablation": 4, "open_heads": 1, **ABLATED},
    ),
    "fewer rows ablated": Edit(config(("rows_per_domain: 10", "rows_per_domain: 9")), DRAWN | ABLATED),
    "rows ablated by class": Edit(
        config(("rows_per_domain: 10", "rows_per_domain: 10\n  classes: {memorized: 2}")), DRAWN | ABLATED
    ),
    "heads replaced by means": Edit(
        config(("layers_per_job: 1", "layers_per_job: 1\n  replacement: dataset_mean")),
        {"ablation_means": 1, "ablation": 2, **ABLATED},
    ),
    "another rise": Edit(config(("  other: starcoder\n", "  other: starcoder\n  rise: 0.2\n")), COUNTED),
    "another way of counting": Edit(
        config(("countings: [bytes, own, other]\n  other: starcoder", "countings: [bytes, other]\n  other: pythia")),
        {"frequency": 2, **COUNTED},
    ),
    "another bound of a claim": Edit(
        edit("config/claims.yaml", ("above: 0.9", "above: 0.95")), {"ledger": 1, "figures": 1, "summary": 1}
    ),
    "another caption": Edit(edit("workflow/recite/stages/noise/stage.py", ("α = 0 is the", "α = 0 is, yes, the")), {}),
    # Files.
    "fresh clone over restored results": Edit(restore, {}),
    "touch on everything": Edit(touch, {}),
    "deleted .snakemake": Edit(lose(".snakemake"), {}),
    "deleted intermediate": Edit(
        lose(f"results/tiny/{LOST}"),
        {"noise": 1, **NOISY},
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_what_runs_after_an_edit(checkout: Checkout, name: str) -> None:
    """A job too many costs GPU time, up to months of it; a job too few leaves a stale figure."""
    change, jobs, named, spared = EDITS[name]
    edited = change(checkout) or checkout
    planned, messages = edited.plan()
    assert planned == jobs
    assert [word for word in named if word not in messages] == []
    assert [word for word in spared if word in messages] == []
