# Lens: what every layer would say of the true continuation, for the models that the config lists.
#
# in:  scores/<model>/, models/<model>/ or checkpoints/<model>.json, samples/<family>/
# out: lens/<model>/<part>.parquet, lens/<model>/positions/<part>.parquet,
#      tables/{lens,lens_positions,lens_profiles}.parquet
rule lens:
    """Decode the residual stream after every layer at every position of the true continuation."""
    input:
        scores=f"{RESULTS}/scores/{{model}}/{{part}}.parquet",
        checkpoint=checkpoint_of,
        shards=shards_of,
    output:
        lens=f"{RESULTS}/lens/{{model}}/{{part}}.parquet",
        positions=f"{RESULTS}/lens/{{model}}/positions/{{part}}.parquet",
    log:
        f"{RESULTS}/logs/lens/{{model}}/{{part}}.log",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        code=code("lens"),
        options=lambda wildcards: canonical_json(study.lens_options(wildcards.model)),
    message:
        "Decode the layers of {wildcards.model}, {wildcards.part} and following"
    script:
        "../../scripts/lens.py"


LENS = [f"{RESULTS}/lens/{model}/{part}.parquet" for model in study.lens_models for part in study.parts(model)]
LENS_POSITIONS = [
    f"{RESULTS}/lens/{model}/positions/{part}.parquet" for model in study.lens_models for part in study.parts(model)
]


if study.lens_models:

    rule lens_aggregation:
        """Summarize by class and by position what each layer knows of the true continuation."""
        input:
            scores=scores_of(study.lens_models),
            lens=LENS,
            positions=LENS_POSITIONS,
        output:
            **tables_of("lens_aggregation"),
        log:
            f"{RESULTS}/logs/lens_aggregation.log",
        conda:
            "../../envs/recite.yaml"
        resources:
            runtime=minutes_of,
            mem_mb=memory_of,
        params:
            code=code("lens_aggregation"),
            options=canonical_json(study.aggregation_options()),
        message:
            "Aggregate the decoded layers"
        script:
            "../../scripts/lens_aggregation.py"
