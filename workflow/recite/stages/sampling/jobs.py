"""Corpora as the jobs have them: files made here by name, or one group of an inventory's files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recite.corpora.candidates import gather
from recite.corpora.inventory import files_of_group, left_out
from recite.corpora.making.building import build_corpus
from recite.corpora.readers import Layout, Share


def make_corpus(options: Mapping[str, Any], outputs: Mapping[str, Path]) -> None:
    """Write the files of documents, the table of controls and a manifest; see `build_corpus`."""
    documents = {name: path for name, path in outputs.items() if name not in ("controls", "manifest")}
    build_corpus(options, documents, outputs["controls"], outputs["manifest"])


def gather_candidates(
    options: Mapping[str, Any], documents: Sequence[Path], group: int, candidates: Path, threads: int
) -> None:
    """Read files of documents, or one group of an inventory's, and keep what a sample may hold; see `gather`."""
    gather(
        options["draw"],
        named_files(documents, group),
        Layout(**options["layout"]),
        candidates=candidates,
        threads=threads,
        without=left_out(documents[0]) if is_inventory(documents) else {},
    )


def named_files(documents: Sequence[Path], group: int) -> dict[str, Share]:
    """Name within the corpus -> what is read in one go."""
    return files_of_group(documents[0], group) if is_inventory(documents) else {path.name: path for path in documents}


def is_inventory(documents: Sequence[Path]) -> bool:
    """Whether these are not documents but the one list of where these lie."""
    return documents[0].suffix == ".json"
