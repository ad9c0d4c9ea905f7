# Aggregation: rates with intervals, distributions, and rates under resamples of the texts, from all scores.
#
# in:  scores/, noise/, samples/ of the planted domains, corpus/controls.parquet
# out: tables/<table>.parquet, replicates/
PLANTED = [
    f"{RESULTS}/samples/{family}/{shard}.parquet"
    for family in study.families
    for domain in study.planted
    for shard in study.shards_of(domain)
]


rule aggregation:
    """Sum up the scores of all models: rates, distribution, disjoint samples, and rates by repetition of planted rows."""
    input:
        scores=SCORES,
        planted=PLANTED,
        controls=[f"{RESULTS}/corpus/controls.parquet"] if PLANTED else [],
    output:
        **tables_of("aggregation"),
        replicates=f"{RESULTS}/replicates/scores.parquet",
    log:
        f"{RESULTS}/logs/aggregation.log",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        code=code("aggregation"),
        options=canonical_json(study.aggregation_options()),
    message:
        "Aggregate the scores of all models"
    script:
        "../../scripts/aggregation.py"


rule noise_aggregation:
    """Summarize the scores of the disturbed models at every strength."""
    input:
        scores=scores_of(study.noise_models),
        noisy=NOISE_SCORES,
    output:
        rates=f"{RESULTS}/tables/noise_rates.parquet",
        replicates=f"{RESULTS}/replicates/noise.parquet",
    log:
        f"{RESULTS}/logs/noise_aggregation.log",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        code=code("noise_aggregation"),
        options=canonical_json(study.aggregation_options()),
    message:
        "Aggregate the scores under noise"
    script:
        "../../scripts/noise_aggregation.py"
