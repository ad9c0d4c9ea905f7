"""Recall by place in the document in words and numbers."""

import pandas as pd

from recite.outcomes.frame import NATURAL, PLANTED
from recite.outcomes.means import FEWEST
from recite.report import cells
from recite.report.told import Told

KEYS = ["model", "domain", "context"]


def sections(told: Told) -> list[str]:
    """The section, where the study has the tables."""
    if "offsets" not in told.tables:
        return []
    return [_rates(told.tables["offsets"], told.tables["offset_changes"])]


def _rates(table: pd.DataFrame, changes: pd.DataFrame) -> str:
    table, changes = (lines[(lines["domain"] == NATURAL) | (lines["kind"] == PLANTED)] for lines in (table, changes))
    if table.empty:
        return ""
    places = sorted(table["place"].unique())
    lines = [
        "## Where in the document\n",
        "Share of windows that are recited, by the tokens of the document before the window; in brackets how many "
        "documents have it.\n",
        f"| model | rows | context | {' | '.join(f'from {place}' for place in places)} |",
        "|---|---|---:|" + "---:|" * len(places),
    ]
    for key, part in table.groupby(KEYS):
        by_place = {line.place: f"{cells.share(line.rate)} ({line.n})" for line in part.itertuples()}
        lines.append(f"| {' | '.join(map(str, key))} | {' | '.join(by_place[place] for place in places)} |")
    lines += ["", *_without(table)]
    if not changes.empty:
        lines += _changes(changes, places[1:])
    return "\n".join(lines) + "\n"


def _without(table: pd.DataFrame) -> list[str]:
    """Where most documents have no window, if any has none."""
    natural = table[table["domain"] == NATURAL]
    table = table if natural.empty else natural
    worst = table.loc[((table["short"] + table["cut"]) / table["documents"]).idxmax()]
    if worst.n == worst.documents:
        return []
    return [
        f"Documents without a window, at most {int(worst.short)} that end before it and {int(worst.cut)} that were not "
        f"read so far, of {int(worst.documents)} ({worst.domain} rows of {worst.model}, from {worst.place} with a "
        f"context of {worst.context}), are left out there: later places are places of longer documents.\n"
    ]


def _changes(changes: pd.DataFrame, places: list[int]) -> list[str]:
    """A table of differences, each over the documents that have both windows."""
    lines = [
        "Change of that share, in percentage points, from the window at the document's beginning to a later one of "
        "the same documents:\n",
        f"| model | rows | context | {' | '.join(f'from {place}' for place in places)} |",
        "|---|---|---:|" + "---:|" * len(places),
    ]
    for key, part in changes.groupby(KEYS):
        by_place = {line.place: _points(line) for line in part.itertuples()}
        lines.append(f"| {' | '.join(map(str, key))} | {' | '.join(by_place.get(p, '–') for p in places)} |")
    return lines


def _points(line: object) -> str:
    """A change with its interval; without one where there are too few texts for a bootstrap."""
    value, low, high = (100 * getattr(line, f"change{end}") for end in ("", "_low", "_high"))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]" if line.distinct >= FEWEST else f"{value:+.1f}"  # type: ignore[attr-defined]
