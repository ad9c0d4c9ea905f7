"""Which code made a file: a digest of the modules that did the work and of every library module that these import.

Snakemake tracks a script by its modification time and its imports not at all. The fingerprint
covers both by meaning: the syntax tree without comments and docstrings, so that a comment costs
no recomputation and a change in an imported module is never missed. What opens the way into a job and
notes what it did is imported by no such module and so is no part of it.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

PACKAGE = "recite"
SOURCE_ROOT = Path(__file__).resolve().parents[2]
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""Where a statement, a handler or a case holds statements."""


@cache
def fingerprint(modules: tuple[str, ...]) -> str:
    """Hexadecimal digest of modules of the library and of their import closure within it."""
    return digest_of_parts(code_parts(modules))


def code_parts(modules: Iterable[str]) -> dict[str, str]:
    """Module name -> hexadecimal digest of its meaning, for some modules and their import closure."""
    return {module: _source(path).digest for module, path in sorted(import_closure(modules).items())}


def digest_of_parts(parts: Mapping[str, str]) -> str:
    """The fingerprint of code of which every part's digest is known."""
    text = "\n".join(f"{module} {digest}" for module, digest in sorted(parts.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def import_closure(modules: Iterable[str]) -> dict[str, Path]:
    """Module name -> file, for some modules, the packages that they lie in, and all that these reach by imports."""
    found: dict[str, Path] = {}
    waiting = [name for module in modules for name in _with_parents(module)]
    while waiting:
        module = waiting.pop()
        path = _module_path(module)
        if path is not None and module not in found:
            found[module] = path
            waiting += _source(path).imports
    return found


def _with_parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:depth]) for depth in range(1, len(parts) + 1)]


class _Source(NamedTuple):
    """A file's meaning: its digest, and the library modules, packages included, that it imports anywhere."""

    digest: str
    imports: list[str]


@cache
def _source(path: Path) -> _Source:
    """Of the syntax tree without statements that are only a string: docstrings, of attributes too, do nothing.

    Comments and layout are not in it anyway. Trees are not kept: those of the library are 40 MB.
    """
    tree = ast.parse(path.read_text(), filename=str(path))
    for block in _blocks(tree):
        block[:] = [node for node in block if not _is_text(node)]
    return _Source(hashlib.sha256(ast.dump(tree).encode()).hexdigest(), _imports(tree))


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


def _imports(tree: ast.Module) -> list[str]:
    names: list[str] = []
    for node in (node for block in _blocks(tree) for node in block):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    inside = [name for name in names if name.split(".")[0] == PACKAGE]
    return sorted({part for name in inside for part in _with_parents(name)})


def _module_path(module: str) -> Path | None:
    base = SOURCE_ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None
