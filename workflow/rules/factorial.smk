# Factorial: how much of the variance of profiles over layers architecture and recipe explain, where a study crosses them.
#
# in:  tables/signatures.parquet
# out: tables/factorial.parquet
if "factorial" in study.tables_of:

    rule factorial:
        """Split the variance of the models' profiles into architecture, recipe, both and seed."""
        input:
            signatures=f"{RESULTS}/tables/signatures.parquet",
        output:
            **tables_of("factorial"),
        log:
            f"{RESULTS}/logs/factorial.log",
        conda:
            "../../envs/recite.yaml"
        resources:
            runtime=minutes_of,
            mem_mb=memory_of,
        params:
            code=code("factorial"),
            options=canonical_json(study.factorial_options()),
        message:
            "Set recipes against architectures"
        script:
            "../../scripts/factorial.py"
