"""A profile for Snakemake, found and read by Snakemake itself: what `recite doctor` wants to know of it."""

import io
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from recite.doctor.findings import Finding


class Profile(NamedTuple):
    """What a profile, merged with `profiles/default`, says; all but the executor is empty where that is not slurm.

    partitions: by rule, "" for all others, what its attempts ask for, as `a100` or `a100,h100`; None for the cluster's
    default partition. status_command: what is asked how jobs ended. prefix: of the jobs' names.
    """

    executor: str
    partitions: dict[str, tuple[str | None, ...]]
    status_command: str
    prefix: str


def read_profile(names: Iterable[str]) -> tuple[Profile | None, list[Finding]]:
    """The profile of these names or paths (none: that of SNAKEMAKE_PROFILE), and what is wrong with it."""
    given = list(names)
    shown = f"profile {' '.join(given)}" if given else "the profile of SNAKEMAKE_PROFILE"
    try:
        settings = _parse([f"--profile={name}" for name in given])
        if settings.executor != "slurm":
            return Profile(settings.executor or "local", {}, "", ""), []
        plugin = _plugin_settings(settings)
        partitions = _partitions(settings, _chosen(plugin))
    except Exception as error:  # whatever Snakemake's parsers and the expressions in a profile raise
        return None, [_unreadable(shown, " ".join(str(error).split()))]
    profile = Profile("slurm", partitions, plugin.status_command or "squeue", plugin.jobname_prefix)
    keys = {
        "slurm-array-jobs": plugin.array_jobs,
        "groups": settings.groups,
        "group-components": settings.group_components,
    }
    unsuitable = ", ".join(key for key, value in keys.items() if value)
    if not unsuitable:
        return profile, []
    what = f"{shown} sets {unsuitable}, with which jobs may hang or get others' resources"
    return profile, [Finding(what, "drop these keys")]


def _parse(arguments: list[str]) -> Any:
    """Snakemake's own settings for these arguments; ValueError with its words where it ends over them."""
    from snakemake.cli import parse_args

    said = io.StringIO()
    try:
        with redirect_stderr(said), redirect_stdout(said):
            _, settings = parse_args(arguments)
    except SystemExit:
        raise ValueError(re.split(r"\b[Ee]rror: ", said.getvalue(), maxsplit=1)[-1]) from None
    return settings


def _unreadable(shown: str, words: str) -> Finding:
    missing = re.search(r"--executor/-e: invalid choice: '(.+?)'", words)
    if missing:
        plugin = f"snakemake-executor-plugin-{missing[1]}"
        return Finding(f"{shown} names executor {missing[1]!r}, whose plugin is not installed", f"pip install {plugin}")
    return Finding(f"Snakemake cannot read {shown}: {words}", "correct it, or name another one by --profile")


def _plugin_settings(settings: Any) -> Any:
    """Those of the SLURM plugin, with its defaults."""
    from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

    return ExecutorPluginRegistry().get_plugin("slurm").get_settings(settings)


def _chosen(plugin: Any) -> str | None:
    """The partitions of which the plugin chooses one for each job that asks for none, if it was told of any."""
    from snakemake_executor_plugin_slurm.partitions import read_partition_file

    file = plugin.partition_config or os.getenv("SNAKEMAKE_SLURM_PARTITIONS")
    return ",".join(partition.name for partition in read_partition_file(Path(file))) if file else None


def _partitions(settings: Any, default: str | None) -> dict[str, tuple[str | None, ...]]:
    """By rule; what a rule asks for replaces what all ask for."""
    attempts = range(1, settings.retries + 2)
    asked = {"": settings.default_resources or {}} | settings.set_resources
    found = {rule: resources["slurm_partition"] for rule, resources in asked.items() if "slurm_partition" in resources}
    given = {rule: tuple(dict.fromkeys(_values(resource, attempts))) for rule, resource in found.items()}
    return {
        rule: tuple(default if value is None else value for value in values)
        for rule, values in ({"": (None,)} | given).items()
    }


def _values(resource: Any, attempts: Iterable[int]) -> Iterator[str | None]:
    """Snakemake's value of a resource at each attempt; none where it depends on the job."""
    if re.search(r"\b(wildcards|input)\b", str(resource.raw)):
        return
    for attempt in attempts:
        given = {"input": [], "attempt": attempt, "threads": 1, "rulename": "", "async_run": None}
        value = resource.evaluate({}, **given).value
        yield None if value in (None, "") else str(value)
