# Samples: documents, made here or found in files, and the rows of them whose memorization is measured.
#
# in:  the environment's packages, or the files that the corpora file names; tokenizers/<family>/
# out: corpus/ of one that is made here or inventories/<corpus>.json, candidates/<corpus>/<group>.parquet,
#      samples/<family>/<domain>-<index>.parquet


if study.trains:

    rule corpus:
        """Cut passages from installed files, plant the controls, write documents with their digests."""
        input:
            unpack(inputs_of("corpus")),
        output:
            **outputs_of("corpus"),
        log:
            log_of("corpus"),
        conda:
            "../../envs/recite.yaml"
        resources:
            runtime=minutes_of,
            mem_mb=memory_of,
        params:
            **params_of("corpus"),
        message:
            "Build the corpus from the installed packages' text"
        script:
            "../../scripts/job.py"

else:

    rule inventory:
        """List the files of a corpus, fetched where the config allows it, and share them out."""
        input:
            unpack(inputs_of("inventory")),
        output:
            **outputs_of("inventory"),
        log:
            log_of("inventory"),
        conda:
            "../../envs/recite.yaml"
        resources:
            runtime=minutes_of,
            mem_mb=memory_of,
        params:
            **params_of("inventory"),
        message:
            "List the files of corpus {wildcards.corpus}"
        script:
            "../../scripts/job.py"


rule candidates:
    """Read a share of a corpus's files once and keep the documents that a sample may hold."""
    input:
        unpack(inputs_of("candidates")),
    output:
        **outputs_of("candidates"),
    log:
        log_of("candidates"),
    conda:
        "../../envs/recite.yaml"
    threads: 1 if study.trains else 16
    resources:
        # Snakemake caps threads by the cores of the machine it is started on, which a node of a cluster need not share.
        cpus_per_task=1 if study.trains else 16,
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("candidates"),
    message:
        "Read corpus {wildcards.corpus}, group {wildcards.group}"
    script:
        "../../scripts/job.py"


rule sampling:
    """Draw the seeded sample of one domain under one family's tokenizer."""
    input:
        unpack(inputs_of("sampling")),
    output:
        **outputs_of("sampling"),
    log:
        log_of("sampling"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("sampling"),
    message:
        "Sample {wildcards.domain} for {wildcards.family}"
    script:
        "../../scripts/job.py"


rule samples:
    """Say that every domain of every family has its rows, before the first model runs on any."""
    input:
        # A shard that someone changed is not for this rule to notice: it would hide it from the rules that read it.
        unpack(inputs_of("samples")),
    output:
        touch(outputs_of("samples")["complete"]),
    log:
        log_of("samples"),
    conda:
        "../../envs/recite.yaml"
    message:
        "All samples are drawn"
