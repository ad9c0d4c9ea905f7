"""Candidates of a whole corpus, group by group, as its jobs gather them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recite.corpora.candidates import gather
from recite.corpora.inventory import files_of_group, take_inventory
from recite.corpora.readers import Layout
from recite.corpora.tables.candidates import CANDIDATES
from recite.tables import read_metadata


def candidates_of(
    place: Path, options: Mapping[str, Any], layout: Layout, draw: Mapping[str, Any], threads: int = 1
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Candidates of all groups, and how many documents were skipped by reason; files are written below `place`."""
    place.mkdir(parents=True, exist_ok=True)
    take_inventory(options, place / "inventory.json", fetch=False)
    rows: list[dict[str, Any]] = []
    skipped: dict[str, int] = {}
    for group in range(options["groups"]):
        path = place / f"{group}.parquet"
        gather(draw, files_of_group(place / "inventory.json", group), layout, path, threads)
        rows += CANDIDATES.read(path).to_pylist()
        for reason, found in read_metadata(path)["skipped"].items():
            skipped[reason] = skipped.get(reason, 0) + found["count"]
    return rows, skipped
