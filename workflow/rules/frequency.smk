# Frequency: how often the sampled texts occur in the corpus, by which bytes or tokens, and memorization by frequency.
#
# in:  corpus/documents/ or inventories/<corpus>.json, tokenizers/, samples/, scores/
# out: indexes/<corpus>/<units>/<group>/, frequencies/<family>/<counting>.parquet,
#      tables/{frequency_rates,thresholds,countings}.parquet
INDEX_FILES = ["tokenized.0", "offset.0", "table.0", "index.json"]
COUNTED = [(family, counting) for family in study.frequency_families for counting in study.countings]


rule frequency_index:
    """Sort all suffixes of a share of the corpus, as bytes or as a family's tokens, for infini-gram."""
    input:
        documents=lambda wildcards: CORPUS_FILES.values() if study.trains else documents_of(wildcards),
        tokenizer=lambda wildcards: FAMILY_TOKENIZERS[wildcards.units] if wildcards.units != "bytes" else [],
    output:
        [f"{RESULTS}/indexes/{{corpus}}/{{units}}/{{group}}/{file}" for file in INDEX_FILES],
    log:
        f"{RESULTS}/logs/frequency_index/{{corpus}}/{{units}}/{{group}}.log",
    conda:
        "../../envs/recite.yaml"
    threads: 1 if study.trains else 16
    resources:
        # Snakemake caps threads by the cores of the machine it is started on, which a node of a cluster need not share.
        cpus_per_task=1 if study.trains else 16,
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        code=code("frequency_index"),
        options=lambda wildcards: canonical_json(study.index_options(wildcards.corpus)),
    message:
        "Index corpus {wildcards.corpus} by {wildcards.units}, group {wildcards.group}"
    script:
        "../../scripts/frequency_index.py"


rule frequency:
    """Count context, continuation and both of every row of a family in the corpus, by one way of counting."""
    input:
        shards=lambda wildcards: [
            f"{RESULTS}/samples/{wildcards.family}/{shard}.parquet"
            for shard in study.frequency_shards(wildcards.family)
        ],
        indexes=lambda wildcards: [
            f"{folder}/{file}" for folder in indexes_of(wildcards.family, wildcards.counting) for file in INDEX_FILES
        ],
        tokenizer=lambda wildcards: (
            FAMILY_TOKENIZERS[study.config["frequency"]["other"]] if wildcards.counting == "other" else []
        ),
    output:
        frequencies=f"{RESULTS}/frequencies/{{family}}/{{counting}}.parquet",
    log:
        f"{RESULTS}/logs/frequency/{{family}}/{{counting}}.log",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        code=code("frequency"),
        options=lambda wildcards: canonical_json(study.frequency_options(wildcards.family, wildcards.counting)),
    message:
        "Count the rows of {wildcards.family} in the corpus, by {wildcards.counting}"
    script:
        "../../scripts/frequency.py"


INDEXES = sorted({f"{folder}/{file}" for pair in COUNTED for folder in indexes_of(*pair) for file in INDEX_FILES})
FREQUENCIES = [f"{RESULTS}/frequencies/{family}/{counting}.parquet" for family, counting in COUNTED]


if study.frequency_families:

    rule frequency_aggregation:
        """Rates by frequency, the counts at which they leave the floor, and ways of counting against each other."""
        input:
            scores=scores_of(study.frequency_models),
            frequencies=FREQUENCIES,
        output:
            **tables_of("frequency_aggregation"),
        log:
            f"{RESULTS}/logs/frequency_aggregation.log",
        conda:
            "../../envs/recite.yaml"
        resources:
            runtime=minutes_of,
            mem_mb=memory_of,
        params:
            code=code("frequency_aggregation"),
            options=canonical_json(study.frequency_aggregation_options()),
        message:
            "Aggregate rates by frequency"
        script:
            "../../scripts/frequency_aggregation.py"
