"""Inputs that stages share: a model's checkpoint, its rows, and what must be there before any model runs."""

from typing import Any

from recite.study.declaration import READY
from recite.study.study import Study


def checkpoint(study: Study, model: str) -> dict[str, str]:
    """What names a model's weights: weights and config of one that is trained here, or a checkpoint's record."""
    if study.trains:
        weights, config = (study.file("training", output, {"model": model}) for output in ("weights", "config"))
        return {"checkpoint": weights, "checkpoint_config": config}
    return {"checkpoint": study.file("registration", "record", {"model": model})}


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
