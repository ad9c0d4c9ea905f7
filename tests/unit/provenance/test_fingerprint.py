"""recite.provenance.fingerprint: a stage runs again exactly when code that it can reach changes."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from recite.catalogue import STAGES
from recite.provenance import fingerprint as module
from recite.provenance.fingerprint import code_parts, digest_of_parts, fingerprint, import_closure
from recite.provenance.records import modules_of
from recite.study.declaration import Wildcards
from recite.study.study import Study
from studies import load, shipped

ROOT = Path(__file__).resolve().parents[3]
LIBRARY = ROOT / "workflow" / "recite"
MODULES = ("recite.start",)
FILES = {
    "recite/start.py": '"""A start."""\nimport json\nfrom recite.direct import work\nwork(json)\n',
    "recite/__init__.py": '"""The library."""\n',
    "recite/direct.py": (
        '"""Doc."""\n\nSTEPS = 2\n\n\ndef work(x):\n    """Doc."""\n    from recite.pack import deep\n    return deep\n'
    ),
    "recite/pack/__init__.py": "NAME = 1\n",
    "recite/pack/deep.py": "import recite.low\n\n\nclass Deep:\n    '''Doc.'''\n    size = 3\n",
    "recite/low.py": "import recite.direct\nfrom numpy import array\nLOW = 1\n",
    "recite/unrelated.py": "import recite.low\nOTHER = 1\n",
}
RECORDING = {"recite.jobs.door", "recite.provenance.fingerprint"}
RECORDING |= {f"recite.provenance.{name}" for name in ("records", "keeping", "digests", "environment")}
"""What opens the way into a job and notes what it did."""
DECLARING = ("stage", "cost", "catalogue", "planning")
"""What is read to say which jobs there are, what they cost, and what is said of them."""
RULES = {rule.name: rule for stage in STAGES for rule in stage.rules if rule.run}


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
    """The fingerprint of `MODULES` as a new process would compute it."""

    def fresh() -> str:
        for cached in (module.fingerprint, module._source):
            cached.cache_clear()
        return fingerprint(MODULES)

    return fresh


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_closure_follows_imports_everywhere(library: Path) -> None:
    """Prevents imports within functions, of packages' __init__ and in cycles from being missed."""
    names = {"recite", "recite.direct", "recite.pack", "recite.pack.deep", "recite.low"}
    assert set(import_closure(MODULES)) == names | {"recite.start"}
    assert set(import_closure(["recite.unrelated"])) == names | {"recite.unrelated"}
    assert set(import_closure([*MODULES, "recite.unrelated"])) == names | {"recite.start", "recite.unrelated"}


def test_packages_of_a_module_are_in_its_closure(library: Path) -> None:
    """Prevents code of a package from being missed where only a module in it is named."""
    (library / "recite/pack/lone.py").write_text("LONE = 1\n")
    assert set(import_closure(["recite.pack.lone"])) == {"recite", "recite.pack", "recite.pack.lone"}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("recite/start.py", "import json\n", "\n# read\nimport json  # a comment\n\n"),
        ("recite/start.py", "A start.", "Another start."),
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
        ("recite/start.py", "work(json)", "work(0)"),
        ("recite/direct.py", "STEPS = 2", "STEPS = 3"),
        ("recite/pack/deep.py", "size = 3", "size = 4"),
        ("recite/low.py", "LOW = 1", "LOW = 1.0"),
        ("recite/pack/__init__.py", "NAME = 1", "NAME = 'text'"),
        ("recite/__init__.py", "library", 'library."""\nprint()\n"""'),
    ],
)
def test_code_changes_are_seen(library: Path, digest: Callable[[], str], name: str, old: str, new: str) -> None:
    """Prevents results of old code from being kept after an edit in any module that is reached."""
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
    module.SOURCE_ROOT = tmp_path / "other"  # the library fixture restores it
    assert digest() == before


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Study:
    """The mini study."""
    monkeypatch.chdir(ROOT)
    return load(shipped("mini"))


def closure(rule: str, study: Study, *jobs: Wildcards) -> set[str]:
    """The modules that the fingerprints of some jobs of a rule are made of, or of all."""
    run, further = RULES[rule].run, RULES[rule].modules
    named = [name for job in jobs or study.jobs(rule) for name in further(study, job)]
    return set(import_closure(modules_of(run, named)))


def aside(modules: set[str], *names: str) -> set[str]:
    """Those of some modules that have one of these names, or lie in a package of that name."""
    return {module for module in modules if set(module.split(".")) & set(names)}


def drawings(modules: set[str]) -> set[str]:
    return {module for module in modules if ".figures." in module}


@pytest.mark.parametrize("name", ["mini", "factorial"])
def test_closure_of_a_figure(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Prevents a changed figure or table from keeping its old picture, and another stage from redrawing figures."""
    monkeypatch.chdir(ROOT)
    study = load(shipped(name))
    assert study.jobs("figures") == [{"figure": figure} for figure in study.figures]
    for name, figure in study.figures.items():
        own, found = study.figure_modules[name], closure("figures", study, {"figure": name})
        assert {own, "recite.report.drawing", "recite.files", *study.modules_of(figure.tables)} <= found
        assert drawings(found) == {own}
        assert not aside(found, "engine", "measure", "summarize", "summary", *DECLARING, "words")


def test_closure_of_scoring(study: Study) -> None:
    """Prevents a changed figure or aggregation from scoring all models again, and an engine edit from being missed."""
    found = closure("scoring", study)
    measured = {f"recite.stages.scoring.{name}" for name in ("measure", "rows")}
    assert measured | {"recite.engine.continuation", "recite.checkpoints.loading"} <= found
    assert not aside(found, "figures", "words", "claims", "summarize", "comparison", "report", *DECLARING)
    assert "recite.stages.scoring.tables" not in found


def test_closure_of_the_ledger_and_the_summary(study: Study) -> None:
    """Prevents a changed statistic, or changed words, from keeping the old verdicts or the old page."""
    ledger, summary = (closure(name, study) for name in ("ledger", "summary"))
    assert {f"{stage.package}.claims" for stage in STAGES if stage.claims} <= ledger
    assert {f"{stage.package}.words" for stage in STAGES if stage.words} <= summary
    assert set(study.table_modules.values()) <= summary
    assert {module for table, module in study.table_modules.items() if table != "claims"} <= ledger


@pytest.mark.parametrize("rule", ["scoring", "training"])
def test_closures_without_the_readers(study: Study, rule: str) -> None:
    """Prevents a new file format of corpora from training or scoring all models again."""
    found = closure(rule, study)
    assert RULES[rule].run.partition(":")[0] in found
    assert "recite.corpora.readers" not in found and (LIBRARY / "corpora/readers/__init__.py").is_file()


@pytest.mark.parametrize("rule", RULES)
def test_what_only_records_is_in_no_closure(study: Study, rule: str) -> None:
    """Prevents a better record of what was done from doing all of it again."""
    found = closure(rule, study)
    assert "recite.files" in found and not found & RECORDING


def test_modules_that_record_exist() -> None:
    """Prevents a renamed module from entering all closures unseen."""
    assert {path for path in RECORDING if not (LIBRARY.parent / f"{path.replace('.', '/')}.py").is_file()} == set()


@pytest.mark.parametrize("rule", RULES)
def test_what_only_declares_is_in_no_closure(study: Study, rule: str) -> None:
    """Prevents another cost, caption or word in the summary from running a model again."""
    words = ["words"] if rule != "summary" else []
    assert not aside(closure(rule, study), *DECLARING, *words)


def test_the_parts_make_the_fingerprint(library: Path) -> None:
    """Prevents a list of modules beside a fingerprint that it does not explain."""
    parts = code_parts(MODULES)
    assert set(parts) == set(import_closure(MODULES))
    assert digest_of_parts(parts) == fingerprint(MODULES)
    assert digest_of_parts(parts | {"recite.low": parts["recite.start"]}) != fingerprint(MODULES)


def test_an_edit_changes_its_own_part_alone(library: Path) -> None:
    """Prevents an audit from naming the wrong module."""
    before = code_parts(MODULES)
    edit(library / "recite/low.py", "LOW = 1", "LOW = 2")
    module._source.cache_clear()
    after = code_parts(MODULES)
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
