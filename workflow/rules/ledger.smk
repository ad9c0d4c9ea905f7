# Ledger: the paper's claims, each with its statistic, interval and verdict.
#
# in:  tables/
# out: tables/claims.parquet
rule ledger:
    """Hold every claim's statistic against the bound that the claims file gives."""
    input:
        [path for rule in study.tables_of if rule != "ledger" for path in tables_of(rule).values()],
    output:
        **tables_of("ledger"),
    log:
        f"{RESULTS}/logs/ledger.log",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        code=code("ledger"),
        claims=canonical_json([{"name": name, **claim} for name, claim in study.claims.items()]),
    message:
        "Judge the claims"
    script:
        "../../scripts/ledger.py"
