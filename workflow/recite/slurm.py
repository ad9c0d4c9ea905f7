"""What `recite doctor` asks of a profile for Snakemake and of SLURM: whether the study's jobs would be taken."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from recite.findings import Finding
from recite.study import Study

UNSUITABLE = ("slurm-array-jobs", "groups", "group-components")
"""Settings with which the plugin can hang or gives jobs the resources of others."""
LEAST_JOB_AGE = 300
"""Seconds that SLURM must remember an ended job where the queue is asked how it ended."""
USABLE = ("idle", "mixed", "allocated", "completing")
SECONDS = 60


def examine_profile(path: Path) -> tuple[dict[str, Any], list[Finding]]:
    """The settings of a profile, and what is wrong with it; no settings where it cannot be read."""
    if not path.exists():
        return {}, [Finding(f"no profile at {path}", "name one that is there by --profile")]
    try:
        profile = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        return {}, [Finding(f"{path} is not valid YAML ({' '.join(str(error).split())})", "correct it")]
    if not isinstance(profile, dict):
        return {}, [Finding(f"{path} holds no settings", "write `key: value` lines, as in profiles/slurm/config.yaml")]
    findings = []
    executor = profile.get("executor", "local")
    if executor != "local" and find_spec(f"snakemake_executor_plugin_{executor.replace('-', '_')}") is None:
        findings.append(
            Finding(
                f"{path} names executor {executor!r}, whose plugin is not installed",
                f"pip install snakemake-executor-plugin-{executor}",
            )
        )
    unsuitable = [key for key in UNSUITABLE if key in profile]
    if unsuitable:
        what = f"{path} sets {', '.join(unsuitable)}, with which jobs may hang or get others' resources"
        findings.append(Finding(what, "drop these keys"))
    return profile, findings


def examine_slurm(profile: Mapping[str, Any], study: Study, heads: list[int]) -> Iterator[Finding]:
    """What SLURM would not do for the study; nothing is submitted."""
    nodes, error = _ask("sinfo", "-h", "-N", "-o", "%R|%T|%G")
    if error:
        yield Finding(
            f"SLURM cannot be reached: {error}", "log in to a machine that submits jobs, or wait for its controller"
        )
        return
    partition = profile.get("default-resources", {}).get("slurm_partition")
    rows = [line.split("|") for line in nodes.splitlines()]
    own = [row for row in rows if partition is None or row[0] == partition]
    if not own:
        known = ", ".join(sorted({row[0] for row in rows}))
        yield Finding(f"SLURM has no partition {partition!r}", f"set slurm_partition to one of: {known}")
        return
    up = [gres for _, state, gres in own if state.rstrip("*~#$@+!%-^") in USABLE]
    if not up:
        yield Finding(f"no node of partition {partition} takes jobs", f"ask for its state: sinfo -p {partition} -R")
    yield from _gpus(study, up)
    yield from _memory_of_jobs(profile)
    yield from _orphans(profile, heads)


def _gpus(study: Study, nodes: list[str]) -> Iterator[Finding]:
    """Models whose GPUs no node has."""
    for name, model in study.models.items():
        if model.gpus and nodes and max(count_gpus(gres, model.gpu_model) for gres in nodes) < model.gpus:
            what = f"{model.gpus} GPUs" + (f" of model {model.gpu_model}" if model.gpu_model else "")
            yield Finding(
                f"model {name} asks for {what} of one node, and no node that takes jobs has them",
                "change `gpus` or `gpu_model` in the models file, or take another partition",
            )


def count_gpus(gres: str, model: str | None) -> int:
    """GPUs of a node, all or those of one model, from what SLURM prints: gpu:a100:8(S:0-1),nvme:2."""
    found = re.findall(r"(?:^|,)gpu(?::([A-Za-z0-9_.-]*[A-Za-z][A-Za-z0-9_.-]*))?:(\d+)", gres)
    return sum(int(count) for kind, count in found if model is None or kind == model)


def _memory_of_jobs(profile: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether the plugin can learn how jobs ended."""
    if profile.get("slurm-status-command", "squeue") == "sacct":
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


def _orphans(profile: Mapping[str, Any], heads: list[int]) -> Iterator[Finding]:
    """Jobs that were submitted from this folder by a head that runs no more."""
    lines, error = _ask("squeue", "-h", "--me", "-o", "%i|%j|%Z")
    if error:
        yield Finding(f"squeue does not answer: {error}", "wait for SLURM's controller")
    prefix = f"{profile.get('slurm-jobname-prefix', '')}_"
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
