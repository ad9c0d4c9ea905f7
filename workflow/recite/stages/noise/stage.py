"""Noise: the scores again at each noise strength in each disturbed layer."""

from collections.abc import Sequence
from typing import Any

from recite.errors import ReciteError
from recite.planning import costs
from recite.planning.held import SCORE_HELD, held
from recite.planning.planner import Planner
from recite.stages.inputs import batch, model_and_rows, scores_of
from recite.study.asked import Asked
from recite.study.checks import check_models_of
from recite.study.declaration import ONCE, Cost, Figure, Files, Rule, Stage, Wildcards
from recite.study.study import Study

SECTION = "noise"
RUN_HELD = 40
"""Bytes in main memory of a row at one strength, beside its undisturbed score."""
NOISE_BYTES = 90


def layers(study: Study) -> list[int]:
    """The layers that are disturbed, one at a time, in their order in the model."""
    return sorted(study.config[SECTION]["layers"]) if SECTION in study.config else []


def above_zero(strengths: Sequence[float]) -> list[str]:
    """The strengths that need a computation, as in file names; zero is the undisturbed score."""
    return [repr(float(alpha)) for alpha in strengths if alpha > 0]


def strengths(study: Study) -> list[str]:
    """The strengths of the sweep."""
    return above_zero(study.config[SECTION]["strengths"]) if study.models_of(SECTION) else []


def options_in(study: Study, layer: int) -> dict[str, Any]:
    """What decides the noise in one layer; not which other layers there are."""
    noise = study.config[SECTION]
    return {"seed": study.seed, "layer": layer, "rms": noise["rms"], "positions": noise["positions"]}


def sweep(study: Study, models: Sequence[str], strengths: Sequence[str]) -> list[Wildcards]:
    """A job for every part of some models' rows, every disturbed layer and every strength."""
    return [
        {"model": model, "layer": str(layer), "alpha": alpha, "part": part}
        for model in models
        for layer in layers(study)
        for alpha in strengths
        for part in study.parts(model)
    ]


def runs(study: Study, model: str) -> list[Wildcards]:
    """Layer and strength of a model's runs: the undisturbed one, layer 0 at strength 0.0, then those of the sweep."""
    swept = model in study.models_of(SECTION)
    noisy = [(layer, alpha) for layer in layers(study) for alpha in strengths(study) if swept]
    return [{"layer": str(layer), "alpha": alpha} for layer, alpha in [(0, "0.0"), *noisy]]


def check_layers(study: Asked, models: Sequence[str], stage: str, source: str) -> None:
    """Every model that is disturbed has the disturbed layers."""
    layer = max(study.config[SECTION]["layers"])
    for name in models:
        known = study.models[name].layers
        if known is not None and layer >= known:
            raise ReciteError(
                f"{source}: noise.layers has {layer}, but {name} has {known} layers, counted "
                f"from 0; choose layers that every model of {stage}.models has."
            )


def _check(study: Asked, source: str) -> None:
    check_models_of(study, SECTION, source)
    check_layers(study, study.models_of(SECTION), SECTION, source)


def _options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    return study.run_options(wildcards["model"]) | {"noise": options_in(study, int(wildcards["layer"]))}


def _summary_inputs(study: Study, wildcards: Wildcards) -> Files:
    scores = scores_of(study, study.models_of(SECTION))
    return {"scores": scores, "noisy": study.files("noise")}


def _summary_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    study = planner.study
    rows = planner.total_rows(study.models_of(SECTION))
    read = rows * (1 + len(layers(study)) * len(strengths(study)))
    runs = len(layers(study)) * len(strengths(study))
    memory = held(planner, study.models_of(SECTION), SCORE_HELD + runs * RUN_HELD)
    return Cost(costs.START_SECONDS + read * costs.AGGREGATION_SECONDS, held=memory)


RULES = (
    Rule(
        "noise",
        place="{model}/layer-{layer}/alpha-{alpha}/{part}",
        run="recite.stages.noise.measure:score_under_noise",
        jobs=lambda study: sweep(study, study.models_of(SECTION), strengths(study)),
        inputs=lambda study, wildcards: {**model_and_rows(study, wildcards), **batch(study, wildcards["model"])},
        outputs={"scores": "noise/{model}/layer-{layer}/alpha-{alpha}/{part}.parquet"},
        options=_options,
        runs_model=True,
        cost=lambda planner, wildcards: planner.continuing(wildcards["model"], wildcards["part"], NOISE_BYTES),
    ),
    Rule(
        "noise_aggregation",
        run="recite.stages.noise.summarize:aggregate_noise",
        jobs=lambda study: ONCE if study.models_of(SECTION) else (),
        inputs=_summary_inputs,
        outputs={"replicates": "replicates/noise.parquet"},
        tables=("noise_rates",),
        options=lambda study, wildcards: study.summary_options(),
        cost=_summary_cost,
    ),
)

STAGE = Stage(
    "recite.stages.noise",
    RULES,
    section=SECTION,
    check=_check,
    words=True,
    figures={
        "noise": Figure(
            "Memorization under noise in the residual stream",
            "Noise",
            ("noise_rates",),
            (
                "Share of memorized rows when Gaussian noise of strength α times the residual stream's RMS is "
                "added to the output of one layer, the first unless the study's config says otherwise; a row of "
                "panels for each that it names. α = 0 is the undisturbed score. Bars are Wilson intervals "
                "{about}; points of different families are set apart a little "
                "to keep them legible."
            ),
        ),
    },
)
