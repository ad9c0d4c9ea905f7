# Examples: rows to read, with the texts that were given, follow and were said, for the models that the config lists.
#
# in:  scores/<model>/, samples/<family>/, tokenizers/<family>/, and if there near_verbatim/<model>/, frequencies/<family>/, controls
# out: examples/<model>.parquet
rule examples:
    """Choose some rows of every class and domain, put their texts together token by token, and mask them."""
    input:
        unpack(inputs_of("examples")),
    output:
        **outputs_of("examples"),
    log:
        log_of("examples"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("examples"),
    message:
        "Choose rows of {wildcards.model} to read"
    script:
        "../../scripts/job.py"
