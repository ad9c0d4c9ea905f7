"""What pages have in common: one file that loads nothing, its style and scripts, a policy that allows no others."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

FOLDER = Path(__file__).parent
SCRIPTS = FOLDER / "scripts"
SETTINGS: dict[str, Any] = {"autoescape": True, "undefined": StrictUndefined}
SETTINGS |= {"trim_blocks": True, "lstrip_blocks": True}


class Inline(NamedTuple):
    """A text that stands in the page, and what a content security policy calls it."""

    text: str
    source: str


class Shell(NamedTuple):
    """A page's style, the script that runs before it is drawn, and the one that runs when it stands."""

    style: Inline
    head: Inline
    script: Inline


def render(template: Path, scripts: Sequence[str], styles: Sequence[Path] = (), **values: Any) -> str:
    """The page of a template that extends `shell.html.jinja`; its scripts and styles come after the common ones."""
    shell = Shell(
        _inline([FOLDER / "style.css", *styles]),
        _inline([SCRIPTS / "head.js"]),
        _inline([SCRIPTS / f"{name}.js" for name in ("links", *scripts)]),
    )
    environment = Environment(loader=FileSystemLoader([template.parent, FOLDER]), **SETTINGS)
    return environment.get_template(template.name).render(shell=shell, **values)


def _inline(paths: Sequence[Path]) -> Inline:
    text = "\n".join(path.read_text() for path in paths)
    return Inline(text, f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'")
