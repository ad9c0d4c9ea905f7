"""The models of a study: trained in it, or taken from the registry of checkpoints."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from recite.corpora.special_tokens import BOS_ID
from recite.errors import ReciteError

WEIGHTS_FOLDER = "data/models"
"""Where the weights of a registered checkpoint lie unless its entry says otherwise."""


class Model(NamedTuple):
    """A model of the study.

    Models of one family share corpus, tokenizer and sample. bos: id of the token before every row, or None. dtype: the
    precision that its entry asks for, if any. size: of a model that is trained here. entry: of a registered
    checkpoint, where its weights are and what is known of them. gpus, gpu_model: what its jobs ask a scheduler for.
    """

    name: str
    family: str
    corpus: str
    bos: int | None
    layers: int | None
    dtype: str | None = None
    gpus: int = 0
    gpu_model: str | None = None
    size: str | None = None
    entry: Mapping[str, Any] | None = None

    @property
    def tokenizer(self) -> str:
        """Name of the tokenizer's file."""
        return str(self.entry["tokenizer"]).rpartition("/")[2] if self.entry else "tokenizer.json"


class Crossed(NamedTuple):
    """The place of a family in a factorial: which architecture was trained by which recipe from which seed."""

    architecture: str
    recipe: str
    seed: int


def crossed_families(training: Mapping[str, Any]) -> dict[str, Crossed]:
    """The families of a factorial: every architecture by every recipe from every seed; none without one."""
    factorial = training.get("factorial")
    sides = [] if factorial is None else [factorial["architectures"], factorial["recipes"], factorial["seeds"]]
    return {"-".join(map(str, place)): Crossed(*place) for place in product(*sides)} if sides else {}


def recipes_of(training: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Family -> its recipe: those that a study's `training` section lists, or those of its factorial."""
    if "factorial" not in training:
        return dict(training["families"])
    recipes = training["factorial"]["recipes"]
    return {
        family: recipes[place.recipe] | {"architecture": place.architecture, "seed": place.seed}
        for family, place in crossed_families(training).items()
    }


def trained_models(training: Mapping[str, Any]) -> dict[str, Model]:
    """Each family of a study's `training` section at each size."""
    models = {}
    for family, recipe in recipes_of(training).items():
        for size, shape in training["sizes"].items():
            name, bos = f"{family}-{size}", BOS_ID if recipe["bos"] else None
            models[name] = Model(name, family, training["corpus"], bos, shape["layers"], size=size)
    return models


def registered_models(names: Sequence[str], registry: Mapping[str, Any], source: str) -> dict[str, Model]:
    """The checkpoints that a study names; ReciteError where models of one family do not share a corpus."""
    models: dict[str, Model] = {}
    for name in names:
        entry = {"family": name, "path": f"{WEIGHTS_FOLDER}/{name}"} | registry[name]
        model = Model(
            name,
            entry["family"],
            entry["corpus"],
            entry.get("bos"),
            entry.get("layers"),
            entry.get("dtype"),
            entry["gpus"],
            entry.get("gpu_model"),
            entry=entry,
        )
        for other in models.values():
            if other.family == model.family and other.corpus != model.corpus:
                raise ReciteError(
                    f"{source}: {name} and {other.name} are of family {model.family}, but of the corpora "
                    f"{model.corpus} and {other.corpus}; models of a family share their sample: name another family."
                )
        models[name] = model
    return models
