# Batch size: measured once per model where scoring.batch_rows is auto, then the same for all its jobs.
#
# in:  models/<model>/ or checkpoints/<model>.json
# out: batches/<model>.json
rule batching:
    """Measure rows per second at doubling batch sizes under the memory limit; write the size to use."""
    input:
        checkpoint=checkpoint_of,
    output:
        batch=f"{RESULTS}/batches/{{model}}.json",
    log:
        f"{RESULTS}/logs/batching/{{model}}.log",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        code=code("batching"),
        options=lambda wildcards: canonical_json(study.batching_options(wildcards.model)),
    message:
        "Measure batch sizes of {wildcards.model}"
    script:
        "../../scripts/batching.py"


BATCHES = expand(f"{RESULTS}/batches/{{model}}.json", model=study.models if study.measures_batches else [])
