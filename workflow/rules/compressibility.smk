# Compressibility: by which suffixes of its context a memorized row is still recited, for the models that the config lists.
#
# in:  scores/<model>/, models/<model>/ or checkpoints/<model>.json, samples/<family>/
# out: compressibility/<model>/<part>.parquet, tables/{compressibility,suffix_lengths}.parquet
rule compressibility:
    """Recite every row that is recited whole again, from each suffix of its context."""
    input:
        scores=f"{RESULTS}/scores/{{model}}/{{part}}.parquet",
        checkpoint=checkpoint_of,
        shards=shards_of,
    output:
        suffixes=f"{RESULTS}/compressibility/{{model}}/{{part}}.parquet",
    log:
        f"{RESULTS}/logs/compressibility/{{model}}/{{part}}.log",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        code=code("compressibility"),
        options=lambda wildcards: canonical_json(study.compressibility_options(wildcards.model)),
    message:
        "Shorten the contexts that {wildcards.model} recites from, {wildcards.part} and following"
    script:
        "../../scripts/compressibility.py"


SUFFIXES = [
    f"{RESULTS}/compressibility/{model}/{part}.parquet"
    for model in study.compressibility_models
    for part in study.parts(model)
]


if study.compressibility_models:

    rule compressibility_aggregation:
        """Summarize by domain how much of their contexts the memorized rows need, and by length how many need it."""
        input:
            suffixes=SUFFIXES,
        output:
            **tables_of("compressibility_aggregation"),
        log:
            f"{RESULTS}/logs/compressibility_aggregation.log",
        conda:
            "../../envs/recite.yaml"
        resources:
            runtime=minutes_of,
            mem_mb=memory_of,
        params:
            code=code("compressibility_aggregation"),
            options=canonical_json(study.aggregation_options()),
        message:
            "Aggregate the sufficient suffixes"
        script:
            "../../scripts/compressibility_aggregation.py"
