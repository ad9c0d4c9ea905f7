"""Local infini-gram indexes: suffix arrays over a corpus, in which any span of bytes or tokens is counted exactly.

An index holds the documents one after the other, each behind a separator that no span contains, so that no
span is found across the end of a document. infini-gram (Liu et al. 2024) sorts and searches; what fits into memory
is sorted by libdivsufsort (Mori), which takes a quarter of the time. This module gives both their input and
checks what comes out.
"""

import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from shutil import rmtree
from typing import Any, NamedTuple

import numpy as np
from pydivsufsort import divsufsort

from recite.corpora.tokenizer import load_tokenizer
from recite.errors import ReciteError
from recite.files import read_json, write_json

FILES = ("tokenized.0", "offset.0", "table.0")
"""What infini-gram reads of an index: the corpus, where its documents begin, and the sorted suffixes."""
RECORD = "index.json"
BATCH_DOCUMENTS = 1024
BATCH_SUFFIXES = 1 << 20
SORTING_BYTES = 5
"""Memory that libdivsufsort takes for each byte: the byte and a number of four."""
LARGEST = 2**31 - 1
"""Bytes that such a number can point into."""
SEPARATOR_AND_END = 2
"""Greatest values of a unit's type that the index keeps for itself."""

Span = tuple[int, ...]


class Units(NamedTuple):
    """What a corpus is cut into: bytes of UTF-8, or the tokens of a tokenizer.

    encode: documents -> units of each, one-dimensional. encode_parts: the same of parts of documents, and for each
    whether it begins where its document does. width: bytes that a unit takes in the index; sorting units of four bytes
    in parts takes 34 GB of memory, however few they are.
    """

    encode: Callable[[Sequence[str]], list[np.ndarray]]
    encode_parts: Callable[[Sequence[str], Sequence[bool]], list[np.ndarray]]
    width: int

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(f"<u{self.width}")

    @property
    def separator(self) -> int:
        """The unit before every document; bytes of UTF-8 and ids of tokens are below it."""
        return int(np.iinfo(self.dtype).max)


def units_of(tokenizer: Path | None) -> Units:
    """Tokens of a tokenizer's file without special tokens, or bytes where none is given."""
    if tokenizer is None:
        return Units(_bytes, lambda texts, heads: _bytes(texts), 1)
    encoder = load_tokenizer(tokenizer)
    width = 2 if max(encoder.vocabulary.values()) <= np.iinfo(np.uint16).max - SEPARATOR_AND_END else 4

    def parts(texts: Sequence[str], heads: Sequence[bool]) -> list[np.ndarray]:
        # a row is cut off somewhere: where its document ends is not known, and hardly ever there
        return [np.array(ids, np.uint32) for ids, _ in encoder.encode_parts(texts, heads, [False] * len(texts))]

    return Units(lambda texts: [np.array(ids, np.uint32) for ids, _ in encoder.encode(texts)], parts, width)


def _bytes(texts: Sequence[str]) -> list[np.ndarray]:
    return [np.frombuffer(text.encode(), np.uint8) for text in texts]


def build_index(texts: Iterable[str], units: Units, folder: Path, threads: int, gigabytes: int) -> None:
    """Write an index of `texts` into `folder`: infini-gram's files and, when these are whole, a record.

    Texts are read once and not kept. Sorting takes `threads` cores and `gigabytes` of memory. A corpus of which five
    times as much fits into that is sorted on one core; of others each core sorts a part, with 12 bytes of memory for
    each byte (8 for wider units). Raises ReciteError for a corpus without text, or if sorting fails.
    """
    building = folder / ".building"
    rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    documents, size = _write_units(texts, units, building)
    if not documents:
        raise ReciteError(f"{folder}: the corpus has no documents to index; run the rule that makes it again.")
    corpus_bytes = size * units.width
    if corpus_bytes <= LARGEST and SORTING_BYTES * corpus_bytes <= gigabytes * 10**9:
        _sort_bytes(building, units.width)
    else:
        _sort(building, units, threads, gigabytes)
    for name in FILES:
        (building / name).replace(folder / name)
    write_json(folder / RECORD, {"documents": documents, "units": size - documents, "width": units.width})
    rmtree(building)


def _write_units(texts: Iterable[str], units: Units, folder: Path) -> tuple[int, int]:
    """Write documents and their offsets; the number of documents, and of units with the separators."""
    documents = size = 0
    with (folder / FILES[0]).open("wb") as corpus, (folder / FILES[1]).open("wb") as offsets:
        waiting, separator = iter(texts), units.separator.to_bytes(units.width, "little")
        while batch := list(islice(waiting, BATCH_DOCUMENTS)):
            for found in units.encode(batch):
                offsets.write((size * units.width).to_bytes(8, "little"))
                corpus.write(separator)
                corpus.write(found.astype(units.dtype).tobytes())
                documents, size = documents + 1, size + 1 + len(found)
    return documents, size


def _sort_bytes(folder: Path, unit: int) -> None:
    """Sort what is in `folder` at once into infini-gram's table: little-endian numbers of as few bytes as do.

    Its order is that of bytes; of units of several, `unit`, it holds the places where one begins.
    """
    suffixes = divsufsort(np.fromfile(folder / FILES[0], np.uint8))
    width = math.ceil(math.log2(len(suffixes)) / 8)
    with (folder / FILES[2]).open("wb") as table:
        for start in range(0, len(suffixes), BATCH_SUFFIXES):
            part = suffixes[start : start + BATCH_SUFFIXES]
            wide = part[part % unit == 0].astype("<i8").view(np.uint8).reshape(-1, 8)
            table.write(wide[:, :width].tobytes())


def _sort(folder: Path, units: Units, threads: int, gigabytes: int) -> None:
    """Run infini-gram's indexing on what is in `folder`, under a name without spaces: it hands paths to a shell."""
    with tempfile.TemporaryDirectory(prefix="recite-") as place:
        link = Path(place, "index")
        link.symlink_to(folder.resolve(), target_is_directory=True)
        options = {"data_dir": link, "save_dir": link, "token_dtype": f"u{8 * units.width}"}
        options |= {"mem": max(1, gigabytes), "cpus": threads, "ulimit": 1024}
        arguments = [str(word) for key, value in options.items() for word in (f"--{key}", value)]
        run = subprocess.run(
            [sys.executable, "-m", "infini_gram.indexing", *arguments], capture_output=True, text=True, check=False
        )
    print(run.stdout, run.stderr, flush=True)
    table = folder / FILES[2]
    if run.returncode or not table.exists():
        reason = next((line for line in reversed(run.stderr.splitlines()) if line.strip()), "no reason given")
        raise ReciteError(
            f"infini-gram could not sort {folder} ({reason}); look into the job's log, give it more memory or disk."
        )


def _engine() -> Any:
    """The class of infini-gram's indexes, which has no build for some machines."""
    try:
        from infini_gram.engine import InfiniGramEngine
    except ModuleNotFoundError:
        raise ReciteError(
            "infini-gram has no build for this machine (only for Linux on x86-64 and macOS on arm64), so that no local "
            "index can be read; leave `frequency` out of the config, or count by `public` alone."
        ) from None
    return InfiniGramEngine


class Index:
    """An index that is open for counting; several folders count as one corpus."""

    def __init__(self, folders: Sequence[Path]) -> None:
        widths = {read_json(folder / RECORD)["width"] for folder in folders}
        for folder in folders:
            for name in FILES:
                if not (folder / name).is_file():
                    raise ReciteError(f"{folder / name} does not exist; run the rule that makes it again.")
        if len(widths) != 1:
            raise ReciteError(
                f"{folders[0].parent}: its indexes hold units of different widths; delete them and run again."
            )
        width = widths.pop()
        most = int(np.iinfo(f"u{width}").max)
        self.engine = _engine()(
            index_dir=[str(folder) for folder in folders],
            eos_token_id=most - 1,
            vocab_size=most,
            token_dtype=f"u{8 * width}",
            version=4,
        )

    def counts(self, spans: Sequence[Span]) -> list[int]:
        """Occurrences of each span, overlapping ones too; of the empty span all units, separators included."""
        answers: list[Any] = [self.engine.count(list(span)) for span in spans]
        return [answer["count"] for answer in answers]
