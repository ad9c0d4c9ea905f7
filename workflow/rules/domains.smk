# Domains: structural against free text, and how alike models are in what they memorize where.
#
# in:  replicates/
# out: tables/{kinds,profiles}.parquet


rule domains:
    """Compare kinds of domains within models, and profiles of domains between models."""
    input:
        unpack(inputs_of("domains")),
    output:
        **outputs_of("domains"),
    log:
        log_of("domains"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("domains"),
    message:
        "Compare the domains"
    script:
        "../../scripts/job.py"
