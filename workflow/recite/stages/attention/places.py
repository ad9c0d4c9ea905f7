"""Where the keys are that a continuation attends to: the first token, segments of the context, what follows, itself."""

from collections.abc import Mapping

import numpy as np

FIRST, CONTINUATION, ITSELF = "first", "continuation", "itself"


def spans_of(context: int, steps: int, segments: int, bos: bool) -> dict[str, range]:
    """Place -> positions of its keys, counted from a row's first token; of all places but ITSELF.

    `context` tokens stand behind BOS, if there is one, in so many segments, equal to a token; those of the continuation
    follow. FIRST is BOS or, without one, the context's first token, which its first segment then lacks.
    """
    start = int(bos)
    found = {FIRST: range(1)}
    for segment in range(segments):
        low, high = (start + context * place // segments for place in (segment, segment + 1))
        found[f"context {segment + 1}/{segments}"] = range(max(low, 1), high)
    return found | {CONTINUATION: range(start + context, start + context + steps)}


def members_of(spans: Mapping[str, range], prompt: int, steps: int) -> np.ndarray:
    """Which key counts to which place, for each query that predicts a token of the continuation, float32.

    (steps, prompt + steps - 1, places): 1 or 0, ITSELF the last place. The first query is the prompt's last position;
    a key after its query is of no place.
    """
    fed = prompt + steps - 1
    query, key = np.arange(prompt - 1, fed)[:, None], np.arange(fed)
    found = [(key < query) & (key >= keys.start) & (key < keys.stop) for keys in spans.values()]
    return np.stack([*found, key == query], axis=-1).astype(np.float32)


def even_shares(members: np.ndarray) -> list[float]:
    """What each place is attended to where every query attends evenly to all that it sees."""
    shares = members.sum(axis=1, dtype=float)
    mean: list[float] = (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0).tolist()
    return mean
