"""A checkout of its own, in a path with a space, in which the tiny study has run once."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from checkouts import CONFIG, PARTS, REPOSITORY, Checkout, copy, copy_checkout, digests, remove

__all__ = ["CONFIG", "REPOSITORY", "Checkout", "copy_checkout", "digests"]


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all files of this run of the tests, whichever process makes them."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def finished(common: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The tiny study, run to the end once and copied for each process; tests leave its results as they found them.

    Hard links would save nothing of a copy's 20 milliseconds, and let through what is changed in place.
    """
    root, first = tmp_path_factory.mktemp("run") / "a checkout", common / "first run"
    with FileLock(common / "first run.lock"):
        if not first.exists():
            run = copy_checkout(root).snakemake()
            assert run.returncode == 0, run.stdout
            root.rename(first)
    shutil.copytree(first, root, symlinks=True)
    return Checkout(root)


@pytest.fixture(scope="session")
def places(common: Path) -> list[str]:
    """What would betray this machine and its user in a file that is given away."""
    known = [str(common), sys.prefix, str(Path.home()), os.uname().nodename]
    return [place for place in known if len(place) > 4]


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
