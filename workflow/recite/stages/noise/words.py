"""Rates under noise in words and numbers."""

import pandas as pd

from recite.report import cells
from recite.report.told import Told


def sections(told: Told) -> list[str]:
    """The sections whose tables there are."""
    tables = told.tables
    return [_noise(tables["noise_rates"])] if "noise_rates" in tables else []


def _noise(table: pd.DataFrame) -> str:
    strengths = sorted(table["alpha"].unique())
    lines = ["## Under noise\n", f"| model | layer | rows | {' | '.join(f'α = {alpha:g}' for alpha in strengths)} |"]
    lines.append("|---|---:|---|" + "---:|" * len(strengths))
    kept = table[(table["domain"] == "natural") | (table["kind"] == "planted")]
    for (model, layer, domain), part in kept.groupby(["model", "noise_layer", "domain"]):
        rates = part.set_index("alpha")["rate"]
        found = " | ".join(cells.share(rates[alpha]) for alpha in strengths)
        lines.append(f"| {model} | {layer} | {domain} | {found} |")
    return "\n".join(lines) + "\n"
