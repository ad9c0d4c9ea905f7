"""Factorial: what architecture and recipe explain of profiles over layers, where a study crosses them."""

from typing import Any

from recite.planning.planner import short
from recite.study.declaration import ONCE, Figure, Rule, Stage, Wildcards, table_path
from recite.study.study import Study


def _options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    families = {family: place._asdict() for family, place in study.crossed.items()}
    return study.resampling_options() | {"families": families}


STAGE = Stage(
    "recite.comparison.factorial",
    (
        Rule(
            "factorial",
            run="recite.comparison.factorial.summarize:explain_signatures",
            jobs=lambda study: ONCE if study.crossed and study.layer_profiles else (),
            inputs=lambda study, wildcards: {"signatures": table_path("signatures")},
            tables=("factorial",),
            options=_options,
            cost=short,
        ),
    ),
    words=True,
    figures={
        "factorial": Figure(
            "Recipe or architecture",
            "Families",
            ("factorial",),
            (
                "Share of the variance of the models' profiles over layers, raw and by their shape alone (as the "
                "similarities of families compare them), that the architecture, the recipe "
                "(order of the data, learning rate, epochs), the two together, and the seed of weights and order "
                "explain: omega squared of a balanced two-way layout with seeds as replicates. Bars are bootstrap "
                "intervals over seeds."
            ),
        ),
    },
)
