"""One document's JSON, of which only the fields that are read need be sound."""

import json
import re
from typing import Any

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""What some programs write before the first line; it stays before a later one where files were joined to one."""
LONGEST_INTEGER = 4300
"""Digits up to which Python reads an integer."""
SURROGATE = re.compile("[\ud800-\udfff]")


class TooDeepError(ValueError):
    """Lists or objects within one another, about a thousand of them."""


def parse_leniently(line: bytes) -> Any:
    """What a line says, though it breaks JSON's rules as other programs do.

    Read are NaN and Infinity, numbers beyond what a machine's hold, control characters in texts, and halves of
    surrogate pairs and bytes that are not UTF-8, which both become surrogates. ValueError for what is not JSON.
    """
    text = line.decode(errors="surrogateescape")
    try:
        return json.loads(text, strict=False, parse_int=_integer)
    except RecursionError:
        raise TooDeepError from None


def is_sound(text: str) -> bool:
    """Whether a text has no surrogate, which no encoding holds."""
    return SURROGATE.search(text) is None


def value_at(fields: Any, name: str) -> Any:
    """The field of a dotted name; a key that holds the dots itself goes before a path. KeyError, TypeError if none."""
    if name in fields:
        return fields[name]
    head = name.rpartition(".")[0]
    while head:
        if head in fields:
            return value_at(fields[head], name[len(head) + 1 :])
        head = head.rpartition(".")[0]
    raise KeyError(name)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_INTEGER else float(digits)
