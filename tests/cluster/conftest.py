"""A virtual cluster, and a small study that has run without it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from checkouts import Checkout, copy_checkout
from cluster.runs import STUDY
from cluster.virtual import VirtualCluster, missing


@pytest.fixture(scope="session")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualCluster]:
    """SLURM, running; where it cannot, a skip that says why, or a failure if nothing may be skipped."""
    if reason := missing():
        if os.environ.get("RECITE_NO_SKIP"):
            pytest.fail(reason)
        pytest.skip(reason)
    cluster = VirtualCluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def slurm(daemons: VirtualCluster) -> Iterator[VirtualCluster]:
    """SLURM with all nodes up and no jobs, before the test and after it."""
    daemons.recover()
    yield daemons
    daemons.recover()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The small study, run on this machine without a cluster."""
    checkout = copy_checkout(tmp_path_factory.mktemp("local") / "a checkout", STUDY)
    run = checkout.snakemake()
    assert run.returncode == 0, run.stdout
    return checkout


@pytest.fixture
def fresh(tmp_path: Path) -> Checkout:
    """A checkout in which nothing has run."""
    return copy_checkout(tmp_path / "a checkout", STUDY)
