# Frequency: how often the sampled texts occur in the corpus, by which bytes or tokens, and memorization by frequency.
#
# in:  corpus/documents/ or inventories/<corpus>.json, tokenizers/, samples/, scores/
# out: indexes/<corpus>/<units>/<group>/, frequencies/<family>/<counting>.parquet,
#      tables/{frequency_rates,thresholds,countings}.parquet


if "frequency_index" in study.rules:

    rule frequency_index:
        """Sort all suffixes of a share of the corpus, as bytes or as a family's tokens, for infini-gram."""
        input:
            unpack(inputs_of("frequency_index")),
        output:
            **outputs_of("frequency_index"),
        log:
            log_of("frequency_index"),
        conda:
            "../../envs/recite.yaml"
        threads: 1 if study.trains else 16
        resources:
            # Snakemake caps threads by the cores of the machine it is started on, which a node of a cluster need not share.
            cpus_per_task=1 if study.trains else 16,
            runtime=minutes_of,
            mem_mb=memory_of,
        params:
            **params_of("frequency_index"),
        message:
            "Index corpus {wildcards.corpus} by {wildcards.units}, group {wildcards.group}"
        script:
            "../../scripts/job.py"


rule frequency:
    """Count context, continuation and both of every row of a family in the corpus, by one way of counting."""
    input:
        unpack(inputs_of("frequency")),
    output:
        **outputs_of("frequency"),
    log:
        log_of("frequency"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("frequency"),
    message:
        "Count the rows of {wildcards.family} in the corpus, by {wildcards.counting}"
    script:
        "../../scripts/job.py"


rule frequency_aggregation:
    """Rates by frequency, the counts at which they leave the floor, and ways of counting against each other."""
    input:
        unpack(inputs_of("frequency_aggregation")),
    output:
        **outputs_of("frequency_aggregation"),
    log:
        log_of("frequency_aggregation"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("frequency_aggregation"),
    message:
        "Aggregate rates by frequency"
    script:
        "../../scripts/job.py"
