"""recite.provenance.environment: versions of what is pinned, and the commit of the code."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from recite.provenance.environment import git_state, installed_versions

ROOT = Path(__file__).resolve().parents[3]


def test_versions_are_those_that_python_says() -> None:
    """Prevents a folder's name from being read for another version than the package's."""
    found = installed_versions(ROOT)
    assert len(found) > 90
    assert {name: version(name) for name in found if name != "python"} == {
        name: installed for name, installed in found.items() if name != "python"
    }
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert "pytest" not in found


def test_the_first_place_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents the version of a package that is not the one imported."""
    (tmp_path / "NumPy-1.0.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert installed_versions(ROOT)["numpy"] == "1.0"


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_commit_and_edits(tmp_path: Path) -> None:
    """Prevents results of edited code from passing for those of a commit."""
    assert git_state(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert git_state(tmp_path) is None  # no commit yet
    (tmp_path / "code.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "One")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert git_state(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "notes").write_text("not tracked")
    assert git_state(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "code.py").write_text("2")
    assert git_state(tmp_path) == {"commit": commit, "dirty": True}
    (tmp_path / "exported").mkdir()
    assert git_state(tmp_path / "exported") is None  # a repository around it is not its own


def test_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a machine without git from failing every job at its end."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(ROOT) is None
