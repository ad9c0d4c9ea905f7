"""`recite export`: a crate that other programs open, with the digest of everything in it."""

import hashlib
import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, Checkout
from rocrate.rocrate import ROCrate
from test_audit import CONFIG, SCORES, Restored, flip

METADATA = "ro-crate-metadata.json"


@pytest.fixture(scope="module")
def crate(finished: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny study's crate."""
    archive = tmp_path_factory.mktemp("export") / "tiny.zip"
    run = Restored(finished.root).recite("export", str(archive))
    assert run.returncode == 0, run.stderr
    assert list(archive.parent.iterdir()) == [archive]
    return archive


def entities(archive: Path) -> dict[str, dict[str, Any]]:
    with zipfile.ZipFile(archive) as opened:
        return {entity["@id"]: entity for entity in json.loads(opened.read(METADATA))["@graph"]}


def of_type(found: dict[str, dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [
        entity
        for entity in found.values()
        if kind in ([entity["@type"]] if isinstance(entity["@type"], str) else entity["@type"])
    ]


def test_every_file_is_listed_with_its_digest(crate: Path) -> None:
    """A file that the metadata does not name, or names wrongly, could be anything."""
    files = {entity["@id"]: entity for entity in of_type(entities(crate), "File")}
    with zipfile.ZipFile(crate) as opened:
        assert opened.testzip() is None
        names = set(opened.namelist()) - {METADATA}
        assert names == set(files) and len(names) > 150
        for name in names:
            assert files[name]["sha256"] == hashlib.sha256(opened.read(name)).hexdigest(), name
            assert files[name]["contentSize"] == str(opened.getinfo(name).file_size)
    assert {"Snakefile", "figures/scaling.png", "tables/rates.parquet", "summary.md", CONFIG, "audit.json"} <= names


def test_the_run_and_its_jobs(crate: Path, finished: Checkout) -> None:
    """What a reader of the profile looks for: one workflow, its run, and which job made which figure from what."""
    found = entities(crate)
    root = found["./"]
    assert root["mainEntity"] == {"@id": "Snakefile"} and "ComputationalWorkflow" in found["Snakefile"]["@type"]
    profiles = {entry["@id"] for entry in root["conformsTo"]}
    assert {f"https://w3id.org/ro/wfrun/{name}/0.5" for name in ("process", "workflow")} <= profiles
    run = found["#run"]
    assert run["instrument"] == {"@id": "Snakefile"} and run["startTime"] < run["endTime"]
    results = {entry["@id"] for entry in run["result"]}
    assert {f"figures/{figure}.png" for figure in ("scaling", "noise")} <= results
    drawn = found["#job/figures/scaling.png"]
    assert drawn["instrument"] == {"@id": "workflow/recite/report/drawing.py"}
    assert {entry["@id"] for entry in drawn["result"]} == {f"figures/scaling.{kind}" for kind in ("png", "svg", "csv")}
    record = json.loads((finished.results / "records/figures/scaling.png.json").read_text())
    objects = drawn["object"] if isinstance(drawn["object"], list) else [drawn["object"]]
    assert {entry["@id"] for entry in objects} == set(record["inputs"])
    known = set(found)
    links = [link for entity in found.values() for value in entity.values() for link in _links(value)]
    assert {link for link in links if not link.startswith("http")} <= known


def _links(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [entry["@id"] for entry in values if isinstance(entry, dict) and "@id" in entry]


def test_the_library_reads_it(crate: Path) -> None:
    read = ROCrate(crate)
    assert read.name == "Recite: study tiny" and read.mainEntity.id == "Snakefile"


@pytest.fixture(scope="module")
def validator() -> list[str]:
    """The command of the profile's own validator, which `make test` installs apart."""
    python = REPOSITORY / ".venv-crate/bin/python"
    if not python.exists():
        if os.environ.get("RECITE_NO_SKIP"):
            pytest.fail("no rocrate-validator; make .venv-crate/installed")
        pytest.skip("rocrate-validator is not installed; make .venv-crate/installed")
    return [str(python), str(REPOSITORY / "tests/crate_validator.py")]


def test_an_independent_validator_accepts_it(crate: Path, validator: list[str]) -> None:
    """Held against all that RO-Crate 1.1 and the profile of workflow runs require."""
    run = subprocess.run([*validator, crate], text=True, capture_output=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_validator_refuses_a_crate_without_its_run(crate: Path, validator: list[str], tmp_path: Path) -> None:
    """A validator that accepts everything would prove nothing."""
    with zipfile.ZipFile(crate) as opened:
        opened.extractall(tmp_path / "crate")
    path = tmp_path / "crate" / METADATA
    content = json.loads(path.read_text())
    run = next(entity for entity in content["@graph"] if entity["@id"] == "#run")
    del run["instrument"]
    path.write_text(json.dumps(content))
    refused = subprocess.run([*validator, tmp_path / "crate"], text=True, capture_output=True)
    assert refused.returncode == 1 and "workflow-run-crate" in refused.stdout, refused.stdout + refused.stderr


def test_nothing_of_this_machine(crate: Path, places: list[str]) -> None:
    """A crate is made to be given away."""
    with zipfile.ZipFile(crate) as opened:
        for name in opened.namelist():
            text = opened.read(name).decode("latin-1")
            assert not [place for place in places if place in text], name


def test_what_is_not_verified_is_not_exported(finished: Checkout, tmp_path: Path) -> None:
    """A crate would vouch for it."""
    root = tmp_path / "flipped"
    shutil.copytree(finished.root, root, symlinks=True)
    study = Restored(root)
    flip(study.file(SCORES))
    run = study.recite("export", str(tmp_path / "tiny.zip"))
    assert run.returncode == 1 and "only what is can be exported" in run.stderr
    assert not (tmp_path / "tiny.zip").exists()
