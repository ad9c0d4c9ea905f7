# Predictability: what is recited after unrelated contexts too was not memorized, for the models that the config lists.
#
# in:  scores/<model>/, models/<model>/ or checkpoints/<model>.json, samples/<family>/, frequencies/<family>/
# out: priors/<model>/<part>.parquet, tables/{predictability,prior_gains,taxonomy}.parquet


rule predictability:
    """Measure how probable drawn rows' continuations are after their own and after unrelated contexts."""
    input:
        unpack(inputs_of("predictability")),
    output:
        **outputs_of("predictability"),
    log:
        log_of("predictability"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        **params_of("predictability"),
    message:
        "Ask {wildcards.model} for continuations after unrelated contexts, {wildcards.part} and following"
    script:
        "../../scripts/job.py"


rule predictability_aggregation:
    """Correct rates for what is predictable, and sort memorized rows by kind."""
    input:
        unpack(inputs_of("predictability_aggregation")),
    output:
        **outputs_of("predictability_aggregation"),
    log:
        log_of("predictability_aggregation"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("predictability_aggregation"),
    message:
        "Aggregate the predictability"
    script:
        "../../scripts/job.py"
