"""Numbers as the cells of the summary's tables."""

import math


def decimals(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def within(value: float, low: float, high: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def count(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else "not reached"


def share(rate: float) -> str:
    return "–" if math.isnan(rate) else f"{100 * rate:.1f}%"


def probability(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def between(row: object, name: str) -> str:
    low, high = (100 * getattr(row, f"{name}_{end}") for end in ("low", "high"))
    return "–" if math.isnan(low) else f"{low:.1f} to {high:.1f}"


def interval(row: object) -> str:
    return f"{100 * row.rate_low:.1f} to {100 * row.rate_high:.1f}"  # type: ignore[attr-defined]
