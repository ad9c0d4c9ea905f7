"""Near-verbatim recall in words and numbers."""

import pandas as pd

from recite.outcomes.frame import NATURAL
from recite.report import cells
from recite.report.told import Told


def sections(told: Told) -> list[str]:
    """The section, where the study has the table."""
    return [_recall(told.tables["near_verbatim"])] if "near_verbatim" in told.tables else []


def _recall(table: pd.DataFrame) -> str:
    table = table[table["domain"] == NATURAL]
    if table.empty:
        return ""
    tolerances = sorted(table["tolerance"].unique())
    lines = ["## Near-verbatim recall\n", "Natural rows that are recalled within so many edits of their tokens:\n"]
    heads = " | ".join(f"{100 * tolerance:g}%" for tolerance in tolerances)
    lines.append(
        f"| model | rows | texts | {heads} | interval | mean distance | mean longest run | mean first mismatch |"
    )
    lines.append("|---|---:|---:|" + "---:|" * len(tolerances) + "---|---:|---:|---:|")
    for model, part in table[table["alpha"] == 0].groupby("model"):
        last = next(part[part["tolerance"] == tolerances[-1]].itertuples())
        means = " | ".join(cells.share(getattr(last, f"mean_{name}")) for name in ("distance", "run", "first_mismatch"))
        lines.append(f"| {model} | {last.n} | {last.distinct} | {_rates(part)} | {cells.interval(last)} | {means} |")
    noisy = table[table["alpha"] > 0]
    if len(noisy):
        lines += ["\nThe same under noise:\n", f"| model | layer | α | {heads} | mean distance | mean longest run |"]
        lines.append("|---|---:|---:|" + "---:|" * len(tolerances) + "---:|---:|")
    for (model, layer, alpha), part in noisy.groupby(["model", "noise_layer", "alpha"]):
        last = next(part.itertuples())
        means = f"{cells.share(last.mean_distance)} | {cells.share(last.mean_run)}"
        lines.append(f"| {model} | {layer} | {alpha:g} | {_rates(part)} | {means} |")
    return "\n".join(lines) + "\n"


def _rates(table: pd.DataFrame) -> str:
    """By tolerance, of one model at one strength."""
    return " | ".join(cells.share(rate) for rate in table.sort_values("tolerance")["rate"])
