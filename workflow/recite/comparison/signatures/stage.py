"""Signatures: how alike two models are in how a measure spreads over their layers, and whether families matter."""

from recite.planning.planner import short
from recite.study.declaration import ONCE, Figure, Rule, Stage, table_path

STAGE = Stage(
    "recite.comparison.signatures",
    (
        Rule(
            "signatures",
            run="recite.comparison.signatures.summarize:compare_signatures",
            jobs=lambda study: ONCE if study.layer_profiles else (),
            inputs=lambda study, wildcards: {"tables": [table_path(table) for table in study.layer_profiles]},
            tables=("signatures", "signature_pairs", "signature_tests"),
            options=lambda study, wildcards: study.resampling_options(),
            cost=short,
        ),
    ),
    claims=("family_signature", "signature_recovery", "signature_lens"),
    words=True,
    figures={
        "signatures": Figure(
            "Similarity of the models' profiles over their layers",
            "Families",
            ("signature_pairs", "signature_tests"),
            (
                "A model's profile is a number for every layer, over natural rows: what ablating one of its heads "
                "costs, on average, in hits and in log-probability, all rows or those of a class; the share of the "
                "similarity that it has regained under the strongest noise; the mean probability of the true token. "
                "Shown is the correlation of two models' profiles at twenty relative depths, by family and size, what "
                "a tenfold size does within families taken off. Above each panel: the mean correlation within and "
                "between families, with the p-value of the hypothesis that families do not matter (permutation of "
                "their names over the models), and how many models have their most similar other model in their own "
                "family, beside what chance gives."
            ),
        ),
        "signature_clusters": Figure(
            "Models clustered by their profiles over layers",
            "Families",
            ("signature_pairs",),
            (
                "Average linkage of 1 - correlation of the same profiles; names have their families' colours. If "
                "a family had a signature, its colour would stand together."
            ),
        ),
    },
)
