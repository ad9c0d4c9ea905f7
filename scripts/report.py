"""Door to recite.report.summary: the study in words and numbers."""

import json
from pathlib import Path

from recite.jobs.door import door
from recite.report.summary import write_summary

with door(snakemake):
    write_summary(
        snakemake.params.study,
        json.loads(snakemake.params.published),
        tables=[Path(path) for path in snakemake.input.tables],
        manifest=next(map(Path, snakemake.input.manifest), None),
        summary=Path(snakemake.output[0]),
    )
