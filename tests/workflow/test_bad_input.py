"""Bad input: one clear sentence, a non-zero exit, and nothing started."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import CONFIG, Checkout

from recite.corpora.readers import read_built

MISTAKES = [
    ("batch_rows: 16", "batch_rowz: 16", "scoring: unknown key 'batch_rowz'; did you mean 'batch_rows'?"),
    (
        "models: [pythia-s]\n  strengths",
        "models: [pythia-xxl]\n  strengths",
        "noise.models: 'pythia-xxl' is not a model of this study (known: pythia-xs",
    ),
    ("[code, licences, control]", "[code, poems, control]", "sampling.domains: 'poems' is not a domain of corpus tiny"),
    ("width: 16, heads: 2", "width: 16, heads: 3", "training.sizes.xs: 3 heads do not divide width 16"),
    ("width: 64, heads: 4", "width: 64, heads: 16", "training.sizes.s: heads of width 4 cannot be rotated"),
    ("starcoder: {", "gpt5: {", "training.families: 'gpt5' is not a family of the architecture table"),
    ("rows_per_domain: 12", "rows_per_domain: many", "sampling.rows_per_domain: 'many' is not of type 'integer'"),
    ("continuation_tokens: 16", "continuation_tokens: 32", "sampling asks for windows of 48 tokens"),
    ("  strengths: [0.0", "  layers: [0, 2]\n  strengths: [0.0", "noise.layers has 2, but pythia-s has 2 layers"),
    ("layers_per_job: 1", "layer_per_job: 1", "ablation: unknown key 'layer_per_job'; did you mean 'layers_per_job'?"),
    ("study: tiny\n", "", "key 'study' is missing"),
    ("corpora_file: tests", "corpora_file: nowhere", "nowhere/workflow/corpora.yaml does not exist"),
    (
        "  batch_rows: 16",
        "  batch_rows: 16\n  batch_rows: 8",
        "tiny.yaml: key 'batch_rows' stands in lines 21 and 22; leave",
    ),
]


@pytest.mark.parametrize(("right", "wrong", "sentence"), MISTAKES, ids=[wrong for _, wrong, _ in MISTAKES])
def test_config_mistakes(fresh: Checkout, right: str, wrong: str, sentence: str) -> None:
    """A mistake found by the hundredth job would have cost the first ninety-nine."""
    fresh.edit(CONFIG, right, wrong)
    run = fresh.snakemake()
    assert run.returncode == 1
    assert sentence in run.stdout
    assert "Traceback" not in run.stdout
    assert not (fresh.root / "results").exists()


def test_unknown_key_on_the_command_line(fresh: Checkout) -> None:
    """`--config` goes through the same check."""
    run = fresh.snakemake("--config", "seeed=4")
    assert run.returncode == 1
    assert "unknown key 'seeed'; did you mean 'seed'?" in run.stdout


def test_too_few_documents(fresh: Checkout) -> None:
    """A domain that cannot fill its sample is found before any model is trained or scored."""
    fresh.edit(CONFIG, "rows_per_domain: 12", "rows_per_domain: 20")
    run = fresh.snakemake("results/tiny/samples/pythia/licences-0000.parquet")
    assert run.returncode == 1
    assert "recite: domain licences of corpus tiny has only" in run.stdout
    assert not list((fresh.root / "results/tiny/samples").rglob("*.parquet"))


def test_documents_longer_than_training_rows(fresh: Checkout) -> None:
    """Windows that may lie where no model was trained are found before any model is."""
    fresh.edit(CONFIG, "shard_rows: 8", "shard_rows: 8\n  window: offset")
    run = fresh.snakemake("results/tiny/tokenizers/pythia/rows.parquet")
    assert run.returncode == 1
    assert "recite: document " in run.stdout and "training.row_tokens is 32: with sampling.window offset" in run.stdout
    assert not list((fresh.root / "results/tiny").rglob("rows.parquet"))


@pytest.fixture
def small_disk(fresh: Checkout) -> Iterator[Path]:
    """A results folder on a disk of 48 KiB of its own."""
    folder = fresh.root / "results"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", folder], capture_output=True, text=True
    )
    if mounted.returncode:
        if os.environ.get("RECITE_NO_SKIP"):
            pytest.fail(f"cannot mount a small disk: {mounted.stderr}")
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_full_disk(fresh: Checkout, small_disk: Path) -> None:
    """A disk that fills must end in a sentence with nothing half-written, and the next run must carry on."""
    target = "results/tiny/tokenizers/pythia/rows.parquet"
    run = fresh.snakemake(target)
    assert run.returncode == 1
    assert "recite: the disk is full" in run.stdout
    assert "Traceback" not in run.stdout
    assert not list(small_disk.rglob(".*.tmp"))
    for path in (small_disk / "tiny/corpus").rglob("*.zst"):
        assert list(read_built(path))
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    run = fresh.snakemake(target)
    assert run.returncode == 0, run.stdout
    assert (fresh.root / target).exists()
