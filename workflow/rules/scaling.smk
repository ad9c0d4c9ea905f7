# Scaling: memorization rate against model size, per family and pooled.
#
# in:  replicates/scores.parquet
# out: tables/{scaling,slope_tests,predictions}.parquet
rule scaling:
    """Fit lines to the rates, test whether families share a slope, predict each largest model from the smaller ones."""
    input:
        replicates=f"{RESULTS}/replicates/scores.parquet",
    output:
        **tables_of("scaling"),
    log:
        f"{RESULTS}/logs/scaling.log",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        code=code("scaling"),
        options=canonical_json(study.interval_options()),
    message:
        "Fit the rates to model size"
    script:
        "../../scripts/scaling.py"
