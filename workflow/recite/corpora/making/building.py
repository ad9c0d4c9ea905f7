"""A small corpus from the text that the installed environment holds, with planted control rows.

Documents are passages from the heads of files, where natural duplication lives: licence headers,
boilerplate, shared licence texts. Controls are texts that occur nowhere else, each planted a known
number of times, so that every frequency and rate downstream can be held against the truth. Those of no
copy are sampled like the others, and nothing that trains or counts is handed their file.
"""

import fnmatch
import importlib.metadata
import json
import platform
import re
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

from recite.corpora.tables.training import CONTROLS
from recite.errors import ReciteError
from recite.files import atomic, hash64, sha256_file, write_json
from recite.sources.patterns import plain_patterns

STANDARD_LIBRARY = "python"
CONTROL = "control"
REPEATS = "repeats"
"""Domain of a control's further copies: in the training data, never sampled."""
UNSEEN = "unseen"
"""File of the control domain's texts that have no copy: sampled, never in the training data."""
ZSTD_LEVEL = 9
PARAGRAPH_END = re.compile(r"\n(?:[ \t]*\n)+")


class SourceFile(NamedTuple):
    """A file of an installed package: its name, package first, and where it lies."""

    name: str
    path: Path


class Passage(NamedTuple):
    """A document to be: its identifier and its text."""

    id: str
    text: str


class Control(NamedTuple):
    """A planted text: its document's identifier, how many documents to train on hold it, the text."""

    id: str
    repetitions: int
    text: str


def build_corpus(options: Mapping[str, Any], documents: Mapping[str, Path], controls: Path, manifest: Path) -> None:
    """Write one `.jsonl.zst` file of documents per domain, the table of controls and a manifest.

    `options` is the corpus's name and `build` entry; `documents` maps each source domain, `control`,
    `repeats` and `unseen` to its file. The choice depends only on the seed and on the files' names.
    """
    chosen: dict[str, list[Passage]] = {}
    counts: dict[str, dict[str, int]] = {}
    spare: list[SourceFile] = []
    for domain, source in options["sources"].items():
        files = find_files(source["packages"], source["patterns"])
        files.sort(key=lambda file: (hash64(options["seed"], domain, file.name), file.name))
        passages, used = _take(domain, files, source["documents"], options | source)
        if len(passages) < source["documents"]:
            raise ReciteError(
                f"corpus {options['name']}: domain {domain} has only {len(passages)} of {source['documents']} "
                f"documents in {len(files)} files; ask for fewer, or add packages or patterns in the corpora file."
            )
        chosen[domain] = passages
        counts[domain] = {"files": used, "documents": len(passages)}
        if domain == options["controls"]["source"]:
            spare = files[used:]
    planted = choose_controls(options, spare, [passage.text for texts in chosen.values() for passage in texts])
    chosen[CONTROL] = [Passage(control.id, control.text) for control in planted if control.repetitions]
    chosen[REPEATS] = [Passage(f"{c.id}+{copy}", c.text) for c in planted for copy in range(1, c.repetitions)]
    chosen[UNSEEN] = [Passage(control.id, control.text) for control in planted if not control.repetitions]
    for name, passages in chosen.items():
        _write_documents(documents[name], CONTROL if name == UNSEEN else name, passages)
    columns = {"document_id": [c.id for c in planted], "repetitions": [c.repetitions for c in planted]}
    CONTROLS.write(controls, columns, {"corpus": options["name"]})
    packages = {name for source in options["sources"].values() for name in source["packages"]}
    made = {
        "sources": counts,
        "controls": len(chosen[CONTROL]),
        "unseen": len(chosen[UNSEEN]),
        "versions": {name: _version(name) for name in sorted(packages)},
        "sha256": {domain: sha256_file(path) for domain, path in documents.items()},
    }
    write_json(manifest, made)


def find_files(packages: Sequence[str], patterns: Sequence[str]) -> list[SourceFile]:
    """Files of installed distributions (`python`: the standard library) whose names match a pattern."""
    plain = [one for pattern in patterns for one in plain_patterns(pattern)]
    matching = re.compile("|".join(map(fnmatch.translate, plain))).match
    files = [file for package in packages for file in _package_files(package) if matching(file.name)]
    return [SourceFile(name, path) for name, path in files if path.is_file()]


def cut_passages(text: str, size: int, most: int) -> list[str]:
    """The first `most` pieces of `text`, each of whole paragraphs and of `size` characters or more.

    Paragraphs end at blank lines, so that a text shared by two files gives the same pieces in both
    wherever a piece begins at the same paragraph. A piece is cut at four times `size`; a shorter rest
    is dropped.
    """
    pieces: list[str] = []
    piece = ""
    for paragraph in PARAGRAPH_END.split(text):
        piece += paragraph + "\n\n"
        if len(piece) >= size:
            pieces.append(piece[: 4 * size])
            piece = ""
        if len(pieces) == most:
            break
    return pieces


def choose_controls(options: Mapping[str, Any], spare: Iterable[SourceFile], texts: Sequence[str]) -> list[Control]:
    """One control text from each spare file whose beginning occurs in no other document; those of no copy come last.

    With `whole` among the options nothing of a text, from a quarter of a passage on, occurs elsewhere or twice in it.
    """
    size = options["passage_characters"]
    head = size // 4
    is_found = _any_part if options.get("whole") else _its_head
    by_count = {int(count): rows for count, rows in options["controls"]["repetitions"].items()}
    # Texts go to counts in order: those to be planted are the same with and without any of no copy.
    counts = sorted(by_count, key=lambda count: (count == 0, count))
    wanted = [count for count in counts for _ in range(by_count[count])]
    everything = "\0".join(texts)
    planted: list[Control] = []
    for file in spare:
        if len(planted) == len(wanted):
            break
        pieces = cut_passages(_text(file), size, 3)
        if len(pieces) < 3:
            continue
        text = pieces[2]
        if is_found(text, head, everything) or any(control.text[:head] in text for control in planted):
            continue
        count = wanted[len(planted)]
        planted.append(Control(f"{CONTROL}/x{count}/{len(planted):03d}", count, text))
        everything += "\0" + text
    if len(planted) < len(wanted):
        raise ReciteError(
            f"corpus {options['name']}: only {len(planted)} of {len(wanted)} control texts found in the unused files "
            f"of domain {options['controls']['source']}; plant fewer, or add packages to that domain."
        )
    return planted


def _its_head(text: str, size: int, everything: str) -> bool:
    """Whether the first `size` characters of a text occur in another."""
    return text[:size] in everything


def _any_part(text: str, size: int, everything: str) -> bool:
    """Whether `size` characters of a text occur in another, or twice in it: some aligned part of half of that does."""
    half = size // 2
    parts = (text[start : start + half] for start in range(0, len(text), half))
    return any(part in everything or text.count(part) > 1 for part in parts if len(part) == half)


def _take(domain: str, files: Sequence[SourceFile], most: int, options: Mapping[str, Any]) -> tuple[list[Passage], int]:
    """The first `most` passages of the files in order, and how many files were opened for them."""
    passages: list[Passage] = []
    for used, file in enumerate(files):
        if len(passages) >= most:
            return passages[:most], used
        pieces = cut_passages(_text(file), options["passage_characters"], options["passages_per_file"])
        passages += [Passage(f"{domain}/{file.name}#{index}", piece) for index, piece in enumerate(pieces)]
    return passages[:most], len(files)


def _text(file: SourceFile) -> str:
    """The file's text, "" where it is not UTF-8; a METADATA file without its header."""
    try:
        text = file.path.read_bytes().decode()
    except UnicodeDecodeError:
        return ""
    return text.partition("\n\n")[2] if file.path.name == "METADATA" else text


@cache
def _package_files(package: str) -> list[SourceFile]:
    if package == STANDARD_LIBRARY:
        root = Path(sysconfig.get_path("stdlib"))
        names = sorted(path.relative_to(root) for path in root.rglob("*.*"))
        own = [name for name in names if not {"site-packages", "dist-packages"} & set(name.parts)]
        return [SourceFile(f"{package}/{name.as_posix()}", root / name) for name in own]
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        raise ReciteError(
            f"package {package}, a source of the corpus, is not installed; install it or drop it."
        ) from None
    root = Path(str(distribution.locate_file("")))
    return [SourceFile(f"{package}/{file.as_posix()}", root / file) for file in distribution.files or []]


def _version(package: str) -> str:
    return platform.python_version() if package == STANDARD_LIBRARY else importlib.metadata.version(package)


def _write_documents(path: Path, domain: str, passages: Sequence[Passage]) -> None:
    lines = (json.dumps({"id": p.id, "domain": domain, "text": p.text}, ensure_ascii=False) + "\n" for p in passages)
    with atomic(path) as temporary:
        temporary.write_bytes(zstandard.compress("".join(lines).encode(), ZSTD_LEVEL))
