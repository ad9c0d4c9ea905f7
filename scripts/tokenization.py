"""Door to recite.tokenization: train a family's tokenizer and cut the training rows."""

import json
from pathlib import Path

from recite.door import door
from recite.tokenization import tokenize_corpus

with door(snakemake):
    tokenize_corpus(
        json.loads(snakemake.params.options),
        documents=[Path(path) for path in snakemake.input.documents],
        tokenizer=Path(snakemake.output.tokenizer),
        tokenizer_config=Path(snakemake.output.tokenizer_config),
        rows=Path(snakemake.output.rows),
    )
