"""Erasing in words and numbers."""

import pandas as pd

from recite.report import cells
from recite.report.told import Told
from recite.stages.erasing.shown import shown

NAMES = {
    ("noise", ""): "noise",
    ("heads", "ranked"): "heads",
    ("heads", "random"): "heads at random",
    ("sublayers", "ranked"): "attentions and MLPs",
    ("neurons", "ranked"): "neurons",
    ("neurons", "random"): "neurons at random",
}


def sections(told: Told) -> list[str]:
    """The section, where the study has the table."""
    return [_erased(told.tables["erased"])] if "erased" in told.tables else []


def _erased(table: pd.DataFrame) -> str:
    table = shown(table)
    if table.empty:
        return ""
    damages = sorted(table["damage"].unique())
    lines = [
        "## Erasing recall\n",
        "What memorized rows still recite (mean score M) where an intervention, as it grows, first costs other rows "
        "(unmemorized, or of no copy) so much log-probability a token; and by how much that is less than under noise, "
        "and than without as many at random:\n",
        "| model | rows | texts | damage | intervention | recall left | whole | below noise | below random |",
        "|---|---|---:|---:|---|---|---:|---|---|",
    ]
    removing: list[str] = []
    for (_, _, model, rows, damage), part in table.groupby(["family", "parameters", "model", "rows", "damage"]):
        reached = part[part["recall"].notna()].sort_values("recall", kind="stable")
        for row in reached.itertuples():
            beside = " | ".join(_within(row, f"below_{other}") for other in ("noise", "random"))
            lines.append(
                f"| {model} | {rows} | {row.distinct} | {damage:g} | {NAMES[row.intervention, row.order]} "
                f"| {_within(row, 'recall')} | {cells.share(row.recited)} | {beside} |"
            )
        if len(reached) > 1:
            removing.append(NAMES[reached["intervention"].iloc[0], reached["order"].iloc[0]])
    lines.append(
        f"\nDamages of {', '.join(f'{damage:g}' for damage in damages)} nats; interventions that do not do as much "
        "are left out. What is replaced is ranked by other texts than recall is measured on."
    )
    if removing:
        most = max(dict.fromkeys(removing), key=removing.count)
        lines[-1] += (
            f" Least is left by {most} in {removing.count(most)} of {len(removing)} comparisons, by the value alone."
        )
    return "\n".join(lines) + "\n"


def _within(row: object, name: str) -> str:
    return cells.within(*(getattr(row, f"{name}{end}") for end in ("", "_low", "_high")))
