"""recite.comparison.measures: the table has a column for each measure that the study has, and no other."""

from itertools import product
from typing import Any

import pandas as pd
import pytest

from recite.comparison.measures.words import sections
from recite.report.told import Told

MODELS = {"a-l": ("a", 2_500_000), "a-s": ("a", 30_000), "b-s": ("b", 1_234)}
COLUMNS = {
    "rates": "greedy, verbatim",
    "near_verbatim": "near-verbatim (0.9)",
    "extraction": "extractable (n = 100, p = 0.5)",
    "predictability": "corrected for predictability",
}


def line(model: str, name: str, value: float, **about: Any) -> dict[str, Any]:
    """A line with its share and interval."""
    family, parameters = MODELS[model]
    ends = {name: value, f"{name}_low": value - 0.01, f"{name}_high": value + 0.02}
    return {"model": model, "family": family, "parameters": parameters, "domain": "natural"} | about | ends


def tables() -> dict[str, pd.DataFrame]:
    """Every table, with lines that must not be taken for those that are told."""
    near = [
        line("a-s", "rate", value, alpha=alpha, tolerance=tolerance)
        for alpha, tolerance, value in ((0.0, 0.0, 0.9), (0.0, 0.1, 0.22), (0.0, 0.2, 0.9), (0.5, 0.1, 0.9))
    ]
    drawn = [
        line("a-s", "rate", 0.33 if key == (0.0, "plain", 100, 0.5) else 0.9, alpha=key[0], scheme=key[1])
        | {"draws": key[2], "probability": key[3]}
        for key in product((0.0, 0.5), ("plain", "top_40"), (1, 100), (0.1, 0.5))
    ]
    rates = [line(model, "rate", 0.11) for model in MODELS] + [line("a-s", "rate", 0.9, domain="code")]
    found = {"rates": rates, "near_verbatim": near, "extraction": drawn}
    found["predictability"] = [line("a-s", "corrected", 0.044), line("a-s", "corrected", 0.9, domain="code")]
    return {name: pd.DataFrame(lines) for name, lines in found.items()}


def page(found: dict[str, pd.DataFrame]) -> list[list[str]]:
    """Header and lines of the table, without its rule."""
    (text,) = sections(Told(found, None, []))
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [lines[0], *lines[2:]]


def test_all_measures_in_one_table() -> None:
    """Prevents another scheme, strength, tolerance or domain from standing for the one that the header names."""
    header, *lines = page(tables())
    assert header == ["model", "parameters", *COLUMNS.values()]
    assert lines[0][:3] == ["a-s", "30,000", "11.0% [10.0 to 13.0]"]
    assert lines[0][3:] == ["22.0% [21.0 to 24.0]", "33.0% [32.0 to 35.0]", "4.4% [3.4 to 6.4]"]
    assert [line[0] for line in lines] == ["a-s", "a-l", "b-s"]
    assert lines[1][2:] == ["11.0% [10.0 to 13.0]", "–", "–", "–"]  # measured for the other model alone


@pytest.mark.parametrize("name", [name for name in COLUMNS if name != "rates"])
def test_columns_are_those_of_the_study(name: str) -> None:
    """Prevents an empty column of a measure that was not asked for, and a page that fails without it."""
    found = tables()
    without = {key: table for key, table in found.items() if key != name}
    assert page(without)[0] == ["model", "parameters", *(COLUMNS[key] for key in without)]
    assert page({"rates": found["rates"], name: found[name]})[0][2:] == [COLUMNS["rates"], COLUMNS[name]]
    other = found[name].assign(domain="code")
    assert page(found | {name: other})[0] == page(without)[0]


def test_one_measure_is_no_table() -> None:
    """Prevents the rates from being told twice."""
    assert sections(Told({"rates": tables()["rates"]}, None, [])) == []
