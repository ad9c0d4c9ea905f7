"""Memorization along the training in words and numbers."""

import pandas as pd

from recite.outcomes.frame import NATURAL, PLANTED
from recite.report import cells
from recite.report.told import Told


def sections(told: Told) -> list[str]:
    """The section, where the study has the tables."""
    tables = told.tables
    if "trajectory" not in tables:
        return []
    parts = [_rates(tables["trajectory"]), _fates(tables["trajectory_fates"])]
    if "trajectory_recency" in tables:
        parts.append(_recency(tables["trajectory_recency"], tables["trajectory_recall"]))
    return ["\n".join(parts)]


def _rates(table: pd.DataFrame) -> str:
    counts = sorted(table.loc[table["kind"] == PLANTED, "copies"].unique())
    lines = ["## Along the training\n", "Rows that a model's checkpoints recite; the last is the model:\n"]
    lines.append(
        f"| model | step | of the training | natural | interval |{''.join(f' x{count} |' for count in counts)}"
    )
    lines.append("|---|---:|---:|---:|---|" + "---:|" * len(counts))
    for (model, step), part in table.groupby(["model", "step"]):
        rates = part[part["kind"] == PLANTED].set_index("copies")["rate"]
        planted = "".join(f" {cells.share(rates[count])} |" for count in counts)
        lines += [
            f"| {model} | {step} | {cells.share(row.progress)} | {cells.share(row.rate)} "
            f"| {cells.interval(row)} |{planted}"
            for row in part[part["domain"] == NATURAL].itertuples()
        ]
    return "\n".join(lines) + "\n"


def _fates(table: pd.DataFrame) -> str:
    lines = ["What became of rows: of those that the model recites, learnt late and kept since first recited; of those"]
    lines[0] += (
        " that an earlier checkpoint recites, forgotten at the end; of those lost between two, relearnt; of those"
    )
    lines[0] += " recited when no copy was to come, faded by the end.\n"
    lines.append("| model | rows | recited | late | kept | earlier | forgotten | relearnt | settled | faded |")
    lines.append("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for row in table[table["domain"].eq(NATURAL) | table["kind"].eq(PLANTED)].itertuples():
        rows = NATURAL if row.domain == NATURAL else f"x{row.copies}"
        lines.append(
            f"| {row.model} | {rows} | {row.memorized} | {cells.share(row.late)} | {cells.share(row.kept)} "
            f"| {row.earlier} | {cells.share(row.forgotten)} | {cells.share(row.relearnt)} | {row.settled} "
            f"| {cells.share(row.faded)} |"
        )
    return "\n".join(lines) + "\n"


def _recency(table: pd.DataFrame, recall: pd.DataFrame) -> str:
    """The two questions, and what is recited that was not seen."""
    lines = [
        "Of two planted texts at one checkpoint, one recited and one not, the chance that the recited one was seen"
    ]
    lines[0] += (
        " later, if both were seen equally often, and that it was seen more often, if both were last seen about as"
    )
    lines[0] += " long ago (one half: it does not matter); and rows recited before any copy was seen.\n"
    lines.append("| model | later | pairs | more often | pairs | unseen rows | recited |")
    lines.append("|---|---:|---:|---:|---:|---:|---:|")
    for model, part in table.groupby("model"):
        asked = {row.question: row for row in part.itertuples()}
        chances = " | ".join(
            f"{cells.within(row.probability, row.probability_low, row.probability_high)} | {row.pairs}"
            for row in (asked["recency"], asked["count"])
        )
        unseen = recall[(recall["model"] == model) & (recall["seen"] == 0)]
        lines.append(f"| {model} | {chances} | {int(unseen['n'].sum())} | {int(unseen['memorized'].sum())} |")
    return "\n".join(lines) + "\n"
