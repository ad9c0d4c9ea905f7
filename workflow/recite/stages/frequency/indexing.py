"""Indexing as a job has it: an index is a folder of files, a corpus one group of an inventory's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recite.corpora.readers import Layout, read_texts
from recite.stages.frequency.ngrams import build_index, units_of
from recite.stages.sampling.jobs import named_files


def index_corpus(
    options: Mapping[str, Any],
    documents: Sequence[Path],
    group: int,
    index: Sequence[Path],
    threads: int,
    memory: int,
    tokenizer: Path | None = None,
) -> None:
    """Sort the suffixes of a share of a corpus; see `build_index`."""
    build_index(
        read_texts(named_files(documents, group), Layout(**options["layout"])),
        units_of(tokenizer),
        folder=index[0].parent,
        threads=threads,
        gigabytes=memory // 10**9,
    )
