"""What a study asks of heads: whose, in which layers, on which rows, and what replaces them."""

import math
from typing import Any

from recite.errors import ReciteError
from recite.study.asked import Asked
from recite.study.checks import check_models_of, known
from recite.study.study import Study

SECTION = "ablation"


def models(study: Asked) -> list[str]:
    """The models whose heads are ablated."""
    return study.models_of(SECTION)


def needs_means(study: Study) -> bool:
    """Whether heads are replaced by their means over the ablated rows."""
    return bool(models(study)) and study.config[SECTION]["replacement"] == "dataset_mean"


def screens(study: Study) -> bool:
    """Whether only those heads are ablated that an estimate puts forward."""
    return bool(models(study)) and "screening" in study.config[SECTION]


def parts(study: Study, model: str) -> dict[str, dict[str, int]]:
    """The parts of scoring that hold rows whose heads are ablated: part -> shard -> how many of its rows."""
    return {part: shards for part in study.parts(model) if (shards := rows(study, model, part))}


def rows(study: Study, model: str, part: str) -> dict[str, int]:
    """The rows of one part whose heads are ablated: shard -> how many."""
    section, size = study.config[SECTION], study.config["sampling"]["shard_rows"]
    most = section["rows_per_domain_of"].get(model, section.get("rows_per_domain"))
    most = min(most or math.inf, study.config["sampling"]["rows_per_domain"])
    whole = {shard: min(size, most - size * int(shard.rpartition("-")[2])) for shard in study.parts(model)[part]}
    return {shard: count for shard, count in whole.items() if count > 0}


def blocks(study: Study, model: str) -> dict[int, int | None]:
    """The layers of each job: first -> the one after its last, None for the model's last."""
    step, layers = _step(study, model), study.models[model].layers
    firsts = [0] if step is None or layers is None else range(0, layers, step)
    return {first: block_end(study, model, first) for first in firsts}


def block_end(study: Study, model: str, first: int) -> int | None:
    """The layer after the last of a job's, None for the model's last."""
    step, layers = _step(study, model), study.models[model].layers
    return None if step is None or layers is None else min(first + step, layers)


def _step(study: Study, model: str) -> int | None:
    """Layers of a job; None for all."""
    section = study.config[SECTION]
    step: int | None = section["layers_per_job_of"].get(model, section.get("layers_per_job"))
    return step


def batch_rows(study: Study, model: str) -> int:
    """Rows of every forward pass in which a model's heads are ablated."""
    section = study.config[SECTION]
    return int(section["batch_rows_of"].get(model, section["batch_rows"]))


def means_options(study: Study, model: str) -> dict[str, Any]:
    """Those of scoring, with batches of their own size and the rows of every shard."""
    own = {shard: count for shards in parts(study, model).values() for shard, count in shards.items()}
    return _run_options(study, model) | {"rows": own}


def _run_options(study: Study, model: str) -> dict[str, Any]:
    """Those of scoring, with batches of their own size."""
    return study.run_options(model) | {"batch_rows": batch_rows(study, model)}


def ablation_options(study: Study, model: str, part: str, first: int) -> dict[str, Any]:
    """The same for the shards of one part, with some layers and what heads are replaced by."""
    own = {"rows": rows(study, model, part), "layers": [first, block_end(study, model, first)]}
    share = {"share": study.config[SECTION]["screening"]["share"]} if screens(study) else {}
    return _run_options(study, model) | own | _replacement(study) | share


def screening_options(study: Study, model: str) -> dict[str, Any]:
    """The same for the rows of every shard and all layers; not how many heads are then ablated."""
    return means_options(study, model) | _replacement(study) | {"kinds": study.domains_of(model)}


def _replacement(study: Study) -> dict[str, Any]:
    """A seed where it decides something."""
    replacement = study.config[SECTION]["replacement"]
    return {"replacement": replacement} | ({"seed": study.seed} if replacement == "resample" else {})


def check(study: Asked, source: str) -> None:
    """Settings of single models are of models that there are; layers are cut into jobs where their number is known."""
    check_models_of(study, SECTION, source)
    section = study.config[SECTION]
    for key in ("rows_per_domain_of", "layers_per_job_of", "batch_rows_of"):
        for name in section[key]:
            known(name, study.known_models, f"{source}: ablation.{key}", "model that there is")
    for name in models(study):
        cut = "layers_per_job" in section or name in section["layers_per_job_of"]
        if cut and study.models[name].layers is None:
            raise ReciteError(
                f"{source}: ablation.layers_per_job: the number of layers of {name} is not known; add `layers` to its "
                "entry in the models file."
            )
