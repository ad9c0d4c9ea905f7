"""The claims of two studies side by side."""

from dataclasses import dataclass
from typing import Any

from recite.report.compare.results import Results, same_columns

TABLE = "claims"


@dataclass(frozen=True)
class Side:
    """What a study says of a claim. low, high: the interval that its verdict is by; over: whose that is."""

    verdict: str
    value: float
    low: float
    high: float
    over: str
    rule: str


@dataclass(frozen=True)
class Claim:
    """A claim by its name, as the paper says it, with both studies' sides; None of one that does not have it."""

    name: str
    text: str
    a: Side | None
    b: Side | None

    @property
    def differs(self) -> bool:
        """Whether both studies have it and their verdicts differ."""
        return self.a is not None and self.b is not None and self.a.verdict != self.b.verdict


def compare_claims(a: Results, b: Results) -> list[Claim]:
    """All claims of either, those of the first study first; none where one has no ledger."""
    if not (TABLE in a.tables and TABLE in b.tables):
        return []
    same_columns(a, b, TABLE)
    ours, theirs = ({line["claim"]: line for line in study.read(TABLE).to_dict("records")} for study in (a, b))
    return [
        Claim(name, line["text"], _side(ours.get(name)), _side(theirs.get(name)))
        for name, line in (theirs | ours).items()
    ]


def _side(line: dict[str, Any] | None) -> Side | None:
    if line is None:
        return None
    ends = ("families_low", "families_high") if line["over"] == "families" else ("low", "high")
    low, high = (line[end] for end in ends)
    return Side(line["verdict"], line["value"], low, high, line["over"], line["rule"])
