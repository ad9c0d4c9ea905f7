"""Lineage: the steps by which files were made, from the records, down to the files that no job made."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from recite.errors import ReciteError
from recite.provenance.audit.verdicts import Audit


@dataclass(frozen=True)
class Step:
    """Jobs of one rule that stand at one height above the leaves, or files that no job made.

    rule: "" where no job is known. jobs: the first outputs of the jobs; paths of files that have no record. inputs: the
    places of the steps that it was made from in the lineage's list.
    """

    rule: str
    jobs: tuple[str, ...]
    inputs: tuple[int, ...]


def lineage(audit: Audit, targets: Iterable[str]) -> list[Step]:
    """The steps behind `targets` (paths in the study), each after those that it was made from.

    Inputs are those that the records name. Jobs of a rule are one step, but for those at another height: so no step is
    made from itself. Raises ReciteError where records say that a file was made from itself.
    """
    below = _jobs_below(audit, targets)
    heights = _heights(below)
    places: dict[tuple[int, str], list[str]] = {}
    for job in sorted(below):
        places.setdefault((heights[job], _rule(audit, job)), []).append(job)
    ordered = sorted(places)
    index = {job: place for place, key in enumerate(ordered) for job in places[key]}
    return [
        Step(key[1], tuple(places[key]), tuple(sorted({index[name] for job in places[key] for name in below[job]})))
        for key in ordered
    ]


def _jobs_below(audit: Audit, targets: Iterable[str]) -> dict[str, list[str]]:
    """Job -> the jobs whose outputs it read, for the targets' jobs and all below them."""
    found: dict[str, list[str]] = {}
    waiting = [audit.job_that_wrote(path) for path in targets]
    while waiting:
        job = waiting.pop()
        if job not in found:
            record = audit.record_of(job)
            read = record["inputs"] if record else ()
            found[job] = sorted({audit.job_that_wrote(path) for path in read})
            waiting += found[job]
    return found


def _heights(below: Mapping[str, list[str]]) -> dict[str, int]:
    """Steps on the longest way from each job down to a leaf."""
    heights: dict[str, int] = {}
    try:
        for job in TopologicalSorter(below).static_order():
            heights[job] = 1 + max((heights[name] for name in below[job]), default=-1)
    except CycleError as error:
        raise ReciteError(
            f"the records say that {error.args[1][0]} was made from itself; ask recite audit which of them is forged."
        ) from None
    return heights


def _rule(audit: Audit, job: str) -> str:
    record = audit.record_of(job)
    if record:
        return str(record["rule"])
    finding = audit.findings.get(job)
    return finding.rule if finding else ""
