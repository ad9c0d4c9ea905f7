"""The nearest neighbours of every drawn text in the residual stream: a line a point."""

import pyarrow as pa

from recite.tables import CATEGORY, Column, Table

PLACES = ("context", "continuation")
"""Where a text's point is taken: at the last token of its context, and at the last that is fed of its continuation."""
UNSEEN = "unseen"
"""In place of natural or planted: rows that no model was trained on."""

NEIGHBOURS = Table(
    "neighbours",
    (
        Column("row_id", pa.uint64(), "", "row of the samples table"),
        Column("sequence_id", pa.uint64(), "", "the row's text"),
        Column("domain", CATEGORY, "", "domain of the row"),
        Column("rows", CATEGORY, "", "natural, planted, or unseen: rows that no model was trained on"),
        Column("group", CATEGORY, "", "memorized, unmemorized or all; points are held against those of their group"),
        Column("point", pa.uint32(), "", "the point's place in its group, from 0"),
        Column(
            "nearest",
            pa.list_(pa.uint32()),
            "",
            "places of the nearest other points of the group, the nearest first; as many for each place in the text, "
            "and for each layer in it",
        ),
        Column("distance", pa.list_(pa.float32()), "", "their Euclidean distances in the residual stream"),
    ),
)
