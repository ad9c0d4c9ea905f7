"""What `recite doctor` asks SLURM: whether the study's jobs would be taken, and how they would be seen to end."""

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from recite.doctor.findings import Finding
from recite.doctor.profiles import Profile
from recite.planning.limits import Limits
from recite.study.study import Study

LEAST_JOB_AGE = 300
"""Seconds that SLURM must remember an ended job where the queue is asked how it ended."""
OUT = frozenset(("down", "drain", "drained", "draining", "error", "fail", "failing", "future", "inval", "invalid_reg"))
OUT |= {"maint", "not_responding", "unknown"}
"""What sinfo says, alone or with others, of a node that starts no job until somebody has seen to it. All else does:
idle, mixed, allocated, completing, planned, reserved, perfctrs, blocked, nodes that reboot, and nodes of a cloud,
powered down or on their way."""
SECONDS = 60


class Node(NamedTuple):
    """A node as one partition has it. default: whether that is SLURM's default one. open: up, drain, inact or down."""

    partition: str
    default: bool
    open: str
    state: str
    gres: str

    @property
    def takes_jobs(self) -> bool:
        # Of the marks behind a state only that of a node which does not answer keeps jobs away for good.
        words = set(self.state.lower().rstrip("~#$@!%^-+*").split("+"))
        return "*" not in self.state and not words & OUT


def read_nodes(text: str) -> list[Node]:
    """What `sinfo -h -N -o %P|%a|%T|%G` prints."""
    rows = [line.split("|") for line in text.splitlines() if line.count("|") == 3]
    return [Node(name.rstrip("*"), name.endswith("*"), *rest) for name, *rest in rows]


def examine_slurm(profile: Profile, study: Study, heads: list[int]) -> Iterator[Finding]:
    """What SLURM would not do for the study; nothing is submitted."""
    printed, error = _ask("sinfo", "-h", "-N", "-o", "%P|%a|%T|%G")
    if error:
        yield Finding(
            f"SLURM cannot be reached: {error}", "log in to a machine that submits jobs, or wait for its controller"
        )
        return
    nodes = read_nodes(printed)
    asked = {value for values in profile.partitions.values() for value in values}
    for partition in sorted(asked, key=str):
        yield from _partition(partition, nodes)
    yield from _gpus(study, profile, nodes)
    yield from _memory_of_jobs(profile)
    yield from _orphans(profile, heads)


def _names(asked: str | None, nodes: Iterable[Node]) -> set[str]:
    """The partitions that a job asks for, as `a100,h100`, or the default one."""
    if asked is None:
        return {node.partition for node in nodes if node.default}
    return {name.strip() for name in asked.split(",")}


def _nodes_of(asked: str | None, nodes: Sequence[Node]) -> list[Node]:
    """Nodes of these partitions."""
    names = _names(asked, nodes)
    return [node for node in nodes if node.partition in names]


def _partition(asked: str | None, nodes: list[Node]) -> Iterator[Finding]:
    """Partitions that are not there, are closed, or have no node that takes jobs."""
    known = {node.partition for node in nodes}
    remedy = f"set slurm_partition to one of: {', '.join(sorted(known))}"
    own = _nodes_of(asked, nodes)
    if asked is None and not own:
        yield Finding("the profile names no partition, and SLURM has no default one", remedy)
        return
    names = _names(asked, nodes)
    for name in sorted(names - known):
        yield Finding(f"SLURM has no partition {name!r}", remedy)
    if own and not any(node.takes_jobs and node.open == "up" for node in own):
        shown = ",".join(sorted(names & known))
        states = sorted({node.state if node.open == "up" else f"partition {node.open}" for node in own})
        yield Finding(f"no node of partition {shown} takes jobs: {', '.join(states)}", f"ask why: sinfo -R -p {shown}")


def _gpus(study: Study, profile: Profile, nodes: list[Node]) -> Iterator[Finding]:
    """Models whose GPUs no node has, where the rules that run models send their jobs."""
    rules = {name.split("/")[0] for name, job in Limits(study).jobs.items() if job.gpus}
    asked = {rule: profile.partitions.get(rule, profile.partitions[""]) for rule in rules or profile.partitions}
    places = [frozenset([value]) for value in dict.fromkeys(value for values in asked.values() for value in values)]
    if not rules:  # without a plan any of them may be meant for these
        places = [frozenset().union(*places)]
    for place in places:
        own = [node.gres for value in place for node in _nodes_of(value, nodes) if node.takes_jobs]
        for name, model in study.models.items():
            if model.gpus and own and max(count_gpus(gres, model.gpu_model) for gres in own) < model.gpus:
                what = f"{model.gpus} GPUs" + (f" of model {model.gpu_model}" if model.gpu_model else "")
                where = ",".join(sorted({node.partition for value in place for node in _nodes_of(value, nodes)}))
                yield Finding(
                    f"model {name} asks for {what} of one node, and no node of {where} that takes jobs has them",
                    "change `gpus` or `gpu_model` in the models file, or take another partition",
                )


def count_gpus(gres: str, model: str | None) -> int:
    """GPUs of a node, all or those of one model, from what SLURM prints: gpu:a100:8(S:0-1),nvme:2."""
    found = re.findall(r"(?:^|,)gpu(?::([A-Za-z0-9_.-]*[A-Za-z][A-Za-z0-9_.-]*))?:(\d+)", gres)
    return sum(int(count) for kind, count in found if model is None or kind == model)


def _memory_of_jobs(profile: Profile) -> Iterator[Finding]:
    """Whether the plugin can learn how jobs ended."""
    if profile.status_command == "sacct":
        _, error = _ask("sacct", "-n", "-X")
        if error:
            yield Finding(f"sacct does not answer: {error}", "set slurm-status-command: squeue")
        return
    settings, error = _ask("scontrol", "show", "config")
    age = re.search(r"^MinJobAge\s*=\s*(\d+)", settings, re.MULTILINE)
    if age and int(age[1]) < LEAST_JOB_AGE:
        yield Finding(
            f"SLURM forgets ended jobs after {age[1]} s, too soon for the queue to tell how they ended",
            "set slurm-status-command: sacct if there is accounting, or have MinJobAge raised to 300",
        )


def _orphans(profile: Profile, heads: list[int]) -> Iterator[Finding]:
    """Jobs that were submitted from this folder by a head that runs no more."""
    lines, error = _ask("squeue", "-h", "--me", "-o", "%i|%j|%Z")
    if error:
        yield Finding(f"squeue does not answer: {error}", "wait for SLURM's controller")
    prefix = f"{profile.prefix}_"
    jobs = [line.split("|", 2) for line in lines.splitlines()]
    own = [job for job, name, folder in jobs if name.startswith(prefix) and Path(folder).resolve() == Path.cwd()]
    if own and not heads:
        yield Finding(
            f"{len(own)} jobs of an earlier run of Snakemake in this folder are still there: {' '.join(own[:5])}"
            + (" ..." if len(own) > 5 else ""),
            f"wait until they end, or cancel them (scancel {' '.join(own)}): a new run would submit them twice",
        )


def _ask(*command: str) -> tuple[str, str]:
    """What a command prints, and why it failed, or nothing."""
    if shutil.which(command[0]) is None:
        return "", f"{command[0]} is not installed here"
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return "", f"{command[0]} gave no answer in {SECONDS} s"
    if run.returncode:
        return "", " ".join(run.stderr.split()) or f"{command[0]} ended with {run.returncode}"
    return run.stdout, ""
