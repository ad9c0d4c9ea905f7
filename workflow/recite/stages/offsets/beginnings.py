"""The beginnings of the sampled documents, as tokens, from which windows are cut."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from recite.corpora.sampling import read_pool
from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tokenizer import Encoder, load_tokenizer
from recite.errors import ReciteError
from recite.stages.offsets.rows import BEGINNINGS

SAMPLED = ("row_id", "domain", "document_id", "inclusion_probability")
BATCH_DOCUMENTS = 1024


def find_beginnings(
    options: Mapping[str, Any], shards: Sequence[Path], documents: Sequence[Path], tokenizer: Path, beginnings: Path
) -> None:
    """Write the first tokens of the documents of one domain's sample, in the order of the sample.

    `options` give domain, rows (documents of the domain at most) and tokens (of a document at most). `documents` are
    tables of candidates with the documents' heads. Raises ReciteError for a document that they do not hold.
    """
    sampled = pa.concat_tables([SAMPLES.read(path, SAMPLED) for path in shards], promote_options="default")
    chosen = sampled.slice(0, options["rows"])
    pool = read_pool(documents, options["domain"]).rows
    found = {name: place for place, name in enumerate(pool["document_id"].to_pylist())}
    names = chosen["document_id"].to_pylist()
    lost = [name for name in names if name not in found]
    if lost:
        raise ReciteError(
            f"domain {options['domain']}: {len(lost)} of {len(names)} sampled documents, the first of them {lost[0]}, "
            "are not among those read for offsets; raise sampling.candidates_per_row."
        )
    texts = pool.take(pa.array([found[name] for name in names], pa.int64()))
    tokens, whole = first_tokens(load_tokenizer(tokenizer), texts, options["tokens"])
    share = len(chosen) / len(sampled)
    columns = {
        "row_id": chosen["row_id"],
        "domain": chosen["domain"].to_pylist(),
        "inclusion_probability": [share * value for value in chosen["inclusion_probability"].to_pylist()],
        "tokens": tokens,
        "whole": whole,
    }
    BEGINNINGS.write(beginnings, columns, {"options": dict(options)})


def first_tokens(encoder: Encoder, texts: pa.Table, most: int) -> tuple[list[list[int]], list[bool]]:
    """Of every head of a document, rows of the table of candidates, its first tokens, and whether it was read whole."""
    tokens: list[list[int]] = []
    whole: list[bool] = texts["whole"].to_pylist()
    for start in range(0, len(texts), BATCH_DOCUMENTS):
        ends = whole[start : start + BATCH_DOCUMENTS]
        excerpts = texts["excerpt"].slice(start, BATCH_DOCUMENTS).to_pylist()
        for (ids, _), ended in zip(encoder.encode_parts(excerpts, [True] * len(ends), ends), ends, strict=True):
            # Where there was no space to cut at, the last token may be the head of a longer one.
            tokens.append((ids if ended else ids[:-1])[:most])
    return tokens, whole
