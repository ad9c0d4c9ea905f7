# Sampling: the sequences whose memorization is measured, by domain, in shards of a fixed size.
#
# in:  corpus/documents/, tokenizers/<family>/tokenizer.json
# out: samples/<family>/<domain>-<index>.parquet
rule sampling:
    """Draw the seeded sample of every domain under one family's tokenizer."""
    input:
        documents=CORPUS_FILES.values(),
        tokenizer=f"{RESULTS}/tokenizers/{{family}}/tokenizer.json",
    output:
        **{shard: f"{RESULTS}/samples/{{family}}/{shard}.parquet" for shard in study.shards},
    log:
        f"{RESULTS}/logs/sampling/{{family}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/sampling/{{family}}.tsv"
    conda:
        "../../envs/recite.yaml"
    params:
        code=code("sampling"),
        options=canonical_json(study.sampling_options()),
    message:
        "Sample the domains for {wildcards.family}"
    script:
        "../../scripts/sampling.py"
