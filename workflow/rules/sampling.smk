# Sampling: the sequences whose memorization is measured, by domain, in shards of a fixed size.
#
# in:  candidates/<corpus>/, tokenizers/<family>/
# out: samples/<family>/<domain>-<index>.parquet
FAMILY_TOKENIZERS = {
    family: f"{RESULTS}/tokenizers/{family}/{model.tokenizer}" for family, model in study.families.items()
}


rule sampling:
    """Draw the seeded sample of one domain under one family's tokenizer."""
    input:
        candidates=candidates_of,
        tokenizer=lambda wildcards: FAMILY_TOKENIZERS[wildcards.family],
    output:
        shards=[f"{RESULTS}/samples/{{family}}/{shard}.parquet" for shard in study.shards_of("{domain}")],
    log:
        f"{RESULTS}/logs/sampling/{{family}}/{{domain}}.log",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        code=code("sampling"),
        options=lambda wildcards: canonical_json(study.sampling_options(wildcards.family, wildcards.domain)),
    message:
        "Sample {wildcards.domain} for {wildcards.family}"
    script:
        "../../scripts/sampling.py"


SAMPLES = [f"{RESULTS}/samples/{family}/{shard}.parquet" for family in study.families for shard in study.shards(family)]


rule samples:
    """Say that every domain of every family has its rows, before the first model runs on any."""
    input:
        # A shard that someone changed is not for this rule to notice: it would hide it from the rules that read it.
        ancient(SAMPLES),
    output:
        touch(f"{RESULTS}/samples/complete"),
    log:
        f"{RESULTS}/logs/samples.log",
    conda:
        "../../envs/recite.yaml"
    message:
        "All samples are drawn"
