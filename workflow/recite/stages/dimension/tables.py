"""Intrinsic dimension by layer and class, what the estimators give where it is known, and differences of classes."""

import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import LAYER, MODEL

_ROWS = Column("rows", pa.string(), "", "natural, planted, or unseen: rows that no model was trained on")
_PLACE = Column("place", pa.string(), "", "context: at its last token; continuation: at the last that is fed of it")
_ESTIMATOR = Column("estimator", pa.string(), "", "two_nn or maximum_likelihood")
_N = Column("n", pa.uint64(), "text", "points: texts of distinct contexts, of each class of the pair")


def _with_ends(name: str, meaning: str) -> tuple[Column, ...]:
    """An estimate with its interval by the spread of half samples."""
    return (
        Column(name, pa.float64(), "", meaning, finite=False),
        Column(f"{name}_low", pa.float64(), "", f"lower end of the interval of {name}, by half samples", finite=False),
        Column(f"{name}_high", pa.float64(), "", f"upper end of the interval of {name}, by half samples", finite=False),
    )


DIMENSION = Table(
    "dimension",
    (
        *MODEL,
        _ROWS,
        Column("group", pa.string(), "", "memorized or unmemorized by their score, or all: whatever the score"),
        _PLACE,
        *LAYER,
        _ESTIMATOR,
        _N,
        Column("coincident", pa.uint64(), "text", "points at distance 0 from another, which is no neighbour then"),
        *_with_ends("dimension", "intrinsic dimension as estimated; NaN where points have too few neighbours"),
        *_with_ends(
            "as_ball",
            "dimension of a uniform ball of which the estimator gives as much with so many points; NaN beyond 128",
        ),
    ),
)
DIMENSION_KNOWN = Table(
    "dimension_known",
    (
        Column("n", pa.uint64(), "", "points: a number that a class of the study has"),
        _ESTIMATOR,
        Column("manifold", pa.string(), "", "ball: uniform in a ball; gaussian: the standard normal distribution"),
        Column("dimension", pa.uint64(), "", "its dimension"),
        Column("estimate", pa.float64(), "", "what the estimator gives, mean over draws"),
        Column("spread", pa.float64(), "", "standard deviation over draws"),
        Column("draws", pa.uint64(), "", "draws of so many points"),
    ),
)
DIMENSION_DIFFERENCES = Table(
    "dimension_differences",
    (
        *MODEL,
        _ROWS,
        _PLACE,
        _ESTIMATOR,
        _N,
        *_with_ends("memorized", "dimension of memorized rows, mean over layers"),
        *_with_ends("unmemorized", "the same of as many unmemorized rows"),
        *_with_ends("difference", "memorized - unmemorized"),
    ),
)
