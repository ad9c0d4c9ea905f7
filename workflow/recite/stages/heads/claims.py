"""Claims on heads.

The paper: the heads that matter most are shared across domains (StarCoder-7B: 13.6%, no more than chance; OLMo2-1B:
52.1%). Rows that are not recited have no recall to lose, so memorized rows decide, and others stand beside.
"""

from recite.outcomes.findings import Finding, Measured, Statistics, found, largest, mean
from recite.statistics.intervals import around_mean


def heads_shared(measured: Measured) -> Finding | None:
    return _shared(measured, "heads_shared_memorized")


def heads_shared_unmemorized(measured: Measured) -> Finding | None:
    return _shared(measured, "heads_shared_unmemorized")


def _shared(measured: Measured, statistic: str) -> Finding | None:
    """Resamples rank heads with more noise than what was seen, so that their spread, not their percentiles, is used."""
    return found(largest(measured.of(statistic)), mean, measured.confidence, ends=around_mean)


STATISTICS: Statistics = {
    "heads_shared": heads_shared,
    "heads_shared_unmemorized": heads_shared_unmemorized,
}
