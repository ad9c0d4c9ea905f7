"""Verdicts in words and numbers."""

import math

import pandas as pd

from recite.report.told import Told


def opening(told: Told) -> str:
    """The ledger."""
    return _claims(told.tables["claims"], told.tables["claim_families"])


def sections(told: Told) -> list[str]:
    """No more than the opening."""
    return []


def _claims(table: pd.DataFrame, families: pd.DataFrame) -> str:
    lines = ["## The paper's claims\n"]
    lines.append("| claim | statistic | value | these models | such families | p | rule | verdict | each family |")
    lines.append("|---|---|---:|---|---|---:|---|---|---|")
    for row in table.itertuples():
        own = families[families["claim"] == row.claim]
        each = ", ".join(f"{part.family} {part.value:.3g}" for part in own.itertuples()) or "–"
        linked = f"[{row.text}](figures/{row.figure}.png)"
        rule = row.rule if row.over == "families" or math.isnan(row.value) else f"{row.rule}, these models"
        lines.append(
            f"| {linked} | {row.statistic} | {_number(row.value)} | {_ends(row.low, row.high)} "
            f"| {_ends(row.families_low, row.families_high)} | {_number(row.p_value)} | {rule} | {row.verdict} "
            f"| {each} |"
        )
    undecided = table.loc[table["verdict"] == "undecided", "claim"].tolist()
    unknown = table.loc[table["verdict"] == "not measured", "claim"].tolist()
    told = []
    if undecided:
        told.append(f"Open, as the interval holds the bound or chance may do it: {', '.join(undecided)}.")
    if unknown:
        told.append(f"Not measured, as these models have too little to measure: {', '.join(unknown)}.")
    return "\n".join(lines) + "\n\n" + " ".join(told) + "\n"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}"


def _ends(low: float, high: float) -> str:
    return "–" if math.isnan(low) else f"{low:.3g} to {high:.3g}"
