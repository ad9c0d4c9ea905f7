# Heads: what rows of every class and domain lose by each attention head, for the models that the config lists.
#
# in:  models/<model>/ or checkpoints/<model>.json, samples/<family>/, scores/<model>/
# out: ablation_rows/<model>/<domain>.parquet, ablation_means/<model>.parquet where heads are replaced by their means over the rows,
#      ablation/<model>/round-<round>/layers-<first>/<part>.parquet, open_heads/<model>/<round>.parquet after every round but the last,
#      tables/{heads,overlap,power}.parquet


rule ablation_rows:
    """Draw the rows whose heads are ablated, by their scores."""
    input:
        unpack(inputs_of("ablation_rows")),
    output:
        **outputs_of("ablation_rows"),
    log:
        log_of("ablation_rows"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("ablation_rows"),
    message:
        "Draw the rows of {wildcards.domain} whose heads are ablated in {wildcards.model}"
    script:
        "../../scripts/job.py"


if "ablation_means" in study.rules:

    rule ablation_means:
        """Average the output of every head over the rows whose heads are ablated."""
        input:
            unpack(inputs_of("ablation_means")),
        output:
            **outputs_of("ablation_means"),
        log:
            log_of("ablation_means"),
        conda:
            "../../envs/recite.yaml"
        resources:
            runtime=minutes_of,
            mem_mb=memory_of,
            gpu=gpus_of,
            gpu_model=gpu_model_of,
            nodes=1,
        params:
            **params_of("ablation_means"),
        message:
            "Average the heads of {wildcards.model}"
        script:
            "../../scripts/job.py"


rule ablation:
    """Continue every row without each head of some layers, and ask how probable the true continuation still is."""
    input:
        unpack(inputs_of("ablation")),
    output:
        **outputs_of("ablation"),
    log:
        log_of("ablation"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        **params_of("ablation"),
    message:
        "Ablate heads of {wildcards.model} from layer {wildcards.first}, {wildcards.part} and following, round {wildcards.round}"
    script:
        "../../scripts/job.py"


if "open_heads" in study.rules:

    rule open_heads:
        """Look at which heads are in the fifth that matters most, and leave those of which it is known."""
        input:
            unpack(inputs_of("open_heads")),
        output:
            **outputs_of("open_heads"),
        log:
            log_of("open_heads"),
        conda:
            "../../envs/recite.yaml"
        resources:
            runtime=minutes_of,
            mem_mb=memory_of,
        params:
            **params_of("open_heads"),
        message:
            "Look at the heads of {wildcards.model} after round {wildcards.round}"
        script:
            "../../scripts/job.py"


rule ablation_aggregation:
    """Summarize by domain what every head is worth."""
    input:
        unpack(inputs_of("ablation_aggregation")),
    output:
        **outputs_of("ablation_aggregation"),
    log:
        log_of("ablation_aggregation"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("ablation_aggregation"),
    message:
        "Aggregate the ablated heads"
    script:
        "../../scripts/job.py"


rule overlap:
    """Compare the sets of the most important heads of every model."""
    input:
        unpack(inputs_of("overlap")),
    output:
        **outputs_of("overlap"),
    log:
        log_of("overlap"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("overlap"),
    message:
        "Compare the most important heads"
    script:
        "../../scripts/job.py"


rule power:
    """Compute the smallest effects that this study's rows, and the paper's, can show."""
    input:
        unpack(inputs_of("power")),
    output:
        **outputs_of("power"),
    log:
        log_of("power"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("power"),
    message:
        "Compute the power of the ablations"
    script:
        "../../scripts/job.py"
