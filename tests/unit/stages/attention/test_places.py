"""Places of keys: which are where, counted one by one."""

import numpy as np
import pytest

from recite.stages.attention.places import CONTINUATION, FIRST, ITSELF, even_shares, members_of, spans_of


@pytest.mark.parametrize("bos", [True, False])
@pytest.mark.parametrize(("context", "segments"), [(32, 8), (32, 4), (10, 3), (12, 1), (7, 3)])
def test_places_make_up_the_row(context: int, segments: int, bos: bool) -> None:
    """A key in two places, or in none, would make masses that do not sum up to 1."""
    steps = 6
    spans = spans_of(context, steps, segments, bos)
    counted = [key for keys in spans.values() for key in keys]
    assert counted == list(range(bos + context + steps))
    assert list(spans) == [FIRST, *(f"context {k + 1}/{segments}" for k in range(segments)), CONTINUATION]
    sizes = [len(keys) + (key == 0 and not bos) for key, keys in enumerate(list(spans.values())[1:-1])]
    assert max(sizes) - min(sizes) <= 1 and sum(sizes) == context
    assert len(spans[CONTINUATION]) == steps and spans[FIRST] == range(1)


@pytest.mark.parametrize("bos", [True, False])
def test_members_by_hand(bos: bool) -> None:
    """The first query is the context's last token, and its own key is itself, not the context's."""
    context, steps = 10, 4
    spans = spans_of(context, steps, 3, bos)
    prompt = bos + context
    members = members_of(spans, prompt, steps)
    names = [*spans, ITSELF]
    assert members.shape == (steps, prompt + steps - 1, len(names))
    for step in range(steps):
        query = prompt - 1 + step
        for key in range(prompt + steps - 1):
            found = [names[place] for place in np.flatnonzero(members[step, key])]
            if key > query:
                assert found == []
            elif key == query:
                assert found == [ITSELF]
            else:
                assert found == [name for name, keys in spans.items() if key in keys]


def test_even_shares_by_hand() -> None:
    """Of a context of four tokens in two segments, and two that follow: three queries see 4, 5 and 6 keys."""
    members = members_of(spans_of(4, 3, 2, bos=False), 4, 3)
    thirds = [
        (1 / 4 + 1 / 5 + 1 / 6) / 3,
        (1 / 4 + 1 / 5 + 1 / 6) / 3,
        (1 / 4 + 2 / 5 + 2 / 6) / 3,
        (0 + 0 + 1 / 6) / 3,
        (1 / 4 + 1 / 5 + 1 / 6) / 3,
    ]
    assert even_shares(members) == pytest.approx(thirds)
