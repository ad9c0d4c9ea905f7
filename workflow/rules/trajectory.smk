# Memorization along the training: checkpoints on the way scored like the model itself.
#
# in:  models/<model>/steps/<step>/ of a model that is trained here, else its folders; scores/<model>/, samples/<family>/
# out: trajectory/<model>/<step>/<part>.parquet, trajectory/<model>/followed.parquet, tables/trajectory*.parquet


if not study.trains:

    rule step_registration:
        """Hold a checkpoint of an earlier step against its model's entry in the registry and write its record."""
        input:
            unpack(inputs_of("step_registration")),
        output:
            **outputs_of("step_registration"),
        log:
            log_of("step_registration"),
        wildcard_constraints:
            step=r"\d+",
        conda:
            "../../envs/recite.yaml"
        resources:
            runtime=minutes_of,
            mem_mb=memory_of,
        params:
            **params_of("step_registration"),
        message:
            "Check the weights of {wildcards.model} at step {wildcards.step}"
        script:
            "../../scripts/job.py"


rule trajectory:
    """Continue every context greedily with the weights of an earlier step, as scoring does with the last."""
    input:
        unpack(inputs_of("trajectory")),
    output:
        **outputs_of("trajectory"),
    log:
        log_of("trajectory"),
    wildcard_constraints:
        step=r"\d[\d.e-]*",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        **params_of("trajectory"),
    message:
        "Score {wildcards.model} at {wildcards.step} on {wildcards.part} and following"
    script:
        "../../scripts/job.py"


rule trajectory_rows:
    """Tell of every row of a model when it was first recited, kept, forgotten, relearnt, and when its text was seen."""
    input:
        unpack(inputs_of("trajectory_rows")),
    output:
        **outputs_of("trajectory_rows"),
    log:
        log_of("trajectory_rows"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("trajectory_rows"),
    message:
        "Follow the rows of {wildcards.model}"
    script:
        "../../scripts/job.py"


rule trajectory_aggregation:
    """Rates along the training, what became of rows, and whether count or recency decides it."""
    input:
        unpack(inputs_of("trajectory_aggregation")),
    output:
        **outputs_of("trajectory_aggregation"),
    log:
        log_of("trajectory_aggregation"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("trajectory_aggregation"),
    message:
        "Aggregate the trajectories"
    script:
        "../../scripts/job.py"
