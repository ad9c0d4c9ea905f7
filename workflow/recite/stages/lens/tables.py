"""What each layer knows of the true continuation."""

import pyarrow as pa

from recite.stages.lens.rows import AMOUNTS, COUNTS
from recite.tables import Column, Table
from recite.tables.columns import COUNTED, GROUP, LAYER, MODEL, ROWS, with_interval

_AVERAGED = {name: (unit, f"{meaning}, mean") for name, (unit, meaning) in AMOUNTS.items() if name != "log_rank"}
_AVERAGED |= {"rank": ("", "rank of the true token, geometric mean; 1 where it leads")}
_SHARES = {name: f"share of positions at which {meaning}" for name, meaning in COUNTS.items()}
LENS = Table(
    "lens",
    (
        *MODEL,
        ROWS,
        GROUP,
        *LAYER,
        *COUNTED,
        *(
            column
            for name, (unit, meaning) in _AVERAGED.items()
            for column in with_interval(name, f"{meaning} over rows and positions", unit)
        ),
        *(column for name, meaning in _SHARES.items() for column in with_interval(name, meaning)),
    ),
)
LENS_POSITIONS = Table(
    "lens_positions",
    (
        *MODEL,
        ROWS,
        GROUP,
        *LAYER,
        Column("position", pa.uint8(), "token", "position in the continuation, from 1"),
        Column("n", pa.uint64(), "row", "rows of that group"),
        *(Column(name, pa.float64(), unit, f"{meaning} over the rows") for name, (unit, meaning) in _AVERAGED.items()),
        *(
            Column(name, pa.float64(), "", meaning.replace("share of positions at", "share of rows in"))
            for name, meaning in _SHARES.items()
        ),
    ),
)
LENS_PROFILES = Table(
    "lens_profiles",
    (
        Column("group", pa.string(), "", "memorized or unmemorized rows, or the difference of the two"),
        *(column._replace(name=f"{column.name}_a") for column in MODEL),
        *(column._replace(name=f"{column.name}_b") for column in MODEL),
        Column(
            "distinct", pa.uint64(), "text", "distinct texts among the rows, of the model and class that has fewest"
        ),
        *with_interval(
            "similarity",
            "Pearson correlation, over a common relative depth, of the true token's mean probability in natural rows "
            "of the two models; NaN where one is flat",
            finite=False,
        ),
    ),
)
LENS_DEPTHS = Table(
    "lens_depths",
    (
        *MODEL,
        GROUP,
        Column("distinct", pa.uint64(), "text", "distinct texts among the natural rows"),
        *with_interval(
            "absolute",
            "relative depth at which the true token's mean probability passes 0.5; NaN where it stays below",
            finite=False,
        ),
        *with_interval(
            "relative", "relative depth at which it passes half of its final value; NaN where that is 0", finite=False
        ),
    ),
)
