# Screening: which heads are worth ablating, estimated to first order, where the config asks for it (`ablation.screening`).
#
# in:  models/<model>/ or checkpoints/<model>.json, samples/<family>/, ablation_means/<model>.parquet where heads are
#      replaced by their means over the rows
# out: screening/<model>.parquet
if study.screens:

    rule screening:
        """Estimate how much each head matters to the rows whose heads are to be ablated."""
        input:
            checkpoint=checkpoint_of,
            ready=ancient(rules.samples.output),
            shards=all_ablated_shards_of,
            means=head_means_of,
        output:
            screened=f"{RESULTS}/screening/{{model}}.parquet",
        log:
            f"{RESULTS}/logs/screening/{{model}}.log",
        conda:
            "../../envs/recite.yaml"
        resources:
            runtime=minutes_of,
            mem_mb=memory_of,
            gpu=gpus_of,
            gpu_model=gpu_model_of,
            nodes=1,
        params:
            code=code("screening"),
            options=lambda wildcards: canonical_json(study.screening_options(wildcards.model)),
        message:
            "Screen the heads of {wildcards.model}"
        script:
            "../../scripts/screening.py"


SCREENED = [f"{RESULTS}/screening/{model}.parquet" for model in study.ablation_models if study.screens]
