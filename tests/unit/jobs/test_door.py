"""recite.jobs.door: what a job's function is given, and the end as its process sees it: status, terminal and log."""

import importlib
import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import NoneType, SimpleNamespace
from typing import Any, get_args

import pytest
from snakemake.iocontainers import InputFiles, OutputFiles, Params, ResourceList, Wildcards

import recite
from recite.catalogue import STAGES
from recite.files import canonical_json
from recite.jobs.door import arguments
from recite.study.declaration import Rule
from recite.study.study import Study
from studies import NOTES, ROOT, loaded, own_study, shipped

SCRIPT = """
import sys
from types import SimpleNamespace
from pathlib import Path
from snakemake.iocontainers import InputFiles, OutputFiles, Params, ResourceList, Wildcards
from recite.errors import ReciteError
from recite.files import canonical_json
from recite.jobs.door import door, work
from recite.provenance.fingerprint import fingerprint

params = {{"run": "{module}:{function}", "modules": [], "code": fingerprint(("{module}",))}}
job = SimpleNamespace(
    log=[sys.argv[1]], output=OutputFiles(fromdict={{"tokenizer": "results/tiny/tokenizer.model"}}), input=InputFiles(),
    params=Params(fromdict=params | {{"options": canonical_json({options})}}), wildcards=Wildcards(), rule="scoring",
    threads=1, resources=ResourceList(), config={{"study": "tiny", "fetch": False}},
)
{call}
"""
DOOR = """
with door(job):
    print("words of the job")
    {body}
"""
MODULE, FUNCTION = "recite.corpora.family_tokenizer", "copy_tokenizer"
"""A function that does what can be seen."""


def run(root: Path, body: str, log: str = "log") -> subprocess.CompletedProcess[str]:
    """Run a job with that body, whose log is `log`, in the folder `root`."""
    return run_script(root, DOOR.format(body=body), log, {})


def run_script(root: Path, call: str, log: str, options: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
    script = SCRIPT.format(module=MODULE, function=FUNCTION, call=call, options=dict(options))
    (root / "job.py").write_text(script)
    environment = {"PYTHONPATH": str(Path(str(recite.__file__)).parents[1])}
    command = [sys.executable, "job.py", log]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)


def test_success_says_nothing_on_the_terminal(tmp_path: Path) -> None:
    """A job's chatter belongs in its log."""
    job = run(tmp_path, "pass")
    assert (job.returncode, job.stdout, job.stderr) == (0, "", "")
    assert (tmp_path / "log").read_text() == "words of the job\n"


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    """A traceback would bury what to do."""
    job = run(tmp_path, "raise ReciteError('row 3 of x.parquet is empty; mend it.')")
    assert (job.returncode, job.stdout) == (1, "")
    assert job.stderr == "recite: row 3 of x.parquet is empty; mend it.\n"
    assert job.stderr in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    "body",
    [
        "raise OSError(28, 'full')",
        "raise OSError(122, 'quota')",
        "raise Exception('No space left on device (os error 28)')",
    ],
)
def test_full_disk_is_one_sentence(tmp_path: Path, body: str) -> None:
    """Libraries say it with and without an errno."""
    job = run(tmp_path, body)
    assert job.returncode == 1
    assert job.stderr == (
        "recite: the disk is full: results/tiny/tokenizer.model cannot be written; free some space, then run again.\n"
    )


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    """The log may lie on the full disk itself; /dev/full refuses every write."""
    job = run(tmp_path, "sys.stdout.flush()", log="/dev/full")
    assert job.returncode != 0
    assert "recite: the disk is full" in job.stderr


def test_a_defect_keeps_its_traceback(tmp_path: Path) -> None:
    """An unforeseen error must be found in the log, and must not exit 0."""
    job = run(tmp_path, "1 / 0")
    assert job.returncode == 1
    assert "ZeroDivisionError" in (tmp_path / "log").read_text()


def test_what_a_job_did_is_recorded(tmp_path: Path) -> None:
    """A result without a record cannot be audited; one of a job that failed would vouch for what is not there."""
    record = tmp_path / "results/tiny/records/tokenizer.model.json"
    job = run(tmp_path, "Path(job.output[0]).write_text('1')")
    assert (job.returncode, job.stderr) == (0, "")
    made = json.loads(record.read_text())
    assert made["rule"] == "scoring" and made["outputs"]["tokenizer.model"]["bytes"] == 1
    assert run(tmp_path, "raise ReciteError('no.')").returncode == 1
    assert not record.exists()


def test_a_job_that_need_not_run_ends_well(tmp_path: Path) -> None:
    """Its inputs were made anew and are the same: its block is left out, and Snakemake must find the outputs there."""
    output, kept = tmp_path / "results/tiny/tokenizer.model", tmp_path / "results/tiny/records/.kept/tokenizer.model"
    assert run(tmp_path, "Path(job.output[0]).write_text('1')").returncode == 0
    kept.parent.mkdir()
    output.rename(kept)
    job = run(tmp_path, "Path(job.output[0]).write_text('1')")
    assert (job.returncode, job.stdout, job.stderr) == (0, "", "")
    assert output.read_text() == "1" and not kept.exists()
    assert (tmp_path / "log").read_text().startswith("nothing to do: inputs, parameters, code and packages are those")


def test_the_named_function_does_the_job(tmp_path: Path) -> None:
    """A door that lets in another function, or none, makes nothing and says that all is well."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/tokenizer.json").write_text("tokens")
    options = {"model": "mine", "path": str(tmp_path / "mine"), "tokenizer": "tokenizer.json"}
    job = run_script(tmp_path, "work(job)", "log", options)
    assert (job.returncode, job.stderr) == (0, "")
    assert (tmp_path / "results/tiny/tokenizer.model").read_text() == "tokens"
    refused = run_script(tmp_path, "work(job)", "log", options | {"path": str(tmp_path / "other")})
    assert refused.returncode == 1 and "tokenizer of model mine is not there" in refused.stderr


def job_of(**changes: Any) -> SimpleNamespace:
    """A job as Snakemake hands it to the script."""
    given = {"run": "recite.x:work", "inputs": {}, "outputs": {"table": "t"}, "wildcards": {}}
    given |= {"resources": {"mem_mb": 2000}} | changes
    params = {"run": given["run"], "modules": [], "code": "ab", "options": canonical_json({"seed": 3})}
    return SimpleNamespace(
        input=InputFiles(fromdict=given["inputs"]),
        output=OutputFiles(fromdict=given["outputs"]),
        wildcards=Wildcards(fromdict=given["wildcards"]),
        resources=ResourceList(fromdict=given["resources"]),
        params=Params(fromdict=params),
        threads=4,
        config={"study": "tiny", "fetch": True},
    )


def test_arguments_by_name() -> None:
    """Files in another's place would be read as what they are not."""

    def work(
        options: Any, shards: list[Path], checkpoint: Path, scores: Path, parts: list[Path], code: str, threads: int
    ) -> None: ...

    job = job_of(
        inputs={"checkpoint": "m/weights", "ready": "samples/complete", "shards": ["s/b", "s/a"]},
        outputs={"scores": "scores/m", "parts": ["p/0"], "config": "m/config"},
    )
    expected = {"options": {"seed": 3}, "shards": [Path("s/b"), Path("s/a")], "checkpoint": Path("m/weights")}
    expected |= {"scores": Path("scores/m"), "parts": [Path("p/0")], "code": "ab", "threads": 4}
    assert arguments(work, job) == expected


def test_arguments_of_the_machine() -> None:
    """A limit in megabytes that is taken for bytes would leave no batch that fits."""

    def work(memory: int, fetch: bool, outputs: Mapping[str, Path]) -> None: ...

    outputs = {"rates": "tables/rates", "shards": ["a", "b"], "controls": "tables/controls"}
    made = {"rates": Path("tables/rates"), "controls": Path("tables/controls")}
    assert arguments(work, job_of(outputs=outputs)) == {"memory": 2 * 10**9, "fetch": True, "outputs": made}
    assert arguments(work, job_of(resources={}))["memory"] == 0


def test_wildcards_are_what_the_function_wants() -> None:
    """A strength of noise that is a text would be repeated where it is to be multiplied."""

    def work(alpha: float, layer: int, part: str) -> None: ...

    wildcards = {"alpha": "0.5", "layer": "03", "part": "code-0000", "model": "m"}
    assert arguments(work, job_of(wildcards=wildcards)) == {"alpha": 0.5, "layer": 3, "part": "code-0000"}


def test_what_a_job_has_not() -> None:
    """An input that a study lacks must be None or the function's own default, and an empty list no list that lacks."""

    def work(batch: Path | None, shards: list[Path], tokenizer: Path | None = Path("own")) -> None: ...

    assert arguments(work, job_of(inputs={"shards": []})) == {"batch": None, "shards": []}
    assert arguments(work, job_of(inputs={"batch": "b"})) == {"batch": Path("b")}


def of_input(table: Path) -> None: ...


def of_machine(threads: int) -> None: ...


def of_wildcard(group: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "changes"),
    [
        (of_input, {"inputs": {"table": "a"}}),
        (of_machine, {"inputs": {"threads": "a"}}),
        (of_wildcard, {"wildcards": {"group": "003"}, "outputs": {"group": "a"}}),
    ],
)
def test_a_name_of_two_things(function: Callable[..., None], changes: dict[str, Any]) -> None:
    """One of two files of a name would be left out without a word, and read over or written over."""
    with pytest.raises(TypeError, match=r"recite\.x:work: \w+ is an input, an output or a wildcard; rename one"):
        arguments(function, job_of(**changes))


def studies(folder: Path) -> Iterator[Study]:
    """The shipped studies and others that have each of the rules, and each of what a job may lack."""
    mini, paper = shipped("mini"), shipped("paper")
    yield from (loaded(config) for config in (mini, paper, shipped("factorial")))
    yield loaded(mini, ablation={"looks": [5], "replacement": "dataset_mean"})
    yield loaded(mini, scoring={"batch_rows": "auto"})
    yield loaded(mini, frequency={"countings": ["public"]})
    yield loaded(paper, frequency={"countings": ["bytes", "own", "other", "public"], "other": "pythia"})
    yield loaded({name: section for name, section in mini.items() if name not in ("noise", "recovery", "ablation")})
    mine = {"corpus": "notes", "step": 20, "steps": {10: {}}}
    yield loaded(own_study(folder, {"mine": mine}, {"notes": NOTES}, trajectory={}))
    yield loaded(mini, **{stage.section: {} for stage in STAGES if stage.section and stage.section not in mini})


def function_of(rule: Rule) -> Callable[..., None]:
    module, _, name = rule.run.partition(":")
    function: Callable[..., None] = getattr(importlib.import_module(module), name)
    return function


def kinds_of(study: Study, rule: Rule) -> Iterator[SimpleNamespace]:
    """A job of each set of names that jobs of the rule have."""
    seen = set()
    for wildcards in study.jobs(rule.name):
        inputs = rule.inputs(study, wildcards)
        if (names := frozenset(inputs)) not in seen:
            seen.add(names)
            yield job_of(run=rule.run, inputs=inputs, outputs=study.outputs(rule.name), wildcards=wildcards)


def test_every_function_can_be_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is misspelt, or that only a study of another kind has, would end a run, or be None without a word."""
    monkeypatch.chdir(ROOT)
    given: dict[str, set[str]] = {}
    wanted: dict[str, set[str]] = {}
    for study in studies(tmp_path):
        for rule in study.rules.values():
            if not rule.run:
                continue
            function = function_of(rule)
            parameters = inspect.signature(function).parameters
            wanted[rule.name] = set(parameters)
            for job in kinds_of(study, rule):
                found = arguments(function, job)
                inspect.signature(function).bind(**found)
                lacking = {name for name, value in found.items() if value is None}
                assert all(NoneType in get_args(parameters[name].annotation) for name in lacking)
                given.setdefault(rule.name, set()).update(found.keys() - lacking)
    assert {rule: names - given[rule] for rule, names in wanted.items() if names - given[rule]} == {}
    assert set(wanted) == {rule.name for stage in STAGES for rule in stage.rules if rule.run}
