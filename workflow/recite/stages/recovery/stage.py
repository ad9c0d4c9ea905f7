"""Recovery: what each later layer leaves of the noise, at each strength."""

from typing import Any

from recite.errors import ReciteError
from recite.planning import costs
from recite.planning.costs import Facts
from recite.planning.held import held
from recite.planning.planner import Planner
from recite.stages.inputs import model_and_rows, own_batches, scores_of
from recite.stages.noise.stage import above_zero, check_layers, layers, options_in, sweep
from recite.study.asked import Asked
from recite.study.checks import check_models_of
from recite.study.declaration import ONCE, Cost, Figure, Files, Rule, Stage, Wildcards
from recite.study.study import Study

SECTION = "recovery"
LAYER_BYTES = 16
"""What each layer adds to a row."""
LAYER_HELD = 2 * LAYER_BYTES
"""The same of a domain's rows while they are summed up."""


def strengths(study: Study) -> list[str]:
    """The strengths at which layers are compared, as in file names; all of the noise unless some are named."""
    if not study.models_of(SECTION):
        return []
    return above_zero(study.config[SECTION].get("strengths", study.config["noise"]["strengths"]))


def _check(study: Asked, source: str) -> None:
    """Recovery is from the noise of the study, in layers that its models have."""
    check_models_of(study, SECTION, source)
    if "noise" not in study.config:
        raise ReciteError(
            f"{source}: recovery is from noise, but there is no section noise; add one, or drop recovery."
        )
    check_layers(study, study.models_of(SECTION), SECTION, source)
    known = study.config["noise"]["strengths"]
    for alpha in study.config[SECTION].get("strengths", ()):
        if alpha not in known:
            raise ReciteError(
                f"{source}: recovery.strengths: {alpha} is not one of noise.strengths "
                f"({', '.join(map(str, known))}); add it there, or choose one of these."
            )


def _jobs(study: Study) -> list[Wildcards]:
    return sweep(study, study.models_of(SECTION), strengths(study)) if SECTION in study.config else []


def _options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    """Those of scoring and noise, with batches of their own size; only the prompt is fed."""
    found = options_in(study, int(wildcards["layer"]))
    noise = {key: value for key, value in found.items() if key != "positions"}
    return own_batches(study, SECTION, wildcards["model"]) | {"noise": noise}


def recovery_flops(facts: Facts, context: int) -> int:
    """Operations of two passes over a row's context, undisturbed and disturbed; one position of each is unembedded."""
    return 2 * (costs.pass_flops(facts, context) + 2 * facts.embedding)


def _cost(planner: Planner, wildcards: Wildcards) -> Cost:
    model = wildcards["model"]
    batch, cost, rows = planner.study.config[SECTION]["batch_rows"], planner.costs[model], planner.rows(model)
    prompt, _ = planner.tokens_of(model)
    seconds = cost.seconds(rows[wildcards["part"]], batch, recovery_flops(cost.facts, prompt))
    written = costs.LAYERED_BYTES + (cost.facts.layers - int(wildcards["layer"])) * LAYER_BYTES
    peak = planner.whole_peak(model, 2 * batch, prompt, 1)
    return Cost(seconds, cost.gpus, 1, rows[wildcards["part"]] * written, peak)


def _summary_inputs(study: Study, wildcards: Wildcards) -> Files:
    scores = scores_of(study, study.models_of(SECTION))
    return {"scores": scores, "recovery": study.files("recovery")}


def _summary_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    study, models = planner.study, planner.study.models_of(SECTION)
    sweeps = len(layers(study)) * len(strengths(study))
    read = planner.total_rows(models) * (1 + sweeps)
    drawn = len(models) * sweeps * costs.RESAMPLING_SECONDS
    memory = held(planner, models, layer=LAYER_HELD)
    return Cost(costs.START_SECONDS + read * costs.LAYERS_SECONDS + drawn, held=memory)


RULES = (
    Rule(
        "recovery",
        place="{model}/layer-{layer}/alpha-{alpha}/{part}",
        run="recite.stages.recovery.measure:measure_recovery",
        jobs=_jobs,
        inputs=model_and_rows,
        outputs={"recovery": "recovery/{model}/layer-{layer}/alpha-{alpha}/{part}.parquet"},
        options=_options,
        runs_model=True,
        cost=_cost,
    ),
    Rule(
        "recovery_aggregation",
        run="recite.stages.recovery.summarize:aggregate_recovery",
        jobs=lambda study: ONCE if strengths(study) else (),
        inputs=_summary_inputs,
        outputs={"draws": "draws/recovery.parquet"},
        tables=("recovery", "recovery_tests"),
        options=lambda study, wildcards: study.summary_options(),
        cost=_summary_cost,
    ),
)

STAGE = Stage(
    "recite.stages.recovery",
    RULES,
    section=SECTION,
    check=_check,
    profiles=lambda study: ("recovery",),
    claims=("noise_removed", "memorized_recover_less", "memorized_regain_less"),
    words=True,
    figures={
        "recovery": Figure(
            "What the layers leave of the noise",
            "Noise",
            ("recovery", "recovery_tests"),
            (
                "Size of the difference that noise of strength α makes in the residual stream, over the size of "
                "the noise itself, mean over the prompt's positions and over the rows. The first point is the "
                "disturbed layer, 1; below 1 some of the noise has been removed, above it the noise is amplified. "
                "Each family's largest model, natural rows, under the strongest noise (solid) and the weakest "
                "(dashed). Bars are bootstrap intervals {about}; classes of fewer than five texts are in the "
                "table only. Above each panel, memorized minus unmemorized rows at the last layer, under the "
                "strongest noise. Of several disturbed layers the first is shown."
            ),
        ),
        "similarity": Figure(
            "Similarity regained under noise",
            "Noise",
            ("recovery", "recovery_tests"),
            (
                "Cosine of the residual stream under noise and the undisturbed one, the paper's measure of "
                "recovery. In the disturbed layer, the first point, noise of strength α leaves 1 / √(1 + α²) of "
                "it. Dotted, under the strongest noise: the cosine if the noise were only carried along, which "
                "rises as the stream grows, with nothing removed. Rows, lines and bars as in the figure of what "
                "the layers leave; above each panel, of the cosine minus that baseline, memorized minus "
                "unmemorized rows."
            ),
        ),
    },
)
