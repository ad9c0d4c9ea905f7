"""The tokenizer of a family, put into the study."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recite.corpora.tokenizer import content_of
from recite.files import atomic
from recite.sources.fetching import tokenizer_file


def copy_tokenizer(options: Mapping[str, Any], tokenizer: Path, fetch: bool) -> None:
    """Copy the tokenizer of a registered checkpoint into the study; that of a GGUF file is made from it."""
    content = content_of(tokenizer_file({**options, "fetch": fetch}))
    with atomic(tokenizer) as temporary:
        temporary.write_bytes(content)
