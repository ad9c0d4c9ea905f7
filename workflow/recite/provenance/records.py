"""Records: what each job noted of its making, one file a job beside the study's results.

A record holds what a result's bytes must not: times, commit, versions. It is written when the outputs stand, in the
job that made them; code and package versions are kept once for all jobs that share them.
"""

import hashlib
import json
import resource
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recite.errors import ReciteError
from recite.files import canonical_json, read_json, write_json
from recite.provenance.digests import Digests
from recite.provenance.environment import git_state, installed_versions
from recite.provenance.fingerprint import code_parts, digest_of_parts
from recite.provenance.keeping import discard, take_back

FOLDER = "records"
CODE = "records/.code"
ENVIRONMENTS = "records/.environments"
FORMAT = 2
CODE_PARAMS = ("run", "modules", "code")
"""Params that name the function of a job, further modules, and the fingerprint of all."""
MADE_WITH = ("model", "corpus", "revision", "weights_sha256", "parameters", "seed", "device", "dtype", "batch_rows")
"""What outputs say of their own making that a record repeats."""
KIBIBYTE = 1024
"""Unit in which Linux tells a process's peak memory."""
OUTSIDE = "(elsewhere)/"
"""Stands for the folders of a path that leads out of the checkout: they may hold a user's name."""


class Unneeded(Exception):  # noqa: N818 - it ends a job well
    """A job would make once more, from the same bytes, what stood before it; that is back in its place."""


@contextmanager
def recorded(job: Any, root: Path) -> Iterator[None]:
    """Run the block as the work of the Snakemake job `job` in the checkout `root`, and write the job's record.

    The inputs' digests are taken before the work. A job that fails has no record. Raises Unneeded where the work need
    not be done, and ReciteError where the code is no longer that by which the job was called.
    """
    study = Path("results", job.config["study"])
    outputs = [path_in(study, path) for path in job.output]
    record = record_path(study, outputs[0])
    earlier = _read(record)
    record.unlink(missing_ok=True)
    started, clock = datetime.now(UTC), time.monotonic()
    given = _given(job, study, root)
    if _says(earlier, given, job.input) and take_back(study, _digests_in(earlier, outputs)):
        write_json(record, earlier)
        raise Unneeded
    discard(study, outputs)
    yield
    made = {
        **given,
        "outputs": digests_of(study, job.output),
        "made_with": _made_with([Path(path) for path in job.output]),
        "threads": job.threads,
        "started": started.isoformat(timespec="milliseconds"),
        "seconds": round(time.monotonic() - clock, 3),
        "cpu_seconds": round(time.process_time(), 3),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBIBYTE,
    }
    git = git_state(root)
    write_json(record, sealed(made | ({"git": git} if git else {})))


def _given(job: Any, study: Path, root: Path) -> dict[str, Any]:
    """What decides the bytes that a job makes."""
    params = canonical_json(dict(job.params.items()))
    return {
        "format": FORMAT,
        "rule": job.rule,
        "run": job.params.run,
        "wildcards": dict(job.wildcards.items()),
        "parameters": parameters_of(job.params),
        # Two folders elsewhere may have one name: `parameters` does not tell them apart.
        "params_sha256": hashlib.sha256(params.encode()).hexdigest(),
        "code": _keep_code(study, job.params),
        "environment": _keep_environment(study, root),
        "inputs": digests_of(study, job.input),
    }


def _says(record: Mapping[str, Any], given: Mapping[str, Any], inputs: Any) -> bool:
    """Whether a record is whole and of a job that was given the same, all inputs of which have digests."""
    whole = record.get("seal") == seal_of(record) and len(given["inputs"]) == len({*inputs})
    return whole and all(record.get(key) == value for key, value in given.items())


def _digests_in(record: Mapping[str, Any], outputs: list[str]) -> dict[str, str]:
    """Path -> SHA-256 of each output, by a record; "", which no file has, for one that it does not name."""
    return {path: record["outputs"].get(path, {}).get("sha256", "") for path in outputs}


def _read(record: Path) -> dict[str, Any]:
    """A record; empty where there is none, or none that is whole."""
    try:
        found = json.loads(record.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def record_path(study: Path, first_output: str) -> Path:
    """Where the record of a job lies, from the path of its first output in the study."""
    return study / FOLDER / f"{first_output}.json"


def path_in(study: Path, path: str | Path) -> str:
    """A path as records write it: from the study's folder, from the checkout as ../../, else without its folders."""
    path = Path(path)
    if path.is_relative_to(study):
        return path.relative_to(study).as_posix()
    return f"../../{path.as_posix()}" if not path.is_absolute() else f"{OUTSIDE}{path.name}"


def digests_of(study: Path, paths: Any) -> dict[str, dict[str, Any]]:
    """Path in the study -> size and digest, for files of a job."""
    digests = Digests(study)
    found = {name: digests.of(name) for name in (path_in(study, path) for path in paths)}
    return {name: digest._asdict() for name, digest in found.items() if digest is not None}


def parameters_of(params: Any) -> dict[str, Any]:
    """A job's params by key, canonical JSON read, without what names its code and without folders elsewhere."""
    return {key: portable(_parsed(value)) for key, value in params.items() if key not in CODE_PARAMS}


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value[:1] in ("{", "[") else value


def portable(value: Any) -> Any:
    """A value of a config with absolute paths cut down to their names."""
    if isinstance(value, dict):
        return {key: portable(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [portable(entry) for entry in value]
    if isinstance(value, str) and value.startswith(("/", "~")):
        return f"{OUTSIDE}{Path(value).name}"
    return value


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with the digest of all else that it says."""
    return {**record, "seal": seal_of(record)}


def seal_of(record: Mapping[str, Any]) -> str:
    """The digest of a record without its seal."""
    text = canonical_json({key: value for key, value in record.items() if key != "seal"})
    return hashlib.sha256(text.encode()).hexdigest()


def modules_of(run: str, further: Iterable[str]) -> tuple[str, ...]:
    """The modules whose code makes a job's results: that of its function `run`, and further ones."""
    return (run.partition(":")[0], *further)


def _keep_code(study: Path, params: Any) -> str:
    """Write which modules a fingerprint is made of, once, while they are still those that it was made of."""
    kept = study / CODE / f"{params.code}.json"
    if not kept.exists():
        parts = code_parts(modules_of(params.run, params.modules))
        if digest_of_parts(parts) != params.code:
            raise ReciteError(f"the code of {params.run} was edited while the job started; run again.")
        write_json(kept, parts)
    return str(params.code)


def _keep_environment(study: Path, root: Path) -> str:
    """Write the versions of Python and packages, once, and return their digest."""
    versions = installed_versions(root)
    digest = environment_digest(versions)
    kept = study / ENVIRONMENTS / f"{digest}.json"
    if not kept.exists():
        write_json(kept, versions)
    return digest


def environment_digest(versions: Mapping[str, str]) -> str:
    """The digest of a list of versions."""
    return hashlib.sha256(canonical_json(dict(versions)).encode()).hexdigest()


def _made_with(outputs: list[Path]) -> dict[str, Any]:
    """What the outputs say of weights, seed, device, precision and batch; the first to say it is heard."""
    found: dict[str, Any] = {}
    for path in outputs:
        about = _about(path)
        found = {key: about[key] for key in MADE_WITH if key in about} | found
    return dict(sorted(portable(found).items()))


def _about(path: Path) -> dict[str, Any]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq  # a job that wrote a table has it; the others are spared it

        return json.loads((pq.read_schema(path).metadata or {}).get(b"recite", b"{}"))
    about = read_json(path) if path.suffix == ".json" else {}
    about = about if isinstance(about, dict) else {}
    return {key: value for key, value in about.items() if not isinstance(value, (dict, list))}


def read_records(study: Path) -> dict[str, dict[str, Any]]:
    """Path of a job's first output -> its record, for all records of a study; one that is no JSON is left empty."""
    folder = study / FOLDER
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.rglob("*.json")) if folder.is_dir() else ():
        name = path.relative_to(folder).as_posix()
        if not name.startswith("."):
            found[name.removesuffix(".json")] = _read(path)
    return found
