# Sublayers: what rows of every class lose by the attention and by the MLP of each layer, for the models that the config lists.
#
# in:  scores/<model>/, models/<model>/ or checkpoints/<model>.json, samples/<family>/
# out: sublayer_means/<model>.parquet where sublayers are replaced by their means, sublayers/<model>/<part>.parquet,
#      tables/{sublayers,carried}.parquet


if "sublayer_means" in study.rules:

    rule sublayer_means:
        """Average the output of every attention and MLP over the drawn rows."""
        input:
            unpack(inputs_of("sublayer_means")),
        output:
            **outputs_of("sublayer_means"),
        log:
            log_of("sublayer_means"),
        conda:
            "../../envs/recite.yaml"
        resources:
            runtime=minutes_of,
            mem_mb=memory_of,
            gpu=gpus_of,
            gpu_model=gpu_model_of,
            nodes=1,
        params:
            **params_of("sublayer_means"),
        message:
            "Average the sublayers of {wildcards.model}"
        script:
            "../../scripts/job.py"


rule sublayers:
    """Continue drawn rows without each attention and MLP, and ask how probable the true continuation still is."""
    input:
        unpack(inputs_of("sublayers")),
    output:
        **outputs_of("sublayers"),
    log:
        log_of("sublayers"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        **params_of("sublayers"),
    message:
        "Replace sublayers of {wildcards.model}, {wildcards.part} and following"
    script:
        "../../scripts/job.py"


rule sublayers_aggregation:
    """Summarize what every attention and MLP is worth, and which of the two carries recall."""
    input:
        unpack(inputs_of("sublayers_aggregation")),
    output:
        **outputs_of("sublayers_aggregation"),
    log:
        log_of("sublayers_aggregation"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("sublayers_aggregation"),
    message:
        "Aggregate the sublayers"
    script:
        "../../scripts/job.py"
