"""`make demo` where little is as it should be: it works, or says in one sentence what is missing.

The mini study is a smaller one here, in the environment that is there already.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import copy_checkout

from checkouts import REPOSITORY, copy
from recite.files import sha256_file

STUDY = """
study: mini
seed: 3
corpora_file: tests/workflow/corpora.yaml
training:
  corpus: tiny
  row_tokens: 32
  sizes: {xs: {layers: 2, width: 16, heads: 2}}
  families: {pythia: {seed: 11, learning_rate: 0.006, vocabulary: 400}}
sampling: {domains: [code, control], context_tokens: 16, continuation_tokens: 16, rows_per_domain: 12, shard_rows: 12}
scoring: {batch_rows: 16}
aggregation: {resamples: 100}
figures: [distribution]
"""
NOBODY = 65534
CAPABILITY = "+dac_read_search"
"""Lets another user read what root keeps for itself, as this Python may be, and write nothing of it."""


@pytest.fixture
def disk() -> Iterator[Path]:
    """A disk of its own, with the checkout of a study that is smaller than the mini study."""
    root = Path(tempfile.mkdtemp(prefix="recite-"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", root], capture_output=True, text=True)
    if mounted.returncode:
        root.rmdir()
        if os.environ.get("RECITE_NO_SKIP"):
            pytest.fail(f"cannot mount a small disk: {mounted.stderr}")
        pytest.skip("mounting a small disk needs root")
    try:
        copy_checkout(root / "a checkout")
        for name in ("Makefile", "pyproject.toml"):
            copy(REPOSITORY / name, root / "a checkout" / name)
        (root / "a checkout/config/mini.yaml").write_text(STUDY)
        yield root
    finally:
        subprocess.run(["umount", "--lazy", root], check=True)
        root.rmdir()


def leave(disk: Path, megabytes: float) -> None:
    """Let so many megabytes be free."""
    used = int(subprocess.check_output(["df", "-Pk", disk], text=True).splitlines()[1].split()[2])
    subprocess.run(["mount", "-o", f"remount,size={used + int(megabytes * 1024)}k", disk], check=True)


def make(disk: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call make in the checkout; standard output and errors together."""
    above = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")  # of the make that may run the tests
    given = {name: value for name, value in os.environ.items() if name not in above} | environment
    command = ["make", *arguments]
    return subprocess.run(
        command, cwd=disk / "a checkout", env=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def sentences(run: subprocess.CompletedProcess[str]) -> list[str]:
    """What a command that failed says, but for make's own line."""
    assert run.returncode == 2 and "Traceback" not in run.stdout, run.stdout
    return [line for line in run.stdout.splitlines() if not line.startswith("make: ")]


def test_another_user(disk: Path, tmp_path: Path) -> None:
    """A user without a home, without git, in the locale C, who may write in the checkout alone."""
    for folder in filter(Path.is_dir, map(Path, os.environ["PATH"].split(":"))):
        for program in folder.iterdir():
            link = tmp_path / program.name
            if not program.name.startswith("git") and not link.is_symlink():
                link.symlink_to(program)
    subprocess.run(["chown", "--recursive", "--no-dereference", f"{NOBODY}:{NOBODY}", disk], check=True)
    user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    user += [f"--inh-caps={CAPABILITY}", f"--ambient-caps={CAPABILITY}"]
    run = subprocess.run(
        ["setpriv", *user, "make", "-o", ".venv/installed", "demo", "ROOM_DEMO=1"],
        cwd=disk / "a checkout",
        env={"PATH": str(tmp_path), "LC_ALL": "C"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert run.returncode == 0, run.stdout
    assert "Traceback" not in run.stdout and "/nonexistent" not in run.stdout
    results = disk / "a checkout/results/mini"
    assert {(results / name).stat().st_uid for name in ("site.html", "report.html", "summary.md")} == {NOBODY}
    assert "git" not in json.loads((results / "records/tables/rates.parquet.json").read_text())


def test_little_room(disk: Path) -> None:
    """A disk that fills in the night: said before anything is started, and in the end if it was not seen before."""
    leave(disk, 0.3)
    root, before = disk / "a checkout", sorted(disk.rglob("*"))
    (words,) = sentences(make(disk, "-o", ".venv/installed", "demo"))
    assert words == (
        f"recite: 0 MB are free on the disk of {root}, too few for the mini study (300 MB); "
        "free some space, then say make again."
    )
    (words,) = sentences(make(disk, "-W", "envs/lock.txt", ".venv/installed"))
    assert words.startswith("recite: 0 MB are free on the disk of") and "the packages (2500 MB)" in words
    assert sorted(disk.rglob("*")) == before
    run = make(disk, "-o", ".venv/installed", "demo", "ROOM_DEMO=0")
    assert "recite: the disk is full: results/mini/" in run.stdout
    assert sentences(run)[-1].startswith("recite: 0 MB are free on the disk of") and "the mini study;" in run.stdout


def torch_wheel(folder: Path, version: str, megabytes: int) -> Path:
    """A wheel that is called torch and holds so many megabytes."""
    path, name = folder / f"torch-{version}-py3-none-any.whl", f"torch-{version}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("big.bin", bytes(megabytes * 2**20))
        wheel.writestr(f"{name}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
        wheel.writestr(f"{name}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{name}/RECORD", "")
    return path


@pytest.mark.parametrize("version", ["1", "1+cpu"])
def test_a_torch_that_is_not_locked(disk: Path, tmp_path: Path, version: str) -> None:
    """PyPI's torch with another digest is refused; a build of one's own index, told by its label, is taken."""
    torch_wheel(tmp_path, version, 1)
    root = disk / "a checkout"
    (root / ".venv").unlink()
    for name in ("lock", "cuda"):
        (root / f"envs/{name}.txt").write_text("")
    (root / "envs/torch.txt").write_text(f"torch==1 --hash=sha256:{64 * '0'}\n")
    arguments = (".venv/installed", "ROOM_INSTALLED=0", f"PYTHON={Path(sys.executable).resolve()}")
    run = make(disk, *arguments, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path), PIP_CONFIG_FILE=os.devnull)
    assert "DO NOT MATCH THE HASHES" in run.stdout
    said = "recite: torch is a build of an index of yours, whose digest envs/torch.txt does not hold."
    assert (run.returncode == 0) == (said in run.stdout) == (root / ".venv/installed").exists() == (version == "1+cpu")


def test_packages_that_do_not_fit(disk: Path, tmp_path: Path) -> None:
    """What Python and pip say when a disk fills is no sentence, or one without a remedy."""
    big = torch_wheel(tmp_path, "1", 80)
    root, python = disk / "a checkout", Path(sys.executable).resolve()
    (root / ".venv").unlink()
    (root / "envs/torch.txt").write_text(f"torch==1 --hash=sha256:{sha256_file(big)}\n")
    arguments = (".venv/installed", "ROOM_INSTALLED=0", f"PYTHON={python}")
    for megabytes, said in ((6, "ensurepip"), (45, "No space left on device")):
        shutil.rmtree(root / ".venv", ignore_errors=True)
        leave(disk, megabytes)
        run = make(disk, *arguments, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path), PIP_CONFIG_FILE=os.devnull)
        assert said in run.stdout
        assert sentences(run)[-1].startswith(f"recite: 0 MB are free on the disk of {root}, too few for the packages;")
        assert not (root / ".venv/installed").exists()


@pytest.mark.parametrize("known", ["3.99 4.0", "3.6 3.9"])
def test_a_python_that_does_not_fit(disk: Path, known: str) -> None:
    """pip would say that some package has no version that fits."""
    arguments = ("-W", "envs/lock.txt", ".venv/installed", f"PYTHON={sys.executable}", f"PYTHONS={known}")
    (words,) = sentences(make(disk, *arguments))
    least, end = known.split()
    version = "{}.{}".format(*sys.version_info)
    assert words == (
        f"recite: Python {least} or later, and below {end}, is needed; {sys.executable} is {version}. "
        f"Say make PYTHON=python{least}, or where one is."
    )
