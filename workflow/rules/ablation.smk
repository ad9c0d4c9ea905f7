# Ablation: what the first rows of every domain lose by each attention head, for the models that the config lists.
#
# in:  models/<model>/ or checkpoints/<model>.json, samples/<family>/, screening/<model>.parquet where heads are screened
# out: ablation/<model>/layers-<first>/<part>.parquet, ablation_means/<model>.parquet where heads are replaced by their
#      means over the rows, tables/heads.parquet, tables/screening.parquet unless heads are screened
rule ablation:
    """Continue every row without each head of some layers, and ask how probable the true continuation still is."""
    input:
        checkpoint=checkpoint_of,
        ready=ancient(rules.samples.output),
        shards=ablated_shards_of,
        means=head_means_of,
        screened=screened_of,
    output:
        ablated=f"{RESULTS}/ablation/{{model}}/layers-{{first}}/{{part}}.parquet",
    log:
        f"{RESULTS}/logs/ablation/{{model}}/layers-{{first}}/{{part}}.log",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        code=code("ablation"),
        options=lambda wildcards: canonical_json(
            study.ablation_options(wildcards.model, wildcards.part, int(wildcards.first))
        ),
    message:
        "Ablate heads of {wildcards.model} from layer {wildcards.first}, {wildcards.part} and following"
    script:
        "../../scripts/ablation.py"


ABLATED = [
    f"{RESULTS}/ablation/{model}/layers-{first}/{part}.parquet"
    for model in study.ablation_models
    for first in study.ablation_blocks(model)
    for part in study.ablation_parts(model)
]


if study.needs_head_means:

    rule ablation_means:
        """Average the output of every head over the rows whose heads are ablated."""
        input:
            checkpoint=checkpoint_of,
            ready=ancient(rules.samples.output),
            shards=all_ablated_shards_of,
        output:
            means=f"{RESULTS}/ablation_means/{{model}}.parquet",
        log:
            f"{RESULTS}/logs/ablation_means/{{model}}.log",
        conda:
            "../../envs/recite.yaml"
        resources:
            runtime=minutes_of,
            mem_mb=memory_of,
            gpu=gpus_of,
            gpu_model=gpu_model_of,
            nodes=1,
        params:
            code=code("ablation_means"),
            options=lambda wildcards: canonical_json(study.head_means_options(wildcards.model)),
        message:
            "Average the heads of {wildcards.model}"
        script:
            "../../scripts/ablation_means.py"


HEAD_MEANS = [f"{RESULTS}/ablation_means/{model}.parquet" for model in study.ablation_models if study.needs_head_means]


if study.ablation_models:

    rule ablation_aggregation:
        """Summarize by domain what every head is worth, and what screening the heads would have found of it."""
        input:
            ablated=ABLATED,
        output:
            **tables_of("ablation_aggregation"),
        log:
            f"{RESULTS}/logs/ablation_aggregation.log",
        conda:
            "../../envs/recite.yaml"
        resources:
            runtime=minutes_of,
            mem_mb=memory_of,
        params:
            code=code("ablation_aggregation"),
            options=canonical_json(study.aggregation_options()),
        message:
            "Aggregate the ablated heads"
        script:
            "../../scripts/ablation_aggregation.py"
