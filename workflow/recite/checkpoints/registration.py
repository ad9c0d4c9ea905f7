"""Registration: a checkpoint held against its entry in the registry, and named by the digests of its files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from recite.checkpoints.architectures import Architecture, feed_forward_of
from recite.checkpoints.inspection import Inspected, inspect
from recite.checkpoints.loading import weight_files
from recite.checkpoints.weight_files import check_head
from recite.corpora.tokenizer import added_tokens, load_tokenizer
from recite.errors import ReciteError
from recite.files import sha256_file, write_json
from recite.sources.fetching import model_folder, tokenizer_file

SPARE = 1000
"""One in so many ordinary tokens may lack a row of the embedding; a tokenizer that is not the model's has more."""


def register(
    options: Mapping[str, Any],
    tokenizer: Path,
    record: Path,
    fetch: bool,
    prove: Callable[[Inspected], dict[str, Any]] = lambda _: {},
) -> None:
    """Write where a checkpoint lies, what it is, and the SHA-256 of its weights, config and tokenizer.

    `options` are its entry with model; `tokenizer` is the family's; `fetch` says whether what is missing may be
    downloaded; `prove` adds to the record what was proved. Raises ReciteError where the checkpoint is not what the
    entry says, cannot be loaded whole, or cuts text into other tokens than its family, and as `prove` does.
    """
    options = {**options, "fetch": fetch}
    folder = model_folder(options)
    found, own = examine(options, folder, tokenizer), tokenizer_file(options)
    check_head(folder, found.stored, found.empty)
    files = [*weight_files(folder), own, *([found.where] if folder.is_dir() else [])]
    place = found.where.parent
    digests = {
        str(file.relative_to(place) if file.is_relative_to(place) else file): {
            "bytes": file.stat().st_size,
            "sha256": sha256_file(file),
        }
        for file in files
    }
    about = {key: options[key] for key in ("model", "family", "corpus", "hub", "revision") if key in options}
    known = {"model_type": found.config.model_type, "path": str(folder), "files": digests}
    write_json(record, about | checkpoint_facts(found.empty, found.architecture) | known | prove(found))


def examine(options: Mapping[str, Any], folder: Path, tokenizer: Path) -> Inspected:
    """Hold a checkpoint and its tokenizer against its entry, its family and each other; reads no weights."""
    found = inspect(folder)
    facts = checkpoint_facts(found.empty, found.architecture)
    for name, value in facts.items():
        if options.get(name, value) != value:
            raise ReciteError(
                f"model {options['model']}: the models file says {name} {options[name]}, by {found.where} it is "
                f"{value}; correct the entry, or put the right checkpoint there."
            )
    _check_tokens(options, facts["vocabulary"], tokenizer_file(options), tokenizer)
    return found


def _check_tokens(options: Mapping[str, Any], rows: int, own: Path, tokenizer: Path) -> None:
    """The checkpoint's tokenizer is its family's, and its tokens have a row of the embedding.

    A few that text need not hold may be without, as those for infilling in Code Llama's tokenizer are at some sizes;
    scoring refuses a sample that holds one of them.
    """
    vocabulary = load_tokenizer(own).vocabulary
    if vocabulary != load_tokenizer(tokenizer).vocabulary:
        raise ReciteError(
            f"model {options['model']} has another tokenizer than family {options['family']} ({own}); models of a "
            "family share their sample: give it another `family` in the models file."
        )
    beyond = {token for token in vocabulary.values() if token >= rows}
    ordinary = beyond - added_tokens(own) if beyond else beyond
    faults = {str(own): max(beyond)} if len(ordinary) > rows // SPARE else {}
    faults |= {"bos": options["bos"]} if options.get("bos", 0) >= rows else {}
    for name, token in faults.items():
        raise ReciteError(
            f"model {options['model']}: {name} has token {token}, the model's embedding only {rows} rows; correct "
            "`tokenizer` or `bos` in the models file."
        )


def checkpoint_facts(model: PreTrainedModel, architecture: Architecture) -> dict[str, int]:
    """What the registry may say of a checkpoint, from its model without weights."""
    config = model.config
    return {
        "layers": config.num_hidden_layers,
        "width": config.hidden_size,
        "heads": config.num_attention_heads,
        "shared_heads": architecture.shared_heads(config),
        "feed_forward": feed_forward_of(config),
        "vocabulary": config.vocab_size,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
