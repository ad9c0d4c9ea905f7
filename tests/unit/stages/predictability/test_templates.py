"""recite.stages.predictability.templates: planted templates are found, natural text is not taken for one."""

import numpy as np
import pytest

from recite.stages.predictability.templates import increments, repeats, template_of

CONTEXT, STEPS = 32, 32
TABLE = b"".join(b"  item_%03d = %d,\n" % (i, 95 + 7 * i) for i in range(60))
PROSE = (
    b"Copyright (c) 2009 the authors. In 2011 a second edition was printed in 3 volumes of 412 pages; the third, of "
    b"2014, has 5 volumes. Chapters 1 to 9 are older than chapters 10 to 14, of which 12 was rewritten in 2013."
)
CODE = (
    b"x = [0] * 3\nfor i in range(3):\n    x[i] = 2 ** i\nassert x == [1, 2, 4]\ny = x[2] + 1\nz = y - 16\nw = 2 * z\n"
)


@pytest.mark.parametrize("period", [1, 2, 5, 16])
def test_what_repeats_is_found(period: int) -> None:
    """A period that the context shows twice, wherever it begins; one token changed anywhere after it breaks it."""
    source = np.random.default_rng(period)
    loop = source.permutation(1000)[:period]
    tokens = np.concatenate([source.permutation(1000)[: CONTEXT - 2 * period], np.tile(loop, 99)])[: CONTEXT + STEPS]
    assert repeats(tokens[:CONTEXT], tokens[CONTEXT:])
    for place in (CONTEXT - period, CONTEXT, CONTEXT + STEPS - 1):
        changed = tokens.copy()
        changed[place] += 2000
        assert not repeats(changed[:CONTEXT], changed[CONTEXT:])


def test_a_period_that_is_shown_once_is_no_template() -> None:
    """Prevents a context that is copied once, as memorized text is, from passing for a template."""
    loop = np.random.default_rng(1).permutation(1000)[:20]
    tokens = np.tile(loop, 9)[: CONTEXT + STEPS]
    assert not repeats(tokens[:CONTEXT], tokens[CONTEXT:])
    assert not repeats(np.arange(CONTEXT), np.arange(STEPS))


@pytest.mark.parametrize("start", range(0, 40, 3))
@pytest.mark.parametrize("length", [150, 151, 153, 157])
def test_numbers_that_count_on_are_found(start: int, length: int) -> None:
    """Two slots with steps of their own, a changing width, a window that cuts numbers at either end."""
    assert increments(TABLE[start : start + length], 80)


@pytest.mark.parametrize(
    "text, known",
    [
        (b"a1b1c\na1b2c\na1b3c\na1b4c", 12),  # a slot that stays
        (b"-7 -5 -3 -1 ", 6),  # words with signs: 7, 5, 3, 1 downwards
        (b"v08;v09;v10;v11;v12", 8),  # a leading zero that goes
    ],
)
def test_other_templates(text: bytes, known: int) -> None:
    assert increments(text, known)


@pytest.mark.parametrize(
    "text, known",
    [
        (PROSE, 90),
        (PROSE[20:], 60),
        (CODE, 40),
        (b"1, 2, 4, 8, 16, 32, 64", 8),  # no constant step
        (b"a 1; a 2; b 3; a 4; a 5; a 6", 8),  # other words
        (b"p 5\np 5\np 5\np 5\np 5\n", 8),  # nothing moves: that repeats
        (b"see 1, 2, 3 and all that follows here", 12),  # no number in what is asked for
        (b"x 10 y 20", 5),  # the context shows one
        (b"no number at all", 8),
    ],
)
def test_natural_text_is_no_template(text: bytes, known: int) -> None:
    """False positives would be taken off as reconstructed."""
    assert not increments(text, known)


def test_one_wrong_number_is_enough() -> None:
    text = TABLE[:160]
    for place in range(90, 150):
        if text[place : place + 1].isdigit():
            wrong = b"%d" % ((int(text[place : place + 1]) + 1) % 10)
            assert not increments(text[:place] + wrong + text[place + 1 :], 80)


def test_kinds_are_named() -> None:
    assert template_of(np.ones(CONTEXT), np.ones(STEPS), b"1 1 1 1", 3) == "repeating"
    assert template_of(np.arange(CONTEXT), np.arange(STEPS), TABLE[:160], 80) == "incrementing"
    assert template_of(np.arange(CONTEXT), np.arange(STEPS), PROSE, 80) == ""
