"""Rates in words and numbers."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from recite.report import cells
from recite.report.told import Told

SEEN = 0.05
"""The q-value below which a difference is called one."""


def opening(told: Told) -> str:
    """What was measured, in two sentences."""
    return _overview(told.tables["rates"], told.corpus)


def sections(told: Told) -> list[str]:
    """The sections whose tables there are."""
    tables = told.tables
    controls = [_controls(tables["control_rates"])] if "control_rates" in tables else []
    return [_rates(tables["rates"]), *controls, _samples(tables["disjoint_samples"])]


def _overview(rates: pd.DataFrame, corpus: Mapping[str, Any] | None) -> str:
    natural = rates[rates["domain"] == "natural"]
    low, high = natural["parameters"].min(), natural["parameters"].max()
    scored = rates[rates["kind"].isin(["mixed", "planted"])]
    return (
        f"{len(natural)} models of {natural['family'].nunique()} families, {low:,} to {high:,} parameters"
        f"{_trained_on(corpus) if corpus else ''}; {natural['n'].min()} natural rows of {natural['distinct'].min()} "
        f"or more distinct texts scored per model. A row is memorized when the greedy continuation "
        f"of its context equals the corpus (at the default threshold). At most "
        f"{100 * scored['at_risk'].max():.2f}% of a model's natural or planted rows have a "
        f"logit margin under the precision's noise, of the memorized at most {_most(scored['memorized_at_risk'])}.\n"
    )


def _most(shares: pd.Series) -> str:
    """The largest share; nothing memorized is none."""
    return f"{100 * shares.max():.2f}%" if shares.notna().any() else "none"


def _trained_on(corpus: Mapping[str, Any]) -> str:
    documents = sum(source["documents"] for source in corpus["sources"].values())
    unseen = f" and held against {corpus['unseen']} more of no copy" if corpus.get("unseen") else ""
    return (
        f", trained on {documents} natural documents of {len(corpus['sources'])} domains and {corpus['controls']} "
        f"planted control texts{unseen}"
    )


def _rates(rates: pd.DataFrame) -> str:
    planted = rates[rates["kind"] == "planted"].set_index("model")
    lines = ["## Memorization rates\n"]
    lines.append("| model | parameters | natural rows | interval | in between | mean score |")
    lines.append("|---|---:|---:|---|---:|---:|")
    if len(planted):
        lines[-2] += " planted rows | interval |"
        lines[-1] += "---:|---|"
    natural = rates[rates["domain"] == "natural"].sort_values(["family", "parameters"])
    unseen = natural["false_rate"].notna().any()
    if unseen:
        lines[-2] += " never trained on | interval |"
        lines[-1] += "---:|---|"
    for row in natural.itertuples():
        lines.append(
            f"| {row.model} | {row.parameters:,} | {cells.share(row.rate)} | {cells.interval(row)} "
            f"| {cells.share(row.between)} | {row.mean_score:.3f} |"
        )
        if len(planted):
            control = planted.loc[row.model]
            lines[-1] += f" {cells.share(control['rate'])} | {cells.interval(control)} |"
        if unseen:
            lines[-1] += f" {cells.share(row.false_rate)} | {cells.between(row, 'false_rate')} |"
    return "\n".join(lines) + "\n"


def _controls(table: pd.DataFrame) -> str:
    counts = sorted(table["repetitions"].unique())
    lines = ["## Planted rows by repetition count\n", f"| model | {' | '.join(f'x{count}' for count in counts)} |"]
    lines.append("|---|" + "---:|" * len(counts))
    for (_, _, model), part in table.groupby(["family", "parameters", "model"]):
        rates = part.set_index("repetitions")["rate"]
        lines.append(f"| {model} | {' | '.join(cells.share(rates[count]) for count in counts)} |")
    return "\n".join(lines) + "\n"


def _samples(table: pd.DataFrame) -> str:
    return (
        f"Of {len(table)} samples of a model and a domain, cut into first and as many further rows, "
        f"{int((table['q_value'] < SEEN).sum())} have different rates (q < {SEEN}).\n"
    )
