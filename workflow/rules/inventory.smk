# Inventory: the files of a corpus, fetched where the config allows it, and which job reads which.
#
# in:  the files that the corpora file names
# out: inventories/<corpus>.json
rule inventory:
    """List the files of a corpus and share them out."""
    output:
        inventory=f"{RESULTS}/inventories/{{corpus}}.json",
    log:
        f"{RESULTS}/logs/inventory/{{corpus}}.log",
    conda:
        "../../envs/recite.yaml"
    resources:
        runtime=minutes_of,
        mem_mb=memory_of,
    params:
        code=code("inventory"),
        options=lambda wildcards: canonical_json(study.inventory_options(wildcards.corpus)),
    message:
        "List the files of corpus {wildcards.corpus}"
    script:
        "../../scripts/inventory.py"
