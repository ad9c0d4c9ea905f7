"""What is hidden of texts before anybody reads them: addresses, secrets and numbers of persons.

Keys and tokens are found by detect-secrets' patterns, phone numbers by phonenumbers (Google's libphonenumber), numbers
of accounts and persons are held against their check digits by python-stdnum. A window may begin or end within any of
them: what has an address's or a key block's shape there, or is the rest of a long number, is hidden too.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import phonenumbers
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins.base import RegexBasedDetector
from stdnum import iban, luhn
from stdnum.us import ssn

from recite.outcomes.examples import HIDDEN

REGION = "US"
"""Whose phone numbers are known without a country's code."""
EMAIL = re.compile(r"[\w.+%-]*\w@(?:[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}|[\w.-]*\Z)")
KEY_BLOCK = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL)
END_OF_BLOCK = re.compile(r"\A.*-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----", re.DOTALL)
ASSIGNED = re.compile(
    r"""(?i)(?:pass(?:word|wd|phrase)|secret|token|api_?key|access_?key|auth)\w*["']?\s*(?::|=>?)\s*["']([^"'\s]{6,})(?:["']|\Z)"""
)
RANDOM = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")
BASE64_BITS, HEX_BITS = 4.25, 3.0
"""Bits a character above which a run is no name; the first, below detect-secrets' limit, of runs of capitals, small
letters and digits."""
DIGITS = re.compile(r"(?<![\w.])\+?\d(?:[ -]?\d){12,18}(?![\w.]|-\d)")
SOCIAL = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")
ACCOUNT = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{2,4}){3,8}(?!\w)")
CUT_NUMBER = re.compile(
    r"\A(?!\d{4}-\d\d-)\d(?:[ -]?\d){5,}(?![\w.])|(?<![\w.-])\+?(?!\d{4}-\d\d-)\d(?:[ -]?\d){5,}[ -]?\Z"
)
"""Six digits or more, and no date, that the window's edge may have cut off others."""
UNPATTERNED = ("Public IP (ipv4)", "Secret Keyword", "Private Key", "Basic Auth Credentials")
"""Detectors that are left out: addresses of machines are none of persons, and the others are looked for here."""
BASIC_AUTH = re.compile(r"://[^:/?#\s@\"']*:([^@\s\"'/]+)@")

Span = tuple[int, int]


def find(text: str, kinds: Sequence[str]) -> list[Span]:
    """Where a text holds what is of some kinds (`emails`, `secrets`, `numbers`), from and to which character."""
    return sorted({span for kind in kinds for span in FINDERS[kind](text)})


def hide(text: str, spans: Sequence[Span]) -> str:
    """The text with a block for every character of the spans; line breaks stay."""
    hidden = list(text)
    for start, end in spans:
        hidden[start:end] = [c if c == "\n" else HIDDEN for c in text[start:end]]
    return "".join(hidden)


def _emails(text: str) -> Iterator[Span]:
    return (found.span() for found in EMAIL.finditer(text))


def _secrets(text: str) -> Iterator[Span]:
    for pattern in (KEY_BLOCK, END_OF_BLOCK, *_patterns()):
        yield from (found.span() for found in pattern.finditer(text))
    for pattern in (ASSIGNED, BASIC_AUTH):
        yield from (found.span(1) for found in pattern.finditer(text))
    yield from (found.span() for found in RANDOM.finditer(text) if _is_random(found[0]))


@cache
def _patterns() -> list[re.Pattern[str]]:
    """The patterns of the services' keys that detect-secrets knows."""
    known: dict[str, type] = get_mapping_from_secret_type_to_class()
    detectors = [kind() for name, kind in sorted(known.items()) if name not in UNPATTERNED]
    return [pattern for found in detectors if isinstance(found, RegexBasedDetector) for pattern in found.denylist]


def _is_random(run: str) -> bool:
    """Whether a run of characters is a key rather than a name: by Shannon's entropy, as detect-secrets has it."""
    bits = -sum(n / len(run) * math.log2(n / len(run)) for n in Counter(run).values())
    if re.fullmatch(r"[0-9a-f]{32,}|[0-9A-F]{32,}", run):
        return bits > HEX_BITS
    kinds = (any(map(test, run)) for test in (str.isupper, str.islower, str.isdigit))
    return bits > BASE64_BITS and all(kinds)


def _numbers(text: str) -> Iterator[Span]:
    # Grouped as such numbers are: ten digits in a row are any number.
    grouped = phonenumbers.Leniency.STRICT_GROUPING
    for region, leniency in ((None, phonenumbers.Leniency.VALID), (REGION, grouped)):
        for found in phonenumbers.PhoneNumberMatcher(text, region, leniency=leniency):
            if not found.raw_string.isdigit():
                yield found.start, found.end
    checks = ((DIGITS, _is_card), (SOCIAL, ssn.is_valid), (ACCOUNT, iban.is_valid))
    for pattern, holds in checks:
        yield from (found.span() for found in pattern.finditer(text) if holds(found[0]))
    yield from (found.span() for found in CUT_NUMBER.finditer(text))


def _is_card(text: str) -> bool:
    return bool(luhn.is_valid(re.sub(r"\D", "", text)))


FINDERS: dict[str, Callable[[str], Iterator[Span]]] = {"emails": _emails, "secrets": _secrets, "numbers": _numbers}
