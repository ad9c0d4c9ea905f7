"""What `recite audit` does: from names on the command line to the text of an audit."""

import json
from collections.abc import Sequence
from pathlib import Path

from recite.audit import Audit
from recite.audit_text import as_json, as_text
from recite.blueprint import Blueprint, read_blueprint
from recite.digests import Digests
from recite.errors import ReciteError
from recite.files import sha256_file
from recite.lone import what_it_needs

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("png", "svg", "csv")


def audit_study(configfile: Path, names: Sequence[str], as_data: bool, full: bool) -> tuple[str, bool]:
    """Audit what `names` mean, or all of the study of `configfile`; returns the text, and whether all is verified.

    A name is a figure's, or a file of the study by its path here or in the study. A figure's file from elsewhere is
    audited as the study's file of the same bytes; where there is none, the text says what it needs.
    """
    blueprint = read_blueprint(ROOT, configfile)
    if not blueprint.study.is_dir() and not any(Path(name).is_file() for name in names):
        raise ReciteError(f"{blueprint.study} does not exist; run the study, or bring its results there.")
    digests = Digests(blueprint.study, full)
    targets: list[str] = []
    for name in names:
        found = _paths_of(name, blueprint, digests)
        if not found:
            return what_it_needs(Path(name)), False
        targets += found
    audit = Audit(blueprint, dict.fromkeys(targets or blueprint.targets), digests)
    text = json.dumps(as_json(audit), indent=1) + "\n" if as_data else as_text(audit, whole=bool(names))
    return text, audit.verified


def _paths_of(name: str, blueprint: Blueprint, digests: Digests) -> list[str]:
    """The files in the study that a name on the command line means; none for a file from elsewhere."""
    if name in blueprint.figures:
        return [f"figures/{name}.{kind}" for kind in KINDS]
    path = Path(name)
    for place in (path, Path.cwd() / path):
        for folder in (blueprint.study, blueprint.study.absolute()):
            if place.is_relative_to(folder):
                name = place.relative_to(folder).as_posix()
    if blueprint.job_of(name) is not None:
        return [name]
    if not path.exists() and not path.suffix:
        raise ReciteError(
            f"{name} is no figure of this study (known: {', '.join(blueprint.figures)}); name one or a file."
        )
    if path.is_file():
        twin = f"figures/{path.name}"
        known = digests.of(twin) if blueprint.job_of(twin) else None
        if known is not None and known.sha256 == sha256_file(path):
            return [twin]
    return []
