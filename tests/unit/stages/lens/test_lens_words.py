"""What the summary says of layers that are not all decoded."""

from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest

from recite.report.told import Told
from recite.stages.lens.words import sections

NUMBERS = {"n": 9, "distinct": 7, "entropy": 1.5, "agrees": 0.25, "probability_low": 0.1, "probability_high": 0.9}


def told(layers: list[int]) -> str:
    """The section on a model whose token passes 50% after the layer of number 3 and later ones."""
    about = {"rows": "natural", "group": "memorized", "model": "m"}
    lines: list[dict[str, Any]] = [
        about | NUMBERS | {"layer": layer, "probability": 0.8 if layer >= 3 else 0.1, "agrees": layer / 100}
        for layer in layers
    ]
    pairs = pd.DataFrame(columns=["group", "similarity", "family_a", "family_b"])
    (section,) = sections(cast(Told, SimpleNamespace(tables={"lens": pd.DataFrame(lines), "lens_profiles": pairs})))
    return section


@pytest.mark.parametrize(
    ("layers", "passed", "half"), [([0, 1, 2, 3, 4, 5, 6], "4 of 7", "3.0%"), ([0, 2, 4, 6], "5 of 7", "4.0%")]
)
def test_layers_are_counted_among_all(layers: list[int], passed: str, half: str) -> None:
    """Prevents a layer, or half of the depth, from being counted among those that were decoded."""
    section = told(layers)
    assert f"| 9 | 7 | {passed} | 80.0% |" in section and f"| 1.50 | {half} |" in section
    assert ("not all of them decoded" in section) == (len(layers) < 7)
