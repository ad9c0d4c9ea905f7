"""The small study on the virtual cluster."""

import re
from collections import Counter

STUDY = "tests/cluster/study.yaml"
PROFILE = ("--profile", "slurm")
PROFILE += ("--slurm-init-seconds-before-status-checks", "5", "--seconds-between-status-checks", "5")
PROFILE += ("--max-status-checks-per-second", "1", "--max-jobs-per-timespan", "1000/2s")
"""The profile as it is, but for how often SLURM is asked and jobs are looked for."""
LOCAL = ("all", "samples", "figures", "summary")
"""Rules whose jobs run where snakemake runs."""


def rules(jobs: Counter[str]) -> Counter[str]:
    """The same by rule."""
    counts: Counter[str] = Counter()
    for comment, count in jobs.items():
        counts[re.sub(r"^rule_|_wildcards_.*$", "", comment)] += count
    return counts
