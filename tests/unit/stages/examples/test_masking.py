"""recite.stages.examples.masking: what is planted is hidden, and ordinary code stays."""

import random
import re
import sysconfig
from pathlib import Path

import phonenumbers
import pytest
from stdnum import luhn

from recite.stages.examples.masking import find, hide

KINDS = ("emails", "secrets", "numbers")
HEX = "3f9a1c7be02d4856a9f1c3d7e5b80264"
KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCY" + "QLMPLQKQZZ"
"""As AWS writes them, put together here so that no scanner of sources takes them for one."""
PLANTED = {
    "emails": ["jane.doe+lists@mail.example.org", "o_neil@uni-x.ac.uk", "root@host.example.com"],
    "secrets": [
        "AKIA" + "IOSFODNN7EXAMPLQ",
        KEY,
        "ghp_" + "Q7wErTyUiOpAsDfGhJkLzXcVbNm123456789",
        "xoxb" + "-123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx",
        "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
        HEX,
    ],
    "numbers": [
        "+44 20 8366 1177",
        "(650) 253-0000",
        "415-555-2671",
        "4111 1111 1111 1111",
        "5500-0000-0000-0004",
        "378282246310005",
        "536-90-4399",
        "GB82 WEST 1234 5698 7654 32",
    ],
}
CASES = [(kind, text) for kind, texts in PLANTED.items() for text in texts]
ORDINARY = [
    "@property\ndef name(self) -> str:\n    return self._name",
    "result = first @ second + bias\nfor i in range(1000000):",
    "date = '2015-11-03 12:30:45'; pi = 3.14159265358979; x = 0xDEADBEEF",
    "class TestHTTP2ConnectionPoolManagerForProxies(unittest.TestCase):",
    "test_calculates_shannon_entropy_of_all_the_strings_2_times = None",
    "self.token = token\npassword = getpass.getpass()\nsecret_key = settings.SECRET_KEY",
    "version = 1.22.333.4444; ids = [102030, 405060, 708090]; phone = None",
    "from urllib3.packages.backports.makefile import backport_makefile",
    "https://docs.python.org/3/library/stdtypes.html#str.format",
]


@pytest.mark.parametrize(("kind", "text"), CASES, ids=[text for _, text in CASES])
def test_what_is_planted_is_hidden(kind: str, text: str) -> None:
    """All of it, nothing beside it, and only where it is asked for."""
    line = f"see: {text} , and so on for a while"
    expected = line.replace(text, "█" * len(text))
    assert hide(line, find(line, [kind])) == hide(line, find(line, KINDS)) == expected
    assert find(line, [other for other in KINDS if other != kind]) == []
    assert find(line, []) == []


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_code_stays(text: str) -> None:
    assert find(f"# so\n{text}\n# and so on", KINDS) == []


def test_the_standard_library_stays() -> None:
    """By all of its code in windows: what is hidden is addresses, and next to nothing else."""
    folder = Path(sysconfig.get_path("stdlib"))
    texts = [(folder / f"{name}.py").read_text() for name in ("argparse", "tarfile")]
    windows = [text[start : start + 250] for text in texts for start in range(0, len(text), 250)]
    found = [window[a:b] for window in windows for a, b in find(window, KINDS)]
    assert len(windows) > 700 and len(found) < len(windows) / 100
    assert sum("@" in text for text in found) >= len(found) - 3


def test_a_private_key_is_hidden_to_its_end() -> None:
    """And where the window holds its head or its tail alone; its lines stay lines."""
    body = "\n".join(["MIIEowIBAAKCAQEAxyz" * 3] * 3)
    block = f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----"
    for text in (f"a = '''{block}''' # so", f"a = '''{block[:120]}", f"{block[60:]}''' # so"):
        hidden = hide(text, find(text, ["secrets"]))
        assert "MII" not in hidden and "KEY" not in hidden and hidden.count("\n") == text.count("\n")
        assert hidden.startswith("a = '''█") or hidden.endswith("█''' # so")
    public = f"-----BEGIN PUBLIC KEY----- and {'certificates ' * 5}"
    assert find(public, KINDS) == []


def test_passwords_that_are_written_down() -> None:
    for text, hidden in (
        ("password = 'hunter2hunter2'", "password = '██████████████'"),
        ('{"api_key": "abcdef123456"}', '{"api_key": "████████████"}'),
        ("ftp://joe:swordfish@files", "ftp://joe:█████████@files"),
    ):
        text, hidden = f"{text} # so", f"{hidden} # so"
        assert hide(text, find(text, ["secrets"])) == hidden


def test_what_the_window_cuts() -> None:
    """An address without its end, and the rest of a long number."""
    for text, hidden in (
        ("write to jane@exam", "write to █████████"),
        ("call 4111 1111 11", "call ████████████"),
        ("1111 1111 1111, he said", "██████████████, he said"),
        ("2015-11-03 12:30 came", "2015-11-03 12:30 came"),
    ):
        assert hide(text, find(text, KINDS)) == hidden


def test_numbers_that_fail_their_check_stay() -> None:
    """Prevents every long number of a program from being hidden."""
    random.seed(3)
    for _ in range(200):
        number = "".join(random.choices("123456789", k=16))
        text = f"n = {number} # so"
        assert bool(find(text, ["numbers"])) == luhn.is_valid(number)
    for number in ("000-12-3456", "(123) 456-7890"):
        assert find(f"n = {number} # so", ["numbers"]) == []


def test_phones_of_many_countries() -> None:
    """As the library itself writes its example numbers."""
    regions = ("DE", "FR", "JP", "GB", "BR", "IN", "US")
    for region in regions:
        number = phonenumbers.example_number(region)
        written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
        hidden = hide(f"tel. {written} .", find(f"tel. {written} .", KINDS))
        assert not re.search(r"\d", hidden)
