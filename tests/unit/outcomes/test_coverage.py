"""Intervals of simulated studies hold what is true of the population as often as they say; `make bench-coverage` at
length.
"""

import pytest

from coverage_studies import coverage

STUDIES = 120
LEAST = 0.89
"""Three standard errors below 95%."""


@pytest.mark.parametrize(("estimand", "share"), [("corpus", 0.25), ("corpus", 0.75), ("texts", 0.0)])
def test_intervals_hold_the_truth(estimand: str, share: float) -> None:
    """Prevents intervals that forget the share that was sampled, the units, the strata, or what models have in common.

    Today's texts taken for documents, or a finite corpus for an endless one, hold it always or too seldom.
    """
    held = coverage(estimand, 200, share, STUDIES, resamples=300)
    assert {name: share for name, share in held.items() if share < LEAST} == {}
    # Not by intervals that are too wide either: together they miss as often as they should.
    misses = sum(1 - share for share in held.values()) / len(held)
    assert misses > 0.02


def test_a_census_has_no_error() -> None:
    """Prevents an interval about what is known: every statistic of a census is the truth, without width."""
    assert set(coverage("corpus", 200, 1.0, 3, resamples=100).values()) == {1.0}
