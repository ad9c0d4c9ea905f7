"""Where the keys are that a continuation attends to: the first token, segments of the context, what follows, itself."""

import torch
from torch import Tensor

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


def members_of(spans: dict[str, range], prompt: int, steps: int) -> Tensor:
    """Which key counts to which place, for each query that predicts a token of the continuation, float32.

    (steps, prompt + steps - 1, places): 1 or 0, ITSELF the last place. The first query is the prompt's last position;
    a key after its query is of no place.
    """
    fed = prompt + steps - 1
    query, key = torch.arange(prompt - 1, fed)[:, None], torch.arange(fed)
    found = [(key < query) & (key >= keys.start) & (key < keys.stop) for keys in spans.values()]
    return torch.stack([*found, key == query], dim=-1).float()


def even_shares(members: Tensor) -> list[float]:
    """What each place is attended to where every query attends evenly to all that it sees."""
    shares = members.double().sum(dim=1)
    mean: list[float] = (shares / shares.sum(dim=1, keepdim=True)).mean(dim=0).tolist()
    return mean
