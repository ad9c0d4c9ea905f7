"""Verification: fails unless the finished tables show what is known of planted texts and of sizes."""

from recite.planning.planner import short
from recite.study.declaration import ONCE, Files, Rule, Stage, Wildcards, table_path
from recite.study.study import Study


def _inputs(study: Study, wildcards: Wildcards) -> Files:
    planted = [study.files("sampling", "shards", domain=domain) for domain in study.planted]
    return {
        "rates": table_path("rates"),
        "controls": table_path("control_rates"),
        "frequencies": study.files("frequency"),
        "planted": [file for files in planted for file in files],
        "copies": study.file("corpus", "controls", {}),
    }


STAGE = Stage(
    "recite.stages.verification",
    (
        Rule(
            "verification",
            run="recite.stages.verification.verify:verify",
            jobs=lambda study: ONCE if study.planted else (),
            inputs=_inputs,
            outputs={"verdicts": "verification.json"},
            cost=short,
            asked=False,
        ),
    ),
)
