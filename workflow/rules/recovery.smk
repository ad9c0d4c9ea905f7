# Recovery: what each later layer leaves of the noise, at each strength, for the models that the config lists.
#
# in:  models/<model>/ or checkpoints/<model>.json, samples/<family>/, scores/ for the classes
# out: recovery/<model>/layer-<layer>/alpha-<alpha>/<part>.parquet, tables/{recovery,recovery_tests}.parquet


rule recovery:
    """Compare the residual stream under noise with the undisturbed one, after every layer, on every prompt."""
    input:
        unpack(inputs_of("recovery")),
    output:
        **outputs_of("recovery"),
    log:
        log_of("recovery"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        **params_of("recovery"),
    message:
        "Compare the layers of {wildcards.model} at alpha = {wildcards.alpha} in layer {wildcards.layer}"
    script:
        "../../scripts/job.py"


rule recovery_aggregation:
    """Summarize by class what is left of the noise, and test whether memorized rows differ."""
    input:
        unpack(inputs_of("recovery_aggregation")),
    output:
        **outputs_of("recovery_aggregation"),
    log:
        log_of("recovery_aggregation"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("recovery_aggregation"),
    message:
        "Aggregate the recovery from noise"
    script:
        "../../scripts/job.py"
