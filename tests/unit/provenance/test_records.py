"""recite.provenance.records: what a job notes, when, and what it must not note."""

import json
import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recite.errors import ReciteError
from recite.files import canonical_json, sha256_file
from recite.provenance import fingerprint as fingerprint_module
from recite.provenance.fingerprint import digest_of_parts, fingerprint
from recite.provenance.keeping import set_aside
from recite.provenance.records import Unneeded, modules_of, path_in, portable, read_records, recorded, seal_of, sealed

RUN, FURTHER = "recite.scoring:score", ["recite.table"]
MODULES = modules_of(RUN, FURTHER)
FILES = {
    "workflow/recite/__init__.py": "",
    "workflow/recite/scoring.py": "print(1)\n",
    "workflow/recite/table.py": "print(1)\n",
    "envs/recite.yaml": "  - pytest==1\n",
}


class Params(dict[str, Any]):
    """Snakemake's params: keys that are attributes too."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A job of a small checkout, in its folder, with a library of its own."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    study = tmp_path / "results/tiny"
    (study / "samples").mkdir(parents=True)
    (study / "samples/a.parquet").write_bytes(b"rows")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fingerprint_module, "SOURCE_ROOT", tmp_path / "workflow")
    fingerprint_module.fingerprint.cache_clear()
    options = canonical_json({"seed": 3, "path": "/home/someone/weights"})
    return SimpleNamespace(
        rule="scoring",
        input=["results/tiny/samples/a.parquet"],
        output=["results/tiny/scores/m/a.parquet", "results/tiny/scores/m/notes.json"],
        params=Params(run=RUN, modules=FURTHER, code=fingerprint(MODULES), options=options, title="A title"),
        wildcards={"model": "m"},
        threads=1,
        config={"study": "tiny"},
    )


def run(job: SimpleNamespace) -> dict[str, Any]:
    """Do the job; its record."""
    with recorded(job, Path.cwd()):
        Path(job.output[0]).parent.mkdir(parents=True, exist_ok=True)
        about = {b"recite": canonical_json({"device": "cpu", "batch_rows": 8, "options": {}}).encode()}
        pq.write_table(pa.table({"x": [1]}).replace_schema_metadata(about), job.output[0])
        Path(job.output[1]).write_text('{"weights_sha256": "ab", "model": {"type": "BPE"}, "device": "other"}')
    return json.loads(Path("results/tiny/records/scores/m/a.parquet.json").read_text())


def test_what_a_record_says(job: SimpleNamespace) -> None:
    """Prevents a record from which a result could not be traced."""
    before = time.time()
    made = run(job)
    assert made["rule"] == "scoring" and made["run"] == RUN and made["wildcards"] == {"model": "m"}
    assert made["parameters"] == {"options": {"seed": 3, "path": "(elsewhere)/weights"}, "title": "A title"}
    assert made["inputs"] == {
        "samples/a.parquet": {"bytes": 4, "sha256": sha256_file(Path("results/tiny/samples/a.parquet"))}
    }
    assert {path: file["sha256"] for path, file in made["outputs"].items()} == {
        path: sha256_file(Path("results/tiny", path)) for path in ("scores/m/a.parquet", "scores/m/notes.json")
    }
    assert made["made_with"] == {"batch_rows": 8, "device": "cpu", "weights_sha256": "ab"}
    assert made["threads"] == 1 and 0 <= made["seconds"] < 10
    assert before - 1 < datetime.fromisoformat(made["started"]).timestamp() < before + 10
    assert "git" not in made and made["seal"] == seal_of(made)
    parts = json.loads(Path(f"results/tiny/records/.code/{made['code']}.json").read_text())
    assert digest_of_parts(parts) == made["code"] and set(parts) == {"recite", *MODULES}
    versions = json.loads(Path(f"results/tiny/records/.environments/{made['environment']}.json").read_text())
    assert set(versions) == {"python", "pytest"}
    assert read_records(Path("results/tiny")) == {"scores/m/a.parquet": made}


def test_inputs_are_taken_before_the_work(job: SimpleNamespace) -> None:
    """Prevents a record that vouches for bytes that the job never read."""
    path = Path(job.input[0])
    with recorded(job, Path.cwd()):
        path.write_bytes(b"changed meanwhile")
        for output in job.output:
            Path(output).parent.mkdir(parents=True, exist_ok=True)
            Path(output).write_text("{}")
        job.output = [job.output[1]]
    made = json.loads(Path("results/tiny/records/scores/m/a.parquet.json").read_text())
    assert made["inputs"]["samples/a.parquet"]["bytes"] == 4


def test_a_failed_job_has_no_record(job: SimpleNamespace) -> None:
    """Prevents the record of an earlier run from vouching for what a failed one left."""
    run(job)
    with pytest.raises(ValueError, match="stop"), recorded(job, Path.cwd()):
        raise ValueError("stop")
    assert read_records(Path("results/tiny")) == {}


def ready_to_run_again(job: SimpleNamespace) -> dict[str, Any]:
    """Do the job, set aside what it made and remove it, as a run does before it starts the job again; its record."""
    made = run(job)
    set_aside(Path("results/tiny"), job.output)
    for path in job.output:
        Path(path).unlink()
    return made


def test_a_job_that_is_given_the_same_is_not_done_again(job: SimpleNamespace) -> None:
    """Prevents inputs that were made anew and came to the same bytes from costing a computation."""
    made = ready_to_run_again(job)
    os.utime(job.input[0])
    with pytest.raises(Unneeded):
        run(job)
    assert read_records(Path("results/tiny")) == {"scores/m/a.parquet": made}
    for name, digest in made["outputs"].items():
        assert sha256_file(Path("results/tiny", name)) == digest["sha256"]


def other_input(job: SimpleNamespace) -> None:
    Path(job.input[0]).write_bytes(b"other rows")


def other_folder(job: SimpleNamespace) -> None:
    """In a record both folders are "(elsewhere)/weights"."""
    job.params["options"] = canonical_json({"seed": 3, "path": "/home/someone/else/weights"})


def edit_code(name: str) -> None:
    """Another module, as a new process would find it."""
    Path("workflow", name).write_text("print(2)\n")
    for cached in (fingerprint_module.fingerprint, fingerprint_module._source):
        cached.cache_clear()


def other_function(job: SimpleNamespace) -> None:
    """Of the same module, whose fingerprint is the same."""
    job.params["run"] = "recite.scoring:rank"


def other_code(job: SimpleNamespace) -> None:
    edit_code("recite/table.py")
    job.params["code"] = fingerprint(MODULES)


def other_package(job: SimpleNamespace) -> None:
    Path("envs/recite.yaml").write_text("  - pytest==1\n  - numpy==1\n")


def input_without_digest(job: SimpleNamespace) -> None:
    job.input = [*job.input, str(Path("elsewhere.yaml").absolute())]


def edited_record(job: SimpleNamespace) -> None:
    record = Path("results/tiny/records/scores/m/a.parquet.json")
    record.write_text(record.read_text().replace('"threads": 1', '"threads": 2'))


def another_output(job: SimpleNamespace) -> None:
    """`run` leaves it as it is, and the record does not name it."""
    job.output = [*job.output, "results/tiny/scores/m/more.json"]
    Path(job.output[-1]).write_text("{}")


@pytest.mark.parametrize(
    "change",
    [
        other_input,
        other_folder,
        other_function,
        other_code,
        other_package,
        input_without_digest,
        edited_record,
        another_output,
    ],
)
def test_a_job_that_is_given_something_else_is_done_again(
    job: SimpleNamespace, change: Callable[[SimpleNamespace], None]
) -> None:
    """Prevents a stale result from coming back."""
    ready_to_run_again(job)
    change(job)
    run(job)


@pytest.mark.parametrize("name", ["recite/scoring.py", "recite/table.py"])
def test_an_edit_while_the_job_starts(job: SimpleNamespace, name: str) -> None:
    """Prevents results of one code under the fingerprint of another."""
    edit_code(name)
    with pytest.raises(
        ReciteError, match=r"the code of recite\.scoring:score was edited while the job started; run again"
    ):
        run(job)


def test_paths_and_places() -> None:
    """Prevents a user's folders from being given away."""
    study = Path("results/tiny")
    assert path_in(study, "results/tiny/a/b") == "a/b"
    assert path_in(study, "config/claims.yaml") == "../../config/claims.yaml"
    assert path_in(study, "/home/someone/a.txt") == "(elsewhere)/a.txt"
    assert portable({"a": ["/x/y", "~/z", "b/c", 1, None]}) == {"a": ["(elsewhere)/y", "(elsewhere)/z", "b/c", 1, None]}


def test_a_seal_holds_all_that_is_said() -> None:
    """Prevents an edit of any value, or an added one, from passing."""
    record = sealed({"a": 1, "b": {"c": [1, 2]}})
    assert record["seal"] == seal_of(record) == seal_of({"b": {"c": [1, 2]}, "a": 1})
    assert seal_of(record | {"a": 2}) != record["seal"] != seal_of(record | {"d": 1})
