# Factorial: how much of the variance of profiles over layers architecture and recipe explain, where a study crosses them.
#
# in:  tables/signatures.parquet
# out: tables/factorial.parquet


rule factorial:
    """Split the variance of the models' profiles into architecture, recipe, both and seed."""
    input:
        unpack(inputs_of("factorial")),
    output:
        **outputs_of("factorial"),
    log:
        log_of("factorial"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("factorial"),
    message:
        "Set recipes against architectures"
    script:
        "../../scripts/job.py"
