"""Kinds of domains in words and numbers."""

import pandas as pd

from recite.report import cells
from recite.report.told import Told


def sections(told: Told) -> list[str]:
    """The sections whose tables there are."""
    tables = told.tables
    return [_kinds(tables["kinds"]), _profiles(tables["profiles"])]


def _kinds(table: pd.DataFrame) -> str:
    table = table[(table["alpha"] == 0) & (table["memorized"] > 0)]
    if table.empty:
        return ""
    lines = ["## Structural and free text\n"]
    lines.append(
        "| model | structural | free text | half and half | interval | structural share | interval | as sampled | q |"
    )
    lines.append("|---|---:|---:|---:|---|---:|---|---:|---:|")
    lines += [
        f"| {row.model} | {cells.share(row.structural)} | {cells.share(row.free_text)} | {cells.share(row.adjusted)} "
        f"| {cells.between(row, 'adjusted')} | {cells.share(row.structural_share)} "
        f"| {cells.between(row, 'structural_share')} | {cells.share(row.raw_share)} "
        f"| {cells.probability(row.q_value)} |"
        for row in table.itertuples()
    ]
    return "\n".join(lines) + "\n"


def _profiles(table: pd.DataFrame) -> str:
    table = table[table["similarity"].notna()]
    if table.empty:
        return ""
    within = table["family_a"] == table["family_b"]
    parts = [(name, table[chosen]) for name, chosen in (("one family", within), ("two families", ~within))]
    found = [f"{part['similarity'].mean():.2f} over {len(part)} pairs of {name}" for name, part in parts if len(part)]
    return f"Mean correlation of two models' rates by class of text: {', '.join(found)}.\n"
