"""recite.report.recited and `recite examples`: rows to read on a terminal."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from example_rows import example, write_examples
from recite.cli import app
from recite.outcomes.examples import visible
from recite.report import recited

ROOT = Path(__file__).resolve().parents[3]
EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe\r"


def other(row_id: int, **changes: Any) -> dict[str, Any]:
    """A row that the model ends in its own way."""
    said = ["\n", "    return", " y", "\n"]
    return example(row_id, **{"generated": said, "hit": [True, True, False, True], "class": "half"} | changes)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny study's config with rows to read of two models, which lie in a folder of their own."""
    monkeypatch.chdir(ROOT)
    config = yaml.safe_load((ROOT / "tests/workflow/tiny.yaml").read_text())
    config |= {"study": "recited", "examples": {"models": ["pythia-s", "starcoder-s"]}}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(config))
    for name in ("config", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    rows = [example(7), other(8, domain="licences", place=1), example(9, model="starcoder-s", family="starcoder")]
    write_examples(tmp_path / "results/recited", rows)
    monkeypatch.chdir(tmp_path)
    return path


def ask(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["examples", "--configfile", str(config), *arguments])


def test_rows_as_text(config: Path) -> None:
    """No terminal, no colours: what is otherwise stands between marks."""
    run = ask(config, "--row", "8")
    assert run.exit_code == 0 and run.stderr == ""
    assert run.stdout == (
        "Row 8: pythia-s, licences, half, 3 of 4 tokens, planted 16 times, first mismatch at token 3\n"
        "Document d8: a/b.py, row 3, from character 0\n"
        "context   def f(x):\n"
        "corpus    ↵\n"
        "              return⟦ x⟧↵\n"
        "          \n"
        "model     ↵\n"
        "              return⟦ y⟧↵\n"
        "          \n"
        "\n"
        "1 of 1 rows; tokens: as in the corpus, ⟦otherwise⟧\n"
    )


def test_rows_are_picked(config: Path) -> None:
    """By each option, memorized ones first, and so many at most."""

    def ids(*arguments: str) -> list[int]:
        return [row["row_id"] for row in json.loads(ask(config, "--json", *arguments).stdout)]

    assert ids() == [7, 9, 8]
    assert ids("--model", "starcoder-s") == [9] and ids("--domain", "licences") == [8]
    assert ids("--class", "memorized") == [7, 9] and ids("--row", "9") == [9] and ids("--limit", "1") == [7]
    assert "1 of 3 rows" in ask(config, "--limit", "1").stdout
    (row,) = json.loads(ask(config, "--json", "--row", "8").stdout)
    assert row == other(8, domain="licences", place=1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "pythia-xs"), "pythia-xs is no model of the rows to read (known: pythia-s, starcoder-s)"),
        (("--domain", "poems"), "poems is no domain"),
        (("--class", "good"), "known: memorized, near-verbatim, half, unmemorized"),
        (("--row", "5"), "no row to read is such"),
    ],
)
def test_what_is_not_there(config: Path, arguments: tuple[str, str], words: str) -> None:
    run = ask(config, *arguments)
    assert run.exit_code == 1 and run.stdout == ""
    assert run.stderr.startswith("recite: ") and words in run.stderr and run.stderr.count("\n") == 1


def test_a_study_without_them(config: Path) -> None:
    text = config.read_text()
    config.write_text(yaml.safe_dump({k: v for k, v in yaml.safe_load(text).items() if k != "examples"}))
    assert "add `examples: {}` to its config" in ask(config).stderr
    config.write_text(text)
    (config.parent / "results/recited/examples/pythia-s.parquet").unlink()
    assert "pythia-s.parquet does not exist" in ask(config).stderr


@pytest.mark.parametrize("colours", [True, False])
def test_a_text_does_nothing_to_the_terminal(colours: bool) -> None:
    """Prevents a document of the corpus from clearing the screen, or from typing on it: all is told by escapes."""
    row = other(1, context=[EVIL], continuation=[EVIL] * 4, generated=[EVIL] * 4, document_id=EVIL, source_file=EVIL)
    text = recited.as_text([row], 1, colours)
    for style in (recited.HIT, recited.MISS, recited.END):
        text = text.replace(style, "") if colours else text
    assert text.replace("\n", "").isprintable()
    assert "\\x1b]0;owned\\x07\\x1b[2J\\x9b31m\\u202egnp.exe\\x0d" in text
    assert "\x1b" not in recited.as_data([row]) and "\u202e" not in recited.as_data([row])


def test_colours() -> None:
    """What is otherwise is underlined, too; no line's end lies in a colour."""
    text = recited.as_text([other(1)], 1, True)
    assert (
        f"{recited.HIT}    return{recited.END}{recited.MISS} y{recited.END}{recited.HIT}↵{recited.END}\n" in text
        and "⟦" not in text
    )
    assert all(
        line.count(recited.END) == line.count(recited.HIT) + line.count(recited.MISS) for line in text.split("\n")
    )


def test_visible() -> None:
    assert visible("a\tb\nü漢🙂é█") == "a\tb\nü漢🙂é█"
    assert visible("\x00\r\u2028\U000e0001") == "\\x00\\x0d\\u2028\\U000e0001"
