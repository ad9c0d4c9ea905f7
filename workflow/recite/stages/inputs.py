"""What stages share: jobs for every part of models' rows, and their inputs and options."""

from collections.abc import Iterable
from typing import Any

from recite.study.declaration import READY, Wildcards
from recite.study.study import Study


def part_jobs(study: Study, models: Iterable[str]) -> list[Wildcards]:
    """A job for every part of some models' rows."""
    return [{"model": model, "part": part} for model in models for part in study.parts(model)]


def own_batches(study: Study, section: str, model: str) -> dict[str, Any]:
    """How a model is run, with batches of a section's own size."""
    return study.run_options(model) | {"batch_rows": study.config[section]["batch_rows"]}


def model_and_rows(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    """A model and one part of its rows; they wait for the samples of all families."""
    model = wildcards["model"]
    return checkpoint(study, model) | ready(study) | {"shards": shards(study, model, wildcards["part"])}


def model_and_scores(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    """A model, one part of its rows and their scores."""
    model = wildcards["model"]
    rows = {"shards": shards(study, model, wildcards["part"])}
    return {"scores": study.file("scoring", "scores", wildcards)} | checkpoint(study, model) | rows


def scores_of(study: Study, models: Iterable[str]) -> list[str]:
    """The scores of some models, all parts."""
    return [file for model in models for file in study.files("scoring", "scores", model=model)]


def scores_of_domain(study: Study, model: str, domain: str) -> list[str]:
    """The scores of a model that hold rows of one domain."""
    shards = set(study.shards_of(domain))
    parts = [part for part, names in study.parts(model).items() if shards & set(names)]
    return [study.file("scoring", "scores", {"model": model, "part": part}) for part in parts]


def domains_of_part(study: Study, model: str, part: str) -> list[str]:
    """The domains whose first shard lies in one part of a model's rows: each domain is drawn as a whole."""
    shards = set(study.parts(model)[part])
    return [domain for domain in study.domains_of(model) if study.shards_of(domain)[0] in shards]


def domain_jobs(study: Study, models: Iterable[str]) -> list[Wildcards]:
    """A job for every part of some models' rows in which domains begin: of these domains as a whole."""
    return [job for job in part_jobs(study, models) if domains_of_part(study, job["model"], job["part"])]


def model_and_drawn(study: Study, model: str, domains: Iterable[str]) -> dict[str, Any]:
    """A model, and what rows of some domains are drawn from: all of their rows and scores."""
    domains = [*domains]
    scores = dict.fromkeys(file for domain in domains for file in scores_of_domain(study, model, domain))
    names = [shard for domain in domains for shard in study.shards_of(domain)]
    rows = {"scores": [*scores], "shards": shard_files(study, study.models[model].family, names)}
    return checkpoint(study, model) | rows


def drawing(study: Study, domains: Iterable[str]) -> dict[str, Any]:
    """What decides which rows of some domains are drawn, but for how many."""
    thresholds = {name: study.config["aggregation"][name] for name in ("memorized", "half", "unmemorized")}
    return {"domains": [*domains], "seed": study.seed} | thresholds


def drawing_of_classes(study: Study, section: str, domains: Iterable[str]) -> dict[str, Any]:
    """The same, with how many rows of each class."""
    return drawing(study, domains) | {"classes": study.config[section]["classes"]}


def planted(study: Study) -> dict[str, Any]:
    """Sample shards of the planted domains and, if there are any, the table of their known copies."""
    shards = [
        file
        for family in study.families
        for domain in study.planted
        for file in shard_files(study, family, study.shards_of(domain))
    ]
    return {"planted": shards} | ({"controls": study.file("corpus", "controls", {})} if shards else {})


def checkpoint(study: Study, model: str) -> dict[str, str]:
    """What names a model's weights: weights and config of one that is trained here, or a checkpoint's record."""
    if study.trains:
        weights, config = (trained(study, model, output) for output in ("weights", "config"))
        return {"checkpoint": weights, "checkpoint_config": config}
    return {"checkpoint": study.file("registration", "record", {"model": model})}


def trained(study: Study, model: str, output: str) -> str:
    """A file of the training of a model."""
    return study.file("training_in_steps" if study.models[model].steps else "training", output, {"model": model})


def ready(study: Study) -> dict[str, str]:
    """That every domain of every family has its rows, before the first model runs on any."""
    return {READY: study.file("samples", "complete", {})}


def shards(study: Study, model: str, part: str) -> list[str]:
    """The sample shards of one part of one model's rows."""
    return shard_files(study, study.models[model].family, study.parts(model)[part])


def shard_files(study: Study, family: str, names: Any) -> list[str]:
    """Sample shards of a family."""
    return [f"samples/{family}/{shard}.parquet" for shard in names]


def batch(study: Study, model: str) -> dict[str, str]:
    """The measured batch size of a model, where the config leaves it open."""
    return {"batch": study.file("batching", "batch", {"model": model})} if study.measures_batches else {}


def tokenizer(study: Study, family: str) -> str:
    """The tokenizer's file of a family."""
    return f"tokenizers/{family}/{study.families[family].tokenizer}"
