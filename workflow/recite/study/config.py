"""Config files against their JSON schemas: defaults filled in, one sentence for each mistake."""

import difflib
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend

from recite.errors import ReciteError
from recite.study.declaration import Stage

LIBRARY = Path(__file__).resolve().parents[2]
SCHEMAS = LIBRARY / "schemas"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, ten times as fast, where the package has it: every start of Snakemake reads the schemas."""
MERGED = "tag:yaml.org,2002:merge"
"""Of the key `<<`, which takes over the keys of another mapping, but for those that are said beside it."""


def read_yaml(path: Path) -> Any:
    """Read a YAML file safely; ReciteError if it is missing or not YAML, or if a key stands twice."""
    try:
        loader = LOADER(path.read_text())
        try:
            node = loader.get_single_node()
            for key, line, first in _said_twice(loader, node):
                raise ReciteError(f"{path}: key {key!r} stands in lines {first} and {line}; leave one.")
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except FileNotFoundError:
        raise ReciteError(f"{path} does not exist; run from the repository's root, or name another file.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ReciteError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def _said_twice(loader: Any, root: yaml.Node | None) -> Iterator[tuple[Any, int, int]]:
    """Keys that a mapping in a document has already: the key, its line, and the line before it that has it."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if node in seen:  # by another name, or within itself
            continue
        seen.add(node)
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        if isinstance(node, yaml.MappingNode):
            lines: dict[Any, int] = {}
            for key, value in node.value:
                waiting.append(value)
                if isinstance(key, yaml.ScalarNode) and key.tag != MERGED:
                    said, line = loader.construct_object(key), key.start_mark.line + 1
                    if said in lines:
                        yield said, line, lines[said]
                    lines[said] = line


def check_config(config: Any, schema: str, source: str, stages: Iterable[Stage] = ()) -> Any:
    """Validate `config` against workflow/schemas/<schema>.schema.yaml and fill in its defaults and `~` in place.

    The sections of `stages` are properties too, by the schemas in their folders. `source` names the file in messages.
    The first mistake raises ReciteError; so does a number that is not finite, of which no bound of a schema takes
    notice.
    """
    for place, value in _numbers(config):
        if not math.isfinite(value):
            raise ReciteError(f"{source}: {place} is {value}, which is no finite number; write one.")
    whole = read_yaml(SCHEMAS / f"{schema}.schema.yaml")
    for stage in stages:
        if stage.section:
            whole["properties"][stage.section] = read_yaml(LIBRARY.joinpath(*stage.package.split("."), "schema.yaml"))
    validator = _Filling(whole)
    error = best_match(validator.iter_errors(config))
    if error is not None:
        raise ReciteError(f"{source}: {_sentence(error)}")
    return config


def _numbers(value: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """The numbers with a point in a config, with the keys that lead to them."""
    if isinstance(value, float):
        yield place, value
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in pairs:
        yield from _numbers(entry, f"{place}.{key}" if place else str(key))


def _fill_then_check(
    validator: Any, properties: dict[str, Any], instance: Any, schema: dict[str, Any]
) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for key, subschema in properties.items():
            if "default" in subschema:
                default = subschema["default"]
                instance.setdefault(key, dict(default) if isinstance(default, dict) else default)
            if subschema.get("format") == "path" and isinstance(instance.get(key), str):
                instance[key] = _at_home(instance[key])
    yield from Draft202012Validator.VALIDATORS["properties"](validator, properties, instance, schema)


def _at_home(path: str) -> str:
    """A path with `~` as a shell takes it; of a user that there is not, as it is, to be refused where it is opened."""
    try:
        return str(Path(path).expanduser()) if path.startswith("~") else path
    except RuntimeError:
        return path


def _check_names(validator: Any, names: Any, instance: Any, schema: dict[str, Any]) -> Iterator[ValidationError]:
    """As in JSON, keys are texts: YAML's other keys (`1: 24`) are checked as they are written."""
    for key in instance if isinstance(instance, dict) else ():
        yield from validator.descend(instance=str(key), schema=names)


_Filling = extend(Draft202012Validator, {"properties": _fill_then_check, "propertyNames": _check_names})


def _sentence(error: ValidationError) -> str:
    place = ".".join(map(str, error.absolute_path))
    where = f"{place}: " if place else ""
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = list(error.schema.get("properties", {}))
        unknown = next(key for key in error.instance if key not in known)
        close = difflib.get_close_matches(str(unknown), known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}."
        return f"{where}unknown key {str(unknown)!r}; {hint}"
    if error.validator == "required":
        missing = error.message.split("'")[1]
        return f"{where}key {missing!r} is missing; add it."
    if error.validator == "enum":
        return f"{where}{error.instance!r} is not one of {', '.join(map(repr, error.validator_value))}."
    return f"{where}{error.message}; expected: {error.schema.get('description', error.validator_value)}"
