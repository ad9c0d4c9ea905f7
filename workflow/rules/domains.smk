# Domains: structural against free text, and how alike models are in what they memorize where.
#
# in:  replicates/
# out: tables/{kinds,profiles}.parquet
rule domains:
    """Compare kinds of domains within models, and profiles of domains between models."""
    input:
        replicates=[
            f"{RESULTS}/replicates/scores.parquet",
            *([f"{RESULTS}/replicates/noise.parquet"] if study.noise_models else []),
        ],
    output:
        **tables_of("domains"),
    log:
        f"{RESULTS}/logs/domains.log",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        code=code("domains"),
        options=canonical_json(study.interval_options()),
    message:
        "Compare the domains"
    script:
        "../../scripts/domains.py"
