"""Door to recite.stages.frequency.ngrams: index a share of a corpus's files."""

import json
from pathlib import Path

from recite.corpora.inventory import files_of_group
from recite.corpora.readers import Layout, read_texts
from recite.jobs.door import door
from recite.stages.frequency.ngrams import build_index, units_of

with door(snakemake):
    options, given = json.loads(snakemake.params.options), [Path(path) for path in snakemake.input.documents]
    is_inventory = given[0].suffix == ".json"
    files = (
        files_of_group(given[0], int(snakemake.wildcards.group))
        if is_inventory
        else {path.name: path for path in given}
    )
    build_index(
        read_texts(files, Layout(**options["layout"])),
        units_of(Path(snakemake.input.tokenizer) if snakemake.input.tokenizer else None),
        folder=Path(snakemake.output[0]).parent,
        threads=snakemake.threads,
        gigabytes=snakemake.resources.mem_mb // 1000,
    )
