"""Registration: a checkpoint held against its entry in the registry, and named by the digests of its files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import transformers
from accelerate import init_empty_weights

from recite.architectures import Architecture, architecture_of
from recite.checkpoints import read_config, weight_files
from recite.errors import ReciteError
from recite.fetching import model_folder, tokenizer_file
from recite.files import sha256_file, write_json
from recite.tokenizer import load_tokenizer


def register(options: Mapping[str, Any], tokenizer: Path, record: Path) -> None:
    """Write where a checkpoint lies, what it is, and the SHA-256 of its weights, config and tokenizer.

    `options` are its entry with model and fetch; `tokenizer` is the family's. Raises ReciteError where the checkpoint
    is not what the entry says, or cuts text into other tokens than its family.
    """
    folder = model_folder(options)
    config, _ = read_config(folder)
    architecture = architecture_of(config.model_type)
    facts = checkpoint_facts(config, architecture)
    config_file = folder / "config.json" if folder.is_dir() else folder
    for name, value in facts.items():
        if options.get(name, value) != value:
            raise ReciteError(
                f"model {options['model']}: the models file says {name} {options[name]}, by {config_file} it is "
                f"{value}; correct the entry, or put the right checkpoint there."
            )
    own = tokenizer_file(options)
    _check_tokens(options, facts["vocabulary"], own, tokenizer)
    files = [*weight_files(folder), own, *([config_file] if folder.is_dir() else [])]
    place = config_file.parent
    digests = {
        str(file.relative_to(place) if file.is_relative_to(place) else file): {
            "bytes": file.stat().st_size,
            "sha256": sha256_file(file),
        }
        for file in files
    }
    about = {key: options[key] for key in ("model", "family", "corpus", "hub", "revision") if key in options}
    write_json(record, about | facts | {"model_type": config.model_type, "path": str(folder), "files": digests})


def _check_tokens(options: Mapping[str, Any], rows: int, own: Path, tokenizer: Path) -> None:
    """The checkpoint's tokenizer is its family's, and all of its tokens have a row of the embedding."""
    vocabulary = load_tokenizer(own).vocabulary
    if vocabulary != load_tokenizer(tokenizer).vocabulary:
        raise ReciteError(
            f"model {options['model']} has another tokenizer than family {options['family']} ({own}); models of a "
            "family share their sample: give it another `family` in the models file."
        )
    for name, token in {str(own): max(vocabulary.values()), "bos": options.get("bos", 0)}.items():
        if token >= rows:
            raise ReciteError(
                f"model {options['model']}: {name} has token {token}, the model's embedding only {rows} rows; correct "
                "`tokenizer` or `bos` in the models file."
            )


def checkpoint_facts(config: transformers.PretrainedConfig, architecture: Architecture) -> dict[str, int]:
    """What the registry may say of a checkpoint, from its config."""
    with init_empty_weights():
        model = getattr(transformers, architecture.model_class)(config)
    model.tie_weights()
    inner = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * config.hidden_size
    return {
        "layers": config.num_hidden_layers,
        "width": config.hidden_size,
        "heads": config.num_attention_heads,
        "shared_heads": architecture.shared_heads(config),
        "feed_forward": inner,
        "vocabulary": config.vocab_size,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
