# Candidates: of every domain of a corpus the documents with the smallest keys, which a sample is drawn from.
#
# in:  corpus/documents/ of a corpus that is made here, or inventories/<corpus>.json of one that lies in files
# out: candidates/<corpus>/<group>.parquet
rule candidates:
    """Read a share of a corpus's files once and keep the documents that a sample may hold."""
    input:
        documents_of,
    output:
        candidates=f"{RESULTS}/candidates/{{corpus}}/{{group}}.parquet",
    log:
        f"{RESULTS}/logs/candidates/{{corpus}}/{{group}}.log",
    conda:
        "../../envs/recite.yaml"
    threads: 1 if study.trains else 16
    resources:
        # Snakemake caps threads by the cores of the machine it is started on, which a node of a cluster need not share.
        cpus_per_task=1 if study.trains else 16,
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        code=code("candidates"),
        options=lambda wildcards: canonical_json(study.candidates_options(wildcards.corpus)),
    message:
        "Read corpus {wildcards.corpus}, group {wildcards.group}"
    script:
        "../../scripts/candidates.py"
