"""A study through `snakemake --profile slurm` on a real SLURM."""

from collections import Counter
from pathlib import Path

from checkouts import copy_checkout, digests, planned
from cluster.runs import HEAD, LOCAL, PROFILE, STUDY, end, rules
from cluster.virtual import VirtualCluster


def test_the_study_comes_out_the_same(slurm: VirtualCluster, tmp_path: Path) -> None:
    """Files of a cluster that differ from those of one machine could not be extended on the other."""
    earlier = slurm.jobs()  # of other tests
    here, there = (copy_checkout(tmp_path / place / "a checkout", STUDY) for place in ("here", "there"))
    # At one time: of either, much is one process after the other.
    heads = here.start(), there.start(*PROFILE, program=HEAD)
    try:
        expected, _ = map(end, heads)
    finally:
        for head in heads:
            head.kill()
    assert digests(there.results) == digests(here.results)
    assert not list(there.results.rglob(".*.tmp"))
    assert there.jobs() == {}
    made = [job for job in slurm.jobs() if job not in earlier]
    jobs = Counter(comment for _, _, comment in made)
    assert set(jobs.values()) == {1} and {state for _, state, _ in made} == {"COMPLETED"}
    assert rules(jobs) == {rule: count for rule, count in planned(expected).items() if rule not in LOCAL}
    details = slurm.ask("scontrol", "show", "job", made[0][0])
    for setting in ("Partition=a100 ", "TimeLimit=00:15:00 ", "MinMemoryNode=2000M "):
        assert setting in details
