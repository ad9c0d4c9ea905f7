"""How a step of a lineage was made, in words: what the records of its jobs say, in common and apart."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from recite.errors import ReciteError
from recite.files import canonical_json, read_json
from recite.provenance.audit.verdicts import STATUSES, Audit, finished
from recite.provenance.lineage import Step
from recite.provenance.records import CODE, ENVIRONMENTS

MOST_FILES = 24
"""Files of one step that are named; the others are counted."""
MOST_VALUES = 6
"""Values of one key that are named where the jobs of a step differ."""
WORST = {status: place for place, status in enumerate(STATUSES)}


@dataclass(frozen=True)
class Files:
    """Files by path with their digests, the first of them, and how many more there are."""

    named: list[tuple[str, str]]
    more: int


@dataclass(frozen=True)
class Making:
    """One step: what a reader is told. `facts` and `parameters` are pairs of key and value as text.

    lists: title -> pairs, for modules of the code and versions of the packages.
    """

    title: str
    count: str
    status: str
    reasons: list[str]
    facts: list[tuple[str, str]]
    parameters: list[tuple[str, str]]
    outputs: Files
    inputs: Files
    lists: dict[str, list[tuple[str, str]]]


def making_of(audit: Audit, step: Step) -> Making:
    """What the records of a step's jobs say, and what the audit says of their outputs."""
    records = [record for record in map(audit.record_of, step.jobs) if record]
    written = [path for record in records for path in record["outputs"]]
    outputs = written if records else list(step.jobs)
    found = [audit.findings[path] for path in outputs if path in audit.findings]
    status = max((finding.status for finding in found), key=WORST.__getitem__, default="verified")
    said = {f"{finding.path}: {reason}": None for finding in found for _, reason in finding.reasons}
    return Making(
        title=step.rule or "source files",
        count=_counted(len(step.jobs), "job" if step.rule else "file"),
        status=status,
        reasons=_first(list(said), MOST_FILES),
        facts=list(_facts(records)),
        parameters=_parameters(records),
        outputs=_files((path, finding_digest(audit, path)) for path in outputs),
        inputs=_files((path, digest["sha256"]) for record in records for path, digest in record["inputs"].items()),
        lists=dict(_lists(audit, records)),
    )


def finding_digest(audit: Audit, path: str) -> str:
    """The digest of a file as it is now; "" where it is not there."""
    digest = audit.digests.of(path)
    return digest.sha256 if digest else ""


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _files(pairs: Iterable[tuple[str, str]]) -> Files:
    known = sorted(dict(pairs).items())
    return Files(known[:MOST_FILES], max(0, len(known) - MOST_FILES))


def _first(lines: list[str], most: int) -> list[str]:
    return lines if len(lines) <= most else [*lines[:most], f"and {len(lines) - most:,} more"]


def _facts(records: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    if not records:
        return
    yield "function", _common(record.get("run", "–") for record in records)
    for key in sorted({key for record in records for key in record["wildcards"]}):
        yield key, _common(record["wildcards"].get(key, "–") for record in records)
    for key in sorted({key for record in records for key in record["made_with"]}):
        yield key.replace("_", " "), _common(_text(record["made_with"].get(key, "–")) for record in records)
    yield "git commit", _common(_commit(record.get("git")) for record in records)
    yield "threads", _common(str(record["threads"]) for record in records)
    yield "started", min(record["started"] for record in records)
    if len(records) > 1:
        yield "last finished", max(map(finished, records)).isoformat(timespec="milliseconds")
    yield "duration", _duration([record["seconds"] for record in records])
    # Records of earlier versions do not tell these.
    if processor := [record["cpu_seconds"] for record in records if "cpu_seconds" in record]:
        yield "CPU time", _duration(processor)
    if peaks := [record["peak_memory_bytes"] for record in records if "peak_memory_bytes" in record]:
        yield "peak memory", f"{max(peaks) / 1e6:,.0f} MB"


def _commit(git: Mapping[str, Any] | None) -> str:
    return f"{git['commit']}{', with changes not committed' if git['dirty'] else ''}" if git else "no git repository"


def _duration(seconds: list[float]) -> str:
    if len(seconds) == 1:
        return f"{seconds[0]:,} s"
    return f"{sum(seconds):,.1f} s in all, {min(seconds):,} to {max(seconds):,} s a job"


def _parameters(records: list[dict[str, Any]]) -> list[tuple[str, str]]:
    flat = [dict(_flat(record["parameters"])) for record in records]
    keys = sorted({key for values in flat for key in values})
    return [(key, _common(values.get(key, "–") for values in flat)) for key in keys]


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Key with dots -> value as text, through all mappings."""
    if isinstance(value, dict) and value:
        for name in value:
            yield from _flat(value[name], f"{key}.{name}" if key else str(name))
    else:
        yield key, _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def _common(values: Iterable[str]) -> str:
    """The one value of all jobs, or how many different ones there are and the first of them."""
    counts = Counter(values)
    if len(counts) == 1:
        return next(iter(counts))
    return f"{len(counts):,} values: {', '.join(_first(sorted(counts), MOST_VALUES))}"


def _lists(audit: Audit, records: list[dict[str, Any]]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    for folder, key, title in ((CODE, "code", "Code"), (ENVIRONMENTS, "environment", "Packages")):
        for digest in sorted({record[key] for record in records}):
            try:
                kept = dict(read_json(audit.study / folder / f"{digest}.json"))
            except (ReciteError, TypeError, ValueError):
                kept = {"the list is not there or not whole": ""}
            yield f"{title} {digest}", [(str(name), str(value)) for name, value in kept.items()]
