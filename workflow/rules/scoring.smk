# Scoring: memorization score of every sampled row under every model, and rates with intervals.
#
# in:  models/<model>/ or checkpoints/<model>.json, samples/<family>/, corpus/controls.parquet
# out: scores/<model>/<part>.parquet, a part being shards_per_job shards and named by the first;
#      tables/{rates,distribution,disjoint_samples,control_rates}.parquet, replicates/scores.parquet


rule scoring:
    """Continue every context greedily and count the tokens that equal the corpus's."""
    input:
        unpack(inputs_of("scoring")),
    output:
        **outputs_of("scoring"),
    log:
        log_of("scoring"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        **params_of("scoring"),
    message:
        "Score {wildcards.model} on {wildcards.part} and following"
    script:
        "../../scripts/job.py"


rule aggregation:
    """Sum up the scores of all models: rates, distribution, disjoint samples, and rates by repetition of planted rows."""
    input:
        unpack(inputs_of("aggregation")),
    output:
        **outputs_of("aggregation"),
    log:
        log_of("aggregation"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("aggregation"),
    message:
        "Aggregate the scores of all models"
    script:
        "../../scripts/job.py"
