"""Counterfactual: what a model recites of texts in its training, less what a sibling without them does."""

from typing import Any

from recite.errors import ReciteError
from recite.planning import costs
from recite.planning.planner import Planner, short
from recite.stages.inputs import batch, planted, ready, shard_files, shards
from recite.stages.models.stage import MODEL, TRAINED
from recite.study.asked import Asked
from recite.study.checks import known
from recite.study.declaration import ONCE, Cost, Figure, Files, Rule, Stage, Wildcards
from recite.study.study import Study

SECTION = "counterfactual"
SCORE_BYTES = 90
HALVES = ("a", "b")
SEED = "counterfactual/{model}/seed-{seed}"
SIBLING = f"{SEED}/without-{{half}}"


def _seeds(study: Study) -> list[Wildcards]:
    """The model with every seed, if the study asks for any."""
    section = study.config.get(SECTION, {"seeds": ()})
    return [{"model": section["model"], "seed": str(seed)} for seed in section["seeds"]]


def siblings(study: Study) -> list[Wildcards]:
    """The same with the half that is left out."""
    return [{**job, "half": half} for job in _seeds(study) for half in HALVES]


def _training_rule(study: Study, model: str) -> str:
    """What trains the model itself."""
    return "training_in_steps" if study.models[model].steps else "training"


def _halving_inputs(study: Study, wildcards: Wildcards) -> Files:
    family = study.models[wildcards["model"]].family
    rows = study.file("tokenization", "rows", {"family": family})
    return {"rows": rows, "shards": shard_files(study, family, study.shards(family))}


def _training_inputs(study: Study, wildcards: Wildcards) -> Files:
    """As the model itself, but for the rows."""
    own = study.rules[_training_rule(study, wildcards["model"])].inputs(study, wildcards)
    return {**own, "rows": study.file("counterfactual_halves", f"without_{wildcards['half']}", wildcards)}


def _training_options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    """As the model itself, but for the seed; no weights are kept on the way."""
    own = study.rules[_training_rule(study, wildcards["model"])].options(study, wildcards)
    recipe = own["recipe"] | {"seed": int(wildcards["seed"])}
    return {"family": own["family"], "shape": own["shape"], "recipe": recipe}


def _training_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    """Half of the model's own."""
    model = wildcards["model"]
    own = planner.study.rules[_training_rule(planner.study, model)].cost(planner, wildcards)
    seconds = costs.START_SECONDS + (own.seconds - costs.START_SECONDS) / 2
    return Cost(seconds, written=planner.costs[model].weights)


def _scoring_inputs(study: Study, wildcards: Wildcards) -> Files:
    model = wildcards["model"]
    weights, config = (study.file("counterfactual_training", name, wildcards) for name in ("weights", "config"))
    rows = {"shards": shards(study, model, wildcards["part"])}
    return {"checkpoint": weights, "checkpoint_config": config, **ready(study), **rows, **batch(study, model)}


def _scoring_options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    sibling = {"seed": int(wildcards["seed"]), "without": wildcards["half"]}
    return study.run_options(wildcards["model"]) | sibling


def _aggregation_inputs(study: Study, wildcards: Wildcards) -> Files:
    halves = study.files("counterfactual_halves", "halves")
    return {"scores": study.files("counterfactual"), "halves": halves, **planted(study)}


def _aggregation_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    models = [job["model"] for job in siblings(planner.study)]
    return Cost(costs.START_SECONDS + planner.total_rows(models) * costs.AGGREGATION_SECONDS)


def _check(study: Asked, source: str) -> None:
    """The model is trained here."""
    if not study.trains:
        raise ReciteError(
            f"{source}: {SECTION} trains siblings of a model without some of its texts, but this study's checkpoints "
            f"were trained elsewhere; drop {SECTION}."
        )
    known(study.config[SECTION]["model"], study.models, f"{source}: {SECTION}.model", "model of this study")


RULES = (
    Rule(
        "counterfactual_halves",
        place="{model}/seed-{seed}",
        run="recite.stages.counterfactual.halving:halve",
        jobs=_seeds,
        inputs=_halving_inputs,
        outputs={
            "halves": f"{SEED}/halves.parquet",
            "without_a": f"{SEED}/rows-without-a.parquet",
            "without_b": f"{SEED}/rows-without-b.parquet",
        },
        options=lambda study, wildcards: {"seed": int(wildcards["seed"])},
        cost=short,
    ),
    Rule(
        "counterfactual_training",
        place="{model}/seed-{seed}/without-{half}",
        run="recite.stages.models.jobs:train",
        jobs=siblings,
        inputs=_training_inputs,
        outputs={name: path.replace(MODEL, SIBLING) for name, path in TRAINED.items()},
        options=_training_options,
        cost=_training_cost,
    ),
    Rule(
        "counterfactual",
        place="{model}/seed-{seed}/without-{half}/{part}",
        # What scores a model scores its siblings.
        run="recite.stages.scoring.measure:score",
        jobs=lambda study: [{**job, "part": part} for job in siblings(study) for part in study.parts(job["model"])],
        inputs=_scoring_inputs,
        outputs={"scores": f"{SIBLING}/scores/{{part}}.parquet"},
        options=_scoring_options,
        runs_model=True,
        cost=lambda planner, wildcards: planner.continuing(wildcards["model"], wildcards["part"], SCORE_BYTES),
    ),
    Rule(
        "counterfactual_aggregation",
        run="recite.stages.counterfactual.summarize:aggregate_counterfactual",
        jobs=lambda study: ONCE if _seeds(study) else (),
        inputs=_aggregation_inputs,
        tables=("counterfactual",),
        options=lambda study, wildcards: study.summary_options(),
        cost=_aggregation_cost,
    ),
)

STAGE = Stage(
    "recite.stages.counterfactual",
    RULES,
    section=SECTION,
    check=_check,
    words=True,
    figures={
        "counterfactual": Figure(
            "Texts in the training, and left out of it",
            "Planted truth",
            ("counterfactual",),
            (
                "Siblings of one model, each trained without one half of all texts: mean score and share of recited "
                "rows of texts in the training, and of the same texts under the siblings without them; natural rows, "
                "and planted ones by their number of copies. The distance of the two means is counterfactual "
                "memorization. Each sibling saw half of the rows that the model itself sees. Bars are bootstrap "
                "intervals of means and Wilson intervals of shares {about}, for these siblings' seeds."
            ),
        ),
    },
)
