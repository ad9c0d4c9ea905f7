"""Choosing rows to read, and putting their texts together.

Of a model's rows those are chosen whose texts' identifiers, which are uniform hashes, come nearest by exclusive or to a
number that the seed gives: a random choice that no order or number of files changes, that all models of a family share
where they make the same of a row, and that needs no more memory than one part of the rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recite.corpora.planted import known_copies
from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tokenizer import load_decoder
from recite.errors import ReciteError
from recite.files import hash64
from recite.outcomes import means
from recite.outcomes.examples import CLASSES, EXAMPLES, HALF, MEMORIZED, NEAR_VERBATIM, NOT_COUNTED, UNMEMORIZED
from recite.stages.examples.masking import find, hide
from recite.stages.examples.pieces import Decode, pieces_of
from recite.stages.frequency.rows import FREQUENCIES
from recite.stages.near_verbatim.rows import NEAR
from recite.stages.scoring.rows import SCORES
from recite.tables import Table, read_metadata

Row = dict[str, Any]
COLUMNS = ("row_id", "sequence_id", "domain", "hits")


class Chosen(NamedTuple):
    """Rows as columns (rows,): place of the domain, of the class, copies (NOT_COUNTED unless planted), key, row id."""

    domains: np.ndarray
    classes: np.ndarray
    copies: np.ndarray
    keys: np.ndarray
    row_ids: np.ndarray

    def take(self, chosen: np.ndarray) -> "Chosen":
        return Chosen(*(column[chosen] for column in self))

    def fewest(self, most: int) -> "Chosen":
        """So many rows of each domain, class and number of copies, by key; of rows of equal text the lowest id."""
        rows = self.take(np.lexsort(self[::-1]))
        group = _changes(*rows[:3])
        rows = rows.take(group | _changes(rows.keys))
        places = rows.places
        return rows.take(places < most)

    @property
    def places(self) -> np.ndarray:
        """Place of each row in its group, of rows in order."""
        first = np.flatnonzero(_changes(*self[:3]))
        return np.arange(len(self.keys)) - np.repeat(first, np.diff(np.append(first, len(self.keys))))


def _changes(*columns: np.ndarray) -> np.ndarray:
    """Where a row is not in all of the columns as the one before it, (rows,) bool."""
    changed = [np.append(True, column[1:] != column[:-1])[: len(column)] for column in columns]
    return np.logical_or.reduce(changed)


def pick_examples(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    shards: Sequence[Path],
    tokenizer: Path,
    near: Sequence[Path] | None,
    frequencies: Path | None,
    planted: Sequence[Path] | None,
    controls: Path | None,
    examples: Path,
) -> None:
    """Write a model's rows to read, by domain, class and copies.

    `options` hold `model`, `family`, `domains` (in their order), `seed`, `per_class`, `mask`, the thresholds of the
    classes and `nearness`, the share of edits up to which a row is near-verbatim. `scores` are all parts of the
    model's, `shards` its samples; `near` the edit distances of the same parts, `frequencies` the family's counts,
    `planted` and `controls` the planted rows and their copies, where the study has them. Raises ReciteError where
    these hold other rows than were scored.
    """
    made = read_metadata(scores[0])
    copies = known_copies(planted, controls) if planted and controls else {}
    chosen = _choose(options, scores, near, made["continuation_tokens"], copies)
    rows = list(_rows(options, chosen, scores, shards))
    counts = _counts(frequencies, [row["row_id"] for row in rows])
    decode = load_decoder(tokenizer)
    who = {name: options[name] for name in ("model", "family")} | {"parameters": made["parameters"]}
    lines = [who | row | _counted(row, copies, *counts) | texts(row, decode, options["mask"]) for row in rows]
    EXAMPLES.write_lines(examples, lines, {"options": dict(options), "weights_sha256": made["weights_sha256"]})
    print(f"{len(lines)} rows to read, {sum(line['masked'] for line in lines)} of their characters masked")


def _choose(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    near: Sequence[Path] | None,
    steps: int,
    copies: Mapping[int, int],
) -> Chosen:
    """The rows of a model, by domain, class, copies and key; one part is in memory at a time."""
    kept: Chosen | None = None
    for place, path in enumerate(scores):
        rows = SCORES.read(path, COLUMNS)
        distances = _distances(near[place], rows) if near else None
        found = _classified(options, rows, distances, steps, copies)
        kept = Chosen(*map(np.concatenate, zip(kept, found, strict=True))) if kept else found
        kept = kept.fewest(options["per_class"])
    assert kept is not None
    # A text of several domains is read in the first of them.
    _, first = np.unique(kept.keys, return_index=True)
    return kept.take(np.sort(first))


def _distances(path: Path, rows: pa.Table) -> np.ndarray:
    near = NEAR.read(path, ["row_id", "distance"])
    if not near["row_id"].equals(rows["row_id"]):
        raise ReciteError(f"{path} holds other rows than were scored; delete it and run again.")
    return np.asarray(near["distance"].to_numpy())


def _classified(
    options: Mapping[str, Any],
    rows: pa.Table,
    distances: np.ndarray | None,
    steps: int,
    copies: Mapping[int, int],
) -> Chosen:
    """The rows of a part that are of a class."""
    found = means.classes(rows["hits"].to_numpy(), steps, options)
    members = {MEMORIZED: found[means.MEMORIZED], HALF: found[means.HALF], UNMEMORIZED: found[means.UNMEMORIZED]}
    if distances is not None:
        members[NEAR_VERBATIM] = distances <= options["nearness"] * steps
    classes = np.full(len(rows), len(CLASSES), np.uint8)
    for place in reversed(range(len(CLASSES))):
        if CLASSES[place] in members:
            classes[members[CLASSES[place]]] = place
    domains = pc.index_in(rows["domain"].cast(pa.string()), pa.array(options["domains"])).to_numpy()
    row_ids, texts = rows["row_id"].to_numpy(), rows["sequence_id"].to_numpy()
    known = np.full(len(rows), NOT_COUNTED, np.int64)
    if copies:
        known[:] = [copies.get(row_id, NOT_COUNTED) for row_id in row_ids.tolist()]
    keys = texts ^ np.uint64(hash64(options["seed"], "examples"))
    return Chosen(domains, classes, known, keys, row_ids).take(classes < len(CLASSES))


def _rows(options: Mapping[str, Any], chosen: Chosen, scores: Sequence[Path], shards: Sequence[Path]) -> Iterator[Row]:
    """What scores and samples say of the chosen rows, in their order."""
    made = _read(SCORES, scores, ["row_id", "domain", "hits", "first_mismatch", "generated"], chosen.row_ids)
    pointers = ["document_id", "source_file", "source_row", "window_start"]
    names = ["row_id", "sequence_id", "domain", *pointers, "context", "continuation"]
    true = _read(SAMPLES, shards, names, chosen.row_ids)
    for domain, of_class, row_id, place in zip(
        chosen.domains.tolist(), chosen.classes.tolist(), chosen.row_ids.tolist(), chosen.places.tolist(), strict=True
    ):
        key = row_id, options["domains"][domain]
        row = made[key] | true.get(key, {}) | {"class": CLASSES[of_class], "place": place}
        row["hit"] = [a == b for a, b in zip(row["generated"], row.get("continuation", ()), strict=False)]
        if sum(row["hit"]) != row["hits"]:
            raise ReciteError(
                f"row {row_id} of {options['model']} is not what was scored; delete its scores and run again."
            )
        yield row


def _read(table: Table, paths: Sequence[Path], names: Sequence[str], row_ids: np.ndarray) -> dict[tuple[int, str], Row]:
    """Some columns of some rows, by row id and domain, which names a row that is in two of them."""
    wanted = pc.field("row_id").isin(pa.array(np.unique(row_ids), pa.uint64()))
    found = (row for path in paths for row in table.read(path, names, wanted).to_pylist())
    return {(row["row_id"], row["domain"]): row for row in found}


def _counts(frequencies: Path | None, row_ids: Sequence[int]) -> tuple[dict[int, int], str]:
    """How often the texts of those rows that were counted occur, and what they were counted by."""
    if frequencies is None:
        return {}, ""
    wanted = pc.field("row_id").isin(pa.array(row_ids, pa.uint64()))
    found = FREQUENCIES.read(frequencies, ["row_id", "sequence"], wanted)
    by = str(read_metadata(frequencies)["options"]["counting"])
    return dict(zip(found["row_id"].to_pylist(), found["sequence"].to_pylist(), strict=True)), by


def _counted(row: Row, copies: Mapping[int, int], counts: Mapping[int, int], by: str) -> Row:
    """The columns `count` and `counted` of a row."""
    row_id = row["row_id"]
    if row_id in copies:
        return {"count": copies[row_id], "counted": "planted"}
    return {"count": counts.get(row_id, NOT_COUNTED), "counted": by if row_id in counts else ""}


def texts(row: Row, decode: Decode, mask: Sequence[str]) -> Row:
    """The texts of a row's tokens, masked; `row` has context, continuation and generated as token ids.

    What is to be hidden is looked for in the context with the true continuation, and in the context with the generated
    one. What either tells to hide of the context is hidden, and a token that both continuations hold is hidden in both.
    """
    given = len(row["context"])
    true, made = (pieces_of(decode, row["context"] + row[name]) for name in ("continuation", "generated"))
    # A character that the edge cuts is the continuation's: there the generated text goes on in its own way.
    edge = true.ends[given - 1] if given else 0
    shown = [hide(found.text, find(found.text, mask)) for found in (true, made)]
    context = hide(true.text[:edge], _hidden_in(true.text, shown[0], edge) + _hidden_in(made.text, shown[1], edge))
    continuation, generated = (found.cut(text, given, edge) for found, text in zip((true, made), shown, strict=True))
    plain = [found.cut(found.text, given, edge) for found in (true, made)]
    for place, (one, other) in enumerate(zip(*plain, strict=True)):
        if row["hit"][place] and one == other:
            pair = sorted((continuation[place], generated[place]), key=lambda text: text == one)
            continuation[place] = generated[place] = pair[0]
    pieces = {
        "context": true.cut(context + shown[0][edge:])[:given],
        "continuation": continuation,
        "generated": generated,
    }
    before = [true.text[:edge], *("".join(part) for part in plain)]
    after = ["".join(pieces[name]) for name in ("context", "continuation", "generated")]
    masked = sum(a != b for one, other in zip(before, after, strict=True) for a, b in zip(one, other, strict=True))
    return pieces | {"masked": masked}


def _hidden_in(text: str, shown: str, end: int) -> list[tuple[int, int]]:
    """The characters before `end` that are hidden in what is shown of a text."""
    return [(at, at + 1) for at in range(min(end, len(text))) if text[at] != shown[at]]
