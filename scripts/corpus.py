"""Door to recite.corpora.building: build the corpus from the installed environment."""

import json
from pathlib import Path

from recite.corpora.building import build_corpus
from recite.jobs.door import door

with door(snakemake):
    files = {name: Path(path) for name, path in snakemake.output.items()}
    controls, manifest = files.pop("controls"), files.pop("manifest")
    build_corpus(json.loads(snakemake.params.options), files, controls, manifest)
