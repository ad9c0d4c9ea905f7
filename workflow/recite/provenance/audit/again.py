"""Some jobs of a study done again, elsewhere, from the inputs that they read: whether they come to the same bytes.

An audit trusts records, which who writes results can write too; a job that is done again trusts nobody. It goes through
Snakemake, so that a profile sends it where its like was done.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from recite.files import hash64, sha256_file
from recite.provenance.audit.verdicts import Audit
from recite.provenance.blueprint import Planned

PYTHON = sys.executable
"""As it is before the Snakefile is read, which puts it in quotes."""
OUTSIDE = "../"
"""How paths in a study begin that lead out of it."""
SENTENCE = "recite: "


@dataclass(frozen=True)
class Done:
    """A job that was done again.

    job: its first output. outputs: path -> SHA-256 of the file that stands and of the one that was made, "" where none
    was. words: why it failed; "" where it did not.
    """

    job: str
    rule: str
    outputs: dict[str, tuple[str, str]]
    words: str

    @property
    def outcome(self) -> str:
        if self.words:
            return "failed"
        return "same" if all(stands == made for stands, made in self.outputs.values()) else "other"


@dataclass(frozen=True)
class Again:
    """The jobs that were done again, of `among`; passed_over: those that could not be, with the reason."""

    seed: int
    among: int
    done: list[Done]
    passed_over: dict[str, str]

    @property
    def same(self) -> bool:
        """Whether there are such, and all made the bytes that stand."""
        return bool(self.done) and all(job.outcome == "same" for job in self.done)


def do_again(audit: Audit, configfile: Path, count: int, seed: int, fetching: set[str]) -> Again:
    """Do `count` jobs again of those with a record among what was audited, in an order drawn by `seed`.

    Nothing is fetched: a job of the rules `fetching` that fails is passed over, as is one that lacks what it read, or
    whose code, parameters or inputs have moved on; the next is done for it. The study's results are only read.
    """
    firsts = {job.outputs[0]: job for job in map(audit.blueprint.job_of, audit.findings) if job and job.run}
    jobs = sorted((name for name in firsts if name in audit.records), key=lambda name: hash64(seed, name))
    done: list[Done] = []
    passed_over: dict[str, str] = {}
    for name in jobs:
        if len(done) == count:
            break
        reason = next(_hindrances(audit, firsts[name]), "")
        result = None if reason else _done(audit, firsts[name], configfile)
        if result is None:
            passed_over[name] = reason
        elif result.words and result.rule in fetching:
            passed_over[name] = result.words
        else:
            done.append(result)
    return Again(seed, len(jobs), done, passed_over)


def _hindrances(audit: Audit, job: Planned) -> Iterator[str]:
    """Why a job cannot be done again so that its bytes would have to be the same."""
    record = audit.record_of(job.outputs[0])
    if record is None:
        yield "its record is not as its job wrote it"
        return
    for path in job.outputs:
        if audit.digests.of(path) is None:
            yield f"{path} is not there"
    for path, read in record["inputs"].items():
        now = audit.digests.of(path)
        if now is None or now.sha256 != read["sha256"]:
            yield f"{path} is not {'there' if now is None else 'what it read'}"
    found = [
        audit.findings[path] for path in job.outputs if path in audit.findings
    ]  # not all of them need be asked for
    yield from (reason for finding in found for status, reason in finding.reasons if status == "stale")


def _done(audit: Audit, job: Planned, configfile: Path) -> Done:
    """Do a job in a folder that holds links to its inputs and to what is beside the results, and nothing else."""
    with TemporaryDirectory(prefix=".again-", dir=audit.study.parent) as folder:
        scratch = Path(folder).absolute()
        for entry in Path.cwd().iterdir():
            if entry.name != audit.study.parts[0] and not entry.name.startswith("."):
                (scratch / entry.name).symlink_to(entry)
        study = scratch / audit.study
        study.mkdir(parents=True)
        for path in job.inputs:
            if not path.startswith(OUTSIDE):
                (study / path).parent.mkdir(parents=True, exist_ok=True)
                (study / path).symlink_to((audit.study / path).resolve())
        words = _run(audit, job, configfile, scratch)
        made = {path: sha256_file(study / path) if (study / path).is_file() else "" for path in job.outputs}
    stand = {path: digest.sha256 if (digest := audit.digests.of(path)) else "" for path in job.outputs}
    return Done(job.outputs[0], job.rule, {path: (stand[path], made[path]) for path in job.outputs}, words)


def _run(audit: Audit, job: Planned, configfile: Path, scratch: Path) -> str:
    """Have Snakemake make the outputs of a job in `scratch`; returns why it could not, "" if it could."""
    threads = audit.records[job.outputs[0]]["threads"]
    command = [PYTHON, "-m", "snakemake", *(str(audit.study / path) for path in job.outputs)]
    command += ["--snakefile", str(audit.blueprint.root / "Snakefile"), "--directory", str(scratch)]
    command += ["--configfile", str(configfile.absolute()), "--config", "fetch=False"]
    command += ["--allowed-rules", job.rule, "--cores", str(threads)]
    run = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if run.returncode == 0:
        return ""
    lines = [line.strip() for line in run.stdout.splitlines() if line.strip()]
    told = next((line for line in lines if line.startswith(SENTENCE)), "")
    return told.removeprefix(SENTENCE) or (lines[-1] if lines else f"Snakemake ended with exit code {run.returncode}")


def as_text(again: Again) -> str:
    """What `recite audit` says of the jobs that were done again."""
    lines = [f"Done again: {len(again.done)} of {again.among} jobs, drawn with seed {again.seed}"]
    lines += [f"  {job.outcome if job.outcome == 'same' else job.outcome.upper()}: {_words(job)}" for job in again.done]
    lines += [f"  passed over: {name}, as {reason}" for name, reason in again.passed_over.items()]
    return "\n".join(lines) + "\n"


def _words(job: Done) -> str:
    told = f"{job.job}{f' and {len(job.outputs) - 1} more' if len(job.outputs) > 1 else ''}, by {job.rule}"
    if job.outcome == "failed":
        return f"{told}: {job.words}"
    others = [
        f"{path} is {stands[:12]}, made again {made[:12] or 'not at all'}"
        for path, (stands, made) in job.outputs.items()
        if stands != made
    ]
    return f"{told}{': ' if others else ''}{'; '.join(others)}"


def as_json(again: Again) -> dict[str, Any]:
    """The same as data."""
    return {
        "seed": again.seed,
        "among": again.among,
        "same": again.same,
        "jobs": [_job(job) for job in again.done],
        "passed_over": again.passed_over,
    }


def _job(job: Done) -> Mapping[str, Any]:
    outputs = {path: {"stands": stands, "made": made} for path, (stands, made) in job.outputs.items()}
    return asdict(job) | {"outcome": job.outcome, "outputs": outputs}
