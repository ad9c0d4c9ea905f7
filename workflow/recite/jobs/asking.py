"""Snakemake (9.27) made to plan large studies with less work: what it asks of every job alike is asked once.

Nothing of what is planned, tracked or said changes.
"""

import gc
from collections.abc import Callable, Mapping
from functools import cache
from string import Formatter
from typing import Any

import snakemake.api  # noqa: F401  first, as what follows imports itself in a circle
from snakemake import common, dag, io, iocontainers, jobs, rules, sourcecache, utils

OBJECTS, YOUNG, OLD = 20_000, 20, 50
"""New objects after which Python looks for cycles among them, and looks after which it looks at older ones: a DAG is
millions of objects that stay, and with Python's 700 every sixth second went into looks."""

_ask = common.get_function_params
_known: dict[Callable[..., Any], Mapping[str, Any]] = {}
_parts = cache(sourcecache.parse_uri)
_file = io.IOFile
_apply_wildcards = io._IOFile.apply_wildcards
_format_file = jobs.fmt_iofile
_message, _environment = jobs.Job.message, jobs.Job.conda_env_spec
_new_wildcards, _new_resources = rules.Wildcards, rules.ResourceList
_lists: dict[tuple[Any, ...], Any] = {}
_process_script = dag.ScriptProcessor.process_job
_guards: dict[str, Any] = {}
_of_job: list[Any] = [None, None]


def ask_once() -> None:
    """Let Snakemake remember what it would find again for every job.

    These are the parameters of functions, the parts of the names of scripts and environments, the files that many jobs
    of a rule read, a job's wildcards, and the environment of a rule. A process that reads the Snakefile again changes
    nothing more.
    """
    for module in (common, rules):
        module.get_function_params = _parameters
    sourcecache.parse_uri = _parts
    rules.IOFile = _shared_file
    io._IOFile.apply_wildcards = _apply
    rules.Wildcards = _wildcards
    rules.ResourceList = _resources
    jobs.fmt_iofile = _file_text
    jobs.Job.message = property(_message_of)
    jobs.Job.conda_env_spec = property(_environment_of)
    dag.ScriptProcessor.process_job = _look_for_script
    iocontainers.AttributeGuard.__new__ = _guard
    gc.set_threshold(OBJECTS, YOUNG, OLD)


class Plain(io._IOFile):
    """A file without wildcards and flags, the same for all jobs of a rule: it compares like its path."""

    __slots__ = ()
    __eq__ = str.__eq__
    __hash__ = str.__hash__
    is_storage = False

    def apply_wildcards(self, wildcards: Any) -> "Plain":
        return self


def _parameters(function: Callable[..., Any]) -> Mapping[str, Any]:
    plain = getattr(function, "__func__", function)  # a method of whatever object
    if plain not in _known:
        _known[plain] = _ask(function)
    return _known[plain]


def _shared_file(file: Any, rule: Any = None) -> Any:
    """One object for a path that a rule's jobs have in common."""
    if isinstance(file, Plain) and file.rule is rule:
        return file
    if type(file) is not str or "{" in file or rule is None:
        return _file(file, rule)
    shared = vars(rule).setdefault("_shared_files", {})
    if file not in shared:
        shared[file] = Plain(file, rule)
    return shared[file]


def _apply(pattern: Any, wildcards: Mapping[str, str]) -> Any:
    """A job's own file of a rule's pattern; one without flags needs no room for them."""
    if type(pattern._file) is not str:
        return _apply_wildcards(pattern, wildcards)
    return Plain(io.apply_wildcards(pattern._file, wildcards), pattern.rule)


def _file_text(file: Any, **role: bool) -> str:
    return str.__str__(file) if isinstance(file, Plain) else _format_file(file, **role)


def _wildcards(fromdict: Mapping[str, str]) -> Any:
    """The last job's wildcards again, if these are the ones that are asked for."""
    if _of_job[0] is not fromdict:
        _of_job[:] = fromdict, _new_wildcards(fromdict=fromdict)
    return _of_job[1]


def _resources(fromdict: Mapping[str, Any]) -> Any:
    """What jobs ask for, once for all that ask for the same; none of it changes, where no file is flagged `update`."""
    asked = tuple(fromdict.items())
    if asked not in _lists:
        _lists[asked] = _new_resources(fromdict=fromdict)
    return _lists[asked]


def _message_of(job: Any) -> Any:
    """A message that names wildcards alone needs none of the job's params and resources."""
    text = job.rule.message
    if text and _names(text) == {"wildcards"}:
        return utils.format(text, wildcards=job._format_wildcards)
    return _message.fget(job)


@cache
def _names(text: str) -> set[str]:
    return {name.partition(".")[0] for _, name, _, _ in Formatter().parse(text) if name is not None}


def _environment_of(job: Any) -> Any:
    """A rule's environment, where it is the same for all jobs, needs none of their params."""
    known = job.rule._expanded_conda_env
    return _environment.fget(job) if known is rules._NOT_CACHED else known


def _look_for_script(processor: Any, job: Any) -> None:
    """A script of which the name holds no wildcard is there for all jobs of a rule, or for none."""
    found = vars(processor).setdefault("_found", set())
    name = str(getattr(job.rule, processor.script_type))
    if "{" in name or name not in found:
        _process_script(processor, job)
        found.add(name)


def _guard(kind: Any, name: str | None = None) -> Any:
    """What stands where a list of Snakemake's has had a method: one for a name, and not two for every list."""
    if name is None:  # made by pickle
        return object.__new__(kind)
    return _guards.setdefault(name, object.__new__(kind))
