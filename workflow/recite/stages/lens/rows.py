"""What every decoded layer says of each row's true continuation: a line a row, and sums by position."""

import pyarrow as pa

from recite.tables import CATEGORY, Column, Table

AMOUNTS = {
    "probability": ("", "probability of the true token"),
    "log_probability": ("nat", "logarithm of the true token's probability"),
    "log_rank": ("nat", "logarithm of the true token's rank, which is 1 + the number of tokens with a higher logit"),
    "entropy": ("nat", "entropy of the distribution over the vocabulary"),
}
"""What is averaged: unit and meaning."""
COUNTS = {
    "leads": "the true token is the best",
    "settled": "the true token is the best in this layer and in all later ones that are decoded",
    "agrees": "the best token is that of the last layer",
}
"""What is counted."""

DECODED = Table(
    "decoded",
    (
        Column("row_id", pa.uint64(), "", "row of the samples table"),
        Column("sequence_id", pa.uint64(), "", "the row's text: rows of equal text share it, and what follows"),
        Column("domain", CATEGORY, "", "domain of the row"),
        *(
            Column(name, pa.list_(pa.float32()), unit, f"{meaning}; mean over the continuation's positions, by layer")
            for name, (unit, meaning) in AMOUNTS.items()
        ),
        *(
            Column(name, pa.list_(pa.uint8()), "token", f"positions of the continuation at which {meaning}, by layer")
            for name, meaning in COUNTS.items()
        ),
    ),
)

DECODED_POSITIONS = Table(
    "decoded_positions",
    (
        Column("domain", CATEGORY, "", "domain of the rows"),
        Column("hits", pa.uint8(), "token", "number of hits of the rows, as scored"),
        Column("layer", pa.uint16(), "layer", "decoder layer, from 0"),
        Column("n", pa.uint64(), "row", "rows of that domain and number of hits in this part"),
        *(
            Column(name, pa.list_(pa.float64()), unit, f"{meaning}; sum over the rows, by position of the continuation")
            for name, (unit, meaning) in AMOUNTS.items()
        ),
        *(
            Column(name, pa.list_(pa.uint64()), "row", f"rows in which {meaning}, by position of the continuation")
            for name, meaning in COUNTS.items()
        ),
    ),
)
