"""Snakemake (9.27) made to plan large studies with less work: what it asks of every job alike is asked once.

Nothing of what is planned changes.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from snakemake import common, rules, sourcecache

_ask = common.get_function_params
_known: dict[Callable[..., Any], Mapping[str, Any]] = {}
_parts = cache(sourcecache.parse_uri)


def ask_once() -> None:
    """Let Snakemake remember the parameters of functions and the parts of the names of scripts and environments.

    A process that reads the Snakefile again changes nothing more.
    """
    for module in (common, rules):
        module.get_function_params = _parameters
    sourcecache.parse_uri = _parts


def _parameters(function: Callable[..., Any]) -> Mapping[str, Any]:
    plain = getattr(function, "__func__", function)  # a method of whatever object
    if plain not in _known:
        _known[plain] = _ask(function)
    return _known[plain]
