# Aggregation: rates with intervals, distributions and fits, from all scores.
#
# in:  scores/, noise/, samples/ of the planted domains, corpus/controls.parquet
# out: tables/<table>.parquet
PLANTED = [
    f"{RESULTS}/samples/{family}/{shard}.parquet"
    for family in study.families
    for shard in study.shards
    if shard.rpartition("-")[0] in study.planted
]


rule aggregation:
    """Summarize the scores of all models: rates, distribution, control_rates, scaling."""
    input:
        scores=SCORES,
        planted=PLANTED,
        controls=f"{RESULTS}/corpus/controls.parquet",
    output:
        rates=f"{RESULTS}/tables/rates.parquet",
        distribution=f"{RESULTS}/tables/distribution.parquet",
        control_rates=f"{RESULTS}/tables/control_rates.parquet",
        scaling=f"{RESULTS}/tables/scaling.parquet",
    log:
        f"{RESULTS}/logs/aggregation.log",
    benchmark:
        f"{RESULTS}/benchmarks/aggregation.tsv"
    conda:
        "../../envs/recite.yaml"
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
        scores=expand(f"{RESULTS}/scores/{{model}}/{{part}}.parquet", model=study.noise_models, part=study.parts),
        noisy=NOISE_SCORES,
    output:
        rates=f"{RESULTS}/tables/noise_rates.parquet",
    log:
        f"{RESULTS}/logs/noise_aggregation.log",
    benchmark:
        f"{RESULTS}/benchmarks/noise_aggregation.tsv"
    conda:
        "../../envs/recite.yaml"
    params:
        code=code("noise_aggregation"),
        options=canonical_json(study.aggregation_options()),
    message:
        "Aggregate the scores under noise"
    script:
        "../../scripts/noise_aggregation.py"
