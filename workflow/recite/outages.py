"""Outages: Snakemake's SLURM plugin (2.8.0) made to wait while SLURM's controller is away.

Before each look at the queue the plugin asks the controller how long it remembers ended jobs. Without an answer it
turns to `sacct`; where there is no accounting it then forgets, without a word, all jobs that run, and waits for ever.
And a job that cannot be submitted at once loses one of its attempts. The Snakefile hands the plugin over: the library
imports none.
"""

from collections.abc import Callable
from typing import Any, TypeVar

Answer = TypeVar("Answer")
WAIT = "until scontrol ping > /dev/null 2>&1; do sleep 5; done"
"""Shell command that ends when the controller answers."""


def wait_through_outages(plugin: Any) -> None:
    """Let the plugin, a module, remember what the controller said, and submit jobs only when it answers."""
    plugin.get_min_job_age = plugin.validation.get_min_job_age = remembering(plugin.job_status_query.get_min_job_age)
    submit = plugin.submit_string.get_submit_command
    plugin.get_submit_command = lambda *given, **named: f"{WAIT}; {submit(*given, **named)}"


def remembering(ask: Callable[[], Answer | None]) -> Callable[[], Answer | None]:
    """`ask`, but with its last answer where it has none."""
    last: Answer | None = None

    def answer() -> Answer | None:
        nonlocal last
        found = ask()
        last = last if found is None else found
        return last

    return answer
