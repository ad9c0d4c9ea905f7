"""A study through `snakemake --profile slurm` on a real SLURM."""

from checkouts import Checkout, digests
from cluster.runs import LOCAL, PROFILE, rules, submitted
from cluster.virtual import VirtualCluster


def test_the_study_comes_out_the_same(slurm: VirtualCluster, fresh: Checkout, undisturbed: Checkout) -> None:
    """Files of a cluster that differ from those of one machine could not be extended on the other."""
    run = fresh.snakemake(*PROFILE)
    assert run.returncode == 0, run.stdout
    assert digests(fresh.results) == digests(undisturbed.results)
    assert not list(fresh.results.rglob(".*.tmp"))
    assert fresh.jobs() == {}
    jobs = submitted(slurm)
    assert set(jobs.values()) == {1} and {state for _, state, _ in slurm.jobs()} == {"COMPLETED"}
    expected = {rule: count for rule, count in undisturbed.jobs("--forceall").items() if rule not in LOCAL}
    assert rules(jobs) == expected
    details = slurm.ask("scontrol", "show", "job", slurm.jobs()[0][0])
    for setting in ("Partition=a100 ", "TimeLimit=00:15:00 ", "MinMemoryNode=2000M "):
        assert setting in details
