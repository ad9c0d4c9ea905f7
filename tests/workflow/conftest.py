"""A checkout of its own, in a path with a space, in which the tiny study has run once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from checkouts import CONFIG, PARTS, REPOSITORY, Checkout, copy, copy_checkout, digests, remove

__all__ = ["CONFIG", "REPOSITORY", "Checkout", "copy_checkout", "digests"]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The tiny study, run to the end; tests leave its results as they found them."""
    checkout = copy_checkout(tmp_path_factory.mktemp("run") / "a checkout")
    run = checkout.snakemake()
    assert run.returncode == 0, run.stdout
    return checkout


@pytest.fixture
def checkout(finished: Checkout, tmp_path: Path) -> Iterator[Checkout]:
    """The finished checkout, to edit sources and lose results in; all is put back after the test, with its times."""
    for part in PARTS:
        copy(finished.root / part, tmp_path / part)
    yield finished
    finished.find()
    for part in PARTS:
        remove(finished.root / part)
        copy(tmp_path / part, finished.root / part)


@pytest.fixture
def fresh(tmp_path: Path) -> Checkout:
    """A checkout in which nothing has run."""
    return copy_checkout(tmp_path / "a checkout")
