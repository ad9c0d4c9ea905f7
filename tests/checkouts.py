"""A checkout of its own, in which the pipeline runs."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from recite.files import sha256_file

REPOSITORY = Path(__file__).resolve().parents[1]
PARTS = ["Snakefile", "config", "envs", "profiles", "scripts", "slurm", "tests/cluster", "tests/workflow", "workflow"]
CONFIG = "tests/workflow/tiny.yaml"
FORKS = REPOSITORY / "workflow/recite/jobs/forks.py"
LIBRARIES = ("snakemake.cli", "jsonschema", "pyarrow.parquet")
"""What Snakemake loads to read a study; nothing of the project itself, of which each checkout has its own."""
SERVERS: list[subprocess.Popen[bytes]] = []
"""They end with the standard input that they are given here."""


@dataclass
class Checkout:
    """A copy of the pipeline in which commands are run."""

    root: Path
    configfile: str = CONFIG

    @property
    def results(self) -> Path:
        return self.root / "results/tiny"

    def start(
        self, *arguments: str, configfile: str | None = None, program: Sequence[str] = ("-m", "snakemake")
    ) -> subprocess.Popen[str]:
        """Start snakemake here; standard output and error come together in `stdout`."""
        return self._start([".venv/bin/python", *program, *arguments], configfile)

    def snakemake(self, *arguments: str, configfile: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run snakemake here to its end, as a fork of a process that has loaded it."""
        forked = [sys.executable, "-I", "-S", str(FORKS), server(), ".venv/bin/snakemake", *arguments]
        with self._start(forked, configfile) as head:
            output, _ = head.communicate()
        return subprocess.CompletedProcess(head.args, head.returncode, output)

    def _start(self, command: list[str], configfile: str | None) -> subprocess.Popen[str]:
        command += ["--configfile", configfile or self.configfile]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        if "RECITE_FAULTS" in environment:
            environment["PYTHONPATH"] = str(self.root / "tests/cluster/faults")
        return subprocess.Popen(
            command, cwd=self.root, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def plan(self, *arguments: str) -> tuple[dict[str, int], str]:
        """What a dry run would start: rule -> number of jobs, `all` left out; and a line each of what these jobs do."""
        run = self.snakemake("--dry-run", *arguments)
        assert run.returncode == 0, run.stdout
        if "Nothing to be done" in run.stdout:
            return {}, ""
        messages = [line for line in run.stdout.splitlines() if line.startswith("Job ")]
        return planned(run.stdout), "\n".join(messages)

    def jobs(self, *arguments: str) -> dict[str, int]:
        """Rule -> number of jobs that a dry run would start."""
        return self.plan(*arguments)[0]

    def lose(self, path: str) -> None:
        """Move a file or folder out of sight."""
        (self.root / "lost").mkdir(exist_ok=True)
        (self.root / path).rename(self.root / "lost" / path.replace("/", "%"))

    def find(self) -> None:
        """Put what was lost back, in the place of what has come there since."""
        for lost in (self.root / "lost").glob("*"):
            place = self.root / lost.name.replace("%", "/")
            if place.exists():
                remove(place)
            lost.rename(place)

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace the one occurrence of `old` in a file."""
        text = (self.root / path).read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
        (self.root / path).write_text(text.replace(old, new))


@cache
def server() -> str:
    """Folder of a process that has loaded LIBRARIES and forks on request, as long as this one lives.

    A third of a dry run is the loading of libraries, and there are a hundred of them.
    """
    folder = tempfile.mkdtemp(prefix="recite-")
    command = [sys.executable, "-P", str(FORKS), "--serve", folder, *LIBRARIES]
    SERVERS.append(subprocess.Popen(command, stdin=subprocess.PIPE))
    return folder


def planned(output: str) -> dict[str, int]:
    """The jobs that snakemake says it will run: rule -> number of jobs, `all` left out."""
    stats = output.split("Job stats:")[-1].split("total")[0]
    found = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", stats, re.MULTILINE)}
    assert found, output
    return {rule: count for rule, count in found.items() if rule != "all"}


def copy_checkout(root: Path, configfile: str = CONFIG) -> Checkout:
    """The files of the pipeline under `root`, as a fresh clone would have them, and an environment there."""
    for part in PARTS:
        copy(REPOSITORY / part, root / part)
    (root / ".venv").symlink_to(sys.prefix)
    return Checkout(root, configfile)


def copy(source: Path, target: Path) -> None:
    """A file, a folder or a link, with its times."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        target.symlink_to(source.readlink())
    elif source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy2(source, target)


def remove(path: Path) -> None:
    """A file, a link or a folder with all that is in it."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def digests(folder: Path) -> dict[str, str]:
    """Path -> digest of everything made, logs, timings and records, which hold times, left out."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    kept = [path for path in files if path.relative_to(folder).parts[0] not in ("logs", "records")]
    return {str(path.relative_to(folder)): sha256_file(path) for path in kept}
