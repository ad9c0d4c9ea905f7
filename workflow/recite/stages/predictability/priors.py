"""Unrelated contexts: those of other documents of a row's domain, which do not lead to its continuation."""

import numpy as np

from recite.errors import ReciteError
from recite.files import hash64


def unrelated(
    row_ids: np.ndarray, documents: np.ndarray, context: np.ndarray, rows: np.ndarray, count: int, seed: int
) -> np.ndarray:
    """`count` contexts for each of some `rows` of a domain: places among all of its rows, (rows, count) int64.

    `row_ids`, `documents` (rows,) and `context` (rows, length) are of the whole domain, in any order; `rows` are places
    among them. Distinct contexts stand in a circle by the lowest id of their rows, which are hashes. The k-th context
    is the first after the place hash64(seed, row id, k) that is of another document, not the row's own and not taken
    yet: it depends on the domain's rows alone. ReciteError where there are too few.
    """
    order = np.argsort(row_ids)
    _, first, kinds = np.unique(context[order], axis=0, return_index=True, return_inverse=True)
    of_row = np.empty(len(order), np.int64)
    of_row[order] = kinds.ravel()
    circle = order[np.sort(first)]
    found = np.empty((len(rows), count), np.int64)
    for line, row in zip(found, rows.tolist(), strict=True):
        taken = {of_row[row]}
        for k in range(count):
            start = hash64(seed, "unrelated context", row_ids[row], k) % len(circle)
            for place in (circle[(start + step) % len(circle)] for step in range(len(circle))):
                if of_row[place] not in taken and documents[place] != documents[row]:
                    break
            else:
                raise ReciteError(
                    f"row {row_ids[row]} has only {k} contexts of other documents in its domain, which samples "
                    f"{len(circle)} distinct ones, but `predictability.contexts` asks for {count}; ask for fewer, or "
                    "sample more rows."
                )
            taken.add(of_row[place])
            line[k] = place
    return found
