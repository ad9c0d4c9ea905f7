"""recite.jobs.asking: what Snakemake is told from memory must be what it would find."""

import functools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from snakemake import common, rules, sourcecache

from recite.jobs.asking import ask_once
from recite.provenance.fingerprint import SOURCE_ROOT


class Resource:
    """With a method, as Snakemake's resources have one."""

    def evaluate(self, wildcards: Any, attempt: int = 1) -> None: ...


def asked(wildcards: Any, attempt: int, **more: Any) -> None: ...


def overwritten(*arguments: Any) -> None: ...


SNAKEFILE = """
import os, sys
sys.path.insert(0, {source!r})
from recite.jobs.asking import ask_once

{spare}

def inputs(wildcards):
    shards = [f"shards/{{n}}" for n in range(3)]
    return {{"shards": shards, "one": shards[int(wildcards.n)], "ready": ancient("ready/all")}}

rule all:
    input:
        expand("out/{{n}}/whole", n=range(3)), "sum/all", "flags/kept"

rule shard:
    output:
        "shards/{{n,[0-9]+}}"
    resources:
        runtime=lambda wildcards, attempt: 10 * attempt + int(wildcards.n) // 2,
        mem_mb=500
    shell:
        "echo {{wildcards.n}} > {{output}}"

rule ready:
    output:
        touch("ready/all")
    input:
        expand("shards/{{n}}", n=range(3))

rule whole:
    input:
        unpack(inputs)
    output:
        whole="out/{{n}}/whole", folder=directory("out/{{n}}/folder"), gone=temp("out/{{n}}/gone")
    log:
        "logs/{{n}}.log"
    conda:
        "env.yaml"
    params:
        wanted=os.getenv("WANTED"), number=lambda wildcards: int(wildcards.n) * 2
    message:
        "Make {{wildcards.n}} whole"
    shell:
        "mkdir {{output.folder}}; cat {{input.shards}} {{input.one}} > {{output.whole}}; touch {{output.gone}}"

rule sum:
    input:
        wholes=expand("out/{{n}}/whole", n=range(3)), ready="ready/all"
    output:
        "sum/all"
    params:
        words="a b"
    message:
        "Sum up {{input.wholes}} to {{output}} with {{params.words}} in {{threads}}"
    script:
        "sum.py"

rule flags:
    input:
        "out/0/whole"
    output:
        protected("flags/kept")
    shell:
        "cp {{input}} {{output}}"
"""
SCRIPT = """
from pathlib import Path
given = snakemake.input
Path(snakemake.output[0]).write_text(f"{given.wholes} {given.ready} {given.get('index')} {snakemake.params.words}")
"""
CHANCE = re.compile(r"^\[.*|  (Date|Workflow ID): .*|Complete log.*|.*[Jj]ob ?id.*|Finished job.*|Elapsed time.*", re.M)
"""What differs between two runs: times, names, and numbers that follow from the order of sets."""


def told(folder: Path, *options: str, **environment: str) -> list[str]:
    """What Snakemake says of a run or a plan, in the order of its words."""
    command = [sys.executable, "-m", "snakemake", "--cores=1", "--printshellcmds", *options]
    run = subprocess.run(command, cwd=folder, env=os.environ | environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    said = CHANCE.sub("", (run.stdout + run.stderr).replace(str(folder), "HERE"))
    return sorted(" ".join(sorted(line.replace(",", "").split())) for line in said.splitlines())


def test_what_is_planned_tracked_and_said_is_snakemakes_own(tmp_path: Path) -> None:
    """Prevents a job that runs without need or is passed over, and one that asks for what another does."""
    said = []
    for number, spare in enumerate(("pass", "ask_once()")):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "Snakefile").write_text(SNAKEFILE.format(source=str(SOURCE_ROOT), spare=spare))
        (folder / "sum.py").write_text(SCRIPT)
        (folder / "env.yaml").write_text("dependencies: []")
        first = told(folder, WANTED="this")
        made = (folder / "sum/all").read_text()
        other = told(folder, "--dry-run", WANTED="that")
        (folder / "shards/1").write_text("another")
        said.append([*first, made, *other, *told(folder, "--dry-run", WANTED="this")])
    assert said[1] == said[0]
    for reason in ("Params have changed", "Updated input files: shards/1", "Make 2 whole", "runtime=11"):
        assert any(set(reason.split()) <= set(line.split()) for line in said[1]), reason


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
