"""A folder of short texts, by domain: from files of this checkout, of installed packages and of wheels.

What a study with a corpus of `texts` reads. Texts are cut at white space into pieces within paragraphs; pieces that
differ in white space alone are one, so that a licence that a hundred packages hold is not a hundred rows.
"""

import hashlib
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from recite.corpora.making.building import PARAGRAPH_END, find_files
from recite.errors import ReciteError
from recite.files import hash64, write_json
from recite.sources.wheels import read_from_wheel

QUOTES = '"""'


def gather(options: Mapping[str, Any], wheels: Path) -> dict[str, dict[str, Any]]:
    """Write the texts of every domain to <texts>/<domain>/<nnnn>.txt; says of each domain how many, and their digest.

    Which are taken depends on the seed and on the pieces alone, not on the names of files. The folder appears whole.
    """
    folder = Path(options["texts"])
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    made: dict[str, dict[str, Any]] = {}
    for domain, source in options["domains"].items():
        pieces = distinct_pieces(read_texts(source, wheels), options["piece_characters"], source["copies"])
        chosen = sorted(pieces, key=lambda piece: (hash64(options["seed"], domain, piece), piece))[: source["pieces"]]
        if not chosen:
            raise ReciteError(f"domain {domain}: no text was found; correct its entry in the file that names it.")
        (partial / domain).mkdir(parents=True)
        for index, piece in enumerate(chosen):
            (partial / domain / f"{index:04d}.txt").write_text(piece)
        digest = hashlib.sha256("\0".join(chosen).encode()).hexdigest()
        made[domain] = {"distinct": len(pieces), "taken": len(chosen), "sha256": digest}
    write_json(partial / "gathered.json", made)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return made


def read_texts(source: Mapping[str, Any], wheels: Path) -> Iterator[str]:
    """The texts of a source: files of installed packages, of a folder, or the first long string of a wheel's module."""
    if "packages" in source:
        paths = [file.path for file in find_files(source["packages"], source["patterns"])]
    elif "folder" in source:
        paths = sorted({path for pattern in source["patterns"] for path in Path(source["folder"]).glob(pattern)})
    else:
        module = read_from_wheel(source, wheels).decode()
        for mark in source["without"]:
            module = module.replace(mark, "")
        text = module.split(QUOTES)[1]
        # a line is a paragraph there
        yield from passages(text, source) if "passages" in source else [text.replace("\n", "\n\n")]
        return
    for path in paths:
        try:
            yield path.read_bytes().decode()
        except UnicodeDecodeError:
            continue


def passages(text: str, source: Mapping[str, Any]) -> Iterator[str]:
    """So many characters of `text` from where each passage begins, to a word's end; ReciteError for one it lacks."""
    for beginning in source["passages"]:
        start = text.find(beginning)
        if start < 0:
            raise ReciteError(f"{source['wheel']}: no passage begins {beginning!r}; correct `passages`.")
        yield text[start : start + source["passage_characters"]].rpartition(" ")[0].replace("\n", " ")


def distinct_pieces(texts: Iterable[str], size: int, copies: int = 1) -> list[str]:
    """Pieces of `size` characters or more, each from a word's start to a word's end within a paragraph, none twice.

    Only those that `copies` texts or more hold. Of those that differ in white space the first by alphabet is taken.
    """
    piece = re.compile(rf"\S.{{{size - 1},}}?(?=\s|\Z)", re.DOTALL)
    found: dict[str, str] = {}
    holders: Counter[str] = Counter()
    for text in texts:
        cuts = [cut for paragraph in PARAGRAPH_END.split(text) for cut in piece.findall(paragraph)]
        by_words = [(" ".join(cut.split()), cut) for cut in cuts]
        holders.update({words for words, _ in by_words})
        for words, cut in by_words:
            found[words] = min(cut, found.get(words, cut))
    return [cut for words, cut in found.items() if holders[words] >= copies]
