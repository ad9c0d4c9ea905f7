"""What `recite audit` does: from names on the command line to the text of an audit."""

import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from recite.errors import ReciteError
from recite.files import sha256_file
from recite.provenance.audit import again
from recite.provenance.audit.likeness import shown
from recite.provenance.audit.lone import what_it_needs
from recite.provenance.audit.text import as_json, as_text
from recite.provenance.audit.verdicts import Audit
from recite.provenance.blueprint import Blueprint, read_blueprint
from recite.provenance.digests import Digests
from recite.study.declaration import Stage

ROOT = Path(__file__).resolve().parents[4]
KINDS = ("png", "svg", "csv")
SEEDS = 2**32
"""Of which one is drawn where none is given."""


class Meant(NamedTuple):
    """What a name on the command line means: files of the study, and in words why, where it is a file of elsewhere."""

    paths: list[str]
    words: str = ""


class Wanted(NamedTuple):
    """How an audit is done: told as JSON; every file read again; so many jobs done again, drawn by a seed or any."""

    as_data: bool = False
    full: bool = False
    again: int = 0
    seed: int | None = None


def audit_study(configfile: Path, stages: tuple[Stage, ...], names: Sequence[str], wanted: Wanted) -> tuple[str, bool]:
    """Audit what `names` mean, or all of the study of `configfile`; returns the text, and whether all is well.

    All is well if every file is verified, and every job that was done again made the bytes that stand.

    A name is a figure's, or a file of the study by its path here or in the study. A file from elsewhere is audited as
    the study's file of the same bytes, or as its figure that shows the same, whatever it is called; where there is
    none, the text says what it needs.
    """
    blueprint = read_blueprint(ROOT, configfile, stages)
    if not blueprint.study.is_dir() and not any(Path(name).is_file() for name in names):
        raise ReciteError(f"{blueprint.study} does not exist; run the study, or bring its results there.")
    digests = Digests(blueprint.study, wanted.full)
    meant: dict[str, Meant] = {}
    for name in names:
        meant[name] = _meant(name, blueprint, digests)
        if not meant[name].paths:
            return what_it_needs(Path(name)), False
    targets = [path for found in meant.values() for path in found.paths]
    audit = Audit(blueprint, dict.fromkeys(targets or blueprint.targets), digests)
    said = {name: found.words for name, found in meant.items() if found.words}
    proof = None
    if wanted.again:
        seed = secrets.randbelow(SEEDS) if wanted.seed is None else wanted.seed
        fetching = {rule.name for stage in stages for rule in stage.rules if rule.fetches}
        proof = again.do_again(audit, configfile, wanted.again, seed, fetching)
    well = audit.verified and (proof is None or proof.same)
    if wanted.as_data:
        found = as_json(audit) | ({"given": said} if said else {}) | ({"again": again.as_json(proof)} if proof else {})
        return json.dumps(found, indent=1) + "\n", well
    notes = "".join(f"{name} {words}\n" for name, words in said.items())
    done = f"\n{again.as_text(proof)}" if proof else ""
    return notes + ("\n" if notes else "") + as_text(audit, whole=bool(names)) + done, well


def audited(configfile: Path, stages: tuple[Stage, ...]) -> Audit:
    """The audit of all of a study."""
    blueprint = read_blueprint(ROOT, configfile, stages)
    return Audit(blueprint, blueprint.targets, Digests(blueprint.study))


def _meant(name: str, blueprint: Blueprint, digests: Digests) -> Meant:
    """The files in the study that a name on the command line means; none for a file that the study knows nothing of."""
    if name in blueprint.figures:
        return Meant([f"figures/{name}.{kind}" for kind in KINDS])
    path = Path(name)
    for place in (path, Path.cwd() / path):
        for folder in (blueprint.study, blueprint.study.absolute()):
            if place.is_relative_to(folder):
                name = place.relative_to(folder).as_posix()
    if blueprint.job_of(name) is not None:
        return Meant([name])
    if not path.exists() and not path.suffix:
        raise ReciteError(
            f"{name} is no figure of this study (known: {', '.join(blueprint.figures)}); name one or a file."
        )
    return _twins(path, blueprint, digests) if path.is_file() else Meant([])


def _twins(path: Path, blueprint: Blueprint, digests: Digests) -> Meant:
    """The study's files of the same bytes as a file from elsewhere, else its figures that show the same."""
    size, made = path.stat().st_size, {output for job in blueprint.jobs for output in job.outputs}
    there = [name for name in sorted(made) if (blueprint.study / name).is_file()]
    alike = [name for name in there if (blueprint.study / name).stat().st_size == size]
    sha256 = sha256_file(path) if alike else ""
    same = [name for name in alike if (known := digests.of(name)) is not None and known.sha256 == sha256]
    if same:
        return Meant(same, f"is {' and '.join(same)}, byte for byte.")
    sight, figures = shown(path), [name for name in there if name.startswith("figures/")]
    like = [name for name in figures if sight is not None and shown(blueprint.study / name) == sight]
    return Meant(like, f"shows the same as {' and '.join(like)}, but was saved anew: its bytes are others.")
