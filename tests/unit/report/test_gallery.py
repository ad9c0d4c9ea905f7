"""recite.report.site.gallery: which rows the page shows, and that their texts are text."""

import json
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from example_rows import example, write_examples
from recite.outcomes.examples import CLASSES, EXAMPLES
from recite.report.site import build, gallery
from recite.report.site.gallery import MOST_CARDS, PAGE_CARDS, chosen_rows, make_gallery
from recorded import audited, write_study

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;\x1b[2J\u202e</template></li>"


class Cards(HTMLParser):
    """Tags, and the text of each row's parts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.rows: dict[str, list[str]] = {}
        self.inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        about = dict(attrs)
        self.tags.append(tag)
        if about.get("class") == "row":
            self.inside = str(about["id"])
        if tag == "dd" and self.inside:
            self.rows.setdefault(self.inside, []).append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = "" if tag == "li" else self.inside
        self.tags += ["/dd"] if tag == "dd" else []

    def handle_data(self, data: str) -> None:
        if self.inside in self.rows and self.tags[-1] in ("dd", "i", "b"):
            self.rows[self.inside][-1] += data


def page_of(folder: Path, rows: list[dict[str, Any]]) -> str:
    study = write_study(folder)
    write_examples(study, rows)
    return build(audited(study, examples=True))


def test_texts_are_text(tmp_path: Path) -> None:
    """Prevents a document that holds a script from running it in the reader's browser, or from breaking the page."""
    row = example(5, context=[EVIL], continuation=[EVIL, "a", "b", "\n"], generated=[EVIL, "a", "c", "\n"])
    row |= {"hit": [True, True, False, True], "hits": 3, "domain": "d", "source_file": EVIL, "document_id": EVIL}
    plain, evil = page_of(tmp_path / "plain", [example(5)]), page_of(tmp_path / "evil", [row])
    assert EVIL not in evil and "\x1b" not in evil and "\u202e" not in evil
    tags, others = Counter(Cards(evil).tags), Counter(Cards(plain).tags)
    assert tags["script"] == others["script"] == 2 and tags["img"] == others["img"] and tags["li"] == others["li"]
    shown = EVIL.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    assert Cards(evil).rows["row-5-pythia-s"][:3] == [shown, f"{shown}ab↵\n", f"{shown}ac↵\n"]


def test_every_row_has_a_link_and_most_wait_aside(tmp_path: Path) -> None:
    """What the model said is told once where it is all as in the corpus; the first page needs no script."""
    rows = [example(i, place=i, count=-1, counted="") for i in range(12)]
    page = page_of(tmp_path, rows)
    first, rest = page.split("<template>")
    assert first.count('<li class="row"') == PAGE_CARDS and rest.count('<li class="row"') == 12 - PAGE_CARDS
    assert all(f'id="row-{i}-pythia-s"' in page and f'href="#row-{i}-pythia-s"' in page for i in range(12))
    assert len(Cards(page).rows) == 12 and all(len(parts) == 2 for parts in Cards(page).rows.values())
    assert "12 of 12 rows to read. They" in page and page.index('id="gallery"') < page.index('id="claims"')


def test_a_study_without_rows_to_read(tmp_path: Path) -> None:
    """None are asked for, or no row was of any class."""
    study = write_study(tmp_path)
    assert 'id="gallery"' not in build(audited(study))
    EXAMPLES.write_lines(study / "examples/pythia-s.parquet", [], {})
    assert 'id="gallery"' not in build(audited(study, examples=True))


def test_the_page_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many rows of each class as there is room for, the first of every model and domain before the second of any."""
    rows = [
        example(
            1000 * place + 10 * domain + model, place=place, model=f"m{model}", domain=f"d{domain}", **{"class": name}
        )
        for place in range(5)
        for domain in range(9)
        for model in range(8)
        for name in CLASSES
        if name != "half" or (domain, model) == (0, 0)
    ]
    found = chosen_rows(rows)
    assert len(found) == MOST_CARDS
    assert [row["class"] for row in found] == sorted((row["class"] for row in found), key=CLASSES.index)
    counts = Counter(row["class"] for row in found)
    assert counts["half"] == 5 and max(counts.values()) - counts["unmemorized"] <= 1
    groups = {(row["model"], row["domain"]) for row in found if row["class"] == "memorized"}
    assert len(groups) == 72
    monkeypatch.setattr(gallery, "MOST_CARDS", 8)
    assert Counter(row["class"] for row in chosen_rows(rows)) == dict.fromkeys(CLASSES, 2)
    made = make_gallery(write_examples(tmp_path, rows[:40]), "verified", "all")
    assert len(made.cards) == 8 and made.rows == 40 and not made.masked


def test_no_other_output_holds_the_texts(tmp_path: Path) -> None:
    """Of what the site reads and shows, the gallery alone: it is no table of the list."""
    page = page_of(tmp_path, [example(1, context=["a text that is nowhere else"])])
    assert page.count("a text that is nowhere else") == 1
    assert 'id="table-examples"' not in page
    assert json.dumps("a text") not in page
