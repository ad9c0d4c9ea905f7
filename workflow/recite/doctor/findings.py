"""A finding of `recite doctor`."""

from typing import NamedTuple


class Finding(NamedTuple):
    """What is wrong, in one clause, and what to do about it."""

    what: str
    remedy: str
