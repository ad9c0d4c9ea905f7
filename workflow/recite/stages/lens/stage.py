"""Lens: what every layer would say of the true continuation."""

from recite.planning import costs
from recite.planning.costs import Facts
from recite.planning.held import held
from recite.planning.planner import Planner
from recite.stages.inputs import model_and_scores, own_batches, part_jobs, scores_of
from recite.study.checks import check_models_of
from recite.study.declaration import ONCE, Cost, Figure, Files, Rule, Stage, Wildcards
from recite.study.study import Study

SECTION = "lens"
LAYER_BYTES = 20
"""What each layer adds to a row."""
LAYER_HELD = 2 * LAYER_BYTES
"""The same of a domain's rows while they are summed up."""
PACE = 0.74
"""What it reaches on a GPU, over scoring (`make bench-gpu`)."""


def decoding_flops(facts: Facts, context: int, continuation: int) -> int:
    """Operations of one pass over a row, but for its last token, whose continuation is unembedded after every layer.

    The model itself unembeds one position more.
    """
    passed = costs.pass_flops(facts, context + continuation - 1)
    return passed + 2 * facts.embedding * (continuation * facts.layers + 1)


def _cost(planner: Planner, wildcards: Wildcards) -> Cost:
    model = wildcards["model"]
    cost, batch, rows = planner.costs[model], planner.study.config[SECTION]["batch_rows"], planner.rows(model)
    context, continuation = planner.tokens_of(model)
    row = decoding_flops(cost.facts, context, continuation)
    seconds = cost.seconds(rows[wildcards["part"]], batch, row, PACE)
    written = rows[wildcards["part"]] * (costs.LAYERED_BYTES + cost.facts.layers * LAYER_BYTES)
    peak = planner.whole_peak(model, batch, context + continuation - 1, min(costs.CHUNK, continuation))
    return Cost(seconds, cost.gpus, 1, written, peak)


def _summary_inputs(study: Study, wildcards: Wildcards) -> Files:
    return {
        "scores": scores_of(study, study.models_of(SECTION)),
        "lens": study.files("lens", "lens"),
        "positions": study.files("lens", "positions"),
    }


def _summary_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    models = planner.study.models_of(SECTION)
    read = planner.total_rows(models)
    seconds = costs.START_SECONDS + read * costs.LAYERS_SECONDS + len(models) * costs.RESAMPLING_SECONDS
    return Cost(seconds, held=held(planner, models, layer=LAYER_HELD))


RULES = (
    Rule(
        "lens",
        place="{model}/{part}",
        run="recite.stages.lens.measure:decode_layers",
        jobs=lambda study: part_jobs(study, study.models_of(SECTION)),
        inputs=model_and_scores,
        outputs={"lens": "lens/{model}/{part}.parquet", "positions": "lens/{model}/positions/{part}.parquet"},
        options=lambda study, wildcards: own_batches(study, SECTION, wildcards["model"]),
        runs_model=True,
        cost=_cost,
    ),
    Rule(
        "lens_aggregation",
        run="recite.stages.lens.summarize:aggregate_lens",
        jobs=lambda study: ONCE if study.models_of(SECTION) else (),
        inputs=_summary_inputs,
        outputs={"draws": "draws/lens.parquet"},
        tables=("lens", "lens_positions", "lens_profiles", "lens_depths"),
        options=lambda study, wildcards: study.summary_options(),
        cost=_summary_cost,
    ),
)

STAGE = Stage(
    "recite.stages.lens",
    RULES,
    section=SECTION,
    check=lambda study, source: check_models_of(study, SECTION, source),
    profiles=lambda study: ("lens",),
    claims=("shared_decoding", "shared_parting"),
    words=True,
    figures={
        "lens": Figure(
            "Layer decoding of the true continuation",
            "Layers",
            ("lens",),
            (
                "What every layer would say of the true continuation if the model ended there: its output through "
                "the final norm and the unembedding, at the positions of the true continuation, which the model "
                "is fed. Probability of the true token, dotted at one half; its rank, 1 where it leads, upwards; "
                "the entropy of what the layer says; and how often its best token is the last layer's. Means over "
                "natural rows and positions for each family's largest model against relative depth, by class of "
                "rows; bars are bootstrap intervals {about}. Classes of fewer than five texts are in the table "
                "only."
            ),
        ),
        "lens_positions": Figure(
            "Layer decoding by position",
            "Layers",
            ("lens", "lens_positions"),
            (
                "Mean probability of the true token after every layer at every position of the true continuation, "
                "which the model is fed, for each family's largest model, natural rows by class. Rank, entropy "
                "and agreement with the last layer are in the table beside the figure. Classes of fewer than five "
                "texts are left out."
            ),
        ),
    },
)
