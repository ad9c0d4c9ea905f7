# Extraction: how many draws it takes to meet the true continuation, for the models that the config lists.
#
# in:  models/<model>/ or checkpoints/<model>.json, samples/<family>/, scores/<model>/, noise/<model>/
# out: extraction/<model>/layer-<layer>/alpha-<alpha>.parquet, tables/extraction.parquet
rule extraction:
    """Ask for the probability of every true continuation under every scheme of drawing."""
    input:
        unpack(inputs_of("extraction")),
    output:
        **outputs_of("extraction"),
    log:
        log_of("extraction"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        **params_of("extraction"),
    message:
        "Ask {wildcards.model} for the true continuations, at noise {wildcards.alpha} in layer {wildcards.layer}"
    script:
        "../../scripts/job.py"


rule extraction_aggregation:
    """Shares of rows that so many draws extract, by domain and scheme."""
    input:
        unpack(inputs_of("extraction_aggregation")),
    output:
        **outputs_of("extraction_aggregation"),
    log:
        log_of("extraction_aggregation"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("extraction_aggregation"),
    message:
        "Aggregate what draws extract"
    script:
        "../../scripts/job.py"
