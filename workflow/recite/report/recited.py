"""Rows to read, on a terminal."""

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from recite.errors import ReciteError
from recite.outcomes.examples import CLASSES, FOLDER, read_examples, visible
from recite.study.study import Study

HIT, MISS, END = "\x1b[36m", "\x1b[33;4m", "\x1b[0m"
"""Cyan as in the corpus; yellow and underlined otherwise."""
OPEN, CLOSE = "\u27e6", "\u27e7"
"""Around what is otherwise, where there are no colours."""
MARGIN = 10
RETURN = "\u21b5"


class Wanted(NamedTuple):
    """Which rows: of a model, domain, class or row id where these are given; so many at most."""

    model: str | None = None
    domain: str | None = None
    of_class: str | None = None
    row: int | None = None
    limit: int = 10


def find(study: Study, wanted: Wanted) -> tuple[list[dict[str, Any]], int]:
    """The rows that are wanted, and how many there would be without the limit.

    Raises ReciteError where the study has no examples, or none such.
    """
    made = [path for rule in study.rules for path in study.files(rule) if path.startswith(f"{FOLDER}/")]
    files = {Path(path).stem: Path(study.results, path) for path in made}
    if not files:
        raise ReciteError(f"study {study.name} has no rows to read; add `examples: {{}}` to its config and run it.")
    _check("model", wanted.model, list(files))
    _check("class", wanted.of_class, CLASSES)
    _check("domain", wanted.domain, sorted({domain for model in files for domain in study.domains_of(model)}))
    rows = read_examples([files[wanted.model]] if wanted.model else files.values())
    asked = {"domain": wanted.domain, "class": wanted.of_class, "row_id": wanted.row}
    given = {name: value for name, value in asked.items() if value is not None}
    found = [row for row in rows if all(row[name] == value for name, value in given.items())]
    if not found:
        raise ReciteError("no row to read is such; ask for less, or raise examples.per_class and run again.")
    found.sort(key=lambda row: (CLASSES.index(row["class"]), row["place"]))
    return found[: wanted.limit], len(found)


def _check(what: str, name: str | None, known: Sequence[str]) -> None:
    if name is not None and name not in known:
        raise ReciteError(f"{name} is no {what} of the rows to read (known: {', '.join(known)}); name one.")


def as_data(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as JSON, every control character escaped."""
    return json.dumps(rows, indent=1)


def as_text(rows: Sequence[Mapping[str, Any]], found: int, colours: bool) -> str:
    """The rows to be read: what the model said as in the corpus, and what not, in colours or between marks."""
    hit, miss = _marked("as in the corpus", True, colours), _marked("otherwise", False, colours)
    lines = [line for row in rows for line in _lines(row, colours)]
    return "\n".join([*lines, f"{len(rows)} of {found} rows; tokens: {hit}, {miss}"]) + "\n"


def _lines(row: Mapping[str, Any], colours: bool) -> list[str]:
    steps = len(row["hit"])
    told = [row["model"], row["domain"], row["class"], f"{row['hits']} of {steps} tokens", counted(row)]
    told += [f"first mismatch at token {row['first_mismatch'] + 1}"] if row["first_mismatch"] < steps else []
    return [
        f"Row {row['row_id']}: {', '.join(filter(None, told))}",
        source_of(row),
        _part("context", [("".join(row["context"]), None)], colours),
        _part("corpus", list(zip(row["continuation"], row["hit"], strict=True)), colours),
        _part("model", list(zip(row["generated"], row["hit"], strict=True)), colours),
        "",
    ]


def _part(name: str, tokens: Sequence[tuple[str, bool | None]], colours: bool) -> str:
    """A text beside its name, tokens of one kind together."""
    text = ""
    for hit, run in groupby(tokens, key=lambda token: token[1]):
        # The margin is left plain.
        *lines, last = visible("".join(piece for piece, _ in run)).split("\n")
        text += "".join(_marked(line + RETURN, hit, colours) + "\n" + " " * MARGIN for line in lines)
        text += _marked(last, hit, colours)
    return f"{name:<{MARGIN}}{text}"


def _marked(line: str, hit: bool | None, colours: bool) -> str:
    if hit is None or not line:
        return line
    if colours:
        return f"{HIT if hit else MISS}{line}{END}"
    return line if hit else f"{OPEN}{line}{CLOSE}"


def counted(row: Mapping[str, Any]) -> str:
    """How often the row's text occurs, in words; "" where it was not counted."""
    if not row["counted"]:
        return ""
    times = "once" if row["count"] == 1 else f"{row['count']:,} times"
    return f"planted {times}" if row["counted"] == "planted" else f"{times} in the corpus by {row['counted']}"


def source_of(row: Mapping[str, Any]) -> str:
    """Which document and place the row is cut from."""
    return visible(
        f"Document {row['document_id']}: {row['source_file']}, row {row['source_row']}, "
        f"from character {row['window_start']}"
    ).replace("\n", " ")
