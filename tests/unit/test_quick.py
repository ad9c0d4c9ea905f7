"""`make quick` runs what a change can reach, nearest first, and ends in time."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

import quick

FILES = {
    "workflow/recite/low.py": "LOW = 1\n",
    "workflow/recite/middle.py": "def late():\n    from recite import low\n    return low\n",
    "workflow/recite/pack/__init__.py": 'TEMPLATE = "page.html"\n',
    "workflow/recite/pack/part.py": "import json\n",
    "tests/helper.py": "import recite.middle\n",
    "tests/unit/conftest.py": "from recite.low import LOW\n\ndef given():\n    return LOW\n",
    "tests/unit/test_low.py": "from recite.low import LOW\n",
    "tests/unit/test_asks.py": "def test_it(given):\n    pass\n",
    "tests/unit/test_far.py": "from helper import recite\n",
    "tests/unit/test_part.py": "from recite.pack.part import json\n",
    "tests/unit/test_none.py": "import json\n",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project in the place of this one."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(quick, "ROOT", tmp_path)
    monkeypatch.setattr(quick, "ROOTS", (tmp_path / "workflow", tmp_path / "tests"))
    monkeypatch.setattr(quick, "UNIT", tmp_path / "tests/unit")
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "tests"),
    [
        ("workflow/recite/low.py", ["low", "asks", "far"]),
        ("workflow/recite/middle.py", ["far"]),
        ("workflow/recite/pack/__init__.py", ["part"]),
        ("workflow/recite/pack/page.html", ["part"]),
        ("tests/unit/test_none.py", ["none"]),
        ("tests/unit/conftest.py", ["asks"]),
        ("workflow/recite/new.py", []),
    ],
)
def test_what_a_change_reaches(project: Path, changed: str, tests: list[str]) -> None:
    """Imports within functions, of packages, by helpers and by fixtures count; the file named after it comes first."""
    assert quick.nearest_first({project / changed}) == [f"tests/unit/test_{name}.py" for name in tests]


def test_git_tells_what_changed(project: Path) -> None:
    """Edited files, and new ones that git was not told of."""
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "all"]):
        subprocess.run(["git", *command], cwd=project, check=True)
    assert quick.changed("HEAD") == set()
    (project / "tests/helper.py").write_text("")
    (project / "tests/unit/test_new.py").write_text("")
    assert quick.changed("HEAD") == {project / "tests/helper.py", project / "tests/unit/test_new.py"}


@pytest.mark.parametrize(("seconds", "words"), [(60, "1 passed"), (-1, "1 skipped")])
def test_the_end(tmp_path: Path, seconds: int, words: str) -> None:
    """What is not reached in time is counted, not passed over."""
    (tmp_path / "test_it.py").write_text("def test_it():\n    pass\n")
    command = [sys.executable, "-m", "pytest", "-p", "quick", "-rs", "test_it.py"]
    environment = {quick.END: str(time.time() + seconds), "PYTHONPATH": str(Path(quick.__file__).parent)}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert words in run.stdout and ("make test runs all" in run.stdout) == (seconds < 0)
