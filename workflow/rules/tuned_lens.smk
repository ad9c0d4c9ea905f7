# Tuned lens: what every layer says after a learnt affine map, for the models that the config lists.
#
# in:  models/<model>/ or checkpoints/<model>.json, samples/<family>/, scores/<model>/, lens/<model>/
# out: tuned_lens/<model>/{translators.safetensors,kept.parquet,training.parquet,decoded.parquet},
#      tables/{tuned_lens,tuned_lens_depths,tuned_lens_training}.parquet


rule tuned_lens_training:
    """Train an affine map for every layer to say what the model says, on rows that are not measured."""
    input:
        unpack(inputs_of("tuned_lens_training")),
    output:
        **outputs_of("tuned_lens_training"),
    log:
        log_of("tuned_lens_training"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        **params_of("tuned_lens_training"),
    message:
        "Train the translators of {wildcards.model}"
    script:
        "../../scripts/job.py"


rule tuned_lens:
    """Decode every layer of the other rows through its map."""
    input:
        unpack(inputs_of("tuned_lens")),
    output:
        **outputs_of("tuned_lens"),
    log:
        log_of("tuned_lens"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        **params_of("tuned_lens"),
    message:
        "Decode the translated layers of {wildcards.model}"
    script:
        "../../scripts/job.py"


rule tuned_lens_aggregation:
    """Set the tuned lens beside the plain one, by class and by depth."""
    input:
        unpack(inputs_of("tuned_lens_aggregation")),
    output:
        **outputs_of("tuned_lens_aggregation"),
    log:
        log_of("tuned_lens_aggregation"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("tuned_lens_aggregation"),
    message:
        "Aggregate the translated layers"
    script:
        "../../scripts/job.py"
