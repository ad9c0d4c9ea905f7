"""What two studies were asked, by the parameters, code and packages that the records of their jobs hold."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from recite.errors import ReciteError
from recite.files import canonical_json, read_json
from recite.provenance.records import ENVIRONMENTS
from recite.report.compare.results import Results

NAMES = ("study",)
"""Parameters that only say which study it is."""


@dataclass(frozen=True)
class Setting:
    """A parameter, or what else is named, with the values that it has among the jobs of either study's `rules`."""

    name: str
    a: list[str]
    b: list[str]
    rules: list[str]


@dataclass(frozen=True)
class Alone:
    """What only one study has."""

    models: list[str]
    tables: list[str]
    figures: list[str]


def compare_settings(a: Results, b: Results) -> list[Setting]:
    """What differs in parameters of rules that both studies ran, in their code and in the packages."""
    differing = _differing(a, b, _parameters)
    grouped: dict[tuple[str, str, str], Setting] = {}
    for rule, key, ours, theirs in differing:
        found = grouped.setdefault((key, str(ours), str(theirs)), Setting(key, ours, theirs, []))
        found.rules.append(rule)
    codes = _differing(a, b, lambda record: [("code", record.get("code"))])
    moved = [Setting("code", ["its own"], ["another"], sorted({rule for rule, *_ in codes}))] if codes else []
    before, after = _packages(a), _packages(b)
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    packages = [Setting(name, sorted(before.get(name, [])), sorted(after.get(name, [])), []) for name in names]
    return [*sorted(grouped.values(), key=lambda setting: (-len(setting.rules), setting.name)), *moved, *packages]


def alone(study: Results, other: Results) -> Alone:
    """Models, tables and figures of a study that the other does not have."""
    models = _models(study) - _models(other)
    tables = [name for name in study.tables if name not in other.tables]
    return Alone(sorted(models), tables, [name for name in study.figures if name not in other.figures])


def _differing(
    a: Results, b: Results, said: Callable[[dict[str, Any]], Iterable[tuple[str, Any]]]
) -> list[tuple[str, str, list[str], list[str]]]:
    """Rule, key and both studies' values of what records say and do not say alike."""
    ours, theirs = _said(a, said), _said(b, said)
    found = []
    for rule in sorted(ours.keys() & theirs.keys()):
        for key in sorted({*ours[rule], *theirs[rule]}):
            one, other = (sorted(side[rule].get(key, {"–"})) for side in (ours, theirs))
            if one != other:
                found.append((rule, key, one, other))
    return found


def _said(
    study: Results, said: Callable[[dict[str, Any]], Iterable[tuple[str, Any]]]
) -> dict[str, dict[str, set[str]]]:
    """Rule -> key -> all values among its jobs, as text."""
    found: dict[str, dict[str, set[str]]] = {}
    for record in study.records:
        of_rule = found.setdefault(record["rule"], {})
        for key, value in said(record):
            of_rule.setdefault(key, set()).add(value if isinstance(value, str) else canonical_json(value))
    return found


def _parameters(record: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    options = record["parameters"].get("options", {})
    yield from ((key, value) for key, value in _flat(options) if key not in NAMES)


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Key with dots -> value, through all mappings."""
    if isinstance(value, dict) and value:
        for name, entry in value.items():
            yield from _flat(entry, f"{key}.{name}" if key else name)
    else:
        yield key, value


def _packages(study: Results) -> dict[str, set[str]]:
    """Package -> the versions that jobs ran with."""
    found: dict[str, set[str]] = {}
    for digest in {record.get("environment") for record in study.records}:
        try:
            kept = dict(read_json(study.folder / ENVIRONMENTS / f"{digest}.json"))
        except (ReciteError, TypeError, ValueError):
            continue
        for name, version in kept.items():
            found.setdefault(name, set()).add(str(version))
    return found


def _models(study: Results) -> set[str]:
    """The models that any table has a line of."""
    tables = [name for name in study.tables if "model" in study.schema(name).names]
    return {model for name in tables for model in study.read(name)["model"].unique()}
