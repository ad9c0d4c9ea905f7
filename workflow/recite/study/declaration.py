"""What a stage says of itself, once: rules with their jobs, files, options and costs, tables, figures, words, claims.

Rules, plan, report and audit are put together from declarations and name no stage. A declaration is read wherever a
study is: it imports no torch, no pandas and none of the modules that run, draw or write, which it names instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from recite.planning.planner import Planner
    from recite.study.asked import Asked
    from recite.study.study import Study

Wildcards = Mapping[str, str]
Files = Mapping[str, str | Sequence[str]]
"""Name -> path in the study's folder, or several."""
ONCE: tuple[Wildcards, ...] = ({},)
"""The jobs of a rule without wildcards."""
READY = "ready"
"""Name of inputs that must be there and whose age and content do not matter."""


class Cost(NamedTuple):
    """What a job costs by its stage's declaration.

    written: bytes on disk. peak: bytes of each of its GPUs. held: bytes of tables that it has in main memory at once;
    None where these are all that it reads.
    """

    seconds: float
    gpus: int = 0
    cores: int = 1
    written: int = 0
    peak: int = 0
    held: int | None = None


def once(study: Study) -> Iterable[Wildcards]:
    """One job."""
    return ONCE


def nothing(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    """No inputs, or no options."""
    return {}


def no_modules(study: Study, wildcards: Wildcards) -> Sequence[str]:
    return ()


@dataclass(frozen=True)
class Rule:
    """A kind of job.

    place: where a job's log lies and what the plan calls it, with {wildcards} that follow the rule's name.
    run: the function that does the work, as `module:function`, called by `recite.jobs.door`; "" where nothing runs.
    jobs: the wildcards of every job; a rule without any is left out of the study.
    inputs, options: of one job; what names inputs may depend on is the study alone.
    outputs: paths with {wildcards}, or a function of the study that gives them; one for every table is added.
    tables: names of tables that the job makes for figures, summary and claims.
    modules: further modules, found by name in what the options say, that a job's result depends on.
    cost: what a job costs. megabytes: main memory that it needs whatever it reads.
    runs_model: whether it takes a model's GPUs. loads_model: whether it has its weights in main memory without these.
    fetches: whether it may download. asked: whether all of a study holds it.
    """

    name: str
    run: str
    cost: Callable[[Planner, Wildcards], Cost]
    place: str = ""
    jobs: Callable[[Study], Iterable[Wildcards]] = once
    inputs: Callable[[Study, Wildcards], Files] = nothing
    outputs: Files | Callable[[Study], Files] = field(default_factory=dict)
    tables: Sequence[str] | Callable[[Study], Sequence[str]] = ()
    options: Callable[[Study, Wildcards], dict[str, Any]] = nothing
    modules: Callable[[Study, Wildcards], Sequence[str]] = no_modules
    megabytes: Callable[[Study], int] = lambda study: 0
    runs_model: bool = False
    loads_model: bool = False
    fetches: bool = False
    asked: bool = True

    @property
    def path(self) -> str:
        """The rule's name and its wildcards, as in `noise/{model}/layer-{layer}`."""
        return f"{self.name}/{self.place}" if self.place else self.name

    def tables_in(self, study: Study) -> Sequence[str]:
        """Names of the tables that it makes in a study."""
        return self.tables(study) if callable(self.tables) else self.tables

    def outputs_in(self, study: Study) -> dict[str, str | Sequence[str]]:
        """Paths, with {wildcards}, of what a job makes in a study."""
        own = self.outputs(study) if callable(self.outputs) else self.outputs
        return {**{name: table_path(name) for name in self.tables_in(study)}, **own}


class Figure(NamedTuple):
    """A figure: drawn from its tables by the module `figures/<name>.py` of its stage.

    `{about}` in the caption becomes what its intervals are about, by the study's estimand.
    """

    title: str
    category: str
    tables: tuple[str, ...]
    caption: str


def no_check(study: Asked, source: str) -> None:
    return None


@dataclass(frozen=True)
class Stage:
    """A folder of the library that measures or compares something; see `Rule`.

    package: the folder as a module's name. Beside its declaration lie the modules that it names or, if `words` says so,
    `words.py` with the summary's `opening` and `sections`; `tables.py` with the tables; `claims.py` with a statistic
    for each of `claims`; `figures/`; and for a section of the study's config `schema.yaml`.
    check: raises ReciteError where the section of the config `source` does not fit the study.
    profiles: tables with a line for every layer of a model, whose layers are whole in that study.
    """

    package: str
    rules: tuple[Rule, ...]
    section: str = ""
    figures: Mapping[str, Figure] = field(default_factory=dict)
    claims: tuple[str, ...] = ()
    words: bool = False
    check: Callable[[Asked, str], None] = no_check
    profiles: Sequence[str] = ()

    @property
    def name(self) -> str:
        """Name of the folder and of the rule file."""
        return self.package.rpartition(".")[2]


def table_path(table: str) -> str:
    """Where a table lies in a study's folder."""
    return f"tables/{table}.parquet"
