"""A checkout of its own, in a path with a space, in which the tiny study has run once."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PARTS = ["Snakefile", "config", "envs", "profiles", "scripts", "tests/workflow", "workflow"]
CONFIG = "tests/workflow/tiny.yaml"


@dataclass
class Checkout:
    """A copy of the pipeline in which commands are run."""

    root: Path

    @property
    def results(self) -> Path:
        return self.root / "results/tiny"

    def snakemake(self, *arguments: str, configfile: str = CONFIG) -> subprocess.CompletedProcess[str]:
        """Run snakemake here; standard output and error come together in `stdout`."""
        command = [".venv/bin/python", "-m", "snakemake", *arguments, "--configfile", configfile]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        return subprocess.run(
            command, cwd=self.root, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def jobs(self, *arguments: str) -> dict[str, int]:
        """Rule -> number of jobs that a dry run would start, `all` left out."""
        run = self.snakemake("--dry-run", *arguments)
        assert run.returncode == 0, run.stdout
        if "Nothing to be done" in run.stdout:
            return {}
        stats = run.stdout.split("Job stats:")[-1].split("total")[0]
        found = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", stats, re.MULTILINE)}
        assert found, run.stdout
        return {rule: count for rule, count in found.items() if rule != "all"}

    def messages(self, *arguments: str) -> str:
        """What a dry run says its jobs would do, a line each."""
        lines = self.snakemake("--dry-run", *arguments).stdout.splitlines()
        return "\n".join(line for line in lines if line.startswith("Job "))

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace the one occurrence of `old` in a file."""
        text = (self.root / path).read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
        (self.root / path).write_text(text.replace(old, new))


def copy_checkout(root: Path) -> Checkout:
    """The files of the pipeline under `root`, as a fresh clone would have them, and an environment there."""
    for part in PARTS:
        _copy(REPOSITORY / part, root / part)
    (root / ".venv").symlink_to(sys.prefix)
    return Checkout(root)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy2(source, target)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The tiny study, run to the end; tests leave its results as they found them."""
    checkout = copy_checkout(tmp_path_factory.mktemp("run") / "a checkout")
    run = checkout.snakemake()
    assert run.returncode == 0, run.stdout
    return checkout


@pytest.fixture
def checkout(finished: Checkout, tmp_path: Path) -> Iterator[Checkout]:
    """The finished checkout, to edit sources in; they are put back after the test, with their times."""
    for part in PARTS:
        _copy(finished.root / part, tmp_path / part)
    yield finished
    for part in PARTS:
        _remove(finished.root / part)
        _copy(tmp_path / part, finished.root / part)


@pytest.fixture
def fresh(tmp_path: Path) -> Checkout:
    """A checkout in which nothing has run."""
    return copy_checkout(tmp_path / "a checkout")
