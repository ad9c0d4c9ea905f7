"""What is made again after an edit or a loss: what comes to the same bytes goes no further."""

import shutil
from pathlib import Path

import pytest
from conftest import CONFIG, Checkout, copy_checkout, digests

from changes import Change, code, lose, restore

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
    "changed sampling code, samples as before": (code("corpora/sampling"), (), SAMPLING),
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


def test_results_that_are_restored_without_their_times_need_a_touch(finished: Checkout) -> None:
    """Copied by a tool that drops times, inputs look newer than outputs; the manual's remedy must do."""
    clone = restore(finished, times=False)
    assert clone.jobs() != {}
    run = clone.snakemake("--touch")
    assert run.returncode == 0, run.stdout
    assert clone.jobs() == {}
