"""The tests that a change can reach, nearest first, for about a minute: `make quick`.

What changed is what git sees beside the last commit, or beside another: `make quick SINCE=main`. A test file reaches
a module that it imports, itself or by what it imports; and any other file that one of these names. Run as a program it
chooses; as a plugin of pytest, in every process of the tests, it ends them in time and says how many were not reached.
"""

import ast
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOTS = (ROOT / "workflow", ROOT / "tests")
"""Where modules are imported from."""
UNIT = ROOT / "tests/unit"
DRY_RUNS = ("tests/workflow/test_plan_jobs.py", "tests/workflow/test_bad_input.py")
"""They read the rules and start next to nothing."""
PIPELINE = ("Snakefile", "workflow/rules", "scripts", "profiles")
SECONDS = 55
END = "RECITE_QUICK_END"


def pytest_runtest_setup(item: pytest.Item) -> None:
    if time.time() > float(os.environ[END]):
        pytest.skip("not reached in time: make test runs all")


def changed(since: str) -> set[Path]:
    """Files that differ from those of a commit, and new ones."""
    commands = (["diff", "--name-only", since], ["ls-files", "--others", "--exclude-standard"])
    runs = [subprocess.run(["git", *c], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True) for c in commands]
    return {ROOT / name for run in runs for name in run.stdout.splitlines()}


def distances(test: Path, others: set[Path]) -> dict[Path, int]:
    """File -> over how many others a test file reaches it, of modules and of `others`, which are no modules."""
    found = {test: 0}
    waiting = [test]
    for path in waiting:
        for reached in {*imports(path), *(other for other in others if names(path, other))}:
            if reached not in found:
                found[reached] = found[path] + 1
                waiting += [reached] if reached.suffix == ".py" else []
    return found


@cache
def imports(path: Path) -> list[Path]:
    """Modules of the project that a file imports anywhere; for a test file the fixtures too, if it asks for one."""
    found = [part for name in imported(path) for part in places(name)]
    conftest = next((f / "conftest.py" for f in path.parents if (f / "conftest.py").exists()), path)
    asked = {argument.arg for node in ast.walk(tree(path)) if isinstance(node, ast.arguments) for argument in node.args}
    made = {node.name for node in tree(conftest).body if isinstance(node, ast.FunctionDef)}
    return [*found, conftest] if path.name.startswith("test_") and asked.intersection(made) else found


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def places(name: str) -> Iterator[Path]:
    """The files of a module and of the packages that it lies in, where they are the project's."""
    parts = name.split(".")
    for root in ROOTS:
        for depth in range(1, len(parts) + 1):
            base = root.joinpath(*parts[:depth])
            yield from (path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file())


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def names(path: Path, other: Path) -> bool:
    """Whether a module speaks of a file or, in quotes, of its folder."""
    text = path.read_text()
    return other.name in text or f'"{other.parent.name}"' in text


def nearest_first(files: set[Path]) -> list[str]:
    """The unit tests that reach one of the files; among equals those named after it come first."""
    others = {path for path in files if path.suffix != ".py"}
    found = {test: distances(test, others) for test in sorted(UNIT.rglob("test_*.py"))}
    near = {test: min((reach[path] for path in files if path in reach), default=None) for test, reach in found.items()}
    own = {f"test_{path.stem}" for path in files}
    reached = [(distance, test.stem not in own, test) for test, distance in near.items() if distance is not None]
    return [str(test.relative_to(ROOT)) for *_, test in sorted(reached)]


def main(since: str = "HEAD") -> int:
    """Run the tests; the exit status is pytest's."""
    files = changed(since)
    tests = nearest_first(files)
    dry = DRY_RUNS if any(path.is_relative_to(ROOT / part) for path in files for part in PIPELINE) else ()
    print(f"{len(files)} changed files; {len(tests)} files of unit tests reach them, nearest first: {' '.join(tests)}")
    environment = os.environ | {END: str(time.time() + SECONDS), "PYTHONPATH": str(ROOT / "tests")}
    command = [sys.executable, "-m", "pytest", "-p", "quick", "-rs", "--numprocesses", "auto"]
    statuses = [
        subprocess.run([*command, *options, *chosen], cwd=ROOT, env=environment).returncode
        for options, chosen in ((["--maxschedchunk", "4"], tests), ([], dry))
        if chosen
    ]
    return max(statuses, default=0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
