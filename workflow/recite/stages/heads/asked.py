"""What a study asks of heads: whose, in which layers, on which rows, and what replaces them."""

import math
from typing import Any

from recite.errors import ReciteError
from recite.study.asked import Asked
from recite.study.checks import check_models_of, known
from recite.study.study import Study

SECTION = "ablation"
ALL = "all"
"""In place of a class: the first rows of each domain."""


def models(study: Asked) -> list[str]:
    """The models whose heads are ablated."""
    return study.models_of(SECTION)


def needs_means(study: Study) -> bool:
    """Whether heads are replaced by their means over the ablated rows."""
    return bool(models(study)) and study.config[SECTION]["replacement"] == "dataset_mean"


def looks(study: Study) -> list[int]:
    """After how many rows of a group and domain heads may be left, ascending; none if all are run on all rows."""
    most = max([*classes(study).values(), *(first_rows(study, model) for model in models(study))], default=0)
    return [rows for rows in study.config[SECTION]["looks"] if rows < most]


def rounds(study: Study) -> range:
    """The rounds of ablation: one, and one after each look."""
    return range(len(looks(study)) + 1)


def first_rows(study: Study, model: str) -> int:
    """Rows of each domain that are ablated whatever their class, the first of its sample; 0 for none."""
    section, total = study.config[SECTION], int(study.config["sampling"]["rows_per_domain"])
    most = section.get("rows_per_domain", 0 if "classes" in section else total)
    return min(section["rows_per_domain_of"].get(model, most), total)


def classes(study: Study) -> dict[str, int]:
    """Rows of each class of scores that are ablated in each domain, where there are so many."""
    return dict(study.config[SECTION].get("classes", {}))


def parts(study: Study, model: str) -> dict[str, dict[str, int]]:
    """The parts of scoring of which rows may be ablated: part -> shard -> how many of its rows to expect."""
    return {part: shards for part in study.parts(model) if (shards := rows(study, model, part))}


def rows(study: Study, model: str, part: str, round_: int | None = None) -> dict[str, int]:
    """The rows of one part to expect, of all rounds or one: shard -> how many; those of a class are spread evenly."""
    size, total = study.config["sampling"]["shard_rows"], study.config["sampling"]["rows_per_domain"]
    found: dict[str, int] = {}
    for shard in study.parts(model)[part]:
        held = min(size, total - size * int(shard.rpartition("-")[2]))
        count = min(held, sum(of_class(study, model, shard, round_).values()))
        found |= {shard: count} if count else {}
    return found


def of_class(study: Study, model: str, shard: str, round_: int | None = None) -> dict[str, int]:
    """The rows of one shard to expect, of all rounds or one, by class; the first, whatever their class, by ALL."""
    size, total = study.config["sampling"]["shard_rows"], study.config["sampling"]["rows_per_domain"]
    before = size * int(shard.rpartition("-")[2])
    held = min(size, total - before)
    edges = [0, *looks(study), total]
    low, high = (0, total) if round_ is None else edges[round_ : round_ + 2]
    found = {ALL: max(0, min(first_rows(study, model), high, before + held) - max(low, before))}
    for name, count in classes(study).items():
        drawn = max(0, min(count, high) - low)
        found[name] = min(held, math.ceil(drawn * held / total))
    return found


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


def drawing_options(study: Study, model: str, domain: str) -> dict[str, Any]:
    """How many rows of a domain, and where there are classes, what makes them and decides their rows."""
    own = {"first": first_rows(study, model), "classes": classes(study), "domain": domain, "looks": looks(study)}
    thresholds = {name: study.config["aggregation"][name] for name in ("memorized", "half", "unmemorized")}
    return {"model": model} | own | ({"seed": study.seed, **thresholds} if classes(study) else {})


def run_options(study: Study, model: str) -> dict[str, Any]:
    """Those of scoring, with batches of their own size."""
    return study.run_options(model) | {"batch_rows": batch_rows(study, model)}


def ablation_options(study: Study, model: str, first: int, round_: int) -> dict[str, Any]:
    """The same with some layers, a round, and what heads are replaced by."""
    own = {"layers": [first, block_end(study, model, first)], "round": round_}
    return run_options(study, model) | own | _replacement(study)


def looking_options(study: Study, model: str, round_: int) -> dict[str, Any]:
    """Of a look at a model's heads: how rows were sampled, and the looks."""
    summary = study.summary_options()
    own = {name: summary[name] for name in ("kinds", "corpora", "estimand")}
    return own | {"model": model, "round": round_, "looks": looks(study)}


def _replacement(study: Study) -> dict[str, Any]:
    """A seed where it decides something."""
    replacement = study.config[SECTION]["replacement"]
    return {"replacement": replacement} | ({"seed": study.seed} if replacement == "resample" else {})


def check(study: Asked, source: str) -> None:
    """Settings of single models are of models that there are; layers are cut into jobs where their number is known."""
    check_models_of(study, SECTION, source)
    section = study.config[SECTION]
    if section["looks"] != sorted(set(section["looks"])):
        raise ReciteError(f"{source}: ablation.looks: {section['looks']} do not ascend; put the smallest first.")
    if section["looks"] and "classes" in section and "rows_per_domain" in section:
        raise ReciteError(
            f"{source}: ablation.looks: heads are left by the rows of a class or by a domain's first rows, not by "
            "both; leave out `classes`, `rows_per_domain` or `looks`."
        )
    for key in ("rows_per_domain_of", "layers_per_job_of", "batch_rows_of"):
        for name in section[key]:
            known(name, study.known_models, f"{source}: ablation.{key}", "model that there is")
    for name in models(study):
        cut = "layers_per_job" in section or name in section["layers_per_job_of"]
        if cut and study.models[name].layers is None:
            why = study.models[name].unknown
            raise ReciteError(
                f"{source}: ablation.layers_per_job: the number of layers of {name} is not known ({why}); put its "
                "files there, or add `layers` to its entry in the models file."
            )
