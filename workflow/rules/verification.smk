# Verification: the check of what is known of planted texts and of sizes; not part of a study unless asked for.
#
# in:  tables/, frequencies/, samples/ of the planted domains, corpus/controls.parquet
# out: verification.json


rule verification:
    """Fail unless size and repetition raise memorization and counts are exact, where the truth is planted."""
    input:
        unpack(inputs_of("verification")),
    output:
        **outputs_of("verification"),
    log:
        log_of("verification"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("verification"),
    message:
        "Verify the planted truths on the finished tables"
    script:
        "../../scripts/job.py"
