"""Snakemake as the head process of a run on the virtual cluster, which asks SLURM for its jobs every second.

After each look at which no job has ended the plugin waits ten seconds longer for the next, whatever its settings: these
tests would wait for that most of the time. `python tests/cluster/head.py` takes what `python -m snakemake` does.
"""

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

SECONDS = 1

if __name__ == "__main__":
    RemoteExecutor.next_seconds_between_status_checks = property(lambda executor: SECONDS, lambda *_: None)
    main()
