# Scaling: memorization rate against model size, per family and pooled.
#
# in:  replicates/scores.parquet
# out: tables/{scaling,slope_tests,predictions}.parquet


rule scaling:
    """Fit lines to the rates, test whether families share a slope, predict each largest model from the smaller ones."""
    input:
        unpack(inputs_of("scaling")),
    output:
        **outputs_of("scaling"),
    log:
        log_of("scaling"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("scaling"),
    message:
        "Fit the rates to model size"
    script:
        "../../scripts/job.py"
