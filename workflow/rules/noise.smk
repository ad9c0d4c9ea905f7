# Noise: the scores again at each noise strength in each disturbed layer, for the models that the config lists.
#
# in:  models/<model>/ or checkpoints/<model>.json, samples/<family>/
# out: noise/<model>/layer-<layer>/alpha-<alpha>/<part>.parquet
rule noise:
    """Continue every context greedily with noise of strength alpha in one layer's residual stream."""
    input:
        checkpoint=checkpoint_of,
        ready=ancient(rules.samples.output),
        shards=shards_of,
        batch=batch_of,
    output:
        scores=f"{RESULTS}/noise/{{model}}/layer-{{layer}}/alpha-{{alpha}}/{{part}}.parquet",
    log:
        f"{RESULTS}/logs/noise/{{model}}/layer-{{layer}}/alpha-{{alpha}}/{{part}}.log",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        code=code("noise"),
        options=lambda wildcards: canonical_json(
            study.scoring_options(wildcards.model) | {"noise": study.noise_options(int(wildcards.layer))}
        ),
    message:
        "Disturb layer {wildcards.layer} of {wildcards.model} at alpha = {wildcards.alpha}"
    script:
        "../../scripts/noise.py"


NOISE_SCORES = [
    f"{RESULTS}/noise/{model}/layer-{layer}/alpha-{alpha}/{part}.parquet"
    for model in study.noise_models
    for layer in study.noise_layers
    for alpha in study.noise_strengths
    for part in study.parts(model)
]
