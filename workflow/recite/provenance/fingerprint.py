"""Which code made a file: a digest of a script and of every library module that it imports.

Snakemake tracks a script by its modification time and its imports not at all. The fingerprint
covers both by meaning: the syntax tree without comments and docstrings, so that a comment costs
no recomputation and a change in an imported module is never missed.
"""

import ast
import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

PACKAGE = "recite"
SOURCE_ROOT = Path(__file__).resolve().parent.parent
# They open the way into a job and note what it did; no byte of a result comes from them, so that a better record
# costs no recomputation. What they import counts only where a stage imports it too.
RECORDING = frozenset(
    f"recite.{module}" for module in ("door", "records", "keeping", "digests", "environment", "fingerprint")
)
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""Where a statement, a handler or a case holds statements."""
SCRIPT = "script"
"""Key of the script itself among the parts of a stage's code."""


@cache
def fingerprint(script: Path) -> str:
    """Hexadecimal digest of `script` and of its import closure within the library."""
    return digest_of_parts(code_parts(script))


def code_parts(script: Path) -> dict[str, str]:
    """Module name -> hexadecimal digest of its meaning, for `script` (as "script") and its import closure."""
    parts = {module: _digest(path) for module, path in sorted(import_closure(script).items())}
    return {SCRIPT: _digest(script), **parts}


def digest_of_parts(parts: Mapping[str, str]) -> str:
    """The fingerprint of code of which every part's digest is known."""
    text = "\n".join(f"{module} {digest}" for module, digest in sorted(parts.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def import_closure(script: Path) -> dict[str, Path]:
    """Module name -> file, for every module of the library that `script` reaches by imports, but for RECORDING."""
    found: dict[str, Path] = {}
    waiting = [script]
    while waiting:
        for module in _imports(waiting.pop()):
            path = _module_path(module)
            if path is not None and module not in found and module not in RECORDING:
                found[module] = path
                waiting.append(path)
    return found


@cache
def _tree(path: Path) -> ast.Module:
    """The syntax tree without statements that are only a string: docstrings, of attributes too, do nothing.

    Comments and layout are not in it anyway.
    """
    tree = ast.parse(path.read_text(), filename=str(path))
    for block in _blocks(tree):
        block[:] = [node for node in block if not _is_text(node)]
    return tree


@cache
def _digest(path: Path) -> str:
    return hashlib.sha256(ast.dump(_tree(path)).encode()).hexdigest()


def _blocks(tree: ast.Module) -> Iterator[list[ast.AST]]:
    """Every list of statements; expressions, which hold none, are not entered: most of a tree is in them."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        for name in BLOCKS:
            if block := getattr(node, name, None):
                yield block
                waiting += block


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@cache
def _imports(path: Path) -> list[str]:
    """Names of library modules, packages included, that the file imports anywhere."""
    names: list[str] = []
    for node in (node for block in _blocks(_tree(path)) for node in block):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    inside = [name for name in names if name.split(".")[0] == PACKAGE]
    parents = [".".join(name.split(".")[:depth]) for name in inside for depth in range(1, name.count(".") + 1)]
    return sorted({*inside, *parents})


def _module_path(module: str) -> Path | None:
    base = SOURCE_ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None
