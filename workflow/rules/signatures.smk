# Signatures: how alike two models are in how a measure spreads over their layers, and whether families matter.
#
# in:  tables with a line for every layer
# out: tables/{signatures,signature_pairs,signature_tests}.parquet


rule signatures:
    """Compare the models' profiles over relative depth, within families and between them."""
    input:
        unpack(inputs_of("signatures")),
    output:
        **outputs_of("signatures"),
    log:
        log_of("signatures"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("signatures"),
    message:
        "Compare the models' profiles over layers"
    script:
        "../../scripts/job.py"
