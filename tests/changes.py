"""Edits of a checkout in which a study has run."""

import os
import shutil
from collections.abc import Callable

from checkouts import CONFIG, Checkout, copy_checkout

Change = Callable[[Checkout], Checkout | None]
"""An edit of the finished checkout, or of another one, which is returned."""


def edit(path: str, *replaced: tuple[str, str]) -> Change:
    """Old and new texts of a file, each of which stands there once."""

    def change(checkout: Checkout) -> None:
        for old, new in replaced:
            checkout.edit(path, old, new)

    return change


def config(*replaced: tuple[str, str]) -> Change:
    return edit(CONFIG, *replaced)


def code(module: str) -> Change:
    """Something that the module did not say before."""

    def change(checkout: Checkout) -> None:
        path = checkout.root / f"workflow/recite/{module}.py"
        path.write_text(path.read_text() + "\n\nADDED = 1\n")

    return change


def restore(checkout: Checkout, times: bool = True) -> Checkout:
    """A fresh clone with the results of the study copied into it, with their times or in an order of their own."""
    place = checkout.root.with_name("a clone")
    shutil.rmtree(place, ignore_errors=True)
    clone = copy_checkout(place)
    shutil.copytree(checkout.results, clone.results, copy_function=shutil.copy2 if times else shutil.copy)
    if not times:
        for second, path in enumerate(sorted(clone.results.rglob("*"), reverse=True)):
            os.utime(path, (1_700_000_000 + second, 1_700_000_000 + second))
    return clone


def lose(path: str) -> Change:
    def change(checkout: Checkout) -> None:
        checkout.lose(path)

    return change
