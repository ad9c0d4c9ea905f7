"""One document's JSON, of which only the fields that are read need be sound."""

import json
import re
from typing import Any

BETWEEN = re.compile("[ \t\r\ufeff]*")
"""What may stand around a value: JSON's white space, and the byte order mark that some programs write in front."""
LONGEST_INTEGER = 4300
"""Digits up to which Python reads an integer."""
SURROGATE = re.compile("[\ud800-\udfff]")


class TooDeepError(ValueError):
    """Lists or objects within one another, about a thousand of them."""


def parse_leniently(line: bytes) -> list[tuple[int, Any]]:
    """What a line says, though it breaks JSON's rules as other programs do: values, and the byte where each begins.

    Read are NaN and Infinity, numbers beyond what a machine's hold, control characters in texts, and halves of
    surrogate pairs and bytes that are not UTF-8, which both become surrogates; byte order marks are passed over. There
    are several objects where files were joined of which one had no end of its last line. ValueError if it is no JSON.
    """
    text = line.decode(errors="surrogateescape")
    found: list[tuple[int, Any]] = []
    end = byte = 0
    try:
        while (start := BETWEEN.match(text, end).end()) < len(text):  # type: ignore[union-attr]  # it matches ""
            byte += _size(text[end:start])
            value, end = DECODER.raw_decode(text, start)
            found.append((byte, value))
            byte += _size(text[start:end])
    except RecursionError:
        raise TooDeepError from None
    if len(found) > 1 and not all(isinstance(value, dict) for _, value in found):
        raise ValueError("more than one value, and not all of them objects")
    return found


def _size(text: str) -> int:
    return len(text.encode(errors="surrogateescape"))


def is_sound(value: Any) -> bool:
    """Whether a value is no text with a surrogate, which no encoding holds."""
    return not isinstance(value, str) or SURROGATE.search(value) is None


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


DECODER = json.JSONDecoder(strict=False, parse_int=_integer)
