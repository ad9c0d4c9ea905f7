"""The models of a study: trained in it, or taken from the registry of checkpoints."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from recite.corpora.special_tokens import BOS_ID
from recite.errors import ReciteError
from recite.sources.facts import FACTS, Found, find_facts
from recite.sources.gguf_keys import SENTENCEPIECE, kind_of_tokenizer, read_keys

TOKENIZER, SENTENCEPIECE_TOKENIZER = "tokenizer.json", "tokenizer.model"
WEIGHTS_FOLDER = "data/models"
"""Where the weights of a registered checkpoint lie unless its entry says otherwise."""


class Model(NamedTuple):
    """A model of the study.

    Models of one family share corpus, tokenizer and sample. bos: id of the token before every row, or None. dtype: the
    precision that its entry asks for, if any. size: of a model that is trained here. entry: of a registered
    checkpoint, where its weights are and what it says of them; facts: this and what the files say that it leaves open;
    unknown: in a clause why they say no more. tokenizer: name of the tokenizer's file. gpus, gpu_model: what its jobs
    ask a scheduler for. steps: names of the checkpoints that it left on the way, in their order: shares of a training
    that is done here, else training steps.
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
    facts: Mapping[str, int] | None = None
    unknown: str = ""
    tokenizer: str = TOKENIZER
    steps: tuple[str, ...] = ()


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
    models, kept = {}, training.get("steps", {"models": (), "shares": ()})
    shares = tuple(f"{share:g}" for share in sorted(kept["shares"]))
    for family, recipe in recipes_of(training).items():
        for size, shape in training["sizes"].items():
            name, bos = f"{family}-{size}", BOS_ID if recipe["bos"] else None
            steps = shares if name in kept["models"] else ()
            models[name] = Model(name, family, training["corpus"], bos, shape["layers"], size=size, steps=steps)
    return models


def registered_models(names: Sequence[str], registry: Mapping[str, Any], source: str) -> dict[str, Model]:
    """The checkpoints that a study names; ReciteError where models of one family do not share a corpus."""
    models: dict[str, Model] = {}
    for name in names:
        entry = registered_entry(name, registry[name])
        facts, unknown = known_facts(entry)
        model = Model(
            name,
            entry["family"],
            entry["corpus"],
            entry.get("bos"),
            facts.get("layers"),
            entry.get("dtype"),
            entry["gpus"],
            entry.get("gpu_model"),
            entry=entry,
            facts=facts,
            unknown=unknown,
            tokenizer=tokenizer_name(entry),
            steps=tuple(map(str, sorted(map(int, entry.get("steps", ()))))),
        )
        for other in models.values():
            if other.family == model.family and other.corpus != model.corpus:
                raise ReciteError(
                    f"{source}: {name} and {other.name} are of family {model.family}, but of the corpora "
                    f"{model.corpus} and {other.corpus}; models of a family share their sample: name another family."
                )
        models[name] = model
    return models


def registered_entry(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of the registry with what it may leave open; a GGUF file holds its tokenizer."""
    path = entry.get("path", f"{WEIGHTS_FOLDER}/{name}")
    tokenizer = Path(path).name if path.endswith(".gguf") else TOKENIZER
    return {"family": name, "path": path, "tokenizer": tokenizer} | dict(entry)


def entry_at(entry: Mapping[str, Any], step: str) -> dict[str, Any]:
    """The entry of a registered checkpoint's earlier self; what it does not say of it is as of the whole training.

    Its weights are another folder's and another commit's: `revision` is never taken from the whole.
    """
    found = {int(name): given for name, given in entry["steps"].items()}[int(step)]
    whole = {key: value for key, value in entry.items() if key not in ("steps", "step", "revision")}
    return whole | {"path": f"{entry['path']}-step{step}"} | found


def known_facts(entry: Mapping[str, Any]) -> Found:
    """The facts that an entry says, and those that only the files on disk say; these are not opened if it says all."""
    said = {name: int(entry[name]) for name in FACTS if name in entry}
    if len(said) == len(FACTS):
        return Found(said, "")
    found = find_facts(Path(entry["path"]))
    return Found({**found.facts, **said}, found.why)


def tokenizer_name(entry: Mapping[str, Any]) -> str:
    """Name of the tokenizer's file in the study; of a GGUF file that of what is made from it."""
    path, file = Path(entry["path"]), Path(entry["tokenizer"])
    if file.suffix != ".gguf":
        return file.name
    try:
        kind = kind_of_tokenizer(read_keys((path.parent if path.suffix == ".gguf" else path) / file).keys)
    except ReciteError:  # whoever needs the tokenizer says it
        return TOKENIZER
    return SENTENCEPIECE_TOKENIZER if kind == SENTENCEPIECE else TOKENIZER
