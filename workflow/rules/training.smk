# Training: the mini study's models, each a Hugging Face checkpoint folder.
#
# in:  tokenizers/<family>/
# out: models/<model>/ (config.json, model.safetensors, tokenizer files, training.json)
rule training:
    """Train one model from seeded random weights; the same machine gives the same bits."""
    input:
        tokenizer=tokenizer_of("tokenizer.json"),
        tokenizer_config=tokenizer_of("tokenizer_config.json"),
        rows=tokenizer_of("rows.parquet"),
    output:
        config=f"{RESULTS}/models/{{model}}/config.json",
        weights=f"{RESULTS}/models/{{model}}/model.safetensors",
        tokenizer=f"{RESULTS}/models/{{model}}/tokenizer.json",
        tokenizer_config=f"{RESULTS}/models/{{model}}/tokenizer_config.json",
        generation=f"{RESULTS}/models/{{model}}/generation_config.json",
        record=f"{RESULTS}/models/{{model}}/training.json",
    log:
        f"{RESULTS}/logs/training/{{model}}.log",
    # Everything waits for models.
    priority: 1
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        code=code("training"),
        options=lambda wildcards: canonical_json(study.training_options(wildcards.model)),
    message:
        "Train {wildcards.model}"
    script:
        "../../scripts/training.py"


MADE = [
    *rules.corpus.output,
    *expand(rules.tokenization.output, family=study.families),
    *expand(rules.training.output, model=study.models),
]
