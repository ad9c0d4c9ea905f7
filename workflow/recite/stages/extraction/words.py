"""Extraction by sampling in words and numbers."""

import pandas as pd

from recite.outcomes.frame import NATURAL
from recite.report import cells
from recite.report.told import Told

EVEN = 0.5
"""The probability with which a draw is to meet the true continuation."""
DRAWS = 100
"""In how many."""
SHOWN = (1, 100, 10_000)
PLAIN = "plain"


def sections(told: Told) -> list[str]:
    """The section, where the study has the table."""
    return [_extraction(told.tables["extraction"])] if "extraction" in told.tables else []


def _extraction(table: pd.DataFrame) -> str:
    table = table[(table["domain"] == NATURAL) & (table["probability"] == EVEN)]
    if table.empty:
        return ""
    others = [scheme for scheme in sorted(table["scheme"].unique()) if scheme != PLAIN]
    heads = [f"n = {draws:,}" for draws in SHOWN] + [f"{scheme}, n = {DRAWS}" for scheme in others]
    lines = ["## Extraction by sampling\n"]
    lines.append(
        "Natural rows whose true continuation is met with a probability of at least one half in n draws, drawn as the "
        "model says or, where a scheme is named, cut by it; beside them what is recited greedily, of the same rows:\n"
    )
    lines.append(f"| model | rows | texts | greedy | {' | '.join(heads)} | interval at n = {DRAWS} |")
    lines.append("|---|---:|---:|---:|" + "---:|" * len(heads) + "---|")
    for model, part in table[table["alpha"] == 0].groupby("model"):
        line = next(part[(part["scheme"] == PLAIN) & (part["draws"] == DRAWS)].itertuples())
        found = part.set_index(["scheme", "draws"])["rate"]
        shown = [(PLAIN, draws) for draws in SHOWN] + [(scheme, DRAWS) for scheme in others]
        rates = " | ".join(cells.share(found[key]) for key in shown)
        lines.append(
            f"| {model} | {line.n} | {line.distinct} | {cells.share(line.greedy)} | {rates} | {cells.interval(line)} |"
        )
    noisy = table[(table["alpha"] > 0) & (table["scheme"] == PLAIN)]
    if len(noisy):
        lines += ["\nThe same under noise:\n", f"| model | layer | α | greedy | {' | '.join(heads[: len(SHOWN)])} |"]
        lines.append("|---|---:|---:|---:|" + "---:|" * len(SHOWN))
    for (model, layer, alpha), part in noisy.groupby(["model", "noise_layer", "alpha"]):
        found = part.set_index("draws")["rate"]
        rates = " | ".join(cells.share(found[draws]) for draws in SHOWN)
        lines.append(f"| {model} | {layer} | {alpha:g} | {cells.share(part['greedy'].iloc[0])} | {rates} |")
    return "\n".join(lines) + "\n"
