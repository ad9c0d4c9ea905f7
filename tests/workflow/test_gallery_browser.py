"""The rows to read on the site's page, in a real browser: headless Chromium, by mouse, by keyboard, on a phone."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import test_browser
from test_browser import DESK, OVERFLOW, PHONE, texts

from chromium import Page
from example_rows import example, write_examples
from recite.report.site import write_site
from recite.report.site.gallery import PAGE_CARDS
from recorded import audited, write_study

EVIL = "</script><script>window.owned = 1</script><img src=x onerror='window.owned = 1'></template>"
OTHER: dict[str, Any] = {"class": "unmemorized", "hit": [False] * 4, "domain": "law", "model": "olmo1-s", "count": 1}
COUNT = 12
SHOWN = "[...document.querySelectorAll('.rows > .row')].map((row) => row.id)"

browser = test_browser.browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with memorized rows of one model, and rows of another one that are not; one holds a script."""
    study = write_study(tmp_path_factory.mktemp("gallery"))
    rows = [example(100 + i, place=i, domain="code" if i % 2 else "prose") for i in range(COUNT)]
    rows += [example(200 + i, place=i, generated=["x" * 300, "É", " ", "\n"], **OTHER) for i in range(3)]
    rows += [example(300, context=[EVIL], counted="", **OTHER | {"count": -1})]
    write_examples(study, rows)
    return write_site(audited(study, examples=True))


@pytest.fixture
def page(browser: Page, site: Path) -> Iterator[Page]:
    """The page in a desk's window; whatever a test does, nothing complains, and no text runs as a script."""
    browser.complaints.clear()
    browser.open(site, DESK)
    yield browser
    assert browser.complaints == [] and browser.evaluate("window.owned") is None


def choose(page: Page, name: str, value: str) -> None:
    """As a hand does: a value of a list, and the event that follows."""
    page.evaluate(
        f"(() => {{ const list = document.querySelector('.controls select[name={name}]'); list.value = '{value}';"
        " list.dispatchEvent(new Event('change')); return list.value; })()"
    )


def test_pages_hold_few_rows(page: Page) -> None:
    """The others cost no layout; buttons lead through all of them, once each."""
    seen = page.evaluate(SHOWN)
    assert len(seen) == PAGE_CARDS and texts(page, ".pager output") == ["16 of 16 rows, page 1 of 4"]
    assert page.evaluate("document.querySelector('.pager button').disabled")
    for _ in range(3):
        page.click(".pager button:nth-of-type(2)")
        seen += page.evaluate(SHOWN)
    assert len(seen) == len(set(seen)) == COUNT + 4
    assert page.evaluate("document.querySelector('.pager button:nth-of-type(2)').disabled")
    page.click(".pager button")
    assert page.evaluate(SHOWN) == seen[10:15]


def test_filters_and_search(page: Page) -> None:
    """One by one and together; what there is none of is not offered."""
    choose(page, "class", "unmemorized")
    assert page.evaluate(SHOWN) == [f"row-{i}-olmo1-s" for i in (200, 300, 201, 202)]
    choose(page, "count", "not counted")
    assert page.evaluate(SHOWN) == ["row-300-olmo1-s"]
    choose(page, "class", "")
    choose(page, "count", "10 to 99")
    assert texts(page, ".pager output") == ["12 of 16 rows, page 1 of 3"]
    choose(page, "domain", "code")
    assert texts(page, ".pager output") == ["6 of 16 rows, page 1 of 2"]
    choose(page, "model", "olmo1-s")
    assert page.evaluate(SHOWN) == [] and texts(page, ".pager output") == ["0 of 16 rows, page 1 of 1"]
    for name in ("count", "domain", "model"):
        choose(page, name, "")
    page.click(".controls input")
    page.type("window.OWNED template")
    assert page.evaluate(SHOWN) == ["row-300-olmo1-s"] and EVIL in texts(page, ".rows dd")[0]
    offered = page.evaluate("[...document.querySelector('select[name=count]').options].map((o) => o.value)")
    assert offered == ["", "not counted", "once", "10 to 99"]


@pytest.mark.parametrize("name", ["row-202-olmo1-s", "row-202"])
def test_a_link_to_a_row(page: Page, site: Path, name: str) -> None:
    """It opens the row's page, whatever was filtered, from elsewhere and from this page."""
    choose(page, "class", "memorized")
    page.evaluate(f"location.hash = '#{name}'")
    page.wait("document.activeElement.id === 'row-202-olmo1-s'")
    assert "row-202-olmo1-s" in page.evaluate(SHOWN) and texts(page, "select[name=class]")
    assert page.evaluate("document.querySelectorAll('.named').length") == 1
    page.call("Page.navigate", url="about:blank")
    page.wait("location.href === 'about:blank'")
    page.call("Page.navigate", url=f"{site.as_uri()}#{name}")
    page.wait("document.readyState === 'complete' && document.activeElement.id === 'row-202-olmo1-s'")
    top = page.evaluate("document.activeElement.getBoundingClientRect().top")
    assert -1 <= top < 800


def test_by_keyboard(page: Page) -> None:
    """Tab from list to list to the buttons; Enter turns the page; a row's link has the focus after them."""
    page.evaluate("document.querySelector('select[name=class]').focus()")
    for expected in ("domain", "model", "count"):
        page.press("Tab")
        assert page.evaluate("document.activeElement.name") == expected
    page.press("Tab")
    page.type("return")
    assert texts(page, ".pager output") == ["16 of 16 rows, page 1 of 4"]
    page.press("Tab")  # the first button has nothing to do
    page.press("Enter")
    assert texts(page, ".pager output") == ["16 of 16 rows, page 2 of 4"]
    page.evaluate("document.activeElement.focus()")
    page.press("Tab")
    assert page.evaluate("document.activeElement.matches('.row a')")
    page.press("Tab")
    assert page.evaluate("document.activeElement.matches('.row button.copy')")


def luminance(colour: str) -> float:
    """Of a CSS colour, by WCAG 2."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_hits_are_told_by_colour_and_shape(page: Page, site: Path, scheme: str) -> None:
    """Prevents what only some eyes can tell, and what nobody can read in the dark."""
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    try:
        styles = {}
        for tag in ("i", "b"):
            page.evaluate(f"window.style = getComputedStyle(document.querySelector('.legend {tag}'))")
            names = ("color", "backgroundColor", "borderBottomStyle", "borderBottomColor")
            styles[tag] = [page.evaluate(f"window.style.{name}") for name in names]
            light, dark = sorted(map(luminance, styles[tag][:2]), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5
        assert all(one != other for one, other in zip(styles["i"][1:], styles["b"][1:], strict=True))
        ground = luminance(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert ground > 0.9 if scheme == "light" else ground < 0.1
    finally:
        page.call("Emulation.setEmulatedMedia", features=[])


@pytest.mark.parametrize("width", [320, PHONE, DESK])
def test_nothing_is_wider_than_the_window(page: Page, site: Path, width: int) -> None:
    """A token of three hundred letters included."""
    page.open(site, width)
    choose(page, "class", "unmemorized")
    assert page.evaluate(OVERFLOW) == 0 and page.evaluate("innerWidth") == width
    assert page.evaluate("[...document.querySelectorAll('.row')].every((row) => row.scrollWidth <= row.clientWidth)")


def test_without_scripts(page: Page, site: Path) -> None:
    """The first rows can be read, and no control is there that does nothing."""
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.open(site)
        assert len(page.evaluate(SHOWN)) == PAGE_CARDS
        assert page.evaluate("document.querySelectorAll('.controls, .pager').length") == 0
    finally:
        page.call("Emulation.setScriptExecutionDisabled", value=False)
