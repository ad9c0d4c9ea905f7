"""Predictability in words and numbers."""

import pandas as pd

from recite.outcomes.frame import NATURAL
from recite.outcomes.means import MEMORIZED, UNMEMORIZED
from recite.report import cells
from recite.report.told import Told


def sections(told: Told) -> list[str]:
    """The section, where the study has the tables."""
    tables = told.tables
    if "predictability" not in tables:
        return []
    return [_rates(tables["predictability"], tables["prior_gains"]), _kinds(tables["taxonomy"])]


def _rates(table: pd.DataFrame, gains: pd.DataFrame) -> str:
    natural = table[table["domain"] == NATURAL].sort_values(["family", "parameters"])
    if natural.empty:
        return ""
    unseen = table[table["domain"] == "unseen"].set_index("model")
    of_class = gains[gains["rows"] == NATURAL].set_index(["model", "group"])
    lines = [
        "## Memorized or predictable\n",
        "Natural rows that are recited; the part of them that would be after unrelated contexts of their domain too; "
        "what is left; the same of rows that no model was trained on; and what its own context gives a continuation "
        "over unrelated ones, nats a token:\n",
    ]
    lines.append(
        "| model | rows | recited | explained | corrected | interval | never trained on | corrected | gain, memorized "
        "| gain, unmemorized |"
    )
    lines.append("|---|---:|---:|---:|---:|---|---:|---:|---|---|")
    for row in natural.itertuples():
        false = [cells.share(unseen.loc[row.model, name]) if row.model in unseen.index else "–" for name in RATES]
        gained = [
            _gain(of_class.loc[row.model, group]) if (row.model, group) in of_class.index else "–" for group in GROUPS
        ]
        lines.append(
            f"| {row.model} | {row.n} | {cells.share(row.rate)} | {cells.share(row.explained)} "
            f"| {cells.share(row.corrected)} | {cells.between(row, 'corrected')} | {' | '.join([*false, *gained])} |"
        )
    return "\n".join(lines) + "\n"


RATES = ("rate", "corrected")
GROUPS = (MEMORIZED, UNMEMORIZED)


def _gain(line: pd.Series) -> str:
    return cells.within(line["gain"], line["gain_low"], line["gain_high"])


def _kinds(table: pd.DataFrame) -> str:
    if table.empty:
        return ""
    kinds = list(dict.fromkeys(table["class"]))
    lines = [
        "Memorized rows by why they may be recited: more than five occurrences (recite), else a template that their "
        "context shows (reconstruct), else neither (recollect):\n",
        f"| model | memorized rows | counted | {' | '.join(f'{kind} | interval' for kind in kinds)} |",
        "|---|---|---:|" + "---:|---|" * len(kinds),
    ]
    for (_, _, model, rows), part in table.groupby(["family", "parameters", "model", "rows"]):
        lines.append(f"| {model} | {rows} | {part['n'].iloc[0]} | {' | '.join(_share(part, kind) for kind in kinds)} |")
    return "\n".join(lines) + "\n"


def _share(part: pd.DataFrame, kind: str) -> str:
    (line,) = part[part["class"] == kind].itertuples()
    return f"{cells.share(line.share)} | {cells.between(line, 'share')}"
