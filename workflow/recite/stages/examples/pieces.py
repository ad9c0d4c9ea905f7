"""Texts token by token: what each token adds to the text that all of them are."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

Decode = Callable[[Sequence[int]], str]


class Pieces(NamedTuple):
    """A text, and where in it the text of each of its tokens ends, in characters."""

    text: str
    ends: list[int]

    def cut(self, text: str, first: int = 0, start: int = 0) -> list[str]:
        """What each token from the one of place `first` has of a text of the same length, from a character on."""
        return [text[a:b] for a, b in pairwise([start, *self.ends[first:]])]


def pieces_of(decode: Decode, ids: Sequence[int]) -> Pieces:
    """The text of some tokens, and where each of them ends.

    A token ends where the text of the tokens up to it stops being that of all. Where a character is cut into several
    tokens, the bytes of the first ones alone are none, so the last one has it and they have nothing: put together, the
    pieces are the decoded text, whatever a tokenizer does.
    """
    text = decode(ids)
    ends: list[int] = []
    sure = 0
    for count in range(1, len(ids) + 1):
        part = decode(ids[:count])
        while sure < min(len(part), len(text)) and part[sure] == text[sure]:
            sure += 1
        ends.append(sure)
    return Pieces(text, [*ends[:-1], len(text)] if ends else [])
