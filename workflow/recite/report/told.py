"""What the stages' words are told: the finished tables, and what a study knows beside them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd


class Told(NamedTuple):
    """tables: by name. corpus: the manifest of one that was made here. published: the paper's numbers."""

    tables: Mapping[str, pd.DataFrame]
    corpus: Mapping[str, Any] | None
    published: Sequence[Mapping[str, Any]]
