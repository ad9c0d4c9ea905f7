"""All that is compared of two studies."""

from dataclasses import dataclass

from recite.report.compare.claims import Claim, compare_claims
from recite.report.compare.numbers import Compared, compare_numbers
from recite.report.compare.results import Results, open_results
from recite.report.compare.settings import Alone, Setting, alone, compare_settings


@dataclass(frozen=True)
class Comparison:
    """Studies `a` and `b`; what differs in their settings, what only either has, their claims and numbers."""

    a: Results
    b: Results
    settings: list[Setting]
    only_a: Alone
    only_b: Alone
    claims: list[Claim]
    numbers: list[Compared]

    @property
    def recorded(self) -> bool:
        """Whether the records of both are there, from which the settings are known."""
        return bool(self.a.records and self.b.records)


def compare(one: str, other: str) -> Comparison:
    """Compare the results in two folders, or of studies under results/; ReciteError where they cannot be."""
    a, b = open_results(one), open_results(other)
    numbers, claims = compare_numbers(a, b), compare_claims(a, b)
    return Comparison(a, b, compare_settings(a, b), alone(a, b), alone(b, a), claims, numbers)
