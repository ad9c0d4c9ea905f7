"""Configs of studies: the shipped ones, and small ones that name a registry and corpora of their own."""

import importlib
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from recite.catalogue import STAGES
from recite.study.config import read_yaml
from recite.study.study import Study, load_study
from recite.tables import Table

ROOT = Path(__file__).resolve().parents[1]
NOTES = {
    "domains": {"prose": "free_text", "code": "structural"},
    "classes": {"prose": "mail", "code": "source_code"},
    "files": {"patterns": ["*.jsonl"], "domain": "kind"},
}
"""A corpus of one's own."""


def shipped(name: str) -> dict[str, Any]:
    """A config file as it lies in config/."""
    return read_yaml(ROOT / "config" / f"{name}.yaml")


def load(config: dict[str, Any], source: str = "mini.yaml") -> Study:
    """The study of a config, of whatever stages there are."""
    return load_study(config, source, STAGES)


def tables() -> dict[str, Table]:
    """Every table that a stage makes for figures and summary, by name."""
    modules = [f"{stage.package}.tables" for stage in STAGES if any(rule.tables for rule in stage.rules)]
    found = [value for name in modules for value in vars(importlib.import_module(name)).values()]
    return {table.name: table for table in found if isinstance(table, Table)}


def loaded(config: dict[str, Any], **changes: dict[str, Any]) -> Study:
    """The study of a copy of the config, with keys of its sections changed."""
    changed = deepcopy(config)
    for section, values in changes.items():
        changed.setdefault(section, {}).update(values)
    return load(changed)


def own_study(folder: Path, registry: dict[str, Any], corpora: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """Config of a study of all models of a registry; registry and corpora are written into `folder`."""
    config: dict[str, Any] = {
        "study": "mine",
        "seed": 5,
        "models": list(registry),
        "sampling": {"rows_per_domain": 20, "shard_rows": 10},
        "scoring": {"batch_rows": 8},
    }
    for name, content in (("models", registry), ("corpora", corpora)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        config[f"{name}_file"] = str(folder / f"{name}.yaml")
    return config | sections
