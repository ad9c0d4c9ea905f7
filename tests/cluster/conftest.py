"""A virtual cluster."""

import os
from collections.abc import Iterator

import pytest

from cluster.virtual import VirtualCluster, missing


@pytest.fixture(scope="session")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualCluster]:
    """SLURM, running; where it cannot, a skip that says why, or a failure if nothing may be skipped."""
    if reason := missing():
        if os.environ.get("RECITE_NO_SKIP"):
            pytest.fail(reason)
        pytest.skip(reason)
    cluster = VirtualCluster(tmp_path_factory.mktemp("slurm"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
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
