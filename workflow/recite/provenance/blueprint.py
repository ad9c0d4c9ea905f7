"""What today's Snakefile and config say of a study: by which job, from what, by what code and params each file is made.

The rules are asked themselves, so that no second list of them can go out of step. Nothing is run. As asking takes a
second, and a millisecond a job, the answer is kept in the checkout, under the digest of all that it can depend on; it
is not kept with the results, which may come from somebody else.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from recite.errors import ReciteError
from recite.files import canonical_json, write_json
from recite.provenance.environment import installed_versions
from recite.provenance.records import modules_of, parameters_of, path_in, record_path
from recite.study.config import read_yaml
from recite.study.declaration import Stage
from recite.study.study import listed, load_study

KEPT = ".recite/blueprints"
SOURCES = ("Snakefile", "workflow/rules/*.smk", "workflow/**/*.yaml", "workflow/recite/**/*.py", "scripts/*.py")
NAMED = ("corpora_file", "models_file", "claims_file", "published_file")
"""Keys of a study's config that name another config file."""


class Planned(NamedTuple):
    """A job as it would be run today; paths are those in the study.

    run: the function that does it; "" where it only says that it is done. modules: whose code `code` is the digest of.
    """

    rule: str
    run: str
    modules: tuple[str, ...]
    wildcards: dict[str, str]
    parameters: dict[str, Any]
    code: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Blueprint:
    """All jobs of a study.

    root: the checkout. study: the folder of the results. figures: what is said of each, by name. tables: the module
    that declares each. models: family, corpus, layers and heads of each. asked: the files that the study is asked for
    by default. beside: outputs of rules without wildcards that it is not asked for.
    """

    root: Path
    study: Path
    figures: dict[str, Any]
    tables: dict[str, str]
    models: dict[str, dict[str, Any]]
    asked: list[str]
    beside: list[str]
    jobs: list[Planned]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_output", {path: job for job in self.jobs for path in job.outputs})

    @property
    def targets(self) -> list[str]:
        """All that the study is asked for, and what was made beside it."""
        made = [path for path in self.beside if self._was_made(path)]
        return list(dict.fromkeys([*self.asked, *made]))

    def job_of(self, path: str) -> Planned | None:
        """The job that would make a file; None where no job does."""
        return self._by_output.get(path)  # type: ignore[attr-defined]

    def _was_made(self, path: str) -> bool:
        return (self.study / path).exists() or record_path(self.study, path).exists()


def read_blueprint(root: Path, configfile: Path, stages: tuple[Stage, ...]) -> Blueprint:
    """The blueprint of the study of a config, by the checkout `root`; ReciteError where they do not stand."""
    kept = root / KEPT / f"{_key(root, configfile)}.json"
    try:
        found = json.loads(kept.read_text())
    except (OSError, ValueError):
        # The Snakefile checks the config too, but its one sentence comes out of Snakemake in two.
        load_study(read_yaml(configfile), str(configfile), stages)
        found = _ask_snakemake(root, configfile)
        write_json(kept, found)
    jobs = [Planned._make(tuple(item) if isinstance(item, list) else item for item in job) for job in found["jobs"]]
    figures, tables = dict(found["figures"]), found["tables"]
    models = dict(found["models"])
    return Blueprint(root, Path(found["study"]), figures, tables, models, found["asked"], found["beside"], jobs)


def _key(root: Path, configfile: Path) -> str:
    """The digest of all that a blueprint can depend on: sources, config files, packages."""
    config = read_yaml(configfile)
    named = [Path(str(config[key])) for key in NAMED if isinstance(config, dict) and key in config]
    sources = [path for pattern in SOURCES for path in sorted(root.glob(pattern))]
    digest = hashlib.sha256(canonical_json(installed_versions(root)).encode())
    for path in [*sources, configfile, *named, *sorted(Path("config").glob("*.yaml"))]:
        if path.is_file():
            name = path.relative_to(root) if path.is_relative_to(root) else path
            digest.update(f"{name}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _ask_snakemake(root: Path, configfile: Path) -> dict[str, Any]:
    """Read the Snakefile and expand its rules from the default target down."""
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
        study = Path("results", workflow.config["study"])
        rules = list(workflow.rules)
        asked = _expand(workflow.get_rule(workflow.default_target), {}, study).inputs
        plain = (rule for rule in rules if not rule.wildcard_names)
        beside = [name for rule in plain for name in _names(rule.output, study) if name not in asked]
        return {
            "study": study.as_posix(),
            "figures": list(workflow.globals["FIGURES"].items()),
            "tables": workflow.globals["study"].table_modules,
            "models": list(listed(workflow.globals["study"]).items()),
            "asked": list(asked),
            "beside": beside,
            "jobs": list(_walk(rules, [*asked, *beside], study)),
        }


def _walk(rules: list[Any], targets: list[str], study: Path) -> Iterator[Planned]:
    """The jobs that make the targets, and all that they are made from."""
    seen: set[str] = set()
    waiting = list(reversed(targets))
    while waiting:
        path = waiting.pop()
        full = f"{study.as_posix()}/{path}"
        rule = next((rule for rule in rules if rule.is_producer(full)), None) if path not in seen else None
        seen.add(path)
        if rule is not None:
            job = _expand(rule, rule.get_wildcards(full), study)
            seen.update(job.outputs)
            waiting += [name for name in reversed(job.inputs) if name not in seen]
            yield job


def _expand(rule: Any, values: dict[str, str], study: Path) -> Planned:
    from snakemake.iocontainers import Wildcards

    wildcards = Wildcards(fromdict=values)
    inputs, outputs = rule.expand_input(wildcards)[0], rule.expand_output(wildcards)[0]
    params, _ = rule.expand_params(wildcards, inputs, outputs, job=None)
    run, code = (str(getattr(params, name, "")) for name in ("run", "code"))
    modules = modules_of(run, params.modules) if run else ()
    made = parameters_of(params)
    return Planned(rule.name, run, modules, values, made, code, _names(inputs, study), _names(outputs, study))


def _names(paths: Any, study: Path) -> tuple[str, ...]:
    prefix = f"{study.as_posix()}/"
    return tuple(path[len(prefix) :] if path.startswith(prefix) else path_in(study, path) for path in map(str, paths))
