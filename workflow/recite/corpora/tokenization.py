"""Tokenizers: training a family's own byte-level BPE, and cutting documents into training rows."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from recite.corpora.readers import read_built
from recite.corpora.special_tokens import END_OF_TEXT
from recite.corpora.tables.training import TRAINING_ROWS
from recite.files import atomic, sha256_file, write_json


def tokenize_corpus(
    options: Mapping[str, Any], documents: Sequence[Path], tokenizer: Path, tokenizer_config: Path, rows: Path
) -> None:
    """Train a tokenizer on all documents and write the training rows it makes of them.

    A document gives its first `row_tokens` tokens; shorter ones give none and are counted.
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
    whole = [index for index, ids in enumerate(tokens) if len(ids) >= length]
    columns = {
        "document_id": [found[index].id for index in whole],
        "tokens": [tokens[index][:length] for index in whole],
    }
    print(f"{len(found)} documents, {len(whole)} of {length} tokens or more")
    metadata = {
        "tokenizer_sha256": sha256_file(tokenizer),
        "documents_sha256": {path.name: sha256_file(path) for path in documents},
        "too_short": len(found) - len(whole),
    }
    TRAINING_ROWS.write(rows, columns, metadata)


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
