"""What today's Snakefile and config say of a file: by which job it would be made, from what, by what code and params.

The rules are asked themselves, so that no second list of them can go out of step. Nothing is run and nothing is
written, and of the library only this module needs Snakemake.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from recite.errors import ReciteError
from recite.records import parameters_of, path_in, record_path


class Planned(NamedTuple):
    """A job as it would be run today; paths are those in the study. A job without script only says that it is done."""

    rule: str
    script: Path | None
    wildcards: dict[str, str]
    parameters: dict[str, Any]
    code: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Blueprint:
    """The rules of a study; see `read_blueprint`."""

    def __init__(self, workflow: Any, root: Path) -> None:
        self._workflow = workflow
        self.root = root
        self.study = Path("results", workflow.config["study"])
        self.figures: dict[str, Any] = workflow.config["figures"]
        self._jobs: dict[str, Planned | None] = {}

    @cached_property
    def targets(self) -> list[str]:
        """All that the study is asked for by default, and what else was once made by a rule without wildcards."""
        rules = list(self._workflow.rules)
        default = self._workflow.get_rule(self._workflow.default_target)
        asked = self._expand(default, {}).inputs
        beside = [path for rule in rules if not rule.wildcard_names for path in self._names(rule.output)]
        made = [path for path in beside if (self.study / path).exists() or record_path(self.study, path).exists()]
        return list(dict.fromkeys([*asked, *made]))

    def job_of(self, path: str) -> Planned | None:
        """The job that would make a file; None where no rule makes it."""
        if path not in self._jobs:
            full = str(self.study / path)
            rule = next((rule for rule in self._workflow.rules if rule.is_producer(full)), None)
            job = None if rule is None else self._expand(rule, rule.get_wildcards(full))
            self._jobs |= dict.fromkeys(job.outputs if job else (path,), job)
        return self._jobs[path]

    def _names(self, paths: Any) -> tuple[str, ...]:
        return tuple(path_in(self.study, str(path)) for path in paths)

    def _expand(self, rule: Any, values: dict[str, str]) -> Planned:
        from snakemake.iocontainers import Wildcards

        wildcards = Wildcards(fromdict=values)
        inputs, outputs = rule.expand_input(wildcards)[0], rule.expand_output(wildcards)[0]
        params, _ = rule.expand_params(wildcards, inputs, outputs, job=None)
        return Planned(
            rule.name,
            self.root / "scripts" / Path(rule.script).name if rule.script else None,
            values,
            parameters_of(params),
            getattr(params, "code", ""),
            self._names(inputs),
            self._names(outputs),
        )


@contextmanager
def read_blueprint(root: Path, configfile: Path) -> Iterator[Blueprint]:
    """Read the Snakefile of the checkout `root` with a study's config; ReciteError where they do not stand."""
    from snakemake.api import SnakemakeApi
    from snakemake.exceptions import WorkflowError
    from snakemake.settings.enums import Quietness
    from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings

    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        settings = ConfigSettings(configfiles=[configfile])
        try:
            # Snakemake has no public way to the rules that it has read; its own commands go this one.
            workflow = api.workflow(
                ResourceSettings(cores=1), config_settings=settings, snakefile=root / "Snakefile"
            )._workflow
        except WorkflowError as error:
            raise ReciteError(str(error)) from None
        yield Blueprint(workflow, root)
