"""Attention and induction heads in words and numbers."""

import pandas as pd

from recite.outcomes.copies import UNSEEN
from recite.outcomes.frame import NATURAL
from recite.outcomes.means import MEMORIZED, UNMEMORIZED
from recite.report import cells
from recite.report.told import Told
from recite.stages.attention.places import CONTINUATION, FIRST, ITSELF


def sections(told: Told) -> list[str]:
    """The sections, where the study has the tables."""
    if "attention" not in told.tables:
        return []
    return [_places(told.tables["attention"]), _heads(told.tables["induction"], told.tables["induction_overlap"])]


def _places(table: pd.DataFrame) -> str:
    natural = (table["rows"] == NATURAL) & table["group"].isin([MEMORIZED, UNMEMORIZED])
    table = table[natural | (table["rows"] == UNSEEN)]
    if table.empty:
        return ""
    lines = [
        "## Attention to the context\n",
        "What the continuation attends to, shares over layers and heads, beside what even attention would give; and "
        "what its log-probability loses, nats a token, where attention to the first token, to the segment of the "
        "context that costs most, or to the continuation so far is cut:\n",
        "| model | rows | drawn | texts | first | context | so far | itself | even: first | context | so far "
        "| first cut | segment cut | which | so far cut |",
        "|---|---|---:|---:|" + "---:|" * 7 + "---|---|---|---|",
    ]
    keys = ["family", "parameters", "model", "rows", "group"]
    for (_, _, model, rows, group), part in table.groupby(keys, sort=False):
        lines.append(f"| {model} | {'never trained on' if rows == UNSEEN else group} | {_numbers(part)} |")
    return "\n".join(lines) + "\n"


def _numbers(table: pd.DataFrame) -> str:
    """The cells of one model's rows of one class."""
    line, by_place = table.iloc[0], table.set_index("place")
    segments = by_place.drop([FIRST, CONTINUATION, ITSELF])
    costliest = segments["log_probability_drop"].idxmax()
    masses = [
        cells.share(value)
        for name in ("mass", "even")
        for value in (by_place.loc[FIRST, name], segments[name].sum(), by_place.loc[CONTINUATION, name])
    ]
    masses.insert(3, cells.share(by_place.loc[ITSELF, "mass"]))
    first, worst, so_far = (_lost(by_place.loc[place]) for place in (FIRST, costliest, CONTINUATION))
    counts = [str(line["drawn"]), str(line["distinct"])]
    return " | ".join([*counts, *masses, first, worst, costliest.removeprefix("context "), so_far])


def _lost(line: pd.Series) -> str:
    return cells.within(*(line[f"log_probability_drop{end}"] for end in ("", "_low", "_high")))


def _heads(table: pd.DataFrame, overlap: pd.DataFrame) -> str:
    if table.empty:
        return ""
    lines = [
        "## Induction heads\n",
        "The head of the highest induction score, the attention from a random token that recurs to the one that "
        "followed it before, beside even attention; layers and heads from 0:\n",
        "| model | heads | first head | score | interval | even |",
        "|---|---:|---|---:|---|---:|",
    ]
    for (_, _, model), part in table.groupby(["family", "parameters", "model"]):
        first = part.loc[part["induction"].idxmax()]
        lines.append(
            f"| {model} | {len(part)} | layer {first['layer']}, head {first['head']} | {first['induction']:.3f} "
            f"| {first['induction_low']:.3f} to {first['induction_high']:.3f} | {first['even']:.3f} |"
        )
    shown = overlap[(overlap["rows"] == NATURAL) & (overlap["measure"] == "log_probability")]
    shown = shown[shown["score"] == "induction"]
    if len(shown):
        lines += [
            "\nWhether heads without which natural rows lose log-probability are induction heads: Spearman "
            "correlation, over all heads and within layers, and of the fifth that matters most the share that is among "
            "the fifth of highest score:\n",
            "| model | by score | rows | texts | heads | rank correlation | within layers | shared | interval | chance "
            "| interval |",
            "|---|---|---:|---:|---:|---|---|---:|---|---:|---|",
        ]
    lines += [
        f"| {row.model} | {row.group} | {row.n} | {row.distinct} | {row.k} of {row.heads} "
        f"| {cells.within(row.rank_correlation, row.rank_correlation_low, row.rank_correlation_high)} "
        f"| {cells.within(row.within_layers, row.within_layers_low, row.within_layers_high)} "
        f"| {cells.share(row.shared)} | {cells.between(row, 'shared')} | {cells.share(row.chance)} "
        f"| {cells.between(row, 'chance')} |"
        for row in shown.itertuples()
    ]
    return "\n".join(lines) + "\n"
