# Registration: the weights of a registered model, fetched where the config allows it, checked and named by digest.
#
# in:  the files that the registry names
# out: checkpoints/<model>.json, tokenizers/<family>/<tokenizer's file>
rule family_tokenizer:
    """Copy the tokenizer of a family's first model."""
    output:
        tokenizer=f"{RESULTS}/tokenizers/{{family}}/{{file}}",
    log:
        f"{RESULTS}/logs/family_tokenizer/{{family}}/{{file}}.log",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        code=code("family_tokenizer"),
        options=lambda wildcards: canonical_json(study.tokenizer_options(wildcards.family)),
    message:
        "Copy the tokenizer of {wildcards.family}"
    script:
        "../../scripts/family_tokenizer.py"


rule registration:
    """Hold a checkpoint against its entry in the registry and write its record."""
    input:
        tokenizer=lambda wildcards: FAMILY_TOKENIZERS[study.models[wildcards.model].family],
    output:
        record=f"{RESULTS}/checkpoints/{{model}}.json",
    log:
        f"{RESULTS}/logs/registration/{{model}}.log",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        code=code("registration"),
        options=lambda wildcards: canonical_json(study.checkpoint_options(wildcards.model)),
    message:
        "Check the weights of {wildcards.model}"
    script:
        "../../scripts/registration.py"


CHECKPOINTS = expand(f"{RESULTS}/checkpoints/{{model}}.json", model=study.models)
