# Overlap: which of the most important heads are the same across domains, within one, and by chance.
#
# in:  ablation/
# out: tables/overlap.parquet
if study.ablation_models:

    rule overlap:
        """Compare the sets of the most important heads of every model."""
        input:
            ablated=ABLATED,
        output:
            **tables_of("overlap"),
        log:
            f"{RESULTS}/logs/overlap.log",
        conda:
            "../../envs/recite.yaml"
        resources:
            runtime=minutes_of,
            mem_mb=memory_of,
        params:
            code=code("overlap"),
            options=canonical_json(study.aggregation_options()),
        message:
            "Compare the most important heads"
        script:
            "../../scripts/overlap.py"
