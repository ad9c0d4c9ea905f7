# Offsets: where in its document a window begins, how long its context is, and what is recited of it.
#
# in:  the corpus's files, samples/<family>/, tokenizers/<family>/, models/<model>/ or checkpoints/<model>.json
# out: offsets/documents/<corpus>/<group>.parquet, offsets/beginnings/<family>/<domain>.parquet,
#      offsets/<model>.parquet, tables/{offsets,offset_changes}.parquet


rule offset_documents:
    """Read a share of a corpus's files once more and keep the sampled documents' beginnings."""
    input:
        unpack(inputs_of("offset_documents")),
    output:
        **outputs_of("offset_documents"),
    log:
        log_of("offset_documents"),
    conda:
        "../../envs/recite.yaml"
    threads: 1 if study.trains else 16
    resources:
        # Snakemake caps threads by the cores of the machine it is started on, which a node of a cluster need not share.
        cpus_per_task=1 if study.trains else 16,
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("offset_documents"),
    message:
        "Read corpus {wildcards.corpus}, group {wildcards.group}, for the documents' beginnings"
    script:
        "../../scripts/job.py"


rule offset_beginnings:
    """Cut the sampled documents' beginnings into the family's tokens."""
    input:
        unpack(inputs_of("offset_beginnings")),
    output:
        **outputs_of("offset_beginnings"),
    log:
        log_of("offset_beginnings"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("offset_beginnings"),
    message:
        "Cut {wildcards.domain} documents for {wildcards.family}"
    script:
        "../../scripts/job.py"


rule offsets:
    """Continue windows at every place, from contexts of every length, and count the tokens that equal the corpus's."""
    input:
        unpack(inputs_of("offsets")),
    output:
        **outputs_of("offsets"),
    log:
        log_of("offsets"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
        gpu=gpus_of,
        gpu_model=gpu_model_of,
        nodes=1,
    params:
        **params_of("offsets"),
    message:
        "Score {wildcards.model} on windows at several places"
    script:
        "../../scripts/job.py"


rule offsets_aggregation:
    """Rates by place and context length, and the same documents' differences from their beginnings."""
    input:
        unpack(inputs_of("offsets_aggregation")),
    output:
        **outputs_of("offsets_aggregation"),
    log:
        log_of("offsets_aggregation"),
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        **params_of("offsets_aggregation"),
    message:
        "Aggregate the scores of windows at several places"
    script:
        "../../scripts/job.py"
