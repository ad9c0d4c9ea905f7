"""The summary's sections on attention heads."""

import pandas as pd

from recite.outcomes import NATURAL


def heads_section(table: pd.DataFrame) -> str:
    """What the models lose without one head: the head that matters most, and how many matter at all."""
    table = table[(table["rows"] == NATURAL) & (table["domain"] == "all")]
    if table.empty:
        return ""
    lines = ["## Head ablation\n", "What natural rows lose without one attention head; layers and heads from 0:\n"]
    lines.append(
        "| model | rows | texts | heads | matter for hits | for log-probability | first head | points | interval |"
    )
    lines.append("|---|---:|---:|---:|---:|---:|---|---:|---|")
    for model, part in table.groupby("model"):
        first = next(part[part["rank"] == 1].itertuples())
        matter = [int((part[f"{name}_low"] > 0).sum()) for name in ("hits_drop", "log_probability_drop")]
        lines.append(
            f"| {model} | {first.n} | {first.distinct} | {len(part)} | {matter[0]} | {matter[1]} "
            f"| layer {first.layer}, head {first.head} | {100 * first.hits_drop:.1f} "
            f"| {100 * first.hits_drop_low:.1f} to {100 * first.hits_drop_high:.1f} |"
        )
    lines.append("\nA head matters where the whole interval of its drop lies above zero.")
    return "\n".join(lines) + "\n"
