"""The doctor: what would stop a big run or spoil it, found before it starts; nothing is changed.

It looks at this folder: at what Snakemake left behind, at room on the disk, at weights and corpora. What it asks SLURM
is in `recite.doctor.slurm`.
"""

import os
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from shutil import disk_usage
from typing import Any

from recite.doctor.findings import Finding
from recite.errors import ReciteError
from recite.files import read_json, sha256_file
from recite.planning.costs import Machine
from recite.planning.planner import Planner
from recite.sources.patterns import files_below, matching, same_name
from recite.study.study import Study

STATE = Path(".snakemake")
"""Where Snakemake keeps locks, and its records of files."""
WITHOUT_RECORD = ("logs", "records", "report.html")
"""Folders and files of a study's results which Snakemake keeps no record."""
SHOWN = 3
"""Files that a finding names."""


def examine(study: Study, full: bool) -> Iterator[Finding]:
    """What is wrong in this folder; `full` compares digests of weights too, which reads them."""
    heads = running_heads()
    yield from locks(heads)
    yield from records(study)
    yield from leftovers(study, heads)
    yield from disk(study)
    for model in study.models:
        yield from weights(study, model, full)
    for corpus in study.domains:
        yield from corpus_files(study, corpus)


def running_heads() -> list[int]:
    """Processes of this machine that run Snakemake in this folder; not jobs of theirs, nor dry runs."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            here = (process / "cwd").resolve() == Path.cwd()
        except OSError:  # it has ended meanwhile, or is another user's
            continue
        named = any(word == b"snakemake" or word.endswith(b"/snakemake") for word in words)
        if here and named and not {b"remote", b"-n", b"--dry-run"} & set(words):
            found.append(int(process.name))
    return sorted(found)


def locks(heads: list[int]) -> Iterator[Finding]:
    """A lock, whose head runs or does not."""
    if not any((STATE / "locks").glob("*")):
        return
    if heads:
        yield Finding(
            f"Snakemake runs here already (process {', '.join(map(str, heads))})",
            "let it finish, or stop it with Ctrl-C, which cancels its jobs",
        )
    else:
        yield Finding(
            "a stale lock: no Snakemake of this machine runs in this folder, yet one has locked it",
            "make sure that none runs here on another machine, then: snakemake --unlock",
        )


def record_path(file: str) -> Path:
    """Where Snakemake 9 keeps its record of a file."""
    name = urlsafe_b64encode(file.encode()).decode()
    size = os.pathconf(".", "PC_NAME_MAX") - 1
    pieces = [name[start : start + size] for start in range(0, len(name), size)]
    return Path(STATE, "metadata", *(f"@{piece}" for piece in pieces[:-1]), pieces[-1])


def made_files(study: Study) -> list[str]:
    """Results of rules, by their paths from here."""
    root = Path(study.results)
    paths = (path for path in sorted(root.rglob("*")) if path.is_file())
    parts = ((path, path.relative_to(root).parts) for path in paths)
    return [
        str(path)
        for path, names in parts
        if names[0] not in WITHOUT_RECORD and not any(name.startswith(".") for name in names)
    ]


def records(study: Study) -> Iterator[Finding]:
    """Results of which Snakemake does not know what they were made with: their code or options may change unseen."""
    lost = [file for file in made_files(study) if not record_path(file).exists()]
    if lost:
        more = f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
        yield Finding(
            f"{len(lost)} results have no record of what they were made with: {', '.join(lost[:SHOWN])}{more}",
            "if this config and code made them: snakemake --touch with the same --configfile; if not, delete them",
        )


def leftovers(study: Study, heads: list[int]) -> Iterator[Finding]:
    """Temporary files of jobs that were killed; of a running job while a head runs."""
    found = [str(path) for path in sorted(Path(study.results).rglob(".*.tmp"))]
    if found and not heads:
        yield Finding(
            f"{len(found)} temporary files of jobs that were killed, such as {found[0]}",
            f"once no job runs: find {study.results} -name '.*.tmp' -exec rm -r {{}} +",
        )


def disk(study: Study) -> Iterator[Finding]:
    """Less room than the plan needs, beside what is there already."""
    try:
        planned = sum(job.written for job in Planner(study, Machine()).jobs)
    except ReciteError as error:
        yield Finding(f"no plan, so the room that the study needs is unknown: {error}", "add these facts")
        return
    root = Path(study.results)
    there = sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) if root.exists() else 0
    free = disk_usage(next(path for path in (root, *root.parents) if path.exists())).free
    if free < planned - there:
        yield Finding(
            f"{study.results} needs {(planned - there) / 1e9:,.1f} GB more, and the disk has {free / 1e9:,.1f} GB",
            "free some space, or make `results` a link to a larger disk",
        )


def weights(study: Study, model: str, full: bool) -> Iterator[Finding]:
    """Weights that are not there, that cannot be loaded as what their entry says, or that were not registered so."""
    entry = study.models[model].entry
    if entry is None:
        return
    path = Path(entry["path"])
    if not path.exists():
        if not (study.config["fetch"] and "revision" in entry and path.suffix != ".gguf"):
            yield Finding(
                f"model {model}: no weights at {path}",
                "put its safetensors there, name their place by `path` in the models file, or set fetch: true",
            )
        return
    try:
        _examine(study, model, path)
    except ReciteError as error:
        what, _, remedy = str(error).removesuffix(".").rpartition("; ")
        yield Finding(what if what.startswith(f"model {model}") else f"model {model}: {what}", remedy)
    record = Path(study.results, "checkpoints", f"{model}.json")
    if not record.exists():
        return
    place = path if path.is_dir() else path.parent
    for name, was in read_json(record)["files"].items():
        file = place / name
        found = file.stat().st_size if file.exists() else None
        if found != was["bytes"] or (full and sha256_file(file) != was["sha256"]):
            yield Finding(
                f"model {model}: {file} is not the file that was registered",
                f"put the right one there, or delete {record} to have the model measured anew",
            )


def _examine(study: Study, model: str, path: Path) -> None:
    """What registration would say of a checkpoint, without reading its weights.

    Imported here is torch, which no other question needs.
    """
    from recite.checkpoints.registration import examine
    from recite.sources.fetching import tokenizer_file

    options = study.rules["registration"].options(study, {"model": model}) | {"fetch": False}
    family = study.rules["family_tokenizer"].options(study, {"family": study.models[model].family}) | {"fetch": False}
    examine(options, path, tokenizer_file(family if Path(family["path"]).exists() else options))


def corpus_files(study: Study, corpus: str) -> Iterator[Finding]:
    """A corpus of which a pattern matches no file, or whose files changed after they were listed."""
    if "files" not in study.corpora[corpus]:
        return
    options = study.rules["inventory"].options(study, {"corpus": corpus})
    folder = Path(options["folder"])
    try:
        names = files_below(folder)
    except ReciteError as error:
        yield Finding(f"corpus {corpus}: its files are not known", str(error))
        return
    absent = _absent(options, names)
    if absent and not (study.config["fetch"] and "revision" in options and not names):
        yield Finding(
            f"corpus {corpus}: no file of {folder} matches {absent[0]!r}",
            "put its files there, correct `folder` or `patterns` in the corpora file, or set fetch: true",
        )
    unknown = [name for name in options.get("without", ()) if same_name(names, name) is None]
    if names and unknown and "dataset" not in options:
        yield Finding(
            f"corpus {corpus}: `without` names {unknown[0]!r}, which is no file of {folder}",
            "correct it in the corpora file",
        )
    inventory = Path(study.results, "inventories", f"{corpus}.json")
    if not inventory.exists():
        return
    changed = _changed(read_json(inventory), folder)
    for name in islice(changed, 1):
        yield Finding(
            f"corpus {corpus}: {len(changed)} of its files are not as they were listed, such as {folder / name}",
            f"put the right ones there, or delete {inventory} to have the corpus read anew",
        )


def _absent(options: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Patterns that match nothing and should; one of several for texts may, and what is streamed does not lie here."""
    patterns = options.get("patterns", ["*"])
    absent = [pattern for pattern in patterns if not matching(names, pattern)]
    streamed = options.get("dataset", {}).get("streaming", False)
    return [] if streamed or (options.get("whole") and len(absent) < len(patterns)) else absent


def _changed(inventory: Mapping[str, Any], folder: Path) -> list[str]:
    """Files that are not there, or not of the size that an inventory lists; of a data set those that are not there."""
    if "rows" in inventory:
        behind = dict.fromkeys(file for share in inventory["rows"].values() for file in share["files"])
        return [file for file in behind if not Path(file).exists()]
    listed = [pair for group in inventory["groups"] for pair in group.items()]
    return [name for name, size in listed if not (folder / name).exists() or (folder / name).stat().st_size != size]
