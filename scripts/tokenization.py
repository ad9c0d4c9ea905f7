"""Door to recite.corpora.tokenization: train a family's tokenizer and cut the training rows."""

import json
from pathlib import Path

from recite.corpora.tokenization import tokenize_corpus
from recite.jobs.door import door

with door(snakemake):
    tokenize_corpus(
        json.loads(snakemake.params.options),
        documents=[Path(path) for path in snakemake.input.documents],
        tokenizer=Path(snakemake.output.tokenizer),
        tokenizer_config=Path(snakemake.output.tokenizer_config),
        rows=Path(snakemake.output.rows),
    )
