"""Rates under noise."""

import pyarrow as pa

from recite.tables import Column, Table
from recite.tables.columns import DOMAIN, MODEL, NOISE_LAYER, RATE

NOISE_RATES = Table(
    "noise_rates",
    (*MODEL, NOISE_LAYER, Column("alpha", pa.float64(), "", "noise strength"), *DOMAIN, *RATE),
)
