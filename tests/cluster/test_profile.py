"""A study through `snakemake --profile slurm` on a real SLURM."""

from collections import Counter

from checkouts import Checkout, digests
from cluster.runs import LOCAL, PROFILE, rules
from cluster.virtual import VirtualCluster


def test_the_study_comes_out_the_same(slurm: VirtualCluster, fresh: Checkout, undisturbed: Checkout) -> None:
    """Files of a cluster that differ from those of one machine could not be extended on the other."""
    earlier = slurm.jobs()  # of other tests
    run = fresh.snakemake(*PROFILE)
    assert run.returncode == 0, run.stdout
    assert digests(fresh.results) == digests(undisturbed.results)
    assert not list(fresh.results.rglob(".*.tmp"))
    assert fresh.jobs() == {}
    made = [job for job in slurm.jobs() if job not in earlier]
    jobs = Counter(comment for _, _, comment in made)
    assert set(jobs.values()) == {1} and {state for _, state, _ in made} == {"COMPLETED"}
    expected = {rule: count for rule, count in undisturbed.jobs("--forceall").items() if rule not in LOCAL}
    assert rules(jobs) == expected
    details = slurm.ask("scontrol", "show", "job", made[0][0])
    for setting in ("Partition=a100 ", "TimeLimit=00:15:00 ", "MinMemoryNode=2000M "):
        assert setting in details
