"""A study resolved from its config: models, samples, shards, and what each stage must know.

The Snakefile reads nothing else. What a stage must know is handed to its jobs as a plain dict;
a job runs again exactly when its dict, its code or its inputs change.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

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
from recite.study.models import Crossed, Model, crossed_families, recipes_of, registered_models, trained_models

SCORE_TABLES = ("rates", "distribution", "disjoint_samples")
PLANTED_TABLES = ("control_rates",)
SCALING_TABLES = ("scaling", "slope_tests", "predictions")
DOMAIN_TABLES = ("kinds", "profiles")
NOISE_TABLES = ("noise_rates",)
RECOVERY_TABLES = ("recovery", "recovery_tests")
LENS_TABLES = ("lens", "lens_positions", "lens_profiles")
ABLATION_TABLES = ("heads",)
SCREENING_TABLES = ("screening",)
OVERLAP_TABLES = ("overlap",)
POWER_TABLES = ("power",)
COMPRESSIBILITY_TABLES = ("compressibility", "suffix_lengths")
FREQUENCY_TABLES = ("frequency_rates", "thresholds", "countings")
SIGNATURE_TABLES = ("signatures", "signature_pairs", "signature_tests")
SIGNATURE_SOURCES = ("recovery", "lens", "heads")
"""Tables with a line for every layer of a model."""
FACTORIAL_TABLES = ("factorial",)
LEDGER_TABLES = ("claims",)
CORPUS_FOLDER = "data/corpora"
"""Where the files of a corpus lie unless its entry says otherwise."""


@dataclass(frozen=True)
class Study:
    """A validated study; see `load_study`."""

    config: dict[str, Any]
    corpora: dict[str, Any]
    figure_entries: dict[str, Any]
    claims: dict[str, Any]
    published: list[dict[str, Any]]
    models: dict[str, Model]

    @property
    def name(self) -> str:
        return self.config["study"]

    @property
    def results(self) -> str:
        return f"results/{self.name}"

    @property
    def trains(self) -> bool:
        """Whether the study makes its corpus and its models itself."""
        return "training" in self.config

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

    @property
    def noise_models(self) -> list[str]:
        return self.config["noise"].get("models", list(self.models)) if "noise" in self.config else []

    @property
    def noise_strengths(self) -> list[str]:
        """The strengths that need a computation, as in file names; zero is the undisturbed score."""
        strengths = self.config["noise"]["strengths"] if self.noise_models else []
        return _above_zero(strengths)

    @property
    def noise_layers(self) -> list[int]:
        """The layers that are disturbed, one at a time, in their order in the model."""
        return sorted(self.config["noise"]["layers"]) if "noise" in self.config else []

    @property
    def recovery_models(self) -> list[str]:
        return self._models_of("recovery")

    @property
    def recovery_strengths(self) -> list[str]:
        """The strengths at which layers are compared, as in file names; all of the noise unless some are named."""
        if not self.recovery_models:
            return []
        return _above_zero(self.config["recovery"].get("strengths", self.config["noise"]["strengths"]))

    @property
    def lens_models(self) -> list[str]:
        return self._models_of("lens")

    @property
    def ablation_models(self) -> list[str]:
        return self._models_of("ablation")

    @property
    def needs_head_means(self) -> bool:
        """Whether heads are replaced by their means over the ablated rows."""
        return bool(self.ablation_models) and self.config["ablation"]["replacement"] == "dataset_mean"

    @property
    def screens(self) -> bool:
        """Whether only those heads are ablated that an estimate puts forward."""
        return bool(self.ablation_models) and "screening" in self.config["ablation"]

    def ablation_parts(self, model: str) -> dict[str, dict[str, int]]:
        """The parts of scoring that hold rows whose heads are ablated: part -> shard -> how many of its rows."""
        return self._ablation_parts[model]

    @cached_property
    def _ablation_parts(self) -> dict[str, dict[str, dict[str, int]]]:
        return {model: self._cut_ablation(model) for model in self.models}

    def _cut_ablation(self, model: str) -> dict[str, dict[str, int]]:
        section, size = self.config["ablation"], self.config["sampling"]["shard_rows"]
        most = section["rows_per_domain_of"].get(model, section.get("rows_per_domain"))
        most = min(most or math.inf, self.config["sampling"]["rows_per_domain"])
        parts = {
            part: {shard: min(size, most - size * int(shard.rpartition("-")[2])) for shard in shards}
            for part, shards in self.parts(model).items()
        }
        kept = {part: {shard: rows for shard, rows in shards.items() if rows > 0} for part, shards in parts.items()}
        return {part: shards for part, shards in kept.items() if shards}

    def ablation_blocks(self, model: str) -> dict[int, int | None]:
        """The layers of each job: first -> the one after its last, None for the model's last."""
        section, layers = self.config["ablation"], self.models[model].layers
        step = section["layers_per_job_of"].get(model, section.get("layers_per_job"))
        if step is None or layers is None:
            return {0: None}
        return {first: min(first + step, layers) for first in range(0, layers, step)}

    @property
    def compressibility_models(self) -> list[str]:
        return self._models_of("compressibility")

    def _models_of(self, stage: str) -> list[str]:
        """The models that a section names, or all; none without the section."""
        section = self.config.get(stage)
        return [] if section is None else section.get("models", list(self.models))

    @property
    def frequency_families(self) -> list[str]:
        section = self.config.get("frequency")
        return [] if section is None else section.get("families", list(self.families))

    @property
    def frequency_models(self) -> list[str]:
        return [name for name, model in self.models.items() if model.family in self.frequency_families]

    @property
    def countings(self) -> list[str]:
        return self.config["frequency"]["countings"] if self.frequency_families else []

    def counted_by(self, family: str, counting: str) -> str:
        """How a family's rows are counted: public only where its corpus has an index there, else by bytes."""
        has_index = "infini_gram" in self.corpora[self.families[family].corpus]
        return "bytes" if counting == "public" and not has_index else counting

    def index_of(self, family: str, counting: str) -> str:
        """Units of the local index that a counting needs: bytes, or the family whose tokens they are; "" for none."""
        by = self.counted_by(family, counting)
        return {"own": family, "other": self.config["frequency"].get("other", ""), "public": ""}.get(by, by)

    @cached_property
    def tables_of(self) -> dict[str, tuple[str, ...]]:
        """Rule -> the tables that it makes for the figures and the summary."""
        made = {
            "aggregation": SCORE_TABLES + (PLANTED_TABLES if self.planted else ()),
            "scaling": SCALING_TABLES,
            "domains": DOMAIN_TABLES,
        }
        made |= {"noise_aggregation": NOISE_TABLES} if self.noise_models else {}
        made |= {"recovery_aggregation": RECOVERY_TABLES} if self.recovery_strengths else {}
        made |= {"lens_aggregation": LENS_TABLES} if self.lens_models else {}
        if self.ablation_models:
            ablation = ABLATION_TABLES + (() if self.screens else SCREENING_TABLES)
            made |= {"ablation_aggregation": ablation, "overlap": OVERLAP_TABLES, "power": POWER_TABLES}
        made |= {"compressibility_aggregation": COMPRESSIBILITY_TABLES} if self.compressibility_models else {}
        made |= {"frequency_aggregation": FREQUENCY_TABLES} if self.frequency_families else {}
        made |= {"signatures": SIGNATURE_TABLES} if self._profiled(made) else {}
        made |= {"factorial": FACTORIAL_TABLES} if self._profiled(made) and self.crossed else {}
        return made | {"ledger": LEDGER_TABLES}

    @property
    def signature_sources(self) -> list[str]:
        """The tables whose layers are compared between models."""
        return [table for tables in self._profiled(self.tables_of).values() for table in tables]

    @property
    def signature_makers(self) -> list[str]:
        """The rules that make them."""
        return list(self._profiled(self.tables_of))

    def _profiled(self, made: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """Rule -> its tables with a line for every layer of a model; with screened heads layers are not whole."""
        sources = [table for table in SIGNATURE_SOURCES if table != "heads" or not self.screens]
        kept = {rule: [table for table in tables if table in sources] for rule, tables in made.items()}
        return {rule: tables for rule, tables in kept.items() if tables}

    @property
    def tables(self) -> list[str]:
        return [table for tables in self.tables_of.values() for table in tables]

    @property
    def figures(self) -> dict[str, Any]:
        """The entries of figures_file whose tables this study has."""
        return {name: entry for name, entry in self.figure_entries.items() if set(entry["tables"]) <= set(self.tables)}

    def corpus_options(self, corpus: str) -> dict[str, Any]:
        return {"name": corpus, **self.corpora[corpus]["build"]}

    def inventory_options(self, corpus: str) -> dict[str, Any]:
        files = {"folder": f"{CORPUS_FOLDER}/{corpus}", **self.corpora[corpus]["files"]}
        kept = ("folder", "patterns", "without", "groups", "hub", "revision")
        return {"corpus": corpus, **{key: files[key] for key in kept if key in files}}

    def groups(self, corpus: str) -> int:
        """In how many jobs the files of a corpus are read."""
        return self.corpora[corpus].get("files", {}).get("groups", 1)

    def group_names(self, corpus: str) -> list[str]:
        """What these jobs are called."""
        return [f"{group:03d}" for group in range(self.groups(corpus))]

    def layout(self, corpus: str) -> dict[str, Any]:
        """How the documents of a corpus are read, whatever their labels."""
        files = self.corpora[corpus].get("files", BUILT_FILES)
        return {key: value for key, value in files.items() if key in LAYOUT_KEYS}

    def candidates_options(self, corpus: str) -> dict[str, Any]:
        """What decides the candidates of a corpus; not which of its domains are sampled."""
        sampling = self.config["sampling"]
        tokens = sampling["context_tokens"] + sampling["continuation_tokens"]
        labels = {domain: domain for domain in self.corpora[corpus]["domains"]}
        return {
            "draw": {
                "seed": self.config["seed"],
                "corpus": corpus,
                "most": -(-int(sampling["rows_per_domain"] * sampling["candidates_per_row"] * 100) // 100) + 1,
                "excerpt": sampling["characters_per_token"] * tokens,
                "place": sampling["window"],
            },
            "layout": {"labels": labels} | self.layout(corpus),
        }

    def tokenization_options(self, family: str) -> dict[str, Any]:
        training = self.config["training"]
        return {"row_tokens": training["row_tokens"], "vocabulary": recipes_of(training)[family]["vocabulary"]}

    def tokenizer_options(self, family: str) -> dict[str, Any]:
        return self.checkpoint_options(self.families[family].name)

    def training_options(self, model: str) -> dict[str, Any]:
        training = self.config["training"]
        entry = self.models[model]
        return {
            "family": entry.family,
            "shape": training["sizes"][entry.size],
            "recipe": recipes_of(training)[entry.family],
        }

    def checkpoint_options(self, model: str) -> dict[str, Any]:
        """What a checkpoint is and where it lies; not what its jobs ask a scheduler for."""
        entry = self.models[model].entry or {}
        return {"model": model, **{key: value for key, value in entry.items() if key not in ("gpus", "gpu_model")}}

    def sampling_options(self, family: str, domain: str) -> dict[str, Any]:
        sampling = self.config["sampling"]
        kept = ("context_tokens", "continuation_tokens", "rows_per_domain", "shard_rows")
        return {
            "corpus": self.families[family].corpus,
            "domain": domain,
            **{key: sampling[key] for key in kept},
        }

    def scoring_options(self, model: str) -> dict[str, Any]:
        scoring = self.config["scoring"]
        entry = self.models[model]
        return {
            "model": model,
            "family": entry.family,
            "bos": entry.bos,
            "batch_rows": scoring["batch_rows"],
            "dtype": scoring["dtypes"].get(model, entry.dtype or scoring["dtype"]),
        }

    def weight_bytes(self, model: str) -> int:
        """Memory of a registered model's weights, as its entry tells; 0 where it tells nothing."""
        entry = self.models[model].entry or {}
        return entry.get("parameters", 0) * (4 if self.scoring_options(model)["dtype"] == "float32" else 2)

    @property
    def measures_batches(self) -> bool:
        """Whether the number of rows of a batch is measured for each model."""
        return bool(self.config["scoring"]["batch_rows"] == "auto")

    def batching_options(self, model: str) -> dict[str, Any]:
        sampling = self.config["sampling"]
        return {
            "model": model,
            "dtype": self.scoring_options(model)["dtype"],
            "context_tokens": sampling["context_tokens"] + (self.models[model].bos is not None),
            "continuation_tokens": sampling["continuation_tokens"],
        }

    def noise_options(self, layer: int) -> dict[str, Any]:
        """What decides the noise in one layer; not which other layers there are."""
        noise = self.config["noise"]
        return {"seed": self.config["seed"], "layer": layer, "rms": noise["rms"], "positions": noise["positions"]}

    def recovery_options(self, model: str, layer: int) -> dict[str, Any]:
        """Those of scoring and noise, with batches of their own size; only the prompt is fed."""
        noise = {key: value for key, value in self.noise_options(layer).items() if key != "positions"}
        return self.scoring_options(model) | {"batch_rows": self.config["recovery"]["batch_rows"], "noise": noise}

    def lens_options(self, model: str) -> dict[str, Any]:
        """Those of scoring, with batches of their own size."""
        return self.scoring_options(model) | {"batch_rows": self.config["lens"]["batch_rows"]}

    def head_means_options(self, model: str) -> dict[str, Any]:
        """Those of scoring, with batches of their own size and the rows of every shard."""
        rows = {shard: count for shards in self.ablation_parts(model).values() for shard, count in shards.items()}
        return self.scoring_options(model) | {"batch_rows": self.ablation_batch_rows(model), "rows": rows}

    def ablation_batch_rows(self, model: str) -> int:
        """Rows of every forward pass in which a model's heads are ablated."""
        section = self.config["ablation"]
        return int(section["batch_rows_of"].get(model, section["batch_rows"]))

    def ablation_options(self, model: str, part: str, first: int) -> dict[str, Any]:
        """The same for the shards of one part, with some layers and what heads are replaced by."""
        own = {"rows": self.ablation_parts(model)[part], "layers": [first, self.ablation_blocks(model)[first]]}
        share = {"share": self.config["ablation"]["screening"]["share"]} if self.screens else {}
        return self.head_means_options(model) | own | self._replacement_options() | share

    def screening_options(self, model: str) -> dict[str, Any]:
        """The same for the rows of every shard and all layers; not how many heads are then ablated."""
        kinds = self.domains[self.models[model].corpus]
        return self.head_means_options(model) | self._replacement_options() | {"kinds": kinds}

    def _replacement_options(self) -> dict[str, Any]:
        """A seed where it decides something."""
        replacement = self.config["ablation"]["replacement"]
        return {"replacement": replacement} | ({"seed": self.config["seed"]} if replacement == "resample" else {})

    def compressibility_options(self, model: str) -> dict[str, Any]:
        """Those of scoring, with batches of their own size."""
        return self.scoring_options(model) | {"batch_rows": self.config["compressibility"]["batch_rows"]}

    def index_options(self, corpus: str) -> dict[str, Any]:
        """Documents of any label are indexed, but for those that were taken out of the corpus."""
        return {"layout": self.layout(corpus) | {"labels": None}}

    def frequency_shards(self, family: str) -> list[str]:
        """The shards whose rows are counted: the first of every domain, as many as hold rows_per_domain."""
        size, most = self.config["sampling"]["shard_rows"], self.config["frequency"].get("rows_per_domain")
        needed = None if most is None else -(-most // size)
        return [
            shard for domain in self.domains[self.families[family].corpus] for shard in self.shards_of(domain)[:needed]
        ]

    def frequency_options(self, family: str, counting: str) -> dict[str, Any]:
        section, corpus, by = self.config["frequency"], self.families[family].corpus, self.counted_by(family, counting)
        options = {"family": family, "counting": counting, "by": by, "rows_per_domain": section.get("rows_per_domain")}
        if by == "public":
            options |= {"index": self.corpora[corpus]["infini_gram"], "public": section["public"]}
        return options

    def frequency_aggregation_options(self) -> dict[str, Any]:
        section = self.config["frequency"]
        return self.aggregation_options() | {"countings": section["countings"], "rise": section["rise"]}

    def aggregation_options(self) -> dict[str, Any]:
        return {
            "seed": self.config["seed"],
            "corpora": {name: model.corpus for name, model in self.models.items()},
            "kinds": self.domains,
            **self.config["aggregation"],
        }

    def signature_options(self) -> dict[str, Any]:
        aggregation = self.config["aggregation"]
        return {"seed": self.config["seed"], **{key: aggregation[key] for key in ("confidence", "resamples")}}

    def factorial_options(self) -> dict[str, Any]:
        families = {family: place._asdict() for family, place in self.crossed.items()}
        return self.signature_options() | {"families": families}

    def interval_options(self) -> dict[str, Any]:
        return {"confidence": self.config["aggregation"]["confidence"]}


def _above_zero(strengths: list[float]) -> list[str]:
    return [repr(float(alpha)) for alpha in strengths if alpha > 0]


LAYOUT_KEYS = ("text", "id", "domain", "path", "labels", "removed")
"""Keys of a corpus's `files` entry that say how its documents are read."""
BUILT_FILES = {"text": "text", "id": "id", "domain": "domain"}
"""How the documents of a corpus that is made here are read."""


def load_study(config: dict[str, Any], source: str) -> Study:
    """Check a study's config, the corpora, models and figures that it names, and how they fit together.

    `config` is the merged mapping (it is filled with defaults in place), `source` the name of its
    file for messages. Raises ReciteError with one sentence at the first mistake.
    """
    check_config(config, "study", source)
    corpora_file, figures_file = Path(config["corpora_file"]), Path(config["figures_file"])
    models_file, claims_file = Path(config["models_file"]), Path(config["claims_file"])
    corpora = check_config(read_yaml(corpora_file), "corpora", str(corpora_file))
    figures = check_config(read_yaml(figures_file), "figures", str(figures_file))
    check_figures(figures, figures_file)
    claims = check_config(read_yaml(claims_file), "claims", str(claims_file))
    check_claims(claims, figures, claims_file)
    published_file = Path(config["published_file"])
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
    study = Study(config, corpora, figures, claims, published, models)
    check_sampling(config, {model.corpus for model in models.values()}, corpora, source)
    check_settings(config, models, names, source)
    return study
