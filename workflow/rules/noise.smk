# Noise: the scores again at each noise strength in each disturbed layer, for the models that the config lists.
#
# in:  models/<model>/ or checkpoints/<model>.json, samples/<family>/, scores/
# out: noise/<model>/layer-<layer>/alpha-<alpha>/<part>.parquet, tables/noise_rates.parquet, replicates/noise.parquet


if "noise" in study.rules:

    rule noise:
        """Continue every context greedily with noise of strength alpha in one layer's residual stream."""
        input:
            unpack(inputs_of("noise")),
        output:
            **outputs_of("noise"),
        log:
            log_of("noise"),
        conda:
            "../../envs/recite.yaml"
        resources:
            runtime=minutes_of,
            mem_mb=memory_of,
            gpu=gpus_of,
            gpu_model=gpu_model_of,
            nodes=1,
        params:
            **params_of("noise"),
        message:
            "Disturb layer {wildcards.layer} of {wildcards.model} at alpha = {wildcards.alpha}"
        script:
            "../../scripts/job.py"


rule noise_aggregation:
    """Summarize the scores of the disturbed models at every strength."""
    input:
        unpack(inputs_of("noise_aggregation")),
    output:
        **outputs_of("noise_aggregation"),
    log:
        log_of("noise_aggregation"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("noise_aggregation"),
    message:
        "Aggregate the scores under noise"
    script:
        "../../scripts/job.py"
