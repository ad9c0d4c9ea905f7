"""Rates along the training, what became of rows, and what decides it: how often a text was seen, or how lately."""

import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import DOMAIN, MODEL, with_interval

GROUP = (*MODEL, *DOMAIN, Column("copies", pa.uint32(), "document", "planted copies of the text; 0 of natural domains"))
SIZE = (
    Column("n", pa.uint64(), "row", "rows"),
    Column("distinct", pa.uint64(), "text", "distinct texts among the rows"),
)


def _rate(name: str, meaning: str, finite: bool = True) -> tuple[Column, ...]:
    return (
        Column(name, pa.float64(), "", meaning, finite),
        Column(f"{name}_low", pa.float64(), "", f"lower end of the Wilson interval of {name}", finite),
        Column(f"{name}_high", pa.float64(), "", f"upper end of the Wilson interval of {name}", finite),
    )


RATE = (Column("memorized", pa.uint64(), "row", "rows recited"), *_rate("rate", "memorized / n"))
TRAJECTORY = Table(
    "trajectory",
    (
        *GROUP,
        Column("step", pa.uint32(), "step", "training steps behind the checkpoint"),
        Column("progress", pa.float64(), "", "the same over the model's"),
        *SIZE,
        *RATE,
    ),
)
FATES = Table(
    "trajectory_fates",
    (
        *GROUP,
        *SIZE,
        Column("memorized", pa.uint64(), "row", "rows that the last checkpoint recites"),
        *_rate(
            "late", "share of these that no checkpoint up to `late_after` of the training recites; NaN: none", False
        ),
        *_rate("kept", "share of these that every checkpoint since the first that recites them does; NaN: none", False),
        Column("earlier", pa.uint64(), "row", "rows that a checkpoint before the last recites"),
        *_rate("forgotten", "share of these that the last does not recite; NaN without any", False),
        Column("lost", pa.uint64(), "row", "rows that a checkpoint recites and the next one does not"),
        *_rate("relearnt", "share of these that are recited again later; NaN without any", False),
        Column("settled", pa.uint64(), "row", "rows that a checkpoint recites when no copy is to come; 0: not known"),
        *_rate("faded", "share of these that the last does not recite; NaN without any", False),
    ),
)
RECALL = Table(
    "trajectory_recall",
    (
        *MODEL,
        Column("seen", pa.uint32(), "document", "copies seen by then: so many, and less than twice as many"),
        Column("since", pa.uint32(), "step", "steps since the last of them: so many, and less than four times as many"),
        Column("n", pa.uint64(), "row", "planted rows at a checkpoint"),
        Column("distinct", pa.uint64(), "text", "distinct texts among the rows; their checkpoints are not independent"),
        *RATE,
    ),
)
RECENCY = Table(
    "trajectory_recency",
    (
        *MODEL,
        Column(
            "question",
            pa.string(),
            "",
            "recency: of two planted texts seen equally often, is the one recited the one seen later? count: of two "
            "that were last seen about as long ago, is it the one seen more often?",
        ),
        Column("pairs", pa.uint64(), "pair", "pairs at one checkpoint, one text recited and one not, both seen"),
        *with_interval("probability", "share of pairs of which that holds, ties half; NaN without any", finite=False),
    ),
)
