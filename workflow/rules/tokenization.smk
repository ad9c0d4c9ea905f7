# Tokenization: each family's own tokenizer and training rows.
#
# in:  corpus/documents/
# out: tokenizers/<family>/tokenizer.json, tokenizer_config.json, rows.parquet
rule tokenization:
    """Train a byte-level BPE on the corpus and cut the documents into training rows."""
    input:
        documents=CORPUS_FILES.values(),
    output:
        tokenizer=f"{RESULTS}/tokenizers/{{family}}/tokenizer.json",
        tokenizer_config=f"{RESULTS}/tokenizers/{{family}}/tokenizer_config.json",
        rows=f"{RESULTS}/tokenizers/{{family}}/rows.parquet",
    log:
        f"{RESULTS}/logs/tokenization/{{family}}.log",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        code=code("tokenization"),
        options=lambda wildcards: canonical_json(study.tokenization_options(wildcards.family)),
    message:
        "Train the tokenizer of {wildcards.family}"
    script:
        "../../scripts/tokenization.py"
