# Power: what a head's effect must be for so many rows to show it.
#
# in:  ablation/
# out: tables/power.parquet
if study.ablation_models:

    rule power:
        """Compute the smallest effects that this study's rows, and the paper's, can show."""
        input:
            ablated=ABLATED,
        output:
            **tables_of("power"),
        log:
            f"{RESULTS}/logs/power.log",
        conda:
            "../../envs/recite.yaml"
        resources:
            runtime=minutes_of,
            mem_mb=memory_of,
        params:
            code=code("power"),
            options=canonical_json(study.aggregation_options()),
        message:
            "Compute the power of the ablations"
        script:
            "../../scripts/power.py"
