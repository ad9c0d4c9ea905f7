"""The locked versions: of all that is asked for, each with its digests, and the same for pip and for conda."""

import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = ("torch", "lock", "cuda", "dev")


@pytest.fixture(scope="module")
def lock() -> ModuleType:
    """scripts/lock.py."""
    spec = importlib.util.spec_from_file_location("lock", ROOT / "scripts/lock.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def locked(lock: ModuleType) -> dict[str, Any]:
    """File -> what it locks."""
    return {name: lock.read(f"{name}.txt") for name in FILES}


def names_of(requirements: list[str]) -> set[str]:
    return {re.split(r"[ ;<>=\[]", one, maxsplit=1)[0] for one in requirements}


def test_all_that_is_asked_for_is_locked(locked: dict[str, Any]) -> None:
    """A requirement without a version and digests would be whatever is newest."""
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())
    studied = locked["torch"].keys() | locked["lock"].keys()
    assert names_of(asked["project"]["dependencies"]) <= studied
    assert names_of(asked["dependency-groups"]["dev"]) <= studied | locked["dev"].keys()
    places = [name for part in locked.values() for name in part]
    assert len(places) == len(set(places)) > 150


def test_files_hold_nothing_else(lock: ModuleType, locked: dict[str, Any]) -> None:
    """A line that was changed by hand, or that the reader skips."""
    for name, part in locked.items():
        head, text = (ROOT / f"envs/{name}.txt").read_text().split("\n", 1)
        assert head == f"# {lock.HEADS[f'{name}.txt']}" and text == lock.text_of(part)
        assert all(digests for _, digests in part.values())


def test_conda_has_the_same(lock: ModuleType, locked: dict[str, Any]) -> None:
    """Two environments of which each has its own versions."""
    text = (ROOT / "envs/recite.yaml").read_text()
    assert text.split("\n", 1)[1] == lock.conda_of(locked["torch"] | locked["lock"])
    *_, pip = yaml.safe_load(text)["dependencies"]
    assert pip["pip"] == [line for _, (line, _) in sorted((locked["torch"] | locked["lock"]).items())]


def test_python_in_use_is_of_the_range() -> None:
    """What the metadata promises is what the tests run on."""
    span = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    low, high = (tuple(map(int, number)) for number in re.findall(r"(\d+)\.(\d+)", span))
    assert low <= sys.version_info < high


def test_parts_of_a_lock(lock: ModuleType, tmp_path: Path) -> None:
    """Digests that an index does not know are kept while the version stays, and go with it."""
    text = (
        "a==1 \\\n    --hash=sha256:"
        + "0" * 64
        + "\nb==2 ; sys_platform == 'linux' \\\n    --hash=sha256:"
        + "1" * 64
        + "\n"
    )
    before = lock.parsed(text)
    assert lock.text_of(before) == text and before["b"][0] == "b==2 ; sys_platform == 'linux'"
    wheel = tmp_path / "a-2+cpu-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    same = lock.with_digests({"a": ("a==1", ["sha256:2"])}, before, [])
    newer = lock.with_digests({"a": ("a==2", ["sha256:2"])}, before, [wheel])
    assert same["a"][1] == ["sha256:" + "0" * 64, "sha256:2"]
    assert newer["a"][1] == sorted(
        ["sha256:2", "sha256:ba59926159d2aa256eb8739b8da7e2b574b960e1202c6d624cbe981cef996c91"]
    )
