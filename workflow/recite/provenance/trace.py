"""Trace: one row behind a figure, from the document in the corpus to every table that holds it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recite.corpora.inventory import share_of
from recite.corpora.readers import Document, Layout, Skipped, files_of, read_built, read_documents
from recite.errors import ReciteError
from recite.provenance.blueprint import Blueprint, Planned

DOCUMENT = ("document_id", "source_file", "source_row")
MOST = 100
"""Characters of a text that are shown."""


class Place(NamedTuple):
    """A row of a table: the table's path in the study and the row's values by column."""

    path: str
    values: dict[str, Any]


def trace_row(blueprint: Blueprint, figure: str, row: int) -> str:
    """What is known of a row behind a figure, as text; ReciteError where no table behind it holds the row."""
    if figure not in blueprint.figures:
        raise ReciteError(f"{figure} is no figure of this study (known: {', '.join(blueprint.figures)}); name one.")
    tables = _tables_behind(blueprint, f"figures/{figure}.png")
    names = {path: pq.read_schema(blueprint.study / path).names for path in tables}
    held = [path for path in tables if "row_id" in names[path]]
    places = [place for path in held for place in _find(blueprint.study, path, row)]
    samples = [place for place in places if "document_id" in place.values]
    if not samples:
        raise ReciteError(
            f"no table behind figure {figure} holds row {row}; column row_id of the files in "
            f"{blueprint.study}/samples/ names the rows."
        )
    lines = [f"Row {row} behind figure {figure} of study {blueprint.study.name}", ""]
    lines += _document(blueprint, samples[0])
    for place in [place for place in places if "text" in place.values]:
        lines += ["", place.path, *_span(place.values)]
    lines += ["", *(f"{place.path}  {_values(place.values)}" for place in places if "text" not in place.values)]
    summed = [path for path in tables if path not in held and path.startswith(("tables/", "replicates/"))]
    return "\n".join([*lines, "", f"Summed up in: {', '.join(summed)}"]) + "\n"


def _tables_behind(blueprint: Blueprint, target: str) -> list[str]:
    """The Parquet files that a figure rests on, from the figure down; ReciteError where one is not there."""
    found: dict[str, None] = {}
    waiting = [target]
    while waiting:
        job = blueprint.job_of(waiting.pop(0))
        new = [path for path in (job.inputs if job else ()) if path not in found]
        found |= dict.fromkeys(new)
        waiting += new
    tables = [path for path in found if path.endswith(".parquet")]
    for path in tables:
        if not (blueprint.study / path).is_file():
            raise ReciteError(f"{blueprint.study / path} does not exist; run the study, or bring its results there.")
    return tables


def _find(study: Path, path: str, row: int) -> list[Place]:
    named = pc.field("row_id") == pa.scalar(row, pa.uint64())
    table = pq.read_table(study / path, filters=named, partitioning=None)
    return [Place(path, values) for values in table.to_pylist()]


def _document(blueprint: Blueprint, sample: Place) -> list[str]:
    """Where in the corpus the row's document is; of what is found again at once, whether it still holds the text."""
    values = sample.values
    lines = [
        f"Document {values['document_id']} of domain {values['domain']}: "
        f"{values['source_file']}, row {values['source_row']}, from character {values['window_start']}"
    ]
    made = f"corpus/documents/{values['source_file']}"
    if blueprint.job_of(made) is not None:
        lines.append(f"{made}: {_standing(read_built(blueprint.study / made), values)}")
    else:
        lines += _listed(blueprint, sample)
    return lines


def _listed(blueprint: Blueprint, sample: Place) -> list[str]:
    """Where the document of a corpus that lies elsewhere is on this machine; files of documents are not read again."""
    behind = [job for job in _jobs_behind(blueprint, sample.path) if job.rule in ("candidates", "inventory")]
    listed = [blueprint.study / path for job in behind if job.rule == "inventory" for path in job.outputs]
    if not listed or not listed[0].is_file():
        return []
    name, share = share_of(listed[0], sample.values["source_file"], sample.values["source_row"])
    places = ", ".join(map(str, files_of(share)))
    if isinstance(share, Path) or not places or not all(file.exists() for file in files_of(share)):
        return [places] if places else []
    layout = Layout(**next(job.parameters["options"]["layout"] for job in behind if job.rule == "candidates"))
    return [f"{places}: {_standing(read_documents(share, name, layout, Skipped()), sample.values)}"]


def _standing(documents: Iterator[Document], values: dict[str, Any]) -> str:
    """Whether the row's text stands where its pointer says."""
    document = next((document for document in documents if document.row == values["source_row"]), None)
    start, text = values["window_start"], values["text"].decode()
    stands = document is not None and document.text[start : start + len(text)] == text
    return f"the text {'stands there' if stands else 'does NOT stand there'}"


def _jobs_behind(blueprint: Blueprint, target: str) -> list[Planned]:
    """The job that makes a file, and those that its inputs come from."""
    found: dict[str, Planned] = {}
    waiting = [target]
    while waiting:
        job = blueprint.job_of(waiting.pop(0))
        if job is not None and job.outputs[0] not in found:
            found[job.outputs[0]] = job
            waiting += job.inputs
    return list(found.values())


def _span(values: dict[str, Any]) -> list[str]:
    """Context and continuation as text and tokens."""
    cut = values["context_bytes"]
    parts = {"context": values["text"][:cut], "continuation": values["text"][cut:]}
    return [
        f"  {name}, {len(values[name])} tokens: {_short(part.decode(errors='replace'))}" for name, part in parts.items()
    ]


def _short(text: str) -> str:
    return json.dumps(text if len(text) <= MOST else f"{text[:MOST]}...", ensure_ascii=False)


def _values(values: dict[str, Any]) -> str:
    """The row's values, without its names and without lists and bytes."""
    kept = {key: value for key, value in values.items() if key not in ("row_id", "sequence_id", "domain")}
    return ", ".join(f"{key} {_number(value)}" for key, value in kept.items() if not isinstance(value, list | bytes))


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
