"""recite.jobs.asking: what Snakemake is told from memory must be what it would find."""

import functools
from typing import Any

import pytest
from snakemake import common, rules, sourcecache

from recite.jobs.asking import ask_once


class Resource:
    """With a method, as Snakemake's resources have one."""

    def evaluate(self, wildcards: Any, attempt: int = 1) -> None: ...


def asked(wildcards: Any, attempt: int, **more: Any) -> None: ...


def overwritten(*arguments: Any) -> None: ...


@pytest.fixture
def originals(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """Snakemake's own functions, which are put back after the test."""
    found = common.get_function_params, sourcecache.parse_uri
    for module in (common, rules):
        monkeypatch.setattr(module, "get_function_params", found[0])
    monkeypatch.setattr(sourcecache, "parse_uri", found[1])
    return found


def test_parameters_are_those_that_snakemake_finds(originals: tuple[Any, Any]) -> None:
    """A resource function that is not given its attempt, or too much, ends the run or asks for the wrong machine."""
    common.overwrite_function_params(overwritten, ["input"])
    functions = [asked, overwritten, lambda wildcards: None, lambda wildcards, input: None, Resource().evaluate]
    functions += [functools.partial(asked, attempt=2), Resource().evaluate]
    expected = [originals[0](function) for function in functions]
    given = {"attempt": 1, "input": 2, "threads": 3}
    passed = [common.get_input_function_aux_params(function, given) for function in functions[2:]]
    ask_once()
    for _ in range(2):
        assert [rules.get_function_params(function) for function in functions] == expected
        assert [common.get_input_function_aux_params(function, given) for function in functions[2:]] == passed


def test_names_of_sources_are_parsed_alike(originals: tuple[Any, Any]) -> None:
    """A script of another folder that is taken for the one parsed before would run in its place."""
    names = ["/a folder/scripts/scoring.py", "/other/scripts/scoring.py", "https://host.example/x.py", "file:///a/b"]
    expected = [originals[1](name) for name in names]
    ask_once()
    assert [sourcecache.parse_uri(name) for name in names * 2] == expected * 2
