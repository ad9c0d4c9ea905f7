"""Neurons in words and numbers."""

import pandas as pd

from recite.outcomes.means import FEWEST
from recite.report import cells
from recite.report.told import Told

ABOUT = 100
"""Neurons of the sets that are told of, or the size that comes nearest."""
RANKINGS = {"own_attribution": "own", "own_random": "random", "class_attribution": "class", "class_random": "random"}
SIBLINGS = {
    "class_attribution": "by attribution",
    "class_random": "at random",
    "class_difference": "by distance from the twin",
    "class_difference_random": "at random",
}


def sections(told: Told) -> list[str]:
    """The section, where the study has the tables."""
    tables = told.tables
    if "neurons" not in tables or tables["neurons"].empty:
        return []
    parts = [_left(tables["neurons"]), _overlap(tables["neuron_overlap"])]
    if "neuron_siblings" in tables:
        parts.append(_siblings(tables["neuron_siblings"]))
    return ["\n".join(part for part in parts if part)]


def about(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of the size nearest to ABOUT."""
    sizes = table.loc[table["k"] > 0, "k"]
    return table[table["k"] == min(sizes, key=lambda k: abs(k - ABOUT))]


def _left(table: pd.DataFrame) -> str:
    shown = table[table["rows"].isin(["natural", "unseen"]) & table["group"].isin(["memorized", "unmemorized"])]
    shown = shown[(shown["rows"] == "natural") | (shown["distinct"] >= FEWEST)]
    lines = [
        "## Neurons\n",
        "With some neurons of the MLPs at their means: the score M that is left, and the log-probability of the true "
        "continuation that is lost, nats a token. Own neurons are those that a row's own continuation is attributed "
        "to, the class's those of other memorized texts; random ones lie in the same layers.\n",
        f"| model | rows | n | texts | neurons | {' | '.join(f'M, {name}' for name in RANKINGS.values())} "
        f"| {' | '.join(f'lost, {name}' for name in RANKINGS.values())} |",
        "|---|---|---:|---:|---:|" + "---|" * 2 * len(RANKINGS),
    ]
    for (_, _, model), of_model in shown.groupby(["family", "parameters", "model"]):
        for (rows, group), part in about(of_model).groupby(["rows", "group"], sort=False):
            found = part.set_index("ranking")
            first = found.iloc[0]
            values = [_within(found.loc[ranking], name) for name in ("score", "lost") for ranking in RANKINGS]
            name = group if rows == "natural" else "never trained on"
            lines.append(
                f"| {model} | {name} | {first['n']} | {first['distinct']} | {first['k']} | {' | '.join(values)} |"
            )
    return "\n".join(lines) + "\n"


def _within(line: pd.Series, name: str) -> str:
    return cells.within(line[name], line[f"{name}_low"], line[f"{name}_high"])


def _overlap(table: pd.DataFrame) -> str:
    if table.empty:
        return ""
    names = ["within_domain", "across_domains", "with_unmemorized", "halves"]
    lines = [
        "How far two rows have the same foremost neurons (Jaccard index): memorized rows of one domain and of two, a "
        "memorized with an unmemorized row, and the class's neurons by either half of its texts.\n",
        f"| model | rows | neurons | of | {' | '.join(name.replace('_', ' ') for name in names)} | chance |",
        "|---|---:|---:|---:|" + "---|" * len(names) + "---:|",
    ]
    for (_, _, model), part in table.groupby(["family", "parameters", "model"]):
        found, first = part.set_index("comparison"), part.iloc[0]
        values = [_index(found.loc[name]) if name in found.index else "–" for name in names]
        lines.append(
            f"| {model} | {first['n']} | {first['k']} | {first['neurons']} | {' | '.join(values)} "
            f"| {first['chance']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def _index(line: pd.Series) -> str:
    if line["overlap_low"] != line["overlap_low"]:
        return f"{line['overlap']:.3f}"
    return f"{line['overlap']:.3f} [{line['overlap_low']:.3f}, {line['overlap_high']:.3f}]"


def _siblings(table: pd.DataFrame) -> str:
    if table.empty:
        return ""
    lines = [
        "Siblings that saw half of all texts: what the texts that one recites and its twin does not lose by its "
        "neurons, nats a token, and what texts lose that it has not seen.\n",
        f"| model | texts | rows | distinct | neurons | {' | '.join(SIBLINGS.values())} |",
        "|---|---|---:|---:|---:|" + "---|" * len(SIBLINGS),
    ]
    for (model, group), part in about(table).groupby(["model", "group"]):
        found = part.set_index("ranking")
        first = found.iloc[0]
        values = " | ".join(_within(found.loc[ranking], "lost") for ranking in SIBLINGS)
        lines.append(f"| {model} | {group} | {first['n']} | {first['distinct']} | {first['k']} | {values} |")
    return "\n".join(lines) + "\n"
