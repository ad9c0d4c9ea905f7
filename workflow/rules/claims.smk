# Claims: those of the paper, each with its statistic, interval and verdict.
#
# in:  tables/
# out: tables/claims.parquet


rule ledger:
    """Hold every claim's statistic against the bound that the claims file gives."""
    input:
        unpack(inputs_of("ledger")),
    output:
        **outputs_of("ledger"),
    log:
        log_of("ledger"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("ledger"),
    message:
        "Judge the claims"
    script:
        "../../scripts/job.py"
