"""What runs again after an edit: exactly what the edit invalidates."""

import os
import shutil
from pathlib import Path

import pytest
from conftest import CONFIG, Checkout, copy_checkout

UNDISTURBED = dict.fromkeys(("aggregation", "scaling", "domains", "ledger", "summary"), 1) | {"figures": 14}
UNDISTURBED |= {"compressibility_aggregation": 1, "frequency_aggregation": 1, "lens_aggregation": 1, "signatures": 1}
"""What follows from any model's scores."""
DOWNSTREAM = UNDISTURBED | {"noise_aggregation": 1, "recovery_aggregation": 1, "figures": 16}
"""What follows from the scores of a model that is disturbed too."""
ABLATED = {
    "ablation_aggregation": 1,
    "overlap": 1,
    "power": 1,
    "signatures": 1,
    "ledger": 1,
    "figures": 7,
    "summary": 1,
}
"""What follows from a model's rows without its heads."""
ANEW = DOWNSTREAM | {"ablation": 2, "ablation_aggregation": 1, "overlap": 1, "power": 1, "figures": 20}
"""What follows from a model that is disturbed and has its heads ablated, layer by layer."""


def test_comments_and_docstrings_cost_nothing(checkout: Checkout) -> None:
    """A comment that reran two months of GPU time would never be written."""
    checkout.edit(
        "workflow/recite/engine.py",
        "    length = context.shape[1] + steps - 1\n",
        "    # a remark\n\n    length = context.shape[1] + steps - 1\n",
    )
    checkout.edit("workflow/recite/training.py", '"""Training the mini', '"""Training the very mini')
    checkout.edit("scripts/scoring.py", "with door", "# a remark\nwith door")
    assert checkout.jobs() == {}


def test_touching_everything_costs_nothing(checkout: Checkout) -> None:
    """A fresh clone has new modification times everywhere."""
    for folder in ("workflow", "scripts", "config", "tests"):
        for path in (checkout.root / folder).rglob("*"):
            os.utime(path)
    assert checkout.jobs() == {}


def test_plot_code_redraws_only(checkout: Checkout) -> None:
    """A changed figure size must not score anything."""
    checkout.edit("workflow/recite/figures/noise.py", "* len(parts), 3.3 *", "* len(parts), 3.4 *")
    assert checkout.jobs() == {"figures": 20}


def test_one_recipe_reruns_one_family(checkout: Checkout) -> None:
    """The other family's models and scores must stay."""
    checkout.edit(CONFIG, "seed: 11", "seed: 21")
    family = {"training": 2, "scoring": 2, "compressibility": 1, "noise": 1, "recovery": 1, "lens": 1}
    assert checkout.jobs() == {**family, **ANEW}
    assert "pythia-xs" in checkout.messages() and "starcoder" not in checkout.messages()


def test_a_vocabulary_reruns_its_family_from_the_tokenizer(checkout: Checkout) -> None:
    """The tokenizer decides the sample too."""
    checkout.edit(CONFIG, "vocabulary: 500", "vocabulary: 510")
    family = {"tokenization": 1, "sampling": 3, "training": 2, "scoring": 2, "compressibility": 1, "lens": 1}
    counts = {"frequency_index": 1, "frequency": 4}  # Pythia's rows are counted in StarCoder's tokens too
    assert checkout.jobs() == {**family, **counts, **UNDISTURBED}
    assert "starcoder-xs" in checkout.messages() and "pythia-xs" not in checkout.messages()


def test_a_size_reruns_that_size(checkout: Checkout) -> None:
    """The other sizes must stay."""
    checkout.edit(CONFIG, "width: 16, heads: 2", "width: 32, heads: 2")
    jobs = checkout.jobs()
    assert (jobs["training"], jobs["scoring"]) == (2, 2)
    assert "noise" not in jobs and "tokenization" not in jobs


def test_a_new_strength_runs_alone(checkout: Checkout) -> None:
    """Adding a point to a sweep must not repeat the sweep."""
    checkout.edit(CONFIG, "[0.0, 0.5]", "[0.0, 0.25, 0.5]")
    assert checkout.jobs() == {
        "noise": 1,
        "recovery": 1,
        "noise_aggregation": 1,
        "recovery_aggregation": 1,
        "domains": 1,
        "signatures": 1,
        "ledger": 1,
        "figures": 7,
        "summary": 1,
    }


def test_a_new_layer_runs_alone(checkout: Checkout) -> None:
    """Disturbing another layer must not repeat the sweep of the first."""
    checkout.edit(CONFIG, "  strengths: [0.0, 0.5]", "  strengths: [0.0, 0.5]\n  layers: [0, 1]")
    alone = {"noise": 1, "recovery": 1, "noise_aggregation": 1, "recovery_aggregation": 1}
    assert checkout.jobs() == {**alone, "domains": 1, "signatures": 1, "ledger": 1, "figures": 7, "summary": 1}
    assert "layer 0" not in checkout.messages() and "layer 1 of pythia-s" in checkout.messages()


@pytest.mark.parametrize("module", ["engine", "checkpoints", "scoring"])
def test_engine_code_rescores_but_does_not_retrain(checkout: Checkout, module: str) -> None:
    """An imported module is not tracked by Snakemake; its change must not go unseen."""
    path = checkout.root / f"workflow/recite/{module}.py"
    path.write_text(path.read_text() + "\n\nADDED = 1\n")
    assert checkout.jobs() == {"scoring": 4, "compressibility": 2, "noise": 1, "recovery": 1, "lens": 2, **ANEW}


def test_measured_batch_sizes_come_before_scores(checkout: Checkout) -> None:
    """Every model's batch size is measured once, for all of its jobs."""
    checkout.edit(CONFIG, "batch_rows: 16", "batch_rows: auto")
    again = {"batching": 4, "scoring": 4, "compressibility": 2, "noise": 1, "lens": 2}
    assert checkout.jobs() == {**again, **DOWNSTREAM}


def test_one_models_precision_rescores_that_model(checkout: Checkout) -> None:
    """The other models' scores must stay."""
    checkout.edit(CONFIG, "batch_rows: 16", "batch_rows: 16\n  dtypes: {starcoder-s: bfloat16}")
    assert checkout.jobs() == {"scoring": 1, "compressibility": 1, "lens": 1, **UNDISTURBED}


def test_another_model_is_shortened_alone(checkout: Checkout) -> None:
    """Adding a model to one analysis must not repeat the others."""
    before = "compressibility:\n  models: [pythia-s, starcoder-s]"
    checkout.edit(CONFIG, before, before.replace("]", ", pythia-xs]"))
    new = {"compressibility": 1, "compressibility_aggregation": 1, "ledger": 1, "figures": 2, "summary": 1}
    assert checkout.jobs() == new


EDITS = {
    "another model": (
        "ablation:\n  models: [pythia-s]",
        "ablation:\n  models: [pythia-s, starcoder-s]",
        {"ablation": 2},
    ),
    "both layers in a job": ("layers_per_job: 1", "layers_per_job: 2", {"ablation": 1}),
    "fewer rows": ("rows_per_domain: 10", "rows_per_domain: 9", {"ablation": 2}),
    "other means": (
        "layers_per_job: 1",
        "layers_per_job: 1\n  replacement: dataset_mean",
        {"ablation_means": 1, "ablation": 2},
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_heads_are_ablated_alone(checkout: Checkout, edit: str) -> None:
    """A model more is ablated by itself; which heads, rows or replacements are of no concern to other stages."""
    old, new, jobs = EDITS[edit]
    checkout.edit(CONFIG, old, new)
    assert checkout.jobs() == {**jobs, **ABLATED}


def test_screened_heads_are_ablated_anew(checkout: Checkout) -> None:
    """Screening is a stage of its own, leaves signatures to the other layers, and asks for no recall."""
    checkout.edit(CONFIG, "layers_per_job: 1", "layers_per_job: 1\n  screening: {share: 0.5}")
    assert checkout.jobs() == {"screening": 1, "ablation": 2, **ABLATED, "figures": 6}


def test_another_rise_counts_nothing_again(checkout: Checkout) -> None:
    """What a threshold is read off by is no count."""
    checkout.edit(CONFIG, "  other: starcoder\n", "  other: starcoder\n  rise: 0.2\n")
    assert checkout.jobs() == {"frequency_aggregation": 1, "ledger": 1, "figures": 3, "summary": 1}


def test_another_way_of_counting_counts_alone(checkout: Checkout) -> None:
    """Indexes that stand, and counts of the other ways, must stay."""
    checkout.edit(
        CONFIG, "countings: [bytes, own, other]\n  other: starcoder", "countings: [bytes, other]\n  other: pythia"
    )
    jobs = {"frequency": 2, "frequency_aggregation": 1, "ledger": 1, "figures": 3, "summary": 1}
    assert checkout.jobs() == jobs


def test_counting_code_counts_again(checkout: Checkout) -> None:
    """A change in how spans are made must not index the corpus again, nor run a model."""
    path = checkout.root / "workflow/recite/frequency.py"
    path.write_text(path.read_text() + "\n\nADDED = 1\n")
    jobs = {"frequency": 6, "frequency_aggregation": 1, "ledger": 1, "figures": 3, "summary": 1}
    assert checkout.jobs() == jobs


def test_another_bound_is_judged_alone(checkout: Checkout) -> None:
    """The rule of a verdict is no measurement."""
    checkout.edit("config/claims.yaml", "above: 0.9", "above: 0.95")
    assert checkout.jobs() == {"ledger": 1, "figures": 1, "summary": 1}


def test_a_swapped_pair_is_seen(checkout: Checkout) -> None:
    """Snakemake compares params as an unordered set; two values that change places must still count."""
    checkout.edit(
        CONFIG, "context_tokens: 16\n  continuation_tokens: 16", "context_tokens: 12\n  continuation_tokens: 20"
    )
    jobs = checkout.jobs()
    assert jobs["sampling"] == 6 and "candidates" not in jobs


def test_a_new_domain_leaves_the_others(checkout: Checkout) -> None:
    """The corpus is not read again for it, and no row of the other domains is drawn or scored again."""
    checkout.edit(CONFIG, "[code, licences, control]", "[code, licences, control, headers]")
    new = {"sampling": 2, "samples": 1, "scoring": 4, "compressibility": 2, "noise": 1, "frequency": 6, "recovery": 1}
    new["lens"] = 2
    assert checkout.jobs() == {**new, **ANEW}
    assert "code-0000" not in checkout.messages()


def test_a_new_caption_reruns_nothing(checkout: Checkout) -> None:
    """Words in the report are no computation."""
    checkout.edit("config/figures.yaml", "α = 0 is the", "α = 0 is, of course, the")
    assert checkout.jobs() == {}


def restored(finished: Checkout, root: Path, times: bool) -> Checkout:
    """A fresh clone with the results of the study copied into it, with their times or in an order of their own."""
    clone = copy_checkout(root / "a clone")
    shutil.copytree(finished.results, clone.results, copy_function=shutil.copy2 if times else shutil.copy)
    if not times:
        for second, path in enumerate(sorted(clone.results.rglob("*"), reverse=True)):
            os.utime(path, (1_700_000_000 + second, 1_700_000_000 + second))
    return clone


def test_results_that_are_restored_with_their_times_cost_nothing(finished: Checkout, tmp_path: Path) -> None:
    """What Snakemake notes of its jobs stays behind; a fresh clone must not score anything again for want of it."""
    assert restored(finished, tmp_path, times=True).jobs() == {}


def test_results_that_are_restored_without_their_times_need_a_touch(finished: Checkout, tmp_path: Path) -> None:
    """Copied by a tool that drops times, inputs look newer than outputs; the manual's remedy must do."""
    clone = restored(finished, tmp_path, times=False)
    assert clone.jobs() != {}
    run = clone.snakemake("--touch")
    assert run.returncode == 0, run.stdout
    assert clone.jobs() == {}


def test_without_what_snakemake_notes_nothing_runs(checkout: Checkout) -> None:
    """A deleted .snakemake must not cost a computation."""
    notes = checkout.root / ".snakemake"
    notes.rename(checkout.root / "notes")
    try:
        assert checkout.jobs() == {}
    finally:
        shutil.rmtree(notes, ignore_errors=True)
        (checkout.root / "notes").rename(notes)


def test_a_lost_intermediate_is_made_again(checkout: Checkout) -> None:
    """One file of noisy scores is lost: that job and what reads it run, and no other model."""
    lost = checkout.results / "noise/pythia-s/layer-0/alpha-0.5/code-0000.parquet"
    kept = lost.with_name("kept")
    lost.rename(kept)
    try:
        jobs = checkout.jobs()
    finally:
        kept.rename(lost)
    assert jobs == {"noise": 1, "noise_aggregation": 1, "domains": 1, "ledger": 1, "figures": 4, "summary": 1}
