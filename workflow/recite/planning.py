"""Snakemake (9.27) made to plan large studies with less work: what it asks of every job alike is asked once.

Nothing of what is planned changes.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from snakemake import common, rules, sourcecache


def ask_once() -> None:
    """Let Snakemake remember the parameters of functions and the parts of the names of scripts and environments."""
    ask = common.get_function_params
    known: dict[Callable[..., Any], Mapping[str, Any]] = {}

    def parameters(function: Callable[..., Any]) -> Mapping[str, Any]:
        plain = getattr(function, "__func__", function)  # a method of whatever object
        if plain not in known:
            known[plain] = ask(function)
        return known[plain]

    for module in (common, rules):
        module.get_function_params = parameters
    sourcecache.parse_uri = cache(sourcecache.parse_uri)
