"""Which of several choices a class of models is tested with, where no class needs all of them."""

from collections.abc import Sequence
from typing import TypeVar

from recite.checkpoints.architectures import ARCHITECTURES

Choice = TypeVar("Choice")


def in_turn(family: str, choices: Sequence[Choice]) -> Choice:
    """One of the choices: each class has one, and each choice is some class's.

    For what is written once, above the classes: what it does wrong with one of them it does wrong with the others.
    """
    return choices[list(ARCHITECTURES).index(family) % len(choices)]
