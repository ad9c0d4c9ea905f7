"""Audit: from what is asked for to its leaves, every file against its record, today's code, config and packages."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from recite.errors import ReciteError
from recite.files import read_json
from recite.provenance.blueprint import Blueprint, Planned
from recite.provenance.digests import Digests
from recite.provenance.environment import installed_versions
from recite.provenance.fingerprint import code_parts, digest_of_parts
from recite.provenance.records import CODE, ENVIRONMENTS, FOLDER, environment_digest, read_records, seal_of

STATUSES = ("verified", "drifted", "stale", "tampered", "missing")
"""From what is well to what is worst."""
ABSENT = "(absent)"
NEEDED = {"rule", "parameters", "code", "environment", "inputs", "outputs", "started", "seconds", "seal"}


@dataclass
class Finding:
    """What is known of one file: the rule that makes it, its status with the reasons, and what it was made from."""

    path: str
    rule: str
    inputs: tuple[str, ...] = ()
    sha256: str = ""
    reasons: list[tuple[str, str]] = field(default_factory=list)

    @property
    def status(self) -> str:
        return max((status for status, _ in self.reasons), key=STATUSES.index, default="verified")

    def note(self, status: str, reason: str) -> None:
        """Add a reason, once."""
        if (status, reason) not in self.reasons:
            self.reasons.append((status, reason))


class Audit:
    """The findings on `targets` (paths in the study) and on all that they rest on, by path."""

    def __init__(self, blueprint: Blueprint, targets: Iterable[str], digests: Digests) -> None:
        self.blueprint = blueprint
        self.study = digests.study
        self.digests = digests
        self.targets = list(targets)
        self.records = read_records(self.study)
        self._written = {path: name for name, record in self.records.items() for path in record.get("outputs", ())}
        self._versions = installed_versions(blueprint.root)
        self._jobs: dict[str, list[tuple[str, str]]] = {}
        self._whole: dict[str, bool] = {}
        self._parts: dict[tuple[str, ...], dict[str, str]] = {}
        reached = self._reach()
        digests.gather(reached)
        self.findings = {path: self._judge(path, job) for path, job in reached.items()}
        self._compare_readings()

    @property
    def verified(self) -> bool:
        """Whether every file is."""
        return all(finding.status == "verified" for finding in self.findings.values())

    @property
    def digest(self) -> str:
        """One digest of all files that were found: what a paper may print, to be compared by whoever audits again."""
        lines = [f"{found.sha256}  {path}\n" for path, found in sorted(self.findings.items()) if found.sha256]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def record_of(self, path: str) -> dict[str, Any] | None:
        """The record of the job that wrote a file; None where there is none that is as its job wrote it."""
        return self._whole_record(self.job_that_wrote(path))

    def _whole_record(self, job: str) -> dict[str, Any] | None:
        """The record of a job, by its first output, if it is as the job wrote it; held against its seal once."""
        if job not in self._whole:
            self._whole[job] = _is_whole(self.records.get(job, {}))
        return self.records[job] if self._whole[job] else None

    def job_that_wrote(self, path: str) -> str:
        """The job, by its first output, whose record says that it wrote a file; the file itself where none does."""
        return self._written.get(path, path)

    def below(self, paths: Iterable[str]) -> dict[str, Finding]:
        """The findings on files and on all that they rest on."""
        found = {path: self.findings[path] for path in paths}
        waiting = list(found)
        while waiting:
            for name in self.findings[waiting.pop()].inputs:
                if name not in found:
                    found[name] = self.findings[name]
                    waiting.append(name)
        return found

    def _reach(self) -> dict[str, Planned | None]:
        """Every file from the targets down, with the job that would make it."""
        found: dict[str, Planned | None] = {}
        waiting = list(reversed(self.targets))
        while waiting:
            path = waiting.pop()
            if path not in found:
                job = found[path] = self.blueprint.job_of(path)
                waiting += [name for name in reversed(_made_from(job)) if name not in found]
        return found

    def _judge(self, path: str, job: Planned | None) -> Finding:
        finding = Finding(path, job.rule if job else "", _made_from(job))
        digest = self.digests.of(path)
        if digest is None:
            finding.note("missing", "it is not there")
            return finding
        finding.sha256 = digest.sha256
        if job is not None and not job.run and digest.bytes:
            finding.note("tampered", "it only says that its inputs are there, and should be empty")
        elif job is not None and job.run:
            self._hold_against_record(finding, job)
        return finding

    def _hold_against_record(self, finding: Finding, job: Planned) -> None:
        first = job.outputs[0]
        record, place = self._whole_record(first), f"{FOLDER}/{first}.json"
        if first not in self.records:
            finding.note("missing", f"its record {place} is not there")
            return
        if record is None or finding.path not in record["outputs"]:
            finding.note("tampered", f"its record {place} is not as its job wrote it")
            return
        then = record["outputs"][finding.path]["sha256"]
        if then != finding.sha256:
            finding.note(
                "tampered", f"its bytes are not those that were written: {finding.sha256[:12]}, was {then[:12]}"
            )
        if first not in self._jobs:
            self._jobs[first] = [*self._moved_on(job, record), *self._drifted(record)]
        for status, reason in self._jobs[first]:
            finding.note(status, reason)

    def _moved_on(self, job: Planned, record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Code, parameters and inputs of a job that are not what they were."""
        if record["code"] != job.code:
            yield from (("stale", reason) for reason in self._changed_code(job.modules, record["code"]))
        yield from (("stale", reason) for reason in _differences(record["parameters"], job.parameters))
        for path in sorted({*job.inputs} - {*record["inputs"]}):
            yield "stale", f"it would be made from {path} too"
        for path in sorted({*record["inputs"]} - {*job.inputs}):
            yield "stale", f"it would no longer be made from {path}"

    def _changed_code(self, modules: tuple[str, ...], then: str) -> list[str]:
        if modules not in self._parts:
            self._parts[modules] = code_parts(modules)
        now, kept = self._parts[modules], self._kept(CODE, then)
        if kept is None or digest_of_parts(kept) != then:
            return ["its code has moved on, and the list of its modules is not there or not whole"]
        changed = [name for name in sorted({*now, *kept}) if now.get(name) != kept.get(name)]
        return [f"module {name} has moved on" for name in changed]

    def _drifted(self, record: Mapping[str, Any]) -> list[tuple[str, str]]:
        if record["environment"] == environment_digest(self._versions):
            return []
        kept = self._kept(ENVIRONMENTS, record["environment"])
        if kept is None or environment_digest(kept) != record["environment"]:
            return [("drifted", "the list of the packages that it was made with is not there or not whole")]
        return [("drifted", reason) for reason in _differences(kept, self._versions)]

    def _kept(self, folder: str, digest: str) -> dict[str, str] | None:
        try:
            return dict(read_json(self.study / folder / f"{digest}.json"))
        except (ReciteError, TypeError):
            return None

    def _compare_readings(self) -> None:
        """Hold what every job read against what is there, where that is what its own record says.

        A file made anew after it was read leaves its reader stale; one that says it is older than a reader that read
        other bytes has a forged record.
        """
        for first in self._jobs:
            record = self.records[first]
            for path, digest in record["inputs"].items():
                read = self.findings.get(path)
                if read is None or not read.sha256 or read.sha256 == digest["sha256"]:
                    continue
                maker = self.record_of(path)
                if maker and finished(maker) <= datetime.fromisoformat(record["started"]):
                    read.note("tampered", f"it is not what {first} was made from, and says that it is older")
                for output in record["outputs"]:
                    if output in self.findings and read.status != "tampered":
                        self.findings[output].note("stale", f"it was made from another {path} than is there now")


def _made_from(job: Planned | None) -> tuple[str, ...]:
    """The files that a file's bytes come from: none for one that only says that others are there."""
    return job.inputs if job and job.run else ()


def _is_whole(record: Mapping[str, Any]) -> bool:
    """Whether a record says all that records say, and nobody changed it without sealing it again."""
    return record.keys() >= NEEDED and record["seal"] == seal_of(record)


def finished(record: Mapping[str, Any]) -> datetime:
    """When the job of a record ended."""
    return datetime.fromisoformat(record["started"]) + timedelta(seconds=record["seconds"])


def _differences(then: Any, now: Any, key: str = "") -> Iterator[str]:
    """What differs between two values, key by key; entries of a list are known by their `name` or their place."""
    then, now = _by_name(then), _by_name(now)
    if isinstance(then, dict) and isinstance(now, dict):
        for name in sorted({*then, *now}):
            place = f"{key}.{name}" if key else name
            yield from _differences(then.get(name, ABSENT), now.get(name, ABSENT), place)
    elif then != now:
        yield f"{key} is {_short(now)}, was {_short(then)}"


def _by_name(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(entry, dict) for entry in value):
        return {str(entry.get("name", index)): entry for index, entry in enumerate(value)}
    return value


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
