"""A study resolved from its config: models, samples, shards, and what each stage must know.

The Snakefile reads nothing else. What a stage must know is handed to its jobs as a plain dict;
a job runs again exactly when its dict, its code or its inputs change.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from recite.architectures import ARCHITECTURES, Shape
from recite.config import check_config, read_yaml
from recite.errors import ReciteError

SCORE_TABLES = ("rates", "distribution", "control_rates", "scaling")
NOISE_TABLES = ("noise_rates",)
FIGURE_MODULES = Path(__file__).resolve().parent / "figures"


class Model(NamedTuple):
    """A model of the study: its family (row of the architecture table), size and BOS policy."""

    name: str
    family: str
    size: str
    bos: bool


@dataclass(frozen=True)
class Study:
    """A validated study; see `load_study`."""

    config: dict[str, Any]
    corpora: dict[str, Any]
    figure_entries: dict[str, Any]

    @property
    def name(self) -> str:
        return self.config["study"]

    @property
    def results(self) -> str:
        return f"results/{self.name}"

    @property
    def corpus(self) -> str:
        """Name of the corpus that the study's models are trained on and sampled from."""
        return self.config["training"]["corpus"]

    @cached_property
    def models(self) -> dict[str, Model]:
        training = self.config["training"]
        names = [(family, size) for family in training["families"] for size in training["sizes"]]
        return {
            f"{family}-{size}": Model(f"{family}-{size}", family, size, training["families"][family]["bos"])
            for family, size in names
        }

    @property
    def families(self) -> list[str]:
        return list(self.config["training"]["families"])

    @property
    def domains(self) -> list[str]:
        return self.config["sampling"]["domains"]

    @property
    def domain_kinds(self) -> dict[str, str]:
        kinds = self.corpora[self.corpus]["domains"]
        return {domain: kinds[domain] for domain in self.domains}

    @property
    def planted(self) -> list[str]:
        return [domain for domain, kind in self.domain_kinds.items() if kind == "planted"]

    @cached_property
    def parts(self) -> dict[str, list[str]]:
        """What one scoring job scores: name of the part -> its shards; a part bears its first shard's name."""
        sampling = self.config["sampling"]
        count = -(-sampling["rows_per_domain"] // sampling["shard_rows"])
        shards = [f"{domain}-{index:04d}" for domain in self.domains for index in range(count)]
        step = self.config["scoring"]["shards_per_job"]
        return {shards[start]: shards[start : start + step] for start in range(0, len(shards), step)}

    @property
    def shards(self) -> list[str]:
        return [shard for part in self.parts.values() for shard in part]

    @property
    def noise_models(self) -> list[str]:
        return self.config["noise"]["models"] if "noise" in self.config else []

    @property
    def noise_strengths(self) -> list[str]:
        """The strengths that need a computation, as in file names; zero is the undisturbed score."""
        strengths = self.config["noise"]["strengths"] if self.noise_models else []
        return [repr(float(alpha)) for alpha in strengths if alpha > 0]

    @property
    def tables(self) -> list[str]:
        return [*SCORE_TABLES, *(NOISE_TABLES if self.noise_models else ())]

    @property
    def figures(self) -> dict[str, Any]:
        """The entries of figures_file whose tables this study has."""
        return {name: entry for name, entry in self.figure_entries.items() if set(entry["tables"]) <= set(self.tables)}

    def corpus_options(self) -> dict[str, Any]:
        return {"name": self.corpus, **self.corpora[self.corpus]["build"]}

    def tokenization_options(self, family: str) -> dict[str, Any]:
        training = self.config["training"]
        return {"row_tokens": training["row_tokens"], "vocabulary": training["families"][family]["vocabulary"]}

    def training_options(self, model: str) -> dict[str, Any]:
        training = self.config["training"]
        entry = self.models[model]
        return {
            "family": entry.family,
            "shape": training["sizes"][entry.size],
            "recipe": training["families"][entry.family],
        }

    def sampling_options(self) -> dict[str, Any]:
        return {"seed": self.config["seed"], "corpus": self.corpus, **self.config["sampling"]}

    def scoring_options(self, model: str) -> dict[str, Any]:
        scoring = self.config["scoring"]
        entry = self.models[model]
        return {
            "model": model,
            "family": entry.family,
            "bos": entry.bos,
            "batch_rows": scoring["batch_rows"],
            "dtype": scoring["dtypes"].get(model, scoring["dtype"]),
        }

    @property
    def measures_batches(self) -> bool:
        """Whether the number of rows of a batch is measured for each model."""
        return bool(self.config["scoring"]["batch_rows"] == "auto")

    def batching_options(self, model: str) -> dict[str, Any]:
        sampling = self.config["sampling"]
        bos = self.models[model].bos
        return {
            "model": model,
            "dtype": self.scoring_options(model)["dtype"],
            "context_tokens": sampling["context_tokens"] + bos,
            "continuation_tokens": sampling["continuation_tokens"],
        }

    def noise_options(self) -> dict[str, Any]:
        noise = self.config["noise"]
        return {"seed": self.config["seed"], **{key: noise[key] for key in ("layer", "rms", "positions")}}

    def aggregation_options(self) -> dict[str, Any]:
        return {"seed": self.config["seed"], "kinds": self.domain_kinds, **self.config["aggregation"]}


def load_study(config: dict[str, Any], source: str) -> Study:
    """Check a study's config, the corpora and figures that it names, and how they fit together.

    `config` is the merged mapping (it is filled with defaults in place), `source` the name of its
    file for messages. Raises ReciteError with one sentence at the first mistake.
    """
    check_config(config, "study", source)
    corpora_file, figures_file = Path(config["corpora_file"]), Path(config["figures_file"])
    corpora = check_config(read_yaml(corpora_file), "corpora", str(corpora_file))
    figures = check_config(read_yaml(figures_file), "figures", str(figures_file))
    for figure in figures:
        if not (FIGURE_MODULES / f"{figure}.py").is_file():
            raise ReciteError(f"{figures_file}: nothing draws {figure}; add {figure}.py to workflow/recite/figures.")
    study = Study(config, corpora, figures)
    _check_training(study, source, corpora_file)
    _check_corpus(corpora, corpora_file)
    for domain in study.domains:
        _known(
            domain, corpora[study.corpus]["domains"], f"{source}: sampling.domains", f"domain of corpus {study.corpus}"
        )
    kinds = set(study.domain_kinds.values())
    if "planted" not in kinds or kinds == {"planted"}:
        raise ReciteError(
            f"{source}: sampling.domains must hold a planted domain and one that is not; "
            f"add one of corpus {study.corpus}."
        )
    for model in config["scoring"]["dtypes"]:
        _known(model, study.models, f"{source}: scoring.dtypes", "model of this study")
    _check_noise(study, source)
    return study


def _check_noise(study: Study, source: str) -> None:
    for model in study.noise_models:
        _known(model, study.models, f"{source}: noise.models", "model of this study")
        layers = study.config["training"]["sizes"][study.models[model].size]["layers"]
        if study.config["noise"]["layer"] >= layers:
            raise ReciteError(
                f"{source}: noise.layer is {study.config['noise']['layer']}, but {model} has {layers} layers, counted "
                "from 0; choose one that every model of noise.models has."
            )


def _check_training(study: Study, source: str, corpora_file: Path) -> None:
    if "training" not in study.config:
        raise ReciteError(f"{source}: key 'training' is missing; a study needs models, and these are trained in it.")
    training = study.config["training"]
    _known(training["corpus"], study.corpora, f"{source}: training.corpus", f"corpus of {corpora_file}")
    for family in training["families"]:
        _known(family, ARCHITECTURES, f"{source}: training.families", "family of the architecture table")
    for size, entry in training["sizes"].items():
        shape = Shape(**entry)
        if shape.width % shape.heads:
            raise ReciteError(
                f"{source}: training.sizes.{size}: {shape.heads} heads do not divide width {shape.width}; "
                "choose a width that is a multiple of the heads."
            )
        if shape.width // shape.heads % 8:
            raise ReciteError(
                f"{source}: training.sizes.{size}: heads of width {shape.width // shape.heads} cannot be rotated by "
                "every family; choose width / heads as a multiple of 8."
            )
    sampling = study.config["sampling"]
    if sampling["window"] != "head":
        raise ReciteError(
            f"{source}: sampling.window is {sampling['window']}, but models trained here see only the head of each "
            "document; set it to head."
        )
    window = sampling["context_tokens"] + sampling["continuation_tokens"]
    if window > training["row_tokens"]:
        raise ReciteError(
            f"{source}: sampling asks for windows of {window} tokens, but training.row_tokens is "
            f"{training['row_tokens']}; the models would not have seen them whole."
        )


def _check_corpus(corpora: dict[str, Any], corpora_file: Path) -> None:
    for name, corpus in corpora.items():
        build = corpus["build"]
        for domain in build["sources"]:
            _known(domain, corpus["domains"], f"{corpora_file}: {name}.build.sources", "domain of that corpus")
        source = build["controls"]["source"]
        _known(source, build["sources"], f"{corpora_file}: {name}.build.controls.source", "source of that corpus")
        planted = [domain for domain, kind in corpus["domains"].items() if kind == "planted"]
        if planted != ["control"]:
            raise ReciteError(
                f"{corpora_file}: {name}.domains must have one domain of kind planted, called control, for the "
                f"texts of build.controls; it has {', '.join(planted) or 'none'}."
            )


def _known(name: str, known: Any, place: str, what: str) -> None:
    if name not in known:
        raise ReciteError(f"{place}: {name!r} is not a {what} (known: {', '.join(known)}).")
