# Counterfactual memorization: siblings of a model, each without one half of all texts, scored like the model itself.
#
# in:  tokenizers/<family>/, samples/<family>/
# out: counterfactual/<model>/seed-<seed>/: halves and rows of training, without-<half>/ with a sibling's checkpoint and scores;
#      tables/counterfactual.parquet
rule counterfactual_halves:
    """Halve the training rows, so that no sampled text stands in both halves."""
    input:
        unpack(inputs_of("counterfactual_halves")),
    output:
        **outputs_of("counterfactual_halves"),
    log:
        log_of("counterfactual_halves"),
    wildcard_constraints:
        seed=r"\d+",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("counterfactual_halves"),
    message:
        "Halve the texts of {wildcards.model} by seed {wildcards.seed}"
    script:
        "../../scripts/job.py"


rule counterfactual_training:
    """Train a sibling of a model, from another seed and without one half of the texts."""
    input:
        unpack(inputs_of("counterfactual_training")),
    output:
        **outputs_of("counterfactual_training"),
    log:
        log_of("counterfactual_training"),
    wildcard_constraints:
        seed=r"\d+",
        half="[ab]",
    # Scores wait for models.
    priority: 1
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("counterfactual_training"),
    message:
        "Train {wildcards.model} without half {wildcards.half} of seed {wildcards.seed}"
    script:
        "../../scripts/job.py"


rule counterfactual:
    """Continue every context greedily with a sibling's weights, as scoring does with the model's."""
    input:
        unpack(inputs_of("counterfactual")),
    output:
        **outputs_of("counterfactual"),
    log:
        log_of("counterfactual"),
    wildcard_constraints:
        seed=r"\d+",
        half="[ab]",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        **params_of("counterfactual"),
    message:
        "Score {wildcards.model} without half {wildcards.half} of seed {wildcards.seed} on {wildcards.part} and following"
    script:
        "../../scripts/job.py"


rule counterfactual_aggregation:
    """Scores of texts in the training less those of the same texts left out of it."""
    input:
        unpack(inputs_of("counterfactual_aggregation")),
    output:
        **outputs_of("counterfactual_aggregation"),
    log:
        log_of("counterfactual_aggregation"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("counterfactual_aggregation"),
    message:
        "Aggregate the siblings"
    script:
        "../../scripts/job.py"
