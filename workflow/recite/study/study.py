"""A study: what its config asks for, and what the stages make of it. The Snakefile, the plan and the report read this.

What a stage must know is handed to its jobs as a plain dict; a job runs again exactly when its dict, its code or its
inputs change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from recite.study.asked import Asked
from recite.study.checks import (
    check_claims,
    check_corpora,
    check_figures,
    check_models,
    check_sampling,
    check_settings,
    check_training,
)
from recite.study.config import check_config, read_yaml
from recite.study.corpora import completed
from recite.study.declaration import Figure, Rule, Stage, Wildcards
from recite.study.models import registered_models, trained_models

ABOUT = {
    "corpus": "about this corpus's documents (estimand corpus: a sample of all has none)",
    "texts": "about texts such as these (estimand texts: rows of equal text are one observation)",
}
"""What a caption's {about} says of intervals, by the study's estimand."""


@dataclass(frozen=True)
class Study(Asked):
    """A validated study; see `load_study`."""

    stages: tuple[Stage, ...] = ()
    rules: dict[str, Rule] = field(default_factory=dict, init=False)
    """The rules that have jobs in this study, by name, in the order of the stages."""
    tables: dict[str, str] = field(default_factory=dict, init=False)
    """Table -> the rule that makes it."""
    table_modules: dict[str, str] = field(default_factory=dict, init=False)
    """Table -> the module that declares it."""
    _jobs: dict[str, list[Wildcards]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Ask every stage for its jobs, which may hang on what the stages before it make."""
        for stage in self.stages:
            for rule in stage.rules:
                self._jobs[rule.name] = list(rule.jobs(self))
                if self._jobs[rule.name]:
                    self.rules[rule.name] = rule
                    for table in rule.tables_in(self):
                        self.tables[table], self.table_modules[table] = rule.name, f"{stage.package}.tables"

    def jobs(self, rule: str) -> list[Wildcards]:
        """The wildcards of every job of a rule; none where it has no part in the study."""
        return self._jobs[rule]

    @cached_property
    def _outputs(self) -> dict[str, dict[str, str | Sequence[str]]]:
        return {rule.name: rule.outputs_in(self) for rule in self.rules.values()}

    def outputs(self, rule: str) -> dict[str, str | Sequence[str]]:
        """What a job of a rule makes, by name: paths in the study's folder with {wildcards}."""
        return self._outputs[rule]

    def files(self, rule: str, output: str = "", **known: str) -> list[str]:
        """What a rule's jobs make, all of it or one output; of the jobs with these wildcards only."""
        if not self._jobs[rule]:
            return []
        made = self.outputs(rule)
        patterns = paths_of([made[output]] if output else made.values())
        jobs = (job for job in self._jobs[rule] if all(job[key] == value for key, value in known.items()))
        return [pattern.format_map(job) for job in jobs for pattern in patterns]

    def file(self, rule: str, output: str, wildcards: Wildcards) -> str:
        """One output of one job of a rule."""
        return str(self.outputs(rule)[output]).format_map(wildcards)

    def modules_of(self, tables: Sequence[str]) -> list[str]:
        """The modules that declare some tables."""
        return sorted({self.table_modules[table] for table in tables})

    @property
    def about(self) -> str:
        """What the study's intervals are about, in words."""
        return ABOUT[self.config["aggregation"]["estimand"]]

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """The figures whose tables this study has, or those of them that the config names."""
        chosen = self.config.get("figures")
        found = {name: figure for stage in self.stages for name, figure in stage.figures.items()}
        return {
            name: figure._replace(caption=figure.caption.replace("{about}", self.about))
            for name, figure in found.items()
            if set(figure.tables) <= set(self.tables) and (chosen is None or name in chosen)
        }

    @cached_property
    def figure_modules(self) -> dict[str, str]:
        """Figure -> the module that draws it."""
        return {name: f"{stage.package}.figures.{name}" for stage in self.stages for name in stage.figures}

    @property
    def layer_profiles(self) -> list[str]:
        """The study's tables with a line for every layer of a model."""
        found = [table for stage in self.stages for table in stage.profiles]
        return [table for table in found if table in self.tables]


def paths_of(files: Any) -> list[str]:
    """All paths of some files, each of which may be several."""
    return [path for item in files for path in ([item] if isinstance(item, str) else item)]


def load_study(config: dict[str, Any], source: str, stages: tuple[Stage, ...]) -> Study:
    """Check a study's config, the corpora, models and claims that it names, and how they fit together.

    `config` is the merged mapping (it is filled with defaults in place), `source` the name of its file for messages,
    `stages` what the study may be made of. Raises ReciteError with one sentence at the first mistake.
    """
    check_config(config, "study", source, stages)
    corpora_file, models_file = Path(config["corpora_file"]), Path(config["models_file"])
    claims_file, published_file = Path(config["claims_file"]), Path(config["published_file"])
    corpora = completed(check_config(read_yaml(corpora_file), "corpora", str(corpora_file)), str(corpora_file))
    claims = check_config(read_yaml(claims_file), "claims", str(claims_file))
    figures = [figure for stage in stages for figure in stage.figures]
    check_figures(config, figures, source)
    check_claims(claims, [claim for stage in stages for claim in stage.claims], figures, claims_file)
    published = check_config(read_yaml(published_file), "published", str(published_file))
    check_corpora(corpora, corpora_file)
    if "training" in config:
        check_training(config, corpora, source, corpora_file)
        models = trained_models(config["training"])
        names = list(models)
    else:
        registry = check_config(read_yaml(models_file), "models", str(models_file))
        check_models(config, registry, corpora, source, models_file)
        models = registered_models(config["models"], registry, str(models_file))
        names = list(registry)
    asked = Asked(config, corpora, claims, published, models, tuple(names))
    check_sampling(config, {model.corpus for model in models.values()}, corpora, source)
    check_settings(asked, source)
    for stage in stages:
        if stage.section in config:
            stage.check(asked, source)
    return Study(config, corpora, claims, published, models, tuple(names), stages)


def described(figures: Mapping[str, Figure]) -> dict[str, dict[str, Any]]:
    """Figures as plain dicts, for Snakemake's captions and the audit."""
    return {name: figure._asdict() | {"tables": list(figure.tables)} for name, figure in figures.items()}


def listed(study: Asked) -> dict[str, dict[str, Any]]:
    """Models as plain dicts, for the report: family, corpus, layers and heads, None where nothing tells these."""
    shapes = {name: study.shape_of(name) for name in study.models}
    return {
        name: {"family": model.family, "corpus": model.corpus}
        | {key: shapes[name].get(key) for key in ("layers", "heads")}
        for name, model in study.models.items()
    }
