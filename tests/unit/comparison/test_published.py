"""config/published.yaml against its schema, the registry, and the tables that it is set beside."""

import pytest

from recite.catalogue import STAGES
from recite.comparison.claims.judge import statistics_in
from recite.comparison.published.words import QUANTITIES
from recite.study.config import check_config, read_yaml
from studies import ROOT, shipped, tables

SCHEMA = read_yaml(ROOT / "workflow/schemas/published.schema.yaml")


def test_entries_are_of_models_that_there_are() -> None:
    """Prevents a published number that no study could ever be set beside."""
    entries = check_config(shipped("published"), "published", "published.yaml")
    assert {entry["quantity"] for entry in entries} == set(QUANTITIES)
    assert set(SCHEMA["items"]["properties"]["quantity"]["enum"]) == set(QUANTITIES)
    assert {model for entry in entries for model in entry["models"]} <= set(shipped("models"))
    assert all(0 < entry["published"] < 1 for entry in entries)


@pytest.mark.parametrize("name", QUANTITIES)
def test_quantities_are_columns_of_tables(name: str) -> None:
    """Prevents a KeyError in the summary of the one study that has the model."""
    quantity = QUANTITIES[name]
    columns = [quantity.column + end for end in ("", "_low", "_high")]
    assert {*columns, *quantity.lines, "model"} <= set(tables()[quantity.table].names)


def test_no_verdict_knows_them() -> None:
    """Prevents a claim that is judged by what the paper found."""
    modules = [f"{stage.package}.claims" for stage in STAGES if stage.claims]
    found = [statistic for module in modules for statistic in statistics_in(module).values()]
    assert found and "published" not in {table for needed, _ in found for table in needed}
