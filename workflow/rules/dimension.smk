# Dimension: how many directions the residual stream of a class of rows has locally, for the models that the config lists.
#
# in:  models/<model>/ or checkpoints/<model>.json, samples/<family>/, scores/<model>/
# out: dimension/<model>.parquet, tables/{dimension,dimension_known,dimension_differences}.parquet


rule dimension:
    """Find the nearest neighbours of each drawn text in the residual stream after every layer."""
    input:
        unpack(inputs_of("dimension")),
    output:
        **outputs_of("dimension"),
    log:
        log_of("dimension"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        **params_of("dimension"),
    message:
        "Find neighbours in the layers of {wildcards.model}"
    script:
        "../../scripts/job.py"


rule dimension_aggregation:
    """Estimate intrinsic dimensions, beside those of manifolds that are known."""
    input:
        unpack(inputs_of("dimension_aggregation")),
    output:
        **outputs_of("dimension_aggregation"),
    log:
        log_of("dimension_aggregation"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("dimension_aggregation"),
    message:
        "Aggregate the neighbours"
    script:
        "../../scripts/job.py"
