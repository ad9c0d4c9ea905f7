"""Door to recite.sources.fetching: copy the tokenizer of a family's first model."""

import json
from pathlib import Path

from recite.jobs.door import door
from recite.sources.fetching import copy_tokenizer

with door(snakemake):
    copy_tokenizer(
        json.loads(snakemake.params.options) | {"fetch": snakemake.config["fetch"]},
        tokenizer=Path(snakemake.output.tokenizer),
    )
