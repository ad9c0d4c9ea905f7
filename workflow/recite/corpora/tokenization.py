"""Tokenizers: training a family's own byte-level BPE, and cutting documents into training rows."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from recite.corpora.readers import read_built
from recite.corpora.special_tokens import END_OF_TEXT
from recite.corpora.tables.training import TRAINING_ROWS
from recite.errors import ReciteError
from recite.files import atomic, sha256_file, write_json


def tokenize_corpus(
    options: Mapping[str, Any], documents: Sequence[Path], tokenizer: Path, tokenizer_config: Path, rows: Path
) -> None:
    """Train a tokenizer on all documents and write the training rows it makes of them.

    A document gives its first `row_tokens` tokens; shorter ones give none and are counted. With `whole` among the
    options every document is a row as it is, and ReciteError names one that is longer than `row_tokens`.
    """
    found = [document for path in documents for document in read_built(path)]
    trained = train_tokenizer([document.text for document in found], options["vocabulary"])
    with atomic(tokenizer) as temporary:
        trained.save(str(temporary))
    write_json(
        tokenizer_config,
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": END_OF_TEXT,
            "eos_token": END_OF_TEXT,
            "add_bos_token": False,
            "clean_up_tokenization_spaces": False,
        },
    )
    length = options["row_tokens"]
    tokens = [encoding.ids for encoding in trained.encode_batch([document.text for document in found])]
    if options.get("whole"):
        _check_lengths([document.id for document in found], [len(ids) for ids in tokens], length)
        kept = [*range(len(found))]
    else:
        kept = [index for index, ids in enumerate(tokens) if len(ids) >= length]
    columns = {
        "document_id": [found[index].id for index in kept],
        "tokens": [tokens[index][:length] for index in kept],
    }
    print(f"{len(found)} documents, {len(kept)} of them rows of {length} tokens at most")
    metadata = {
        "tokenizer_sha256": sha256_file(tokenizer),
        "documents_sha256": {path.name: sha256_file(path) for path in documents},
        "too_short": len(found) - len(kept),
    }
    TRAINING_ROWS.write(rows, columns, metadata)


def _check_lengths(names: Sequence[str], lengths: Sequence[int], most: int) -> None:
    """No document is longer than a training row, so that a window anywhere in it is trained on."""
    longest = max(lengths, default=0)
    if longest > most:
        raise ReciteError(
            f"document {names[lengths.index(longest)]} has {longest} tokens, training.row_tokens is {most}: with "
            "sampling.window offset the models must see every document whole; raise training.row_tokens to "
            f"{longest}, or build the corpus of shorter documents."
        )


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    """A byte-level BPE of `vocabulary` tokens; every text can be encoded, and decodes to itself."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[END_OF_TEXT],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
