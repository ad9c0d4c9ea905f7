# Lens: what every layer would say of the true continuation, for the models that the config lists.
#
# in:  scores/<model>/, models/<model>/ or checkpoints/<model>.json, samples/<family>/
# out: lens/<model>/<part>.parquet, lens/<model>/positions/<part>.parquet,
#      tables/{lens,lens_positions,lens_profiles}.parquet


rule lens:
    """Decode the residual stream after every layer at every position of the true continuation."""
    input:
        unpack(inputs_of("lens")),
    output:
        **outputs_of("lens"),
    log:
        log_of("lens"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        **params_of("lens"),
    message:
        "Decode the layers of {wildcards.model}, {wildcards.part} and following"
    script:
        "../../scripts/job.py"


rule lens_aggregation:
    """Summarize by class and by position what each layer knows of the true continuation."""
    input:
        unpack(inputs_of("lens_aggregation")),
    output:
        **outputs_of("lens_aggregation"),
    log:
        log_of("lens_aggregation"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("lens_aggregation"),
    message:
        "Aggregate the decoded layers"
    script:
        "../../scripts/job.py"
