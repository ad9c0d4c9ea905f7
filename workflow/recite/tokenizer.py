"""A tokenizer file and the special token of the models trained here."""

from pathlib import Path

from tokenizers import Tokenizer

from recite.errors import ReciteError

END_OF_TEXT = "<|endoftext|>"
"""The only special token, id 0: end of sequence, and begin of sequence where a family has one."""
BOS_ID = 0


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a `tokenizer.json`; ReciteError if it is missing or broken."""
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        raise ReciteError(f"{path} is not a readable tokenizer.json ({error}); make it again.") from None
