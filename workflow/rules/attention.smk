# Attention: which places of its context a continuation attends to and needs, and which heads are induction heads, for the
# models that the config lists.
#
# in:  scores/<model>/, models/<model>/ or checkpoints/<model>.json, samples/<family>/; ablation/<model>/ and ablation_rows/<model>/ of
#      models whose heads are ablated
# out: attention/<model>/<part>.parquet, induction/<model>.parquet, tables/{attention,attention_layers,attention_heads}.parquet,
#      tables/{induction,induction_overlap}.parquet


rule attention:
    """Measure what drawn rows' continuations attend to, and what they lose where that is cut."""
    input:
        unpack(inputs_of("attention")),
    output:
        **outputs_of("attention"),
    log:
        log_of("attention"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        **params_of("attention"),
    message:
        "Cut the attention of {wildcards.model} place by place, {wildcards.part} and following"
    script:
        "../../scripts/job.py"


rule induction:
    """Measure how each head attends in random tokens that stand there twice."""
    input:
        unpack(inputs_of("induction")),
    output:
        **outputs_of("induction"),
    log:
        log_of("induction"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        **params_of("induction"),
    message:
        "Tell the induction heads of {wildcards.model}"
    script:
        "../../scripts/job.py"


rule attention_aggregation:
    """Summarize by class, place, layer and head what is attended to, and what cutting it costs."""
    input:
        unpack(inputs_of("attention_aggregation")),
    output:
        **outputs_of("attention_aggregation"),
    log:
        log_of("attention_aggregation"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("attention_aggregation"),
    message:
        "Aggregate the attention"
    script:
        "../../scripts/job.py"


rule induction_aggregation:
    """Summarize the heads' induction scores, and hold them against what the heads matter."""
    input:
        unpack(inputs_of("induction_aggregation")),
    output:
        **outputs_of("induction_aggregation"),
    log:
        log_of("induction_aggregation"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("induction_aggregation"),
    message:
        "Aggregate the induction heads"
    script:
        "../../scripts/job.py"
