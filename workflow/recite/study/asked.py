"""What a config asks for, before any stage is asked: models, families, domains, shards and parts of rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from recite.study.models import Crossed, Model, crossed_families


@dataclass(frozen=True)
class Asked:
    """A validated config and the files that it names."""

    config: dict[str, Any]
    corpora: dict[str, Any]
    claims: dict[str, Any]
    published: list[dict[str, Any]]
    models: dict[str, Model]
    known_models: tuple[str, ...]
    """Names of all models that there are, of which the length of jobs may be told though the study has not all."""

    @property
    def name(self) -> str:
        return str(self.config["study"])

    @property
    def results(self) -> str:
        return f"results/{self.name}"

    @property
    def seed(self) -> int:
        return int(self.config["seed"])

    @property
    def trains(self) -> bool:
        """Whether the study makes its corpus and its models itself."""
        return "training" in self.config

    def models_of(self, section: str) -> list[str]:
        """The models that a section names, or all; none without the section."""
        found = self.config.get(section)
        return [] if found is None else list(found.get("models", self.models))

    @cached_property
    def crossed(self) -> dict[str, Crossed]:
        """Family -> its place in the study's factorial, if it has one."""
        return crossed_families(self.config.get("training", {}))

    @cached_property
    def families(self) -> dict[str, Model]:
        """Family -> its first model, which gives the family's corpus and tokenizer."""
        first: dict[str, Model] = {}
        for model in self.models.values():
            first.setdefault(model.family, model)
        return first

    @cached_property
    def domains(self) -> dict[str, dict[str, str]]:
        """Corpus -> its sampled domains in the order of their shards, with their kinds."""
        chosen = self.config["sampling"].get("domains", {})
        sampled = {}
        for corpus in dict.fromkeys(model.corpus for model in self.models.values()):
            kinds = self.corpora[corpus]["domains"]
            names = chosen if isinstance(chosen, list) else chosen.get(corpus, kinds)
            sampled[corpus] = {domain: kinds[domain] for domain in names}
        return sampled

    @cached_property
    def text_classes(self) -> dict[str, dict[str, str]]:
        """Corpus -> its sampled domains with their classes of text, which corpora share.

        What is of class `other` is like nothing but itself, and its class is called by corpus and domain.
        """
        return {
            corpus: {domain: _own_class(self.corpora[corpus]["classes"][domain], corpus, domain) for domain in kinds}
            for corpus, kinds in self.domains.items()
        }

    def domains_of(self, model: str) -> dict[str, str]:
        """The sampled domains of a model's corpus, with their kinds."""
        return self.domains[self.models[model].corpus]

    @property
    def planted(self) -> list[str]:
        return [domain for kinds in self.domains.values() for domain, kind in kinds.items() if kind == "planted"]

    def shards_of(self, domain: str) -> list[str]:
        """Names of a domain's shards."""
        sampling = self.config["sampling"]
        count = -(-sampling["rows_per_domain"] // sampling["shard_rows"])
        return [f"{domain}-{index:04d}" for index in range(count)]

    def shards(self, family: str) -> list[str]:
        """Names of all shards of a family's sample."""
        return [shard for domain in self.domains[self.families[family].corpus] for shard in self.shards_of(domain)]

    def parts(self, model: str) -> dict[str, list[str]]:
        """What one scoring job scores: name of the part -> its shards; a part bears its first shard's name."""
        return self._parts[model]

    @cached_property
    def _parts(self) -> dict[str, dict[str, list[str]]]:
        """The parts of every model; each of thousands of jobs asks for them."""
        return {model: self._cut(model) for model in self.models}

    def _cut(self, model: str) -> dict[str, list[str]]:
        scoring = self.config["scoring"]
        shards = self.shards(self.models[model].family)
        step = scoring["shards_per_job_of"].get(model, scoring["shards_per_job"])
        return {shards[start]: shards[start : start + step] for start in range(0, len(shards), step)}

    def shape_of(self, model: str) -> Mapping[str, int]:
        """Layers, heads and such of a model, as far as the config, its entry or its files tell."""
        entry = self.models[model]
        shape = self.config["training"]["sizes"][entry.size] if entry.size else entry.facts
        return dict(shape or {})

    @property
    def measures_batches(self) -> bool:
        """Whether the number of rows of a batch is measured for each model."""
        return bool(self.config["scoring"]["batch_rows"] == "auto")

    def run_options(self, model: str) -> dict[str, Any]:
        """How a model is run, whatever is measured."""
        scoring, entry = self.config["scoring"], self.models[model]
        return {
            "model": model,
            "family": entry.family,
            "bos": entry.bos,
            "batch_rows": scoring["batch_rows"],
            "dtype": scoring["dtypes"].get(model, entry.dtype or scoring["dtype"]),
        }

    def weight_bytes(self, model: str) -> int:
        """Memory of a registered model's weights, as its entry or its files tell; 0 where they tell nothing."""
        facts = self.models[model].facts or {}
        return int(facts.get("parameters", 0)) * (4 if self.run_options(model)["dtype"] == "float32" else 2)

    def summary_options(self) -> dict[str, Any]:
        """What every stage that sums up rows is told."""
        return {
            "seed": self.seed,
            "corpora": {name: model.corpus for name, model in self.models.items()},
            "kinds": self.domains,
            **self.config["aggregation"],
        }

    def resampling_options(self) -> dict[str, Any]:
        """The same for what resamples and has no rows."""
        aggregation = self.config["aggregation"]
        return {"seed": self.seed, **{key: aggregation[key] for key in ("confidence", "resamples")}}


def _own_class(text_class: str, corpus: str, domain: str) -> str:
    return f"{corpus}: {domain}" if text_class == "other" else text_class
