"""recite.provenance.fingerprint: a stage runs again exactly when code that it can reach changes."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from recite.provenance import fingerprint as module
from recite.provenance.fingerprint import RECORDING, code_parts, digest_of_parts, fingerprint, import_closure

ROOT = Path(__file__).resolve().parents[3]
LIBRARY = ROOT / "workflow" / "recite"
FILES = {
    "script.py": '"""A door."""\nimport json\nfrom recite.direct import work\nwork(json)\n',
    "recite/__init__.py": '"""The library."""\n',
    "recite/direct.py": (
        '"""Doc."""\n\nSTEPS = 2\n\n\ndef work(x):\n    """Doc."""\n    from recite.pack import deep\n    return deep\n'
    ),
    "recite/pack/__init__.py": "NAME = 1\n",
    "recite/pack/deep.py": "import recite.low\n\n\nclass Deep:\n    '''Doc.'''\n    size = 3\n",
    "recite/low.py": "import recite.direct\nfrom numpy import array\nLOW = 1\n",
    "recite/unrelated.py": "import recite.low\nOTHER = 1\n",
}


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small package of the same name, which the fingerprint reads in place of the real one."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(module, "SOURCE_ROOT", tmp_path)
    return tmp_path


@pytest.fixture
def digest(library: Path) -> Callable[[], str]:
    """The script's fingerprint as a new process would compute it."""

    def fresh() -> str:
        for cached in (module.fingerprint, module._tree, module._digest, module._imports):
            cached.cache_clear()
        return fingerprint(library / "script.py")

    return fresh


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_closure_follows_imports_everywhere(library: Path) -> None:
    """Prevents imports within functions, of packages' __init__ and in cycles from being missed."""
    names = {"recite", "recite.direct", "recite.pack", "recite.pack.deep", "recite.low"}
    assert set(import_closure(library / "script.py")) == names


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("script.py", "import json\n", "\n# read\nimport json  # a comment\n\n"),
        ("script.py", "A door.", "Another door."),
        ("recite/direct.py", '    """Doc."""\n', '    """Longer\n\n    docstring."""\n'),
        ("recite/direct.py", '    """Doc."""\n', ""),
        ("recite/direct.py", "return deep", "return (deep)"),
        ("recite/pack/deep.py", "'''Doc.'''", "'''Better.'''"),
        ("recite/low.py", "LOW = 1", "\n\nLOW  =  1\n# end"),
        ("recite/direct.py", "STEPS = 2\n", 'STEPS = 2\n"""What STEPS means."""\n'),
    ],
)
def test_layout_and_documentation_change_nothing(
    library: Path, digest: Callable[[], str], name: str, old: str, new: str
) -> None:
    """Prevents a comment, a blank line or a docstring from costing a recomputation."""
    before = digest()
    edit(library / name, old, new)
    assert digest() == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("script.py", "work(json)", "work(0)"),
        ("recite/direct.py", "STEPS = 2", "STEPS = 3"),
        ("recite/pack/deep.py", "size = 3", "size = 4"),
        ("recite/low.py", "LOW = 1", "LOW = 1.0"),
        ("recite/pack/__init__.py", "NAME = 1", "NAME = 'text'"),
        ("recite/__init__.py", "library", 'library."""\nprint()\n"""'),
    ],
)
def test_code_changes_are_seen(library: Path, digest: Callable[[], str], name: str, old: str, new: str) -> None:
    """Prevents results of old code from being kept after an edit in any module that the script reaches."""
    before = digest()
    edit(library / name, old, new)
    assert digest() != before


def test_unrelated_module_changes_nothing(library: Path, digest: Callable[[], str]) -> None:
    """Prevents an edit in one stage from running all the others again."""
    before = digest()
    edit(library / "recite/unrelated.py", "OTHER = 1", "OTHER = 2")
    (library / "recite/more.py").write_text("MORE = 1\n")
    assert digest() == before


def test_fingerprint_does_not_depend_on_the_place(library: Path, digest: Callable[[], str], tmp_path: Path) -> None:
    """Prevents a second checkout, or a cluster's node, from running everything again."""
    before = digest()
    library.joinpath("recite").rename(tmp_path / "moved")
    (tmp_path / "other").mkdir()
    (tmp_path / "moved").rename(tmp_path / "other" / "recite")
    script = (library / "script.py").rename(tmp_path / "other" / "renamed.py")
    module.SOURCE_ROOT = tmp_path / "other"  # the library fixture restores it
    assert fingerprint(script) == before


def closure(script: str) -> set[str]:
    return set(import_closure(ROOT / "scripts" / script))


def test_closure_of_the_figures_script() -> None:
    """Prevents a changed figure from keeping its old picture, and the engine from redrawing figures."""
    drawings = {
        f"recite.report.drawing.{path.stem}" for path in (LIBRARY / "figures").glob("*.py") if path.stem != "__init__"
    }
    found = closure("figures.py")
    assert drawings | {"recite", "recite.report.drawing", "recite.files", "recite.tables.aggregates"} <= found
    assert not found & {
        "recite.engine.continuation",
        "recite.stages.scoring.measure",
        "recite.stages.scoring.summarize",
    }


def test_closure_of_the_scoring_script() -> None:
    """Prevents a changed figure or aggregation from scoring all models again, and an engine edit from being missed."""
    found = closure("scoring.py")
    assert {
        "recite.engine.continuation",
        "recite.stages.scoring.measure",
        "recite.checkpoints.loading",
        "recite.stages.scoring.rows",
    } <= found
    assert not {name for name in found if name.startswith(("recite.report.drawing", "recite.stages.scoring.summarize"))}


@pytest.mark.parametrize("stage", ["scoring", "training"])
def test_closures_without_the_readers(stage: str) -> None:
    """Prevents a new file format of corpora from training or scoring all models again."""
    found = closure(f"{stage}.py")
    assert f"recite.{stage}" in found
    assert "recite.corpora.readers" not in found and (LIBRARY / "readers" / "__init__.py").is_file()


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").glob("*.py")), ids=lambda path: path.stem)
def test_what_only_records_is_in_no_closure(path: Path) -> None:
    """Prevents a better record of what was done from doing all of it again."""
    found = closure(path.name)
    assert found and not found & RECORDING
    assert "from recite.jobs.door import door" in path.read_text()


def test_modules_that_record_exist() -> None:
    """Prevents a renamed module from entering all closures unseen."""
    assert {path for path in RECORDING if not (LIBRARY.parent / f"{path.replace('.', '/')}.py").is_file()} == set()


def test_the_parts_make_the_fingerprint(library: Path) -> None:
    """Prevents a list of modules beside a fingerprint that it does not explain."""
    script = library / "script.py"
    parts = code_parts(script)
    assert set(parts) == {"script", *import_closure(script)}
    assert digest_of_parts(parts) == fingerprint(script)
    assert digest_of_parts(parts | {"recite.low": parts["script"]}) != fingerprint(script)


def test_an_edit_changes_its_own_part_alone(library: Path) -> None:
    """Prevents an audit from naming the wrong module."""
    before = code_parts(library / "script.py")
    edit(library / "recite/low.py", "LOW = 1", "LOW = 2")
    module._tree.cache_clear()
    module._digest.cache_clear()
    after = code_parts(library / "script.py")
    assert [name for name in before if before[name] != after[name]] == ["recite.low"]


def test_sources_import_absolutely() -> None:
    """Prevents a relative import, which the closure does not follow, from hiding a dependency."""
    sources = [*LIBRARY.rglob("*.py"), *(ROOT / "scripts").glob("*.py")]
    relative = [
        f"{path.name}:{node.lineno}"
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert sources and relative == []
