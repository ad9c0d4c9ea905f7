"""The tuned lens in words and numbers."""

import math

import pandas as pd

from recite.outcomes.means import MEMORIZED
from recite.report import cells
from recite.report.told import Told

LATE = 0.5
"""Relative depth beyond which something is known late."""


def sections(told: Told) -> list[str]:
    """The section, where the study has the tables."""
    tables = told.tables
    if "tuned_lens_depths" not in tables or tables["tuned_lens_training"].empty:
        return []
    return [_training(tables["tuned_lens_training"]) + _depths(tables["tuned_lens_depths"])]


def _training(table: pd.DataFrame) -> str:
    lines = [
        "## Tuned lens\n",
        "Divergence of what a layer says from what the model says in the end, nats a position, of measured rows: "
        "without and with the layer's translator, which was trained on other rows:\n",
        "| model | trained on | measured | first layer | middle layer | last but one |",
        "|---|---:|---:|---|---|---|",
    ]
    for _, part in table.groupby(["family", "parameters", "model"]):
        part = part.sort_values("layer")
        first, middle, last = (part.iloc[place] for place in (0, len(part) // 2, -1))
        told = (f"{line.before:.2f} to {line.after:.2f}" for line in (first, middle, last))
        lines.append(f"| {first.model} | {first.trained_rows} | {first.measured_rows} | {' | '.join(told)} |")
    return "\n".join(lines) + "\n"


def _depths(table: pd.DataFrame) -> str:
    if table.empty:
        return ""
    lines = [
        "\nRelative depth at which the true token's mean probability passes one half, and half of its final value, by "
        "the plain (logit) and the tuned lens on the same rows:\n",
        "| model | rows | class | texts | threshold | logit | tuned | tuned - logit |",
        "|---|---|---|---:|---|---|---|---|",
    ]
    for line in table.sort_values(["family", "parameters", "rows", "group", "threshold"]).itertuples():
        told = (_within(line, name) for name in ("logit", "tuned", "difference"))
        half = "0.5" if line.threshold == "absolute" else "half of the last"
        about = f"{line.model} | {line.rows} | {line.group} | {line.distinct} | {half}"
        lines.append(f"| {about} | {' | '.join(told)} |")
    return "\n".join(lines) + "\n" + _late(table)


def _within(line: object, name: str) -> str:
    value, low, high = (getattr(line, f"{name}{end}") for end in ("", "_low", "_high"))
    return "not passed" if math.isnan(value) else cells.within(value, low, high)


def _late(table: pd.DataFrame) -> str:
    """Whether memorized rows' tokens are still known late where the layers are translated."""
    told = table[(table["group"] == MEMORIZED) & (table["threshold"] == "absolute") & table["logit"].notna()]
    if told.empty:
        return ""
    late, early = told["tuned_low"] > LATE, told["tuned_high"] < LATE
    before = (told["logit_low"] > LATE).sum()
    passed = told[told["difference"].notna()]
    sooner, later = (passed["difference_high"] < 0).sum(), (passed["difference_low"] > 0).sum()
    return (
        f"\nLate activation, memorized rows (of {len(told)} pairs of a model and natural or planted rows): by the "
        f"plain lens one half is passed in the later half of the layers in {int(before)}, by the tuned "
        f"lens in {int(late.sum())}, in the earlier half in {int(early.sum())}, undecided in "
        f"{int((~late & ~early).sum())}. The tuned lens has it sooner in {int(sooner)} and later in {int(later)}, "
        "by intervals without 0.\n"
    )
