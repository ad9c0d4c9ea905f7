"""Domains: structural against free text, and how alike models are in what they memorize where."""

from typing import Any

from recite.planning.planner import short
from recite.study.declaration import Figure, Files, Rule, Stage, Wildcards
from recite.study.study import Study


def _inputs(study: Study, wildcards: Wildcards) -> Files:
    makers = [name for name in ("aggregation", "noise_aggregation") if name in study.rules]
    return {"replicates": [study.file(name, "replicates", {}) for name in makers]}


def _options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    classes = {name: study.text_classes[model.corpus] for name, model in study.models.items()}
    return {"confidence": study.config["aggregation"]["confidence"], "classes": classes}


STAGE = Stage(
    "recite.comparison.domains",
    (
        Rule(
            "domains",
            run="recite.comparison.domains.summarize:compare_domains",
            inputs=_inputs,
            outputs={"draws": "draws/domains.parquet"},
            tables=("kinds", "profiles"),
            options=_options,
            cost=short,
        ),
    ),
    claims=("domain_pattern", "structural_dominance"),
    words=True,
    figures={
        "domains": Figure(
            "Memorization by domain",
            "Scores",
            ("rates",),
            (
                "Share of memorized rows by domain for the largest model of each family, with Wilson intervals "
                "{about}. Structural domains come first, then free text. "
                "Domains differ in how often their texts recur in the corpus."
            ),
        ),
        "structure": Figure(
            "Structural share of the memorized rows",
            "Domains",
            ("kinds",),
            (
                "Share of memorized rows that are structural (code, markup, tables), as if the sampled rows were "
                "half structural and half free text, each domain of a kind weighing the same; above the dotted "
                "line structural text is memorized more than free text. Left by size, right under noise. Bars are "
                "bootstrap intervals {about}; models with fewer than ten memorized rows are left out."
            ),
        ),
        "profiles": Figure(
            "Similarity of the models' domain profiles",
            "Domains",
            ("profiles",),
            (
                "Correlation of two models' memorization rates over the classes of text that both have, what sampling "
                "adds taken off, ordered by family and size. Only models with ten memorized rows or more are shown; "
                "blank where two share fewer than three classes, or one's rates differ by no more than sampling "
                "makes them. With few classes the intervals, in the table and {about}, are wide."
            ),
        ),
    },
)
