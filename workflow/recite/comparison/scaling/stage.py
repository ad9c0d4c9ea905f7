"""Scaling: memorization rate against model size, per family and with one slope for all."""

from recite.planning.planner import short
from recite.study.declaration import Figure, Rule, Stage

STAGE = Stage(
    "recite.comparison.scaling",
    (
        Rule(
            "scaling",
            run="recite.comparison.scaling.summarize:fit_scaling",
            inputs=lambda study, wildcards: {"replicates": study.file("aggregation", "replicates", {})},
            tables=("scaling", "slope_tests", "predictions"),
            options=lambda study, wildcards: {"confidence": study.config["aggregation"]["confidence"]},
            cost=short,
        ),
    ),
    claims=("scaling", "log_linear"),
    words=True,
    figures={
        "scaling": Figure(
            "Memorization against model size",
            "Scaling",
            ("rates", "scaling", "slope_tests", "predictions"),
            (
                "Share of memorized rows against the number of parameters, with the line fitted to the rate over "
                "log10(parameters) for each family. Bars are Wilson intervals; the legend gives each slope in "
                "percentage points per tenfold size, with its bootstrap interval, both "
                "{about}. A cross is the rate of a family's largest model as the line through its smaller "
                "ones predicts it. Left, rows of the natural domains; right, planted control rows of all "
                "repetition counts together. The p-value is that of the hypothesis that all families share one "
                "slope (ANCOVA)."
            ),
        ),
    },
)
