"""Models and tokenizers: trained here from seeded weights, or fetched, checked and named by digest."""

from typing import Any

from recite.planning import costs
from recite.planning.planner import Planner, short
from recite.stages.inputs import tokenizer
from recite.stages.sampling.stage import training_documents
from recite.study.declaration import Cost, Files, Rule, Stage, Wildcards
from recite.study.models import recipes_of
from recite.study.study import Study

MODEL = "models/{model}"
TRAINED = {
    "config": f"{MODEL}/config.json",
    "weights": f"{MODEL}/model.safetensors",
    "own_tokenizer": f"{MODEL}/tokenizer.json",
    "own_tokenizer_config": f"{MODEL}/tokenizer_config.json",
    "generation": f"{MODEL}/generation_config.json",
    "record": f"{MODEL}/training.json",
}
UNREAD = ("gpus", "gpu_model", "step", "steps")
"""What of an entry is not the checkpoint: what its jobs ask a scheduler for, and its earlier selves."""


def families(study: Study) -> list[Wildcards]:
    return [{"family": family} for family in study.families]


def models(study: Study) -> list[Wildcards]:
    return [{"model": model} for model in study.models]


def _tokenization_options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    """Where windows may lie anywhere in a document, the models are trained on whole documents."""
    training = study.config["training"]
    vocabulary = recipes_of(training)[wildcards["family"]]["vocabulary"]
    whole = {"whole": True} if study.config["sampling"]["window"] == "offset" else {}
    return {"row_tokens": training["row_tokens"], "vocabulary": vocabulary, **whole}


def _trained(study: Study, in_steps: bool) -> list[Wildcards]:
    """Models that are trained here, with checkpoints on the way or without."""
    return [{"model": name} for name, model in study.models.items() if study.trains and in_steps == bool(model.steps)]


def _steps_of_training(study: Study) -> Files:
    """What a training leaves that keeps weights on the way: three files a checkpoint."""
    names = ("config.json", "generation_config.json", "model.safetensors")
    shares = study.models[_trained(study, True)[0]["model"]].steps
    return TRAINED | {"kept": [f"{MODEL}/steps/{share}/{name}" for share in shares for name in names]}


def _training_options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    training, model = study.config["training"], study.models[wildcards["model"]]
    recipe = recipes_of(training)[model.family]
    kept = {"shares": [float(share) for share in model.steps]} if model.steps else {}
    return {"family": model.family, "shape": training["sizes"][model.size], "recipe": recipe, **kept}


def _training_inputs(study: Study, wildcards: Wildcards) -> dict[str, str]:
    family = {"family": study.models[wildcards["model"]].family}
    return {name: study.file("tokenization", name, family) for name in ("tokenizer", "tokenizer_config", "rows")}


def _training_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    model = planner.study.models[wildcards["model"]]
    cost, training = planner.costs[model.name], planner.study.config["training"]
    epochs = recipes_of(training)[model.family]["epochs"]
    tokens = planner.documents(model.corpus) * epochs * training["row_tokens"]
    seconds = costs.START_SECONDS + 6 * cost.facts.parameters * tokens / cost.rate
    return Cost(seconds, written=cost.weights * (1 + len(model.steps)))


def checkpoint_options(study: Study, model: str) -> dict[str, Any]:
    """What a checkpoint is and where it lies."""
    entry = study.models[model].entry or {}
    return {"model": model, **{key: value for key, value in entry.items() if key not in UNREAD}}


def _registration_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    cost = planner.costs[wildcards["model"]]
    return Cost(cost.load + cost.weights / costs.HASH_BYTES)


RULES = (
    Rule(
        "tokenization",
        place="{family}",
        run="recite.corpora.tokenization:tokenize_corpus",
        jobs=lambda study: families(study) if study.trains else (),
        inputs=lambda study, wildcards: {
            "documents": training_documents(study, study.families[wildcards["family"]].corpus)
        },
        outputs={
            "tokenizer": "tokenizers/{family}/tokenizer.json",
            "tokenizer_config": "tokenizers/{family}/tokenizer_config.json",
            "rows": "tokenizers/{family}/rows.parquet",
        },
        options=_tokenization_options,
        cost=short,
    ),
    Rule(
        "training",
        place="{model}",
        run="recite.stages.models.jobs:train",
        jobs=lambda study: _trained(study, False),
        inputs=_training_inputs,
        outputs=TRAINED,
        options=_training_options,
        loads_model=True,
        cost=_training_cost,
    ),
    Rule(
        "training_in_steps",
        place="{model}",
        run="recite.stages.models.jobs:train",
        jobs=lambda study: _trained(study, True),
        inputs=_training_inputs,
        outputs=_steps_of_training,
        options=_training_options,
        loads_model=True,
        cost=_training_cost,
    ),
    Rule(
        "family_tokenizer",
        place="{family}/{file}",
        run="recite.corpora.family_tokenizer:copy_tokenizer",
        jobs=lambda study: (
            ()
            if study.trains
            else [{"family": family, "file": model.tokenizer} for family, model in study.families.items()]
        ),
        outputs={"tokenizer": "tokenizers/{family}/{file}"},
        options=lambda study, wildcards: checkpoint_options(study, study.families[wildcards["family"]].name),
        fetches=True,
        cost=short,
    ),
    Rule(
        "registration",
        place="{model}",
        run="recite.stages.models.registering:register_proved",
        jobs=lambda study: () if study.trains else models(study),
        inputs=lambda study, wildcards: {"tokenizer": tokenizer(study, study.models[wildcards["model"]].family)},
        outputs={"record": "checkpoints/{model}.json"},
        options=lambda study, wildcards: checkpoint_options(study, wildcards["model"]),
        fetches=True,
        loads_model=True,
        cost=_registration_cost,
    ),
)

STAGE = Stage("recite.stages.models", RULES)
