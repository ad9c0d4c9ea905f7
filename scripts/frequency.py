"""Door to recite.stages.frequency.measure: count the rows of one family in the corpus."""

import json
from pathlib import Path

from recite.jobs.door import door
from recite.stages.frequency.measure import count_rows

with door(snakemake):
    options, output = json.loads(snakemake.params.options), Path(snakemake.output.frequencies)
    tokenizer = snakemake.input.tokenizer or options.get("public", {}).get("tokenizer")
    count_rows(
        options,
        shards=[Path(path) for path in snakemake.input.shards],
        indexes=sorted({Path(path).parent for path in snakemake.input.indexes}),
        tokenizer=Path(tokenizer) if tokenizer else None,
        cache=output.with_name(f".{output.stem}.jsonl"),
        frequencies=output,
    )
