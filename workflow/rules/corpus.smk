# Corpus: documents by domain and planted controls, from the text of the installed environment.
#
# in:  the environment's packages (config/corpora.yaml names them)
# out: corpus/documents/<domain>.jsonl.zst, corpus/controls.parquet, corpus/manifest.json
BUILT = study.corpus_options(study.config["training"]["corpus"])
CORPUS_FILES = {
    domain: f"{RESULTS}/corpus/documents/{domain}.jsonl.zst" for domain in [*BUILT["sources"], "control", "repeats"]
}


rule corpus:
    """Cut passages from installed files, plant the controls, write documents with their digests."""
    output:
        **CORPUS_FILES,
        controls=f"{RESULTS}/corpus/controls.parquet",
        manifest=f"{RESULTS}/corpus/manifest.json",
    log:
        f"{RESULTS}/logs/corpus.log",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        code=code("corpus"),
        options=canonical_json(BUILT),
    message:
        "Build the corpus from the installed packages' text"
    script:
        "../../scripts/corpus.py"
