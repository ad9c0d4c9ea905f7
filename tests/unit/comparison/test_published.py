"""config/published.yaml against its schema, the registry, and the tables that it is set beside."""

import importlib
import inspect
import json

import pytest

from recite.catalogue import STAGES
from recite.comparison.claims import judge
from recite.comparison.published.words import QUANTITIES
from recite.outcomes.findings import Measured
from recite.study.config import check_config, read_yaml
from studies import ROOT, loaded, shipped, tables

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


def test_no_verdict_knows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents a claim that is judged by what the paper found: neither its job nor what that runs is told."""
    monkeypatch.chdir(ROOT)
    study = loaded(shipped("mini"))
    assert "published" in study.rules["summary"].options(study, {})
    ledger = study.rules["ledger"]
    told = json.dumps([ledger.options(study, {}), list(ledger.inputs(study, {})["tables"])], default=str)
    assert "rates" in told and "published" not in told
    modules = [judge.__name__, *(f"{stage.package}.claims" for stage in STAGES if stage.claims)]
    imported = [
        line
        for name in modules
        for line in inspect.getsource(importlib.import_module(name)).splitlines()
        if line.startswith(("import ", "from "))
    ]
    assert imported and not [line for line in imported if "published" in line]
    assert Measured._fields == ("tables", "draws", "confidence")
