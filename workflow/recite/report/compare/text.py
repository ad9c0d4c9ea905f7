"""A comparison as text for people and as JSON for programs."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from recite.report.compare.claims import Claim, Side
from recite.report.compare.comparison import Comparison
from recite.report.compare.numbers import EXPECTED, Compared, Statistic, largest
from recite.report.compare.settings import Setting

FORMAT = 1
MOST_SETTINGS = 12
MOST_LINES = 10
MOST_NAMES = 12
"""Names, and values of one setting, that a line holds."""
LONGEST = 60
"""Characters of a value."""


def as_text(found: Comparison) -> str:
    """What differs, the largest differences last."""
    parts = [f"A: {found.a.name}\nB: {found.b.name}"]
    parts += ["\n".join(lines) for lines in (_settings(found), _alone(found), _claims(found), _numbers(found)) if lines]
    return "\n\n".join(parts) + "\n"


def values(setting: Setting) -> tuple[str, str, str]:
    """What a setting is in either study, shortened, and by which rules' jobs that is known."""
    a, b = (few([shortened(value) for value in side]) for side in (setting.a, setting.b))
    return a, b, few(setting.rules)


def few(names: Sequence[str]) -> str:
    """Some names, the first of them if they are many."""
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def shortened(value: str) -> str:
    """A value that fits a line."""
    return value if len(value) <= LONGEST else f"{value[: LONGEST - 3]}..."


def with_interval(value: float, low: float, high: float) -> str:
    """A number and its interval; a dash where it is not measured."""
    return "–" if math.isnan(value) else f"{value:.3g} [{low:.3g}, {high:.3g}]"


def side(told: Side | None) -> str:
    """Verdict, value and interval of a claim in one study."""
    return f"{told.verdict}, {with_interval(told.value, told.low, told.high)}" if told else "not in its ledger"


def key_words(key: Mapping[str, Any]) -> str:
    """What a line is of."""
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in key.items()
    )


def counted(tables: Sequence[Compared]) -> str:
    """How many differences are beyond their interval."""
    beyond, lines = sum(table.beyond for table in tables), sum(table.lines for table in tables)
    share = f" ({beyond / lines:.1%})" if lines else ""
    told = f"{beyond:,} of {lines:,} differ beyond their joint interval{share}"
    return f"{told}; {EXPECTED:.0%} do by chance where nothing differs"


def _settings(found: Comparison) -> list[str]:
    if not found.recorded:
        return ["What was asked of either is not known: the records of one are not there."]
    if not found.settings:
        return ["Settings: none differs."]
    lines = ["Settings that differ, A | B"]
    for setting in found.settings[:MOST_SETTINGS]:
        a, b, rules = values(setting)
        lines.append(f"  {setting.name}: {a} | {b}" + (f"  ({rules})" if rules else ""))
    left = len(found.settings) - MOST_SETTINGS
    return lines + ([f"  and {left:,} more (--json)"] if left > 0 else [])


def _alone(found: Comparison) -> list[str]:
    lines = []
    for name, only in (("A", found.only_a), ("B", found.only_b)):
        told = [f"{kind} {few(names)}" for kind, names in asdict(only).items() if names]
        if told:
            lines.append(f"Only in {name}: {'; '.join(told)}")
    return lines


def _claims(found: Comparison) -> list[str]:
    if not found.claims:
        return ["Claims: one of the studies has no ledger."]
    differing = [claim for claim in found.claims if claim.differs]
    lines = [f"Claims: {len(differing)} of {len(found.claims)} verdicts differ"]
    return lines + [f"  {claim.name}: {side(claim.a)} | {side(claim.b)}" for claim in differing]


def _numbers(found: Comparison) -> list[str]:
    if not found.numbers:
        return ["Numbers: no table with intervals is in both."]
    width = max(len(table.table) for table in found.numbers)
    lines = [f"Numbers: {counted(found.numbers)}", f"  {'table':{width}}  beyond    of"]
    for table in found.numbers:
        note = "".join(f"; {words}" for words in notes(table))
        lines.append(f"  {table.table:{width}}  {table.beyond:6,}  {table.lines:4,}{note}")
    beyond = largest(found.numbers)
    if len(beyond):
        lines += ["", f"Largest of {len(beyond):,}, A - B" if len(beyond) > MOST_LINES else "Beyond, A - B"]
        for line in beyond.head(MOST_LINES).itertuples():
            a, b, difference = sides(line)
            lines.append(f"  {line.table}, {line.statistic}, {key_words(line.of)}: {a} | {b}, difference {difference}")
    return lines


def sides(line: Any) -> tuple[str, str, str]:
    """Both numbers of a line of `largest` and their difference, with intervals."""
    ends = ("value", "low", "high")
    a, b, difference = ([getattr(line, f"{name}_{end}") for end in ends] for name in ("a", "b", "difference"))
    return with_interval(*a), with_interval(*b), with_interval(*difference)


def notes(table: Compared) -> Iterator[str]:
    """What must be known of a table's count."""
    if any(table.only):
        yield f"lines of only A {table.only[0]:,}, of only B {table.only[1]:,}"
    if undefined := sum(statistic.undefined for statistic in table.statistics):
        yield f"{undefined:,} not measured in one"
    if exact := sum(statistic.exact for statistic in table.statistics):
        yield f"{exact:,} of no width in both"


def as_json(found: Comparison) -> dict[str, Any]:
    """All that is compared; null stands for a number that is not finite."""
    made = {
        "format": FORMAT,
        "a": {"name": found.a.name, "only": asdict(found.only_a)},
        "b": {"name": found.b.name, "only": asdict(found.only_b)},
        "recorded": found.recorded,
        "settings": [asdict(setting) for setting in found.settings],
        "claims": [_claim(claim) for claim in found.claims],
        "expected": EXPECTED,
        "beyond": sum(table.beyond for table in found.numbers),
        "lines": sum(table.lines for table in found.numbers),
        "tables": [_table(table) for table in found.numbers],
    }
    return _finite(made)


def _claim(claim: Claim) -> dict[str, Any]:
    return {"claim": claim.name, **{key: value for key, value in asdict(claim).items() if key != "name"}} | {
        "differs": claim.differs
    }


def _table(table: Compared) -> dict[str, Any]:
    return {
        "table": table.table,
        "keys": table.keys,
        "only_a": table.only[0],
        "only_b": table.only[1],
        "beyond": table.beyond,
        "lines": table.lines,
        "statistics": [_statistic(statistic, table.keys) for statistic in table.statistics],
    }


def _statistic(statistic: Statistic, keys: Sequence[str]) -> dict[str, Any]:
    lines = statistic.lines.to_dict("records")
    ends = ("value", "low", "high")
    return {
        "statistic": statistic.name,
        "beyond": statistic.beyond,
        "undefined": statistic.undefined,
        "exact": statistic.exact,
        "lines": [
            {
                "of": {key: line[key] for key in keys},
                **{name: {end: line[f"{name}_{end}"] for end in ends} for name in ("a", "b", "difference")},
                "beyond": line["beyond"],
            }
            for line in lines
        ],
    }


def _finite(value: Any) -> Any:
    """The same without NaN and infinity, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
