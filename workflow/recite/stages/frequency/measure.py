"""Corpus frequency: how often the text of each sampled row occurs in the corpus that its models were trained on.

Counted are bytes, the family's own tokens, or another tokenizer's tokens, as where a public index of another tokenizer
is asked. Into these the row's text is cut as it would stand within a document, but in the corpus such tokens need not
begin and end where the row does, and occurrences are missed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from recite.corpora.tables.samples import SAMPLES
from recite.errors import ReciteError
from recite.files import sha256_file
from recite.stages.frequency.ngrams import Index, Span, Units, units_of
from recite.stages.frequency.public_counts import LONGEST_SPAN, PublicIndex
from recite.stages.frequency.rows import FREQUENCIES

COLUMNS = ("row_id", "sequence_id", "domain", "window_start", "text", "context_bytes", "context", "continuation")
OWN, PUBLIC = "own", "public"


class Counter(Protocol):
    """What counts spans of units in a corpus; the empty span stands for all of the corpus's units."""

    def counts(self, spans: Sequence[Span]) -> list[int]: ...


class Spans(NamedTuple):
    """One row's text in units; context and continuation are cut by themselves."""

    sequence: Span
    context: Span
    continuation: Span


def count(
    options: Mapping[str, Any],
    shards: Sequence[Path],
    indexes: Sequence[Path],
    frequencies: Path,
    tokenizer: Path | None = None,
) -> None:
    """Count the rows of one family in the corpus; what the public API has answered is kept until all is counted."""
    public = options.get("public", {}).get("tokenizer")
    count_rows(
        options,
        shards=shards,
        indexes=sorted({path.parent for path in indexes}),
        tokenizer=tokenizer or (Path(public) if public else None),
        cache=frequencies.with_name(f".{frequencies.stem}.jsonl"),
        frequencies=frequencies,
    )


def count_rows(
    options: Mapping[str, Any],
    shards: Sequence[Path],
    indexes: Sequence[Path],
    tokenizer: Path | None,
    cache: Path,
    frequencies: Path,
) -> None:
    """Write the frequencies of a family's rows, of every domain the first `rows_per_domain` (None: all).

    `options` give family, counting, `by` (bytes, own, other, public), rows_per_domain, for others' tokens the name of
    their tokenizer and, for the public API, public and its index. `indexes` are the folders of a local index,
    `tokenizer` what cuts text for the units that are not bytes, `cache` the file of the API's answers. Rows with a span
    that the API does not take are left out and counted.
    """
    rows = read_rows(shards, options["rows_per_domain"])
    units = units_of(tokenizer)
    spans = row_spans(rows, None if options["by"] == OWN else units)
    counter: Counter
    if options["by"] == PUBLIC:
        counter = PublicIndex(options["public"], options["index"], cache)
        taken = np.array([max(map(len, row)) <= LONGEST_SPAN for row in spans], bool)
        rows, spans = (
            rows.filter(pa.array(taken)),
            [row for row, is_taken in zip(spans, taken, strict=True) if is_taken],
        )
    else:
        counter, taken = Index(indexes), np.ones(len(rows), bool)
    print(f"{len(rows)} rows, {int((~taken).sum())} are too long to be counted", flush=True)
    columns = {name: rows[name] for name in ("row_id", "sequence_id")}
    columns["domain"] = rows["domain"].cast(pa.string()).dictionary_encode()
    metadata: dict[str, Any] = {"options": {key: value for key, value in options.items() if key != "public"}}
    metadata |= {"too_long": int((~taken).sum()), "corpus_units": counter.counts([()])[0]}
    metadata |= {"tokenizer_sha256": sha256_file(tokenizer)} if tokenizer else {}
    FREQUENCIES.write(frequencies, columns | frequency_columns(spans, counter), metadata)


def read_rows(shards: Sequence[Path], most: int | None) -> pa.Table:
    """The first `most` rows of every domain of some shards, which are a uniform sample as the rows stand by key."""
    rows = pa.concat_tables([SAMPLES.read(path, COLUMNS) for path in shards], promote_options="default")
    rows = rows.unify_dictionaries().combine_chunks()
    if most is None:
        return rows
    place = rows["domain"].to_pandas().groupby(rows["domain"].to_pandas(), observed=True).cumcount()
    return rows.filter(pa.array(place.to_numpy() < most))


def row_spans(rows: pa.Table, units: Units | None) -> list[Spans]:
    """Every row's spans, in the row's own tokens unless `units` cut its text, and each part of it by itself."""
    if units is None:
        pairs = zip(rows["context"].to_pylist(), rows["continuation"].to_pylist(), strict=True)
        return [Spans((*context, *rest), tuple(context), tuple(rest)) for context, rest in pairs]
    starts, ends = rows["window_start"].to_pylist(), rows["context_bytes"].to_pylist()
    texts = [text.decode() for text in rows["text"].to_pylist()]
    contexts = [text.encode()[:end].decode() for text, end in zip(texts, ends, strict=True)]
    rests = [text[len(context) :] for text, context in zip(texts, contexts, strict=True)]
    heads = [start == 0 for start in starts]
    rest_heads = [head and not context for head, context in zip(heads, contexts, strict=True)]
    parts = [(texts, heads), (contexts, heads), (rests, rest_heads)]
    cut = [[tuple(found.tolist()) for found in units.encode_parts(*part)] for part in parts]
    return [Spans(*row) for row in zip(*cut, strict=True)]


def frequency_columns(spans: Sequence[Spans], counter: Counter) -> dict[str, Any]:
    """Counts of all spans, each distinct one once, and the mean frequency of the sequences' units."""
    wanted = list(dict.fromkeys(span for row in spans for span in row))
    singles = [(unit,) for unit in sorted({unit for row in spans for unit in row.sequence})]
    found = dict(zip([*wanted, *singles], counter.counts([*wanted, *singles]), strict=True))
    (total,) = counter.counts([()])
    if not total:
        raise ReciteError("the index holds nothing to count in; make it again.")
    means = [float(np.mean([found[(unit,)] for unit in row.sequence])) / total for row in spans]
    return {name: [found[getattr(row, name)] for row in spans] for name in Spans._fields} | {"token_frequency": means}
