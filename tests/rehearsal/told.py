"""What the jobs of a rehearsal took: rows that a job sums up, seconds and peak memory, by the jobs' own records."""

from collections.abc import Sequence
from pathlib import Path

from recite.files import read_json
from recite.provenance.records import record_path
from recite.study.study import Study


def jobs_told(study: Study, folder: Path, rules: Sequence[str]) -> str:
    """A line a rule, of its longest job and of its largest."""
    lines = [f"{'rule':<28}{'jobs':>6}{'seconds':>9}{'MB':>8}"]
    for rule in rules:
        jobs = study.jobs(rule)
        records = [read_json(record_path(folder, study.files(rule, **job)[0])) for job in jobs]
        seconds, peak = (max(record[key] for record in records) for key in ("seconds", "peak_memory_bytes"))
        lines.append(f"{rule:<28}{len(jobs):>6}{seconds:>9.1f}{peak / 1e6:>8.0f}")
    return "\n".join(lines)
