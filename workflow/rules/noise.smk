# Noise: the scores again at each noise strength, for the models that the config lists.
#
# in:  models/<model>/, samples/<family>/
# out: noise/<model>/alpha-<alpha>/<part>.parquet
rule noise:
    """Continue every context greedily with noise of strength alpha in one layer's residual stream."""
    input:
        config=f"{RESULTS}/models/{{model}}/config.json",
        weights=f"{RESULTS}/models/{{model}}/model.safetensors",
        shards=shards_of,
        batch=batch_of,
    output:
        scores=f"{RESULTS}/noise/{{model}}/alpha-{{alpha}}/{{part}}.parquet",
    log:
        f"{RESULTS}/logs/noise/{{model}}/alpha-{{alpha}}/{{part}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/noise/{{model}}/alpha-{{alpha}}/{{part}}.tsv"
    conda:
        "../../envs/recite.yaml"
    resources:
        mem_mb=2000,
    params:
        code=code("noise"),
        options=lambda wildcards: canonical_json(
            study.scoring_options(wildcards.model) | {"noise": study.noise_options()}
        ),
    message:
        "Disturb {wildcards.model} at alpha = {wildcards.alpha}"
    script:
        "../../scripts/noise.py"


NOISE_SCORES = expand(
    f"{RESULTS}/noise/{{model}}/alpha-{{alpha}}/{{part}}.parquet",
    model=study.noise_models,
    alpha=study.noise_strengths,
    part=study.parts,
)
