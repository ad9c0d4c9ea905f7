# Erasing: which intervention removes recall best at equal damage to other rows, for the models that the config lists.
#
# in:  scores/<model>/, models/<model>/ or checkpoints/<model>.json, samples/<family>/, ablation/<model>/, sublayers/<model>/, corpus/
# out: erasing/<model>/{recalled,damaged}.parquet, tables/{erasing,erased}.parquet


rule erasing:
    """Take recall out of one model by rising noise, heads, sublayers and neurons, and measure what other rows pay."""
    input:
        unpack(inputs_of("erasing")),
    output:
        **outputs_of("erasing"),
    log:
        log_of("erasing"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        **params_of("erasing"),
    message:
        "Erase recall of {wildcards.model}"
    script:
        "../../scripts/job.py"


rule erasing_aggregation:
    """Draw curves of recall against damage, and compare the interventions at equal damage."""
    input:
        unpack(inputs_of("erasing_aggregation")),
    output:
        **outputs_of("erasing_aggregation"),
    log:
        log_of("erasing_aggregation"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("erasing_aggregation"),
    message:
        "Aggregate the erased recall"
    script:
        "../../scripts/job.py"
