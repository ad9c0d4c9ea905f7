"""The house: who may import whom, how large things may grow, which rule file belongs to which stage.

Imports are read from the source, wherever in a module they stand; what is imported for types alone makes no circle.
CONTRIBUTING.md draws the house for people, and its list of layers is the one that is held here.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from recite.study.declaration import Stage

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / "workflow"
LIBRARY, RULES = WORKFLOW / "recite", WORKFLOW / "rules"
STAGED = ("recite.stages", "recite.comparison")
ON_TOP = ("catalogue", "cli", "__main__")
"""Modules beside the rooms that may know all of them; the other ones are the floor."""
NO_STAGE = ("provenance", "planning", "report", "study", "doctor", "jobs")
"""Rooms that ask the study for what its stages declare, and name none."""
MOST_MODULES, MOST_LINES, MOST_CLASS_LINES, MOST_FUNCTION_LINES = 12, 300, 150, 50
HEAVY = ("torch", "transformers", "pandas", "pyarrow", "matplotlib")


class Import(NamedTuple):
    """One import: of a module of the library, or of whatever a module elsewhere has."""

    by: str
    of: str
    line: int
    for_types: bool

    def __str__(self) -> str:
        return f"{path_of(self.by)}:{self.line} imports {self.of}"


def stages() -> tuple[Stage, ...]:
    """The catalogue, imported late: what breaks a law of imports may break it too."""
    from recite.catalogue import STAGES

    return STAGES


@cache
def modules() -> dict[str, Path]:
    """Every module of the library, packages by their own names."""
    return {name_of(path): path for path in sorted(LIBRARY.rglob("*.py"))}


def name_of(path: Path) -> str:
    parts = path.relative_to(WORKFLOW).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def path_of(module: str) -> str:
    return str(modules()[module].relative_to(ROOT))


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text())


@cache
def imports() -> list[Import]:
    """All imports of all modules."""
    return [found for module in modules() for found in imports_of(module)]


def imports_of(module: str) -> Iterator[Import]:
    guards = [node for node in ast.walk(tree(module)) if isinstance(node, ast.If) and is_for_types(node.test)]
    guarded = {inner for guard in guards for node in guard.body for inner in ast.walk(node)}
    for node in ast.walk(tree(module)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{path_of(module)}:{node.lineno}: name the module in full"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            of = name if name in modules() or not is_in(name, "recite") else name.rpartition(".")[0]
            yield Import(module, of, node.lineno, node in guarded)


def is_for_types(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def is_in(name: str, *packages: str) -> bool:
    """Whether a name is one of the packages or lies in one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def room(module: str) -> str:
    """The first folder below the library; a module beside these is on top of the house or its floor."""
    first = module.split(".")[1:2]
    if first and (LIBRARY / first[0]).is_dir():
        return first[0]
    return first[0] if first and first[0] in ON_TOP else "floor"


def stage_of(module: str) -> str:
    """The package of the stage that a module lies in; "" for a module of no stage."""
    package = ".".join(module.split(".")[:3])
    return package if is_in(module, *STAGED) and (WORKFLOW / package.replace(".", "/")).is_dir() else ""


def hold(law: str, broken: Iterable[object]) -> None:
    """Fail with everything that breaks a law, a line each."""
    lines = sorted(map(str, broken))
    assert not lines, "\n".join([f"{law}:", *lines])


def rooms() -> dict[str, list[str]]:
    """Room -> its modules."""
    found: dict[str, list[str]] = {}
    for module in modules():
        found.setdefault(room(module), []).append(module)
    return found


def test_imports_are_read() -> None:
    """Prevents a reading that finds nothing, or not what stands in a function, from holding every law."""
    assert len(modules()) > 100 and {"engine", "stages", "comparison", "floor", "cli"} <= set(rooms())
    pairs = {(found.by, found.of) for found in imports()}
    assert ("recite.engine.continuation", "recite.engine.passes") in pairs
    assert ("recite.cli", "recite.jobs.status") in pairs
    assert ("recite.engine.passes", "torch") in pairs
    assert room("recite.errors") == "floor" and stage_of("recite.stages.inputs") == ""
    assert stage_of("recite.stages.heads.measure.ablation") == "recite.stages.heads"


def test_engine_imports_no_stage() -> None:
    """Prevents what runs models from knowing what they are run for."""
    hold(
        "engine/ may import nothing of stages/ and comparison/; hand it over as an argument",
        (found for found in imports() if room(found.by) == "engine" and is_in(found.of, *STAGED)),
    )


def test_stages_do_not_measure_by_each_other() -> None:
    """Prevents an edit of one measurement from running another one again."""
    hold(
        "a stage may not import another one's measure; move what both need to engine/ or outcomes/",
        (
            found
            for found in imports()
            if stage_of(found.by)
            and is_in(found.of, f"{stage_of(found.of)}.measure")
            and stage_of(found.of) not in ("", stage_of(found.by))
        ),
    )


def test_comparisons_run_no_model() -> None:
    """Prevents a comparison of finished tables from waiting for a GPU."""
    packages = ("recite.engine", "recite.kernels", "recite.checkpoints.loading", "torch", "transformers")
    hold(
        "comparison/ reads tables; what runs a model belongs to stages/",
        (found for found in imports() if room(found.by) == "comparison" and is_in(found.of, *packages)),
    )


def test_statistics_know_no_table() -> None:
    """Prevents an interval from depending on where its numbers lie."""
    own = rooms()["statistics"]
    files = ("recite.tables", "recite.files", "pyarrow.parquet", "pathlib", "os", "io")
    opened = [
        f"{path_of(module)}:{node.lineno} opens a file"
        for module in own
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open"
    ]
    read = [found for found in imports() if found.by in own and is_in(found.of, *files)]
    hold("statistics/ takes numbers and gives numbers, and reads no table and no file", [*opened, *read])


def test_only_the_catalogue_knows_the_stages() -> None:
    """Prevents a stage from being written into the rooms that ask the study for what its stages declare."""
    above = [found for found in imports() if room(found.by) in NO_STAGE and is_in(found.of, *STAGED)]
    named = [
        f"{path_of(module)}:{node.lineno} names {node.value!r}"
        for module in modules()
        if room(module) in NO_STAGE
        for node in texts(tree(module))
        if any(f"{package}." in node.value for package in STAGED)
    ]
    hold(f"{', '.join(NO_STAGE)} may not name a stage; ask the study's stages", [*above, *named])


def texts(module: ast.Module) -> Iterator[ast.Constant]:
    """String literals, but for docstrings."""
    told = {node.value for node in ast.walk(module) if isinstance(node, ast.Expr)}
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in told:
            yield node


def circle(pairs: dict[tuple[str, str], Import]) -> list[Import]:
    """The imports of a circle among those of pairs of names; none if there is none."""
    graph: dict[str, set[str]] = {}
    for by, of in pairs:
        graph.setdefault(by, set()).add(of)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        # each name of the circle is imported by the one after it
        return [pairs[by, of] for of, by in pairwise(error.args[1])]
    return []


def test_rooms_stand_in_no_circle() -> None:
    """Prevents two rooms of which neither can be understood, or changed, without the other."""
    pairs = {
        (room(found.by), room(found.of)): found
        for found in imports()
        if is_in(found.of, "recite") and room(found.by) != room(found.of) and not found.for_types
    }
    hold("these imports lead from a room back to it", circle(pairs))


@pytest.mark.parametrize("name", sorted(rooms()))
def test_modules_of_a_room_stand_in_no_circle(name: str) -> None:
    """Prevents modules that can be imported in one order only."""
    pairs = {
        (found.by, found.of): found
        for found in imports()
        if is_in(found.of, "recite") and {room(found.by), room(found.of)} == {name} and not found.for_types
    }
    hold("these imports lead from a module back to it", circle(pairs))


def layers() -> list[list[str]]:
    """The rooms of each line of CONTRIBUTING's list, the top first."""
    after = (ROOT / "CONTRIBUTING.md").read_text().partition("Each line below may import from those under it")[2]
    lines = after.split("```")[1].strip().splitlines()
    return [re.split(r"\s{2,}", line)[0].split(", ") for line in lines]


def test_rooms_import_what_lies_under_them() -> None:
    """Prevents a room from leaning on one that CONTRIBUTING draws above it, and a room from not being drawn."""
    level = {name: depth for depth, names in enumerate(layers()) for name in names}
    level["__main__"] = level["cli"]
    drawn = level.keys() - {"Snakefile"}
    assert drawn == rooms().keys(), f"only in CONTRIBUTING.md or only in the library: {drawn ^ rooms().keys()}"
    hold(
        "a room may import only what lies under it in CONTRIBUTING's list",
        (
            found
            for found in imports()
            if is_in(found.of, "recite") and not found.for_types and level[room(found.by)] > level[room(found.of)]
        ),
    )


def test_few_rooms_know_snakemake() -> None:
    """Prevents the library from working in a DAG only, and a new Snakemake from being felt all over it."""
    knowing = ("jobs", "provenance", "doctor")
    hold(
        f"only {', '.join(knowing)} may import snakemake and its plugins",
        (found for found in imports() if found.of.startswith("snakemake") and room(found.by) not in knowing),
    )


def test_folders_are_small() -> None:
    """Prevents a folder in which nothing is found at a glance."""
    folders: dict[Path, int] = {}
    for path in modules().values():
        if path.name != "__init__.py":
            folders[path.parent] = folders.get(path.parent, 0) + 1
    hold(
        f"a folder may have {MOST_MODULES} modules beside each other; make a folder of some",
        (f"{path.relative_to(ROOT)}: {count}" for path, count in folders.items() if count > MOST_MODULES),
    )


def test_modules_are_short() -> None:
    """Prevents a module that does several things."""
    lines = {module: len(path.read_text().splitlines()) for module, path in modules().items()}
    hold(
        f"a module may have {MOST_LINES} lines; make two of it",
        (f"{path_of(module)}: {count}" for module, count in lines.items() if count > MOST_LINES),
    )


def lengths(*kinds: type[ast.AST]) -> Iterator[tuple[str, int]]:
    """Place and lines of every class or function, from its first line to its last, decorators apart."""
    for module in modules():
        for node in ast.walk(tree(module)):
            if isinstance(node, kinds):
                yield f"{path_of(module)}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1  # type: ignore[attr-defined]


def test_classes_are_short() -> None:
    """Prevents a class that nobody can hold in mind."""
    hold(
        f"a class may have {MOST_CLASS_LINES} lines; take out what has a name of its own",
        (f"{place}: {count}" for place, count in lengths(ast.ClassDef) if count > MOST_CLASS_LINES),
    )


def test_functions_are_short() -> None:
    """Prevents a function that must be read in parts."""
    hold(
        f"a function may have {MOST_FUNCTION_LINES} lines; take out a step",
        (
            f"{place}: {count}"
            for place, count in lengths(ast.FunctionDef, ast.AsyncFunctionDef)
            if count > MOST_FUNCTION_LINES
        ),
    )


def test_every_stage_has_its_rule_file() -> None:
    """Prevents a declared rule that Snakemake does not know, and a rule of Snakemake's that nothing declares."""
    declared = {stage.name: {rule.name for rule in stage.rules} for stage in stages() if stage.rules}
    written = {
        path.stem: re.findall(r"^ *rule (\w+):", path.read_text(), re.MULTILINE)
        for path in RULES.glob("*.smk")
        if path.stem != "common"
    }
    hold(
        "workflow/rules/ has a file for each stage of the catalogue that declares rules, and no other",
        [
            *(f"{name}.smk is missing" for name in declared.keys() - written.keys()),
            *(f"{name}.smk belongs to no stage of the catalogue" for name in written.keys() - declared.keys()),
            *(
                f"{name}.smk has {sorted(written[name])}, the stage declares {sorted(rules)}"
                for name, rules in declared.items()
                if name in written and sorted(written[name]) != sorted(rules)
            ),
        ],
    )


def test_every_stage_is_in_the_catalogue() -> None:
    """Prevents a stage that is there and that no study asks, and one that is asked twice."""
    there = sorted(name.removesuffix(".stage") for name in modules() if name.endswith(".stage"))
    assert sorted(stage.package for stage in stages()) == there


def test_declarations_are_light() -> None:
    """Prevents every start of Snakemake, of a plan or of the doctor from loading what only jobs need."""
    code = f"import sys, recite.catalogue; print(*(name for name in {HEAVY} if name in sys.modules))"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, env={"PYTHONPATH": str(WORKFLOW)}, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    hold("recite.catalogue must not load these; import them where a job runs", run.stdout.split())
