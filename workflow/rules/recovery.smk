# Recovery: how much of the noise each later layer removes, at each strength, for the models that the config lists.
#
# in:  models/<model>/ or checkpoints/<model>.json, samples/<family>/, scores/ for the classes
# out: recovery/<model>/layer-<layer>/alpha-<alpha>/<part>.parquet, tables/{recovery,recovery_tests}.parquet
rule recovery:
    """Compare the residual stream under noise with the undisturbed one, after every layer, on every prompt."""
    input:
        checkpoint=checkpoint_of,
        ready=ancient(rules.samples.output),
        shards=shards_of,
    output:
        recovery=f"{RESULTS}/recovery/{{model}}/layer-{{layer}}/alpha-{{alpha}}/{{part}}.parquet",
    log:
        f"{RESULTS}/logs/recovery/{{model}}/layer-{{layer}}/alpha-{{alpha}}/{{part}}.log",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        code=code("recovery"),
        options=lambda wildcards: canonical_json(study.recovery_options(wildcards.model, int(wildcards.layer))),
    message:
        "Compare the layers of {wildcards.model} at alpha = {wildcards.alpha} in layer {wildcards.layer}"
    script:
        "../../scripts/recovery.py"


RECOVERED = [
    f"{RESULTS}/recovery/{model}/layer-{layer}/alpha-{alpha}/{part}.parquet"
    for model in study.recovery_models
    for layer in study.noise_layers
    for alpha in study.recovery_strengths
    for part in study.parts(model)
]


if RECOVERED:

    rule recovery_aggregation:
        """Summarize by class how much of the noise is removed, and test whether memorized rows differ."""
        input:
            scores=scores_of(study.recovery_models),
            recovery=RECOVERED,
        output:
            **tables_of("recovery_aggregation"),
        log:
            f"{RESULTS}/logs/recovery_aggregation.log",
        conda:
            "../../envs/recite.yaml"
        resources:
            runtime=minutes_of,
            mem_mb=memory_of,
        params:
            code=code("recovery_aggregation"),
            options=canonical_json(study.aggregation_options()),
        message:
            "Aggregate the recovery from noise"
        script:
            "../../scripts/recovery_aggregation.py"
