# Scoring: memorization score of every sampled row under every model.
#
# in:  models/<model>/ or checkpoints/<model>.json, samples/<family>/
# out: scores/<model>/<part>.parquet, a part being shards_per_job shards and named by the first
rule scoring:
    """Continue every context greedily and count the tokens that equal the corpus's."""
    input:
        checkpoint=checkpoint_of,
        ready=ancient(rules.samples.output),
        shards=shards_of,
        batch=batch_of,
    output:
        scores=f"{RESULTS}/scores/{{model}}/{{part}}.parquet",
    log:
        f"{RESULTS}/logs/scoring/{{model}}/{{part}}.log",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        code=code("scoring"),
        options=lambda wildcards: canonical_json(study.scoring_options(wildcards.model)),
    message:
        "Score {wildcards.model} on {wildcards.part} and following"
    script:
        "../../scripts/scoring.py"


SCORES = scores_of(study.models)
