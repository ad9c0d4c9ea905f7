# Signatures: how alike two models are in how a measure spreads over their layers, and whether families matter.
#
# in:  tables/{heads,recovery,lens}.parquet
# out: tables/{signatures,signature_pairs,signature_tests}.parquet
if study.signature_sources:

    rule signatures:
        """Compare the models' profiles over relative depth, within families and between them."""
        input:
            [f"{RESULTS}/tables/{table}.parquet" for table in study.signature_sources],
        output:
            **tables_of("signatures"),
        log:
            f"{RESULTS}/logs/signatures.log",
        conda:
            "../../envs/recite.yaml"
        resources:
            runtime=minutes_of,
            mem_mb=memory_of,
        params:
            code=code("signatures"),
            options=canonical_json(study.signature_options()),
        message:
            "Compare the models' profiles over layers"
        script:
            "../../scripts/signatures.py"
