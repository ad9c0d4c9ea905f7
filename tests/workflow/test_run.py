"""The tiny study as a whole: what is made, that it is whole, and that it comes out the same again."""

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import REPOSITORY, Checkout, digests
from safetensors import safe_open

from recite.corpora.tables.samples import SAMPLES
from recite.files import sha256_file
from recite.stages.scoring.rows import SCORES
from recite.stages.scoring.tables import CONTROL_RATES, RATES

MODELS = ["pythia-xs", "pythia-s", "starcoder-xs", "starcoder-s"]
FIGURES = [
    "claims",
    "scaling",
    "distribution",
    "domains",
    "controls",
    "compressibility",
    "noise",
    "recovery",
    "lens",
    "lens_positions",
    "heads",
    "overlap",
    "power",
    "structure",
]
FIGURES += ["profiles", "signatures", "signature_clusters"]


def test_everything_is_there_and_nothing_else(finished: Checkout) -> None:
    """A missing figure, or a temporary file left behind, would go unnoticed."""
    made = digests(finished.results)
    for figure in FIGURES:
        assert {f"figures/{figure}.{kind}" for kind in ("png", "svg", "csv")} <= set(made)
    assert "summary.md" in made
    assert not [path for path in made if Path(path).name.startswith(".")]
    assert finished.jobs() == {}


def test_snakefile_where_catalogues_look(checkout: Checkout) -> None:
    """`snakedeploy` and the workflow catalogue know `workflow/Snakefile` only."""
    checkout.lose("results/tiny/summary.md")
    first, second = checkout.jobs(), checkout.jobs("--snakefile", "workflow/Snakefile")
    assert first == second == {"summary": 1}


def test_tables_hold_every_row_once(finished: Checkout) -> None:
    """Rows lost or doubled between sample, scores and rates."""
    for model in MODELS:
        family = model.partition("-")[0]
        shards = sorted((finished.results / "samples" / family).iterdir())
        sampled = [row for path in shards for row in SAMPLES.read(path, ["row_id"])["row_id"].to_pylist()]
        parts = sorted((finished.results / "scores" / model).iterdir())
        scored = [row for path in parts for row in SCORES.read(path, ["row_id"])["row_id"].to_pylist()]
        assert len(set(sampled)) == 36
        assert sorted(scored) == sorted(sampled)
    rates = RATES.read(finished.results / "tables/rates.parquet").to_pandas()
    assert set(rates["model"]) == set(MODELS)
    assert (rates[rates["domain"] == "natural"]["n"] == 24).all()
    controls = CONTROL_RATES.read(finished.results / "tables/control_rates.parquet").to_pandas()
    assert set(controls["repetitions"]) == {1, 8, 32}
    assert (controls["n"] == 4).all()


def test_records_carry_digests(finished: Checkout) -> None:
    """Weights and training data must be named by what they are."""
    for model in MODELS:
        folder = finished.results / "models" / model
        record = json.loads((folder / "training.json").read_text())
        assert record["weights_sha256"] == sha256_file(folder / "model.safetensors")
        with safe_open(folder / "model.safetensors", "pt") as weights:
            assert len(list(weights.keys())) > 10
    manifest = json.loads((finished.results / "corpus/manifest.json").read_text())
    for domain, digest in manifest["sha256"].items():
        assert digest == sha256_file(finished.results / f"corpus/documents/{domain}.jsonl.zst")


def test_a_truncated_shard_is_named_and_the_next_run_carries_on(finished: Checkout) -> None:
    """A damaged intermediate must stop its readers with one sentence, and mending it must give the same bytes."""
    before = digests(finished.results)
    targets = [f"results/tiny/{path}" for path in ("figures/scaling.png", "frequencies/pythia/own.parquet")]
    shard = finished.results / "samples/pythia/code-0000.parquet"
    shard.write_bytes(shard.read_bytes()[:700])
    run = finished.snakemake(*targets)
    assert run.returncode == 1
    assert "recite: results/tiny/samples/pythia/code-0000.parquet is not a whole Parquet file" in run.stdout
    assert "Traceback" not in run.stdout
    shard.unlink()
    run = finished.snakemake(*targets)
    assert run.returncode == 0, run.stdout
    assert digests(finished.results) == before


@pytest.mark.parametrize(
    "lost", ["models/pythia-s/training.json", "tokenizers/pythia/rows.parquet", "corpus/manifest.json"]
)
def test_a_lost_intermediate_is_made_again(finished: Checkout, lost: str) -> None:
    """Figures that are there must not hide that what they rest on is gone."""
    path = finished.results / lost
    kept = path.rename(path.with_name("kept"))
    try:
        assert finished.jobs()
    finally:
        kept.rename(path)


def test_report(finished: Checkout, tmp_path: Path) -> None:
    """The report must hold every figure and its caption, with no network."""
    run = finished.snakemake("--report", str(tmp_path / "report.html"))
    assert run.returncode == 0, run.stdout
    page = (tmp_path / "report.html").read_text()
    for title in ("Memorization against model size", "occur nowhere else, each planted", "Summary"):
        assert title in page
    assert page.count("data:image/png") >= len(FIGURES)


@pytest.mark.parametrize(
    "kind", ["scores", "samples", "tables", "corpus", "tokenizers", "models", "figures", "records"]
)
def test_no_machine_in_the_outputs(finished: Checkout, places: list[str], kind: str) -> None:
    """An absolute path in an output would differ between machines and betray a user's name."""
    for path in (path for path in (finished.results / kind).rglob("*") if path.is_file()):
        if path.suffix == ".parquet" and kind != "records":  # whose notes bear the names of what they note
            table = pq.read_table(path)
            text = f"{table.schema.metadata}{table.drop_columns([c for c in ('text',) if c in table.column_names])}"
        else:
            text = path.read_bytes().decode("latin-1")
        assert not [place for place in places if place in text], path


def test_the_first_figure_comes_before_the_rest(checkout: Checkout) -> None:
    """As `make demo` asks for it: it waits for nothing that is measured beside what it shows."""
    text = (REPOSITORY / "Makefile").read_text()
    (first,) = re.findall(r"^FIRST = (\w+)$", text, re.MULTILINE)
    (asked,) = re.findall(r"^\t\$\(SNAKEMAKE\) all verification (.*)\|\| ", text, re.MULTILINE)
    for made in ("scores", "noise", "compressibility", "lens", "recovery", "ablation", "tables", "figures"):
        checkout.lose(f"results/tiny/{made}")
    run = checkout.snakemake("--cores", "1", *asked.replace("$(FIRST)", first).split())
    assert run.returncode == 0, run.stdout
    jobs = re.findall(r"^Job \d+: (.*)$", run.stdout, re.MULTILINE)
    beside = [place for place, job in enumerate(jobs) if job.startswith(("Disturb", "Decode", "Shorten"))]
    assert len(beside) >= 5 and jobs.index("Draw figure scaling") < min(beside), jobs
