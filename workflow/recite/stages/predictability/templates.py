"""Continuations that a template in their context gives away: what repeats, and numbers that count on (2406.17746).

A model that has never seen such a text can still write it, by carrying on what the context shows twice.
"""

import re

import numpy as np

NUMBER = re.compile(rb"\d+")
REPEATING, INCREMENTING = "repeating", "incrementing"


def template_of(context: np.ndarray, continuation: np.ndarray, text: bytes, context_bytes: int) -> str:
    """REPEATING, INCREMENTING or "": which template gives a row's continuation away, by its tokens and its text."""
    if repeats(context, continuation):
        return REPEATING
    return INCREMENTING if increments(text, context_bytes) else ""


def repeats(context: np.ndarray, continuation: np.ndarray) -> bool:
    """Whether tokens go on with a period that the end of the context shows twice: x[i] = x[i - p] from there on.

    `context` and `continuation` are token ids, (tokens,) each.
    """
    tokens, known = np.concatenate([context, continuation]), len(context)
    return any(
        np.array_equal(tokens[known - period :], tokens[known - 2 * period : -period])
        for period in range(1, known // 2 + 1)
    )


def increments(text: bytes, context_bytes: int) -> bool:
    """Whether a text goes on with records of equal words whose numbers grow by constant steps, one of them not 0.

    The first `context_bytes` are the context's. Every decimal number that ends in the continuation is as far from the
    one a record before as that is from the one of the record before it, and the words between are those of the record
    before. What the window cuts off counts as far as it stands: at its end by its beginning, at its head not at all.
    """
    found = list(NUMBER.finditer(text))
    edges = [0, *(edge for number in found for edge in number.span()), len(text)]
    words = [text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]
    numbers = [number.group() for number in found]
    first = next((place for place, number in enumerate(found) if number.end() > context_bytes), len(found))
    whole = 1 if words[0] == b"" else 0  # a number at the head may be cut off
    return any(
        first >= 2 * record + whole and _goes_on(words, numbers, first, record)
        for record in range(1, len(found) // 2 + 1)
    )


def _goes_on(words: list[bytes], numbers: list[bytes], first: int, record: int) -> bool:
    """Whether numbers from `first` on, and the words from there on, follow from the two records before."""
    if first == len(numbers):
        return False
    cut = words[-1] == b""
    steps = []
    for place in range(first, len(numbers)):
        before, earlier = int(numbers[place - record]), int(numbers[place - 2 * record])
        expected = b"%0*d" % (len(numbers[place - record]), 2 * before - earlier)
        last = cut and place == len(numbers) - 1
        if not (expected.startswith(numbers[place]) if last else int(expected) == int(numbers[place])):
            return False
        steps.append(before - earlier)
    between = all(words[place] == words[place - record] for place in range(first, len(numbers)))
    return between and words[-1 - record].startswith(words[-1]) and any(steps)
