# Batch size: measured once per model where scoring.batch_rows is auto, then the same for all its jobs.
#
# in:  models/<model>/ or checkpoints/<model>.json
# out: batches/<model>.json


rule batching:
    """Measure rows per second at doubling batch sizes under the memory limit; write the size to use."""
    input:
        unpack(inputs_of("batching")),
    output:
        **outputs_of("batching"),
    log:
        log_of("batching"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        **params_of("batching"),
    message:
        "Measure batch sizes of {wildcards.model}"
    script:
        "../../scripts/job.py"
