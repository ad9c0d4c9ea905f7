"""`recite audit --again`: jobs of a finished study that are done again, what they find out, what they leave alone.

Also `recite compare` on that study and the same one under another seed, as both need one that has run.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import Checkout
from test_audit import Restored, edit_record, flip_and_edit

from recite.files import hash64, sha256_file

SEED = 5
SAMPLE = "samples/pythia/code-0000.parquet"
RATES = "tables/rates.parquet"
SUMMARY = "summary.md"


@pytest.fixture(scope="module")
def study(finished: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Restored:
    """A copy of the tiny study that tests leave as it is."""
    root = tmp_path_factory.mktemp("again") / "a copy"
    shutil.copytree(finished.root, root, symlinks=True)
    return Restored(root)


@pytest.fixture
def own(study: Restored, tmp_path: Path) -> Restored:
    """A copy to change."""
    shutil.copytree(study.root, tmp_path / "a copy", symlinks=True)
    return Restored(tmp_path / "a copy")


def everything(study: Restored) -> dict[str, tuple[str, int]]:
    """Path -> digest and time of modification of all results, logs and records; the notes of digests left out."""
    files = (path for path in sorted((study.root / "results").rglob("*")) if path.is_file())
    kept = (path for path in files if ".digests" not in path.parts)
    return {str(path.relative_to(study.root)): (sha256_file(path), path.stat().st_mtime_ns) for path in kept}


def recorded_jobs(study: Restored) -> list[str]:
    """The jobs that have a record, by their first outputs."""
    folder = study.results / "records"
    names = (path.relative_to(folder) for path in folder.rglob("*.json"))
    return [name.as_posix().removesuffix(".json") for name in names if not name.parts[0].startswith(".")]


def again(study: Restored, *arguments: str) -> tuple[dict[str, Any], int]:
    """What an audit says of the jobs that it did again, and its exit code."""
    run = study.recite("audit", "--json", *arguments)
    assert run.stdout, run.stderr
    return json.loads(run.stdout), run.returncode


def test_same_bytes(study: Restored) -> None:
    """Three jobs, drawn by the printed seed, make the same bytes; the results are only read."""
    before = everything(study)
    found, code = again(study, "--again", "3", "--seed", str(SEED))
    assert code == 0 and found["verified"] and found["again"]["same"]
    jobs = found["again"]["jobs"]
    assert [job["outcome"] for job in jobs] == ["same"] * 3 and found["again"]["passed_over"] == {}
    recorded = recorded_jobs(study)
    assert [job["job"] for job in jobs] == sorted(recorded, key=lambda name: hash64(SEED, name))[:3]
    assert found["again"]["among"] == len(recorded) and found["again"]["seed"] == SEED
    for job in jobs:
        for path, digests in job["outputs"].items():
            assert digests["stands"] == digests["made"] == sha256_file(study.file(path))
    assert everything(study) == before


def test_behind_a_figure(study: Restored) -> None:
    """As text: jobs behind what was asked for alone; a seed that is printed where none was given."""
    run = study.recite("audit", SAMPLE, "--again", "1")
    assert run.returncode == 0, run.stdout
    line, told = run.stdout.splitlines()[-2:]
    assert line.startswith("Done again: 1 of ") and line.rpartition(" ")[2].isdecimal()
    among = int(line.split(" of ")[1].split()[0])
    assert 3 <= among < 10 and told.startswith("  same: ")
    run = study.recite("audit", SAMPLE)
    assert "Done again" not in run.stdout


def test_a_forged_file(own: Restored) -> None:
    """A file that was changed together with its record, on which nothing rests: only doing it again shows it."""
    summary = own.file(SUMMARY)
    summary.write_text(summary.read_text().replace("# Study tiny", "# Study tidy"))
    edit_record(own, SUMMARY, seal=True)
    assert own.audit()["verified"]
    before = everything(own)
    found, code = again(own, SUMMARY, "--again", "1", "--seed", first_seed(own, SUMMARY, SUMMARY))
    (job,) = found["again"]["jobs"]
    assert code == 1 and found["verified"] and not found["again"]["same"]
    assert (job["job"], job["outcome"]) == (SUMMARY, "other")
    assert job["outputs"][SUMMARY]["stands"] == sha256_file(summary) != job["outputs"][SUMMARY]["made"]
    run = own.recite("audit", SUMMARY, "--again", "1", "--seed", str(found["again"]["seed"]))
    assert run.returncode == 1 and f"  OTHER: {SUMMARY}, by summary: {SUMMARY} is " in run.stdout
    assert everything(own) == before


def test_passed_over(own: Restored) -> None:
    """A job whose input is not what it read, or not there, is named and another one done in its place."""
    flip_and_edit(own, SAMPLE, seal=True)
    scores = next(path for path in own.audit()["files"] if path.startswith("scores/pythia-s/code"))
    found, code = again(own, scores, "--again", "1", "--seed", first_seed(own, scores, scores))
    told = found["again"]["passed_over"]
    assert code == 1 and told[scores] == f"{SAMPLE} is not what it read"
    own.file(SAMPLE).unlink()
    found, _ = again(own, scores, "--again", "1", "--seed", str(found["again"]["seed"]))
    assert found["again"]["passed_over"][scores] == f"{SAMPLE} is not there"
    assert [job["outcome"] for job in found["again"]["jobs"]] == ["same"]


def test_a_job_that_fails(own: Restored) -> None:
    """Code that draws anew each time is found as another result, code that stops as a failure, in its own words."""
    module = own.root / "workflow/recite/report/summary.py"
    text = module.read_text()
    module.write_text(text.replace('parts = [f"# Study', 'import os\n    parts = [os.urandom(4).hex(), f"# Study', 1))
    make(own, SUMMARY)
    found, code = again(own, SUMMARY, "--again", "1", "--seed", first_seed(own, SUMMARY, SUMMARY))
    assert code == 1 and found["verified"] and found["again"]["jobs"][0]["outcome"] == "other"
    stopped = (
        'from recite.errors import ReciteError\n    if "again" in str(Path.cwd()): raise ReciteError("no more.")\n'
    )
    module.write_text(
        text.replace("    corpus = read_json(manifest)", f"    {stopped}    corpus = read_json(manifest)", 1)
    )
    make(own, SUMMARY)
    found, code = again(own, SUMMARY, "--again", "1", "--seed", str(found["again"]["seed"]))
    (job,) = found["again"]["jobs"]
    assert code == 1 and (job["outcome"], job["words"]) == ("failed", "no more.")


def make(study: Restored, path: str) -> None:
    run = study.snakemake(f"results/tiny/{path}")
    assert run.returncode == 0, run.stdout


def first_seed(study: Restored, target: str, job: str) -> str:
    """A seed that draws a job first of all behind a target."""
    found, _ = again(study, target)
    names = {*found["files"]} & {*recorded_jobs(study)}
    return next(str(seed) for seed in range(10_000) if min(names, key=lambda name: hash64(seed, name)) == job)


def test_compare_another_seed(finished: Checkout, own: Restored) -> None:
    """Another sample from the same corpus and models: the seed is told; what was not made anew does not differ."""
    run = own.snakemake(f"results/tiny/{RATES}", "--config", "seed=4")
    assert run.returncode == 0, run.stdout
    run = compared(own, str(finished.results), "results/tiny", "--json")
    found = json.loads(run.stdout)
    assert run.returncode == 0 and {"name": "seed", "a": ["3"], "b": ["4"]}.items() <= setting(found, "seed").items()
    tables = {table["table"]: table for table in found["tables"]}
    assert tables["rates"]["lines"] and tables["rates"]["only_a"] == tables["rates"]["only_b"] == 0
    assert {name for name, table in tables.items() if table["beyond"]} <= {"rates", "control_rates", "kinds"}
    changed = [line for line in tables["rates"]["statistics"][0]["lines"] if line["a"] != line["b"]]
    assert changed, "another seed draws another sample"
    assert tables["heads"]["keys"] == ["model", "family", "group", "rows", "domain", "layer", "head"]
    assert tables["recovery"]["keys"] == ["model", "family", "rows", "group", "noise_layer", "alpha", "layer"]
    assert tables["frequency_rates"]["keys"] == ["model", "family", "rows", "counting", "measure", "from"]
    page = own.root / "page.html"
    run = compared(own, str(finished.results), "results/tiny", "--page", str(page))
    assert run.returncode == 0 and run.stdout.startswith("A: tiny\nB: tiny\n")
    assert page.read_text().count("<img ") == 2 * len(list(own.results.glob("figures/*.png")))
    assert page.stat().st_size < 200_000 * len(list(own.results.glob("figures/*.png")))


def setting(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(setting for setting in found["settings"] if setting["name"] == name)


def compared(study: Restored, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`recite compare`, which takes no config."""
    environment = os.environ | {"PYTHONPATH": str(study.root / "workflow")}
    command = [".venv/bin/python", "-m", "recite", "compare", *arguments]
    return subprocess.run(command, cwd=study.root, env=environment, text=True, capture_output=True)
