"""The audit's speed: `--full` beside sha256sum, cached on ten thousand files, and what recording adds to jobs.

`make bench-audit`. The files are made up, by the jobs that the mini study's rules plan at 85 shards a domain;
their records are written as jobs write them. What recording costs is measured on a finished study, if there is one:
each of its jobs' records is written again, and the time set against what the jobs took.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import yaml

from recite.catalogue import STAGES
from recite.files import canonical_json, write_json
from recite.provenance.blueprint import Blueprint, read_blueprint
from recite.provenance.digests import Digests
from recite.provenance.environment import installed_versions
from recite.provenance.fingerprint import code_parts
from recite.provenance.records import (
    CODE,
    ENVIRONMENTS,
    environment_digest,
    read_records,
    record_path,
    recorded,
    sealed,
)

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shards", type=int, default=85, help="shards of a domain; files grow with it")
    parser.add_argument("--bytes", type=int, default=100_000, help="bytes of a file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--study", type=Path, default=Path("results/mini"), help="a finished study, for recording")
    options = parser.parse_args()
    if (options.study / "records").is_dir():
        recording(options.study)
    else:
        print(f"{options.study} has no records: what recording costs is not measured", flush=True)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        os.chdir(folder)
        files = make_up(options.shards, options.bytes)
        audits(files, options.rounds)


def make_up(shards: int, size: int) -> list[Path]:
    """A study of many files in the working folder, each with its record; the files."""
    Path("config").symlink_to(ROOT / "config")
    config = yaml.safe_load((ROOT / "config/mini.yaml").read_text())
    config["sampling"] |= {"rows_per_domain": 10 * shards, "shard_rows": 10}
    Path("study.yaml").write_text(yaml.safe_dump(config))
    return write_all(read_blueprint(ROOT, Path("study.yaml"), STAGES), size)


def write_all(blueprint: Blueprint, size: int) -> list[Path]:
    """Write every file of a study and its record."""
    study, digests = blueprint.study, Digests(blueprint.study)
    versions = installed_versions(ROOT)
    environment = environment_digest(versions)
    write_json(study / ENVIRONMENTS / f"{environment}.json", versions)
    names: dict[str, None] = {}
    waiting = list(blueprint.targets)
    while waiting:
        name = waiting.pop()
        job = blueprint.job_of(name)
        if name not in names and job is not None:
            names |= dict.fromkeys(job.outputs)
            waiting += job.inputs
            for output in job.outputs:
                (study / output).parent.mkdir(parents=True, exist_ok=True)
                (study / output).write_bytes(os.urandom(size) if job.run else b"")
    digests.gather(names)
    for name in names:
        job = blueprint.job_of(name)
        if job and job.run and name == job.outputs[0]:
            write_record(study, job, digests, environment)
    return [study / name for name in names]


def write_record(study: Path, job: Any, digests: Digests, environment: str) -> None:
    """The record of a job that made what is there."""
    kept = study / CODE / f"{job.code}.json"
    if not kept.exists():
        write_json(kept, code_parts(job.modules))
    made = {
        "rule": job.rule,
        "parameters": job.parameters,
        "code": job.code,
        "environment": environment,
        "inputs": {path: digests.of(path)._asdict() for path in job.inputs},  # type: ignore[union-attr]
        "outputs": {path: digests.of(path)._asdict() for path in job.outputs},  # type: ignore[union-attr]
        "started": "2026-01-01T00:00:00.000+00:00",
        "seconds": 1.0,
    }
    write_json(record_path(study, job.outputs[0]), sealed(made))


def audits(files: list[Path], rounds: int) -> None:
    """Times of a cached audit, of `--full` and of sha256sum, one after the other."""
    size = sum(path.stat().st_size for path in files)
    listed = "\0".join(map(str, files)).encode()
    print(f"{len(files):,} files, {size / 1e6:,.0f} MB, {os.cpu_count()} cores", flush=True)
    times: dict[str, list[float]] = {"cached": [], "full": [], "sha256sum": []}
    for _ in range(rounds):
        times["sha256sum"].append(seconds(["xargs", "-0", "sha256sum", "--"], listed))
        times["full"].append(seconds(audit("--full")))
        times["cached"].append(seconds(audit()))
    for name, found in times.items():
        print(f"{name}: {median(found):.2f} s ({min(found):.2f} to {max(found):.2f})")
    ratios = [one / other for one, other in zip(times["sha256sum"], times["full"], strict=True)]
    print(f"--full over sha256sum: {median(ratios):.2f} of its speed ({min(ratios):.2f} to {max(ratios):.2f})")


def audit(*options: str) -> list[str]:
    return [sys.executable, "-m", "recite", "audit", "--configfile", "study.yaml", *options]


def seconds(command: list[str], given: bytes = b"") -> float:
    """Wall-clock seconds of a command that must succeed."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    start = time.monotonic()
    subprocess.run(command, input=given, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - start


class Params(dict[str, Any]):
    """Snakemake's params: keys that are attributes too."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


def recording(study: Path) -> None:
    """Write every record of a finished study again, as its job would; all seconds over the seconds of the jobs."""
    records = {name: record for name, record in read_records(study).items() if record}
    spent = 0.0
    for name, record in records.items():
        outputs = [name, *(path for path in record["outputs"] if path != name)]
        params = Params(run=record["run"], modules=[], code=record["code"])
        params |= {key: text(value) for key, value in record["parameters"].items()}
        job = SimpleNamespace(
            rule=record["rule"],
            input=[str(study / path) for path in record["inputs"]],
            output=[str(study / path) for path in outputs],
            params=params,
            wildcards=record["wildcards"],
            threads=record["threads"],
            config={"study": study.name},
        )
        kept = json.dumps(record, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
        start = time.monotonic()
        with recorded(job, ROOT):
            pass
        spent += time.monotonic() - start
        record_path(study, name).write_text(kept)
    taken = sum(record["seconds"] for record in records.values())
    print(f"recording: {spent:.1f} s for {len(records)} jobs that took {taken:.0f} s, {spent / taken:.2%}", flush=True)


def text(value: Any) -> Any:
    return canonical_json(value) if isinstance(value, (dict, list)) else value


if __name__ == "__main__":
    main()
