"""Trajectory: when in its training a model first recites a row, and whether it goes on to."""

from collections.abc import Iterable
from typing import Any

from recite.errors import ReciteError
from recite.planning import costs
from recite.planning.planner import Planner
from recite.stages.inputs import batch, part_jobs, ready, shard_files, shards, trained
from recite.stages.models.stage import UNREAD
from recite.study.asked import Asked
from recite.study.checks import check_models_of
from recite.study.declaration import ONCE, Cost, Figure, Files, Rule, Stage, Wildcards
from recite.study.models import entry_at
from recite.study.study import Study

SECTION = "trajectory"
SCORE_BYTES = 90
FOLLOWED_BYTES = 40


def _models(study: Asked) -> list[str]:
    """The models to follow."""
    return [model for model in study.models_of(SECTION) if study.models[model].steps]


def _each(study: Study) -> list[Wildcards]:
    return [{"model": model} for model in _models(study)]


def _at_steps(study: Study, jobs: Iterable[Wildcards]) -> list[Wildcards]:
    """Jobs of models, each at every checkpoint on the way."""
    return [{**job, "step": step} for job in jobs for step in study.models[job["model"]].steps]


def _checkpoint(study: Study, wildcards: Wildcards) -> Files:
    """The weights at a step: those that a training left on the way, or a registered checkpoint's record."""
    if not study.trains:
        return {"checkpoint": study.file("step_registration", "record", wildcards)}
    folder = f"/steps/{wildcards['step']}/"
    kept = [file for file in study.files("training_in_steps", "kept", model=wildcards["model"]) if folder in file]
    config, _, weights = kept
    return {"checkpoint": weights, "checkpoint_config": config}


def _scoring_inputs(study: Study, wildcards: Wildcards) -> Files:
    model = wildcards["model"]
    rows = {"shards": shards(study, model, wildcards["part"])}
    return {**_checkpoint(study, wildcards), **ready(study), **rows, **batch(study, model)}


def _step_options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    """What a checkpoint on the way is and where it lies."""
    entry = entry_at(study.models[wildcards["model"]].entry or {}, wildcards["step"])
    return {"model": wildcards["model"], **{key: value for key, value in entry.items() if key not in UNREAD}}


def _registration_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    cost = planner.costs[wildcards["model"]]
    return Cost(cost.load + cost.weights / costs.HASH_BYTES)


def _rows_inputs(study: Study, wildcards: Wildcards) -> Files:
    """Scores of all checkpoints; of a model trained here also what tells when it saw each text."""
    model, family = wildcards["model"], study.models[wildcards["model"]].family
    scores = {"scores": study.files("scoring", "scores", model=model)}
    scores |= {"earlier": study.files("trajectory", "scores", model=model)}
    if not study.trains:
        return scores
    rows = study.file("tokenization", "rows", {"family": family})
    record = trained(study, model, "record")
    return {**scores, "record": record, "rows": rows, "shards": shard_files(study, family, study.shards(family))}


def _rows_options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    model = study.models[wildcards["model"]]
    known = {} if model.entry is None else {"steps": list(model.steps), "step": model.entry["step"]}
    return {"model": model.name, "family": model.family, "memorized": study.config["aggregation"]["memorized"], **known}


def _rows_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    rows = planner.total_rows([wildcards["model"]])
    checkpoints = 1 + len(planner.study.models[wildcards["model"]].steps)
    return Cost(costs.START_SECONDS + rows * checkpoints * costs.AGGREGATION_SECONDS, written=rows * FOLLOWED_BYTES)


def _aggregation_inputs(study: Study, wildcards: Wildcards) -> Files:
    planted = [file for domain in study.planted for file in study.files("sampling", "shards", domain=domain)]
    controls = {"controls": study.file("corpus", "controls", {})} if planted else {}
    return {"followed": study.files("trajectory_rows"), "planted": planted, **controls}


def _aggregation_options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    return study.summary_options() | {"late_after": study.config[SECTION]["late_after"]}


def _aggregation_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    rows = planner.total_rows(_models(planner.study))
    return Cost(costs.START_SECONDS + rows * costs.AGGREGATION_SECONDS)


def _check(study: Asked, source: str) -> None:
    """The models have checkpoints on the way."""
    check_models_of(study, SECTION, source)
    without = [name for name in study.config[SECTION].get("models", ()) if not study.models[name].steps]
    if without or not _models(study):
        who = f"{SECTION}.models: {without[0]} has" if without else f"{SECTION}: no model of the study has"
        raise ReciteError(
            f"{source}: {who} checkpoints on the way, which are needed; name those of a model that is trained here "
            "under training.steps, those of a registered one as its `steps` in the models file."
        )


RULES = (
    Rule(
        "step_registration",
        place="{model}/{step}",
        run="recite.stages.models.registering:register_proved",
        jobs=lambda study: () if study.trains else _at_steps(study, _each(study)),
        inputs=lambda study, wildcards: study.rules["registration"].inputs(study, wildcards),
        outputs={"record": "checkpoints/{model}/{step}.json"},
        options=_step_options,
        fetches=True,
        cost=_registration_cost,
    ),
    Rule(
        "trajectory",
        place="{model}/{step}/{part}",
        # What scores a model scores its checkpoints, so that the last of them is the model.
        run="recite.stages.scoring.measure:score",
        jobs=lambda study: _at_steps(study, part_jobs(study, _models(study))),
        inputs=_scoring_inputs,
        outputs={"scores": "trajectory/{model}/{step}/{part}.parquet"},
        options=lambda study, wildcards: study.run_options(wildcards["model"]) | {"step": wildcards["step"]},
        runs_model=True,
        cost=lambda planner, wildcards: planner.continuing(wildcards["model"], wildcards["part"], SCORE_BYTES),
    ),
    Rule(
        "trajectory_rows",
        place="{model}",
        run="recite.stages.trajectory.measure:follow_rows",
        jobs=_each,
        inputs=_rows_inputs,
        outputs={"followed": "trajectory/{model}/followed.parquet"},
        options=_rows_options,
        cost=_rows_cost,
    ),
    Rule(
        "trajectory_aggregation",
        run="recite.stages.trajectory.summarize:aggregate_trajectories",
        jobs=lambda study: ONCE if _models(study) else (),
        inputs=_aggregation_inputs,
        tables=lambda study: (
            "trajectory",
            "trajectory_fates",
            *(("trajectory_recall", "trajectory_recency") if study.planted else ()),
        ),
        options=_aggregation_options,
        cost=_aggregation_cost,
    ),
)

STAGE = Stage(
    "recite.stages.trajectory",
    RULES,
    section=SECTION,
    check=_check,
    words=True,
    figures={
        "trajectory": Figure(
            "Memorization along the training",
            "Scores",
            ("trajectory",),
            (
                "Share of rows that checkpoints of a model recite, against the share of its training that lies behind "
                "them: natural rows and, where texts were planted, these by their number of copies in the whole "
                "training, which are seen one after another. The last checkpoint is the model itself. Bars are Wilson "
                "intervals {about}."
            ),
        ),
    },
)
