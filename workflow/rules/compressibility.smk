# Compressibility: by which suffixes of its context a memorized row is still recited, for the models that the config lists.
#
# in:  scores/<model>/, models/<model>/ or checkpoints/<model>.json, samples/<family>/
# out: compressibility/<model>/<part>.parquet, tables/{compressibility,suffix_lengths}.parquet


rule compressibility:
    """Recite every row that is recited whole again, from each suffix of its context."""
    input:
        unpack(inputs_of("compressibility")),
    output:
        **outputs_of("compressibility"),
    log:
        log_of("compressibility"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        **params_of("compressibility"),
    message:
        "Shorten the contexts that {wildcards.model} recites from, {wildcards.part} and following"
    script:
        "../../scripts/job.py"


rule compressibility_aggregation:
    """Summarize by domain how much of their contexts the memorized rows need, and by length how many need it."""
    input:
        unpack(inputs_of("compressibility_aggregation")),
    output:
        **outputs_of("compressibility_aggregation"),
    log:
        log_of("compressibility_aggregation"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("compressibility_aggregation"),
    message:
        "Aggregate the sufficient suffixes"
    script:
        "../../scripts/job.py"
