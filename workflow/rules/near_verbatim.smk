# Near-verbatim recall: rows that are recited but for a few tokens, for the models that the config lists.
#
# in:  scores/<model>/, noise/<model>/, samples/<family>/
# out: near_verbatim/<model>/layer-<layer>/alpha-<alpha>/<part>.parquet, tables/near_verbatim.parquet
rule near_verbatim:
    """Measure the edit distance and the longest common run of every stored continuation and the true one."""
    input:
        unpack(inputs_of("near_verbatim")),
    output:
        **outputs_of("near_verbatim"),
    log:
        log_of("near_verbatim"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("near_verbatim"),
    message:
        "Compare the continuations of {wildcards.model} at noise {wildcards.alpha} in layer {wildcards.layer}, {wildcards.part} and following"
    script:
        "../../scripts/job.py"


rule near_verbatim_aggregation:
    """Rates of recall within a tolerance, by domain."""
    input:
        unpack(inputs_of("near_verbatim_aggregation")),
    output:
        **outputs_of("near_verbatim_aggregation"),
    log:
        log_of("near_verbatim_aggregation"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("near_verbatim_aggregation"),
    message:
        "Aggregate the near-verbatim recall"
    script:
        "../../scripts/job.py"
