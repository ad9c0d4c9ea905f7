"""A study of a few files with the records of the jobs that would have made them."""

import importlib
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from recite.catalogue import STAGES
from recite.comparison.claims.tables import CLAIMS
from recite.files import write_json
from recite.provenance.audit.verdicts import Audit
from recite.provenance.blueprint import Blueprint, Planned
from recite.provenance.digests import Digests
from recite.provenance.environment import installed_versions
from recite.provenance.records import (
    CODE,
    ENVIRONMENTS,
    digests_of,
    environment_digest,
    modules_of,
    record_path,
    sealed,
)
from recite.stages.scoring.tables import RATES
from recite.tables import Table

ROOT = Path(__file__).resolve().parents[1]
TABLE_MODULES = {
    table.name: f"{stage.package}.tables"
    for stage in STAGES
    if any(rule.tables for rule in stage.rules)
    for table in vars(importlib.import_module(f"{stage.package}.tables")).values()
    if isinstance(table, Table)
}
"""Every table that a stage makes for figures and summary -> the module that declares it."""
RUNS = {rule.name: rule.run for stage in STAGES for rule in stage.rules}
CODE_DIGEST = "c" * 64
FIGURES = {
    "scaling": {"title": "Rate & size", "category": "Scaling", "tables": ["rates"], "caption": "Rates <b>rise</b>."},
    "claims": {"title": "Claims", "category": "Claims", "tables": ["claims"], "caption": "Intervals and bounds."},
}
MODELS: dict[str, dict[str, Any]] = {
    "pythia-s": {"family": "pythia", "corpus": "mini", "layers": 3, "heads": 4},
    "olmo1-s": {"family": "olmo1", "corpus": "other", "layers": None, "heads": None},
    "pythia-xs": {"family": "pythia", "corpus": "mini", "layers": 12, "heads": 4},
}
RATE = {
    "model": "pythia-s",
    "domain": "natural",
    "parameters": 1234567,
    "rate": 0.125,
    "rate_low": 0.1,
    "rate_high": 0.2,
}
"""The first line of the rates: a model's natural rows."""
SHARDS = ("a-0000", "a-0001", "b-0000")


def fill(table: Table, rows: int, **given: list[Any]) -> dict[str, list[Any]]:
    """So many rows of a table, by column: what is given, else 0, 1, ... in the column's type."""
    columns: dict[str, list[Any]] = {}
    for column in table.columns:
        numbers = pa.types.is_floating(column.type), pa.types.is_integer(column.type)
        made = [row / 7 for row in range(rows)] if numbers[0] else list(range(rows))
        columns[column.name] = given.get(column.name, made if any(numbers) else [f"t{row}" for row in range(rows)])
    return columns


def write_files(study: Path, rows: int) -> None:
    """The files of the study; the table `rates` has so many rows."""
    shards = [f"results/tiny/{kind}/{shard}" for kind in ("samples", "scores") for shard in SHARDS]
    for path in ["config/corpora.yaml", *shards]:
        file = study.parent.parent / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(path)
    rates = fill(RATES, rows)
    for name, value in RATE.items():
        rates[name][0] = value
    RATES.write(study / "tables/rates.parquet", rates, {"seed": 3})
    claims = {"text": ["Models grow", "Heads agree"], "verdict": ["not supported", "not measured"]}
    claims |= {"value": [0.5, float("nan")], "figure": ["scaling", "heads"], "rule": ["> 1", "> 0"]}
    claims |= {
        "over": ["families", "models"],
        "low": [0.25, 0.5],
        "families_low": [-1.5, 0.5],
        "families_high": [2.5, 0.5],
    }
    CLAIMS.write(study / "tables/claims.parquet", fill(CLAIMS, 2, **claims), {})
    for name in FIGURES:
        (study / "figures").mkdir(exist_ok=True)
        Image.new("RGB", (40, 20), "white").save(study / f"figures/{name}.png")
        (study / f"figures/{name}.svg").write_text(f"<svg><title>{name}, drawn</title></svg>")
        (study / f"figures/{name}.csv").write_text("family,n,distinct,rate\npythia,24,20,0.5\nolmo1,30,20,\n")


def jobs() -> list[Planned]:
    """The jobs of the study, the first made first."""
    source = ("../../config/corpora.yaml",)
    made = [("sampling", {"shard": s}, source, (f"samples/{s}",)) for s in SHARDS]
    made += [("scoring", {"shard": s}, (f"samples/{s}",), (f"scores/{s}",)) for s in SHARDS]
    everything = tuple(f"{kind}/{s}" for kind in ("samples", "scores") for s in SHARDS)
    made += [("aggregation", {}, everything, ("tables/rates.parquet",))]
    made += [("ledger", {}, ("tables/rates.parquet",), ("tables/claims.parquet",))]
    for name, entry in FIGURES.items():
        outputs = tuple(f"figures/{name}.{kind}" for kind in ("png", "csv", "svg"))
        made += [("figures", {"figure": name}, (f"tables/{entry['tables'][0]}.parquet",), outputs)]
    options = {"options": {"seed": 3, "at": {"deep": [1, 2]}}}
    return [
        Planned(rule, RUNS[rule], modules_of(RUNS[rule], ()), values, options | values, CODE_DIGEST, inputs, outputs)
        for rule, values, inputs, outputs in made
    ]


def write_record(study: Path, job: Planned, place: int, **changes: Any) -> None:
    """The record of a job, of which some values may be others."""
    made = {
        "rule": job.rule,
        "run": job.run,
        "wildcards": job.wildcards,
        "parameters": job.parameters,
        "code": job.code,
        "environment": environment_digest(installed_versions(ROOT)),
        "inputs": digests_of(study, [study / path for path in job.inputs]),
        "outputs": digests_of(study, [study / path for path in job.outputs]),
        "made_with": {"device": "cpu", "dtype": "float32"} if job.rule == "scoring" else {},
        "threads": 1,
        "started": f"2026-01-02T03:04:{place:02}.000+00:00",
        "seconds": 0.5 + place,
        "cpu_seconds": 0.25 + place,
        "peak_memory_bytes": 10**8 + place,
        "git": {"commit": "d" * 40, "dirty": False},
    }
    write_json(record_path(study, job.outputs[0]), sealed(made | changes))


def audited(study: Path, examples: bool = False) -> Audit:
    """An audit of the study as it is now; with the rows to read that lie there, whose jobs have no record."""
    made = jobs()
    if examples:
        paths = [(f"examples/{path.name}",) for path in sorted(study.glob("examples/*.parquet"))]
        made += [Planned("examples", RUNS["examples"], (), {}, {}, CODE_DIGEST, (), path) for path in paths]
    asked = [path for job in made for path in job.outputs]
    found = Blueprint(ROOT, study, FIGURES, TABLE_MODULES, MODELS, asked, [], made)
    return Audit(found, found.targets, Digests(study))


def write_study(folder: Path, rows: int = 3) -> Path:
    """The study with all of its records, in `folder`/results/tiny."""
    study = folder / "results/tiny"
    write_files(study, rows)
    write_json(study / CODE / f"{CODE_DIGEST}.json", {"recite": "1" * 64, "recite.stages.scoring.measure": "2" * 64})
    versions = installed_versions(ROOT)
    write_json(study / ENVIRONMENTS / f"{environment_digest(versions)}.json", versions)
    for place, job in enumerate(jobs()):
        write_record(study, job, place)
    return study
