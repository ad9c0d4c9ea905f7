"""What runs again after an edit: exactly what the edit invalidates."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import CONFIG, Checkout, copy_checkout, digests

Change = Callable[[Checkout], Checkout | None]
"""An edit of the finished checkout, or of another one, which is returned."""


class Edit(NamedTuple):
    """An edit, and the jobs that it costs, by rule; what these name in saying what they do, and what none names."""

    change: Change
    jobs: dict[str, int]
    named: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()


def edit(path: str, *replaced: tuple[str, str]) -> Change:
    """Old and new texts of a file, each of which stands there once."""

    def change(checkout: Checkout) -> None:
        for old, new in replaced:
            checkout.edit(path, old, new)

    return change


def config(*replaced: tuple[str, str]) -> Change:
    return edit(CONFIG, *replaced)


def code(module: str) -> Change:
    """Something that the module did not say before."""

    def change(checkout: Checkout) -> None:
        path = checkout.root / f"workflow/recite/{module}.py"
        path.write_text(path.read_text() + "\n\nADDED = 1\n")

    return change


def remarks(checkout: Checkout) -> None:
    """Comments, an empty line and another docstring in what scores and trains."""
    line = "    length = context.shape[1] + steps - 1\n"
    checkout.edit("workflow/recite/engine.py", line, f"    # a remark\n\n{line}")
    checkout.edit("workflow/recite/training.py", '"""Training the mini', '"""Training the very mini')
    checkout.edit("scripts/scoring.py", "with door", "# a remark\nwith door")


def figure(checkout: Checkout) -> None:
    """A figure of its own module: the distribution drawn once more."""
    folder = checkout.root / "workflow/recite/figures"
    shutil.copy(folder / "distribution.py", folder / "again.py")
    checkout.edit("workflow/recite/figures/__init__.py", "    claims,\n", "    again,\n    claims,\n")
    checkout.edit("workflow/recite/figures/__init__.py", '    "claims": ', '    "again": again.draw,\n    "claims": ')
    with (checkout.root / "config/figures.yaml").open("a") as file:
        file.write("again: {title: Again, category: Scores, tables: [distribution], caption: Once more.}\n")


def touch(checkout: Checkout) -> None:
    for folder in ("workflow", "scripts", "config", "tests"):
        for path in (checkout.root / folder).rglob("*"):
            os.utime(path)


def restore(checkout: Checkout, times: bool = True) -> Checkout:
    """A fresh clone with the results of the study copied into it, with their times or in an order of their own."""
    place = checkout.root.with_name("a clone")
    shutil.rmtree(place, ignore_errors=True)
    clone = copy_checkout(place)
    shutil.copytree(checkout.results, clone.results, copy_function=shutil.copy2 if times else shutil.copy)
    if not times:
        for second, path in enumerate(sorted(clone.results.rglob("*"), reverse=True)):
            os.utime(path, (1_700_000_000 + second, 1_700_000_000 + second))
    return clone


def lose(path: str) -> Change:
    def change(checkout: Checkout) -> None:
        checkout.lose(path)

    return change


UNDISTURBED = dict.fromkeys(("aggregation", "scaling", "domains", "ledger", "summary"), 1) | {"figures": 14}
UNDISTURBED |= {"compressibility_aggregation": 1, "frequency_aggregation": 1, "lens_aggregation": 1, "signatures": 1}
"""What follows from any model's scores."""
DOWNSTREAM = UNDISTURBED | {"noise_aggregation": 1, "recovery_aggregation": 1, "figures": 16}
"""What follows from the scores of a model that is disturbed too."""
ABLATED = dict.fromkeys(("ablation_aggregation", "overlap", "power", "signatures", "ledger", "summary"), 1)
ABLATED |= {"figures": 7}
"""What follows from a model's rows without its heads."""
SUMMED = DOWNSTREAM | {"ablation_aggregation": 1, "overlap": 1, "power": 1, "figures": 20}
"""All that sums up."""
ANEW = SUMMED | {"ablation": 2}
"""What follows from a model that is disturbed and has its heads ablated, layer by layer."""
SCORED = {"scoring": 4, "compressibility": 2, "noise": 1, "recovery": 1, "lens": 2}
"""Every model's own jobs, but for the ablation."""
SWEPT = dict.fromkeys(("noise", "recovery", "noise_aggregation", "recovery_aggregation"), 1)
SWEPT |= dict.fromkeys(("domains", "signatures", "ledger", "summary"), 1) | {"figures": 7}
"""What follows from one strength in one layer."""
COUNTED = {"frequency_aggregation": 1, "ledger": 1, "figures": 3, "summary": 1}
"""What follows from how rows are counted."""
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
        {"sampling": 2, "samples": 1, "frequency": 6, **SCORED, **ANEW},
        spared=("code-0000",),
    ),
    "new figure": Edit(figure, {"figures": 21}),
    "another model in one analysis": Edit(
        config((SHORTENED, SHORTENED.replace("]", ", pythia-xs]"))),
        {"compressibility": 1, "compressibility_aggregation": 1, "ledger": 1, "figures": 2, "summary": 1},
    ),
    "another model with its heads ablated": Edit(
        config((ABLATION, ABLATION.replace("]", ", starcoder-s]"))), {"ablation": 2, **ABLATED}
    ),
    # Code.
    "changed plot code": Edit(
        edit("workflow/recite/figures/noise.py", ("* len(parts), 3.3 *", "* len(parts), 3.4 *")), {"figures": 20}
    ),
    "changed scoring code": Edit(code("scoring"), SCORED | ANEW),
    "changed engine": Edit(code("engine"), SCORED | ANEW),
    "changed reading of weights": Edit(code("checkpoints"), SCORED | ANEW),
    "changed counting code": Edit(code("frequency"), {"frequency": 6, **COUNTED}),
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
        {"batching": 4, "scoring": 4, "compressibility": 2, "noise": 1, "lens": 2, **DOWNSTREAM},
    ),
    "both layers' heads in a job": Edit(config(("layers_per_job: 1", "layers_per_job: 2")), {"ablation": 1, **ABLATED}),
    "heads screened": Edit(
        config(("layers_per_job: 1", "layers_per_job: 1\n  screening: {share: 0.5}")),
        {"screening": 1, "ablation": 2, **ABLATED, "figures": 6},
    ),
    "fewer rows ablated": Edit(config(("rows_per_domain: 10", "rows_per_domain: 9")), {"ablation": 2, **ABLATED}),
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
    "another caption": Edit(edit("config/figures.yaml", ("α = 0 is the", "α = 0 is, of course, the")), {}),
    # Files.
    "fresh clone over restored results": Edit(restore, {}),
    "touch on everything": Edit(touch, {}),
    "deleted .snakemake": Edit(lose(".snakemake"), {}),
    "deleted intermediate": Edit(
        lose(f"results/tiny/{LOST}"),
        {"noise": 1, "noise_aggregation": 1, "domains": 1, "ledger": 1, "figures": 4, "summary": 1},
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


def test_results_that_are_restored_without_their_times_need_a_touch(finished: Checkout) -> None:
    """Copied by a tool that drops times, inputs look newer than outputs; the manual's remedy must do."""
    clone = restore(finished, times=False)
    assert clone.jobs() != {}
    run = clone.snakemake("--touch")
    assert run.returncode == 0, run.stdout
    assert clone.jobs() == {}


DOMAINS = ("code", "licences", "control")
SHARD = "samples/pythia/code-0000.parquet"
SCORES = "results/tiny/scores/pythia-xs/code-0000.parquet"
TARGET = "results/tiny/figures/scaling.png"
"""Its jobs are those of the samples, the scores, their aggregation and the lines through the rates."""
SAMPLING = {f"samples/{family}/{domain}-0000.parquet" for family in ("pythia", "starcoder") for domain in DOMAINS}


@pytest.fixture
def copied(finished: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished checkout, to run in."""
    checkout = copy_checkout(tmp_path / "a checkout")
    for folder in ("results", ".snakemake"):
        shutil.copytree(finished.root / folder, checkout.root / folder)
    return checkout


def computed(checkout: Checkout, before: dict[str, str]) -> set[str]:
    """First outputs of the jobs that have computed since."""
    return {path.removesuffix(".json") for path, record in records(checkout).items() if record != before[path]}


def records(checkout: Checkout) -> dict[str, str]:
    folder = checkout.results / "records"
    paths = (path.relative_to(folder) for path in folder.rglob("*.json"))
    return {str(path): (folder / path).read_text() for path in paths if not path.parts[0].startswith(".")}


CAUSES: dict[str, tuple[Change, tuple[str, ...], set[str]]] = {
    "changed sampling code, samples as before": (code("sampling"), (), SAMPLING),
    "one lost shard, made again": (lose(f"results/tiny/{SHARD}"), (f"results/tiny/{SHARD}",), {SHARD}),
    "an aggregation by force": (lambda checkout: None, ("--forcerun", "aggregation"), {"tables/rates.parquet"}),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_the_same_bytes_made_again_do_not_cascade(copied: Checkout, cause: str) -> None:
    """Months of scoring must not hang on the times of files that did not change; what stood must come back."""
    change, arguments, expected = CAUSES[cause]
    before, made = records(copied), digests(copied.results)
    change(copied)
    assert copied.jobs(TARGET, *arguments)["figures"] == 1
    run = copied.snakemake(TARGET, *arguments)
    assert run.returncode == 0, run.stdout
    assert computed(copied, before) == expected
    assert digests(copied.results) == made
    assert copied.jobs(TARGET) == {}
    assert not (copied.results / "records/.kept").exists()


def test_other_bytes_do_cascade(copied: Checkout) -> None:
    """What stood must not come back where the rows that were scored are no longer those."""
    before = records(copied)
    copied.edit(CONFIG, "seed: 3\n", "seed: 4\n")
    run = copied.snakemake(SCORES)
    assert run.returncode == 0, run.stdout
    assert SCORES in {f"results/tiny/{path}" for path in computed(copied, before)}


def test_restored_results_are_not_computed_again_even_without_their_times(finished: Checkout) -> None:
    """Who forgets the touch must not pay for it with GPU time."""
    clone = restore(finished, times=False)
    before = records(clone)
    run = clone.snakemake(TARGET)
    assert run.returncode == 0, run.stdout
    assert computed(clone, before) == set()
    assert digests(clone.results) == digests(finished.results)
