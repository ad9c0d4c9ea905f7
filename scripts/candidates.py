"""Door to recite.corpora.candidates: read a share of a corpus's files."""

import json
from pathlib import Path

from recite.corpora.candidates import gather
from recite.corpora.inventory import files_of_group, left_out
from recite.corpora.readers import Layout
from recite.jobs.door import door

with door(snakemake):
    options, given = json.loads(snakemake.params.options), [Path(path) for path in snakemake.input]
    is_inventory = given[0].suffix == ".json"
    gather(
        options["draw"],
        files_of_group(given[0], int(snakemake.wildcards.group))
        if is_inventory
        else {path.name: path for path in given},
        Layout(**options["layout"]),
        candidates=Path(snakemake.output.candidates),
        threads=snakemake.threads,
        without=left_out(given[0]) if is_inventory else {},
    )
