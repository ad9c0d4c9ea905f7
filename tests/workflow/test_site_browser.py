"""What the site's page can do for who passes it on: links, files to save, colours, models; in headless Chromium."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import test_browser
from test_browser import DESK, LOADED, OVERFLOW, PHONE, texts

from chromium import WAIT, Page
from example_rows import example, write_examples
from recite.report.compare.command import compare_studies
from recite.report.site import write_site
from recorded import MODELS, audited, write_study

SEEN = ".filter((found) => found.checkVisibility())"
MODEL_ROWS = f"[...document.querySelectorAll('#models tbody tr')]{SEEN}.map((row) => row.id)"
CONTROLS = f"[...document.querySelectorAll('button, select, input')]{SEEN}.length"
FOCUS = "document.activeElement.id"
CONTRASTS = """
(() => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const level = (part) => (part <= 10.31475 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * level(r) + 0.7152 * level(g) + 0.0722 * level(b);
  const ground = (place) => {
    const fill = place.namespaceURI.endsWith("svg") && place.parentElement.querySelector("rect");
    if (fill && getComputedStyle(fill).fill !== "none") return parts(getComputedStyle(fill).fill);
    for (let at = place; at; at = at.parentElement) {
      const found = parts(getComputedStyle(at).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
  };
  const found = [];
  for (const place of document.querySelectorAll("body *")) {
    const said = [...place.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!(said || place.matches(".copy")) || place.disabled || !place.checkVisibility()) continue;
    const style = getComputedStyle(place);
    const ink = parts(place.matches("text") ? style.fill : style.color);
    const [low, high] = [luminance(ink), luminance(ground(place))].sort((a, b) => a - b);
    found.push([(high + 0.05) / (low + 0.05), `${place.tagName} ${place.className} ${place.textContent.slice(0, 40)}`]);
  }
  return found;
})()
"""

browser = test_browser.browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with all that it can have: rows to read, claims, models, figures."""
    study = write_study(tmp_path_factory.mktemp("site"))
    write_examples(study, [example(100 + i, place=i) for i in range(12)])
    return write_site(audited(study, examples=True))


@pytest.fixture
def page(browser: Page, site: Path) -> Iterator[Page]:
    """The page in a desk's window; whatever a test does, nothing complains or asks for anything but the page."""
    browser.complaints.clear()
    browser.requests.clear()
    browser.open(site, DESK)
    yield browser
    assert browser.complaints == []
    assert {url.partition("#")[0] for url in browser.requests if not url.startswith(("data:", "blob:"))} <= {
        site.as_uri(),
        "about:blank",
    }


def follow(page: Page, site: Path, name: str) -> None:
    """Open the page at a fragment, from elsewhere."""
    page.call("Page.navigate", url="about:blank")
    page.wait("location.href === 'about:blank'")
    page.call("Page.navigate", url=f"{site.as_uri()}#{name}")
    page.wait("document.readyState === 'complete'")


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("name", ["figure-claims", "claim-t1", "model-pythia-xs", "row-109-pythia-s"])
def test_a_link_shows_and_focuses(page: Page, site: Path, name: str, width: int) -> None:
    """A figure, a claim, a model, a row on another page: seen, marked, and the next Tab goes on from there."""
    page.open(site, width)
    follow(page, site, name)
    page.wait(f"{FOCUS} === '{name}'")
    assert page.evaluate("[...document.querySelectorAll('.named')].map((found) => found.id)") == [name]
    assert -1 <= page.evaluate("document.activeElement.getBoundingClientRect().top") < 800
    page.press("Tab")
    assert page.evaluate(f"document.getElementById('{name}').contains(document.activeElement)")


def test_a_link_into_what_is_hidden(page: Page) -> None:
    """A model that a search leaves out, a table that is folded, a name of nothing."""
    page.click("#models input")
    page.type("no such model")
    assert page.evaluate(MODEL_ROWS) == []
    page.evaluate("location.hash = '#model-olmo1-s'")
    page.wait(f"{FOCUS} === 'model-olmo1-s'")
    assert len(page.evaluate(MODEL_ROWS)) == len(MODELS) and texts(page, "#models output") == ["3 of 3 rows"]
    page.evaluate("location.hash = '#table-rates'")
    page.wait("document.querySelector('#table-rates').open && document.activeElement.matches('#table-rates > summary')")
    page.evaluate("location.hash = '#%E0%A4%A'")
    page.wait("document.querySelectorAll('.named').length === 0")


@pytest.mark.parametrize("clipboard", [True, False])
def test_links_are_copied(page: Page, site: Path, clipboard: bool) -> None:
    """Without the place of the file on its reader's disk, which is nobody's business; by keyboard; and said aloud."""
    page.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    if not clipboard:
        page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined }), 0")
    page.evaluate("document.querySelector('#figure-scaling .copy').focus()")
    page.press("Enter")
    page.wait("document.querySelector('.told').textContent !== ''")
    (told,), link = texts(page, ".told"), "site.html#figure-scaling"
    assert told == (f"Copied: {link}" if clipboard else f"The link: {link}")
    assert not clipboard or page.evaluate("navigator.clipboard.readText()") == link
    assert page.evaluate("document.querySelector('.told').tagName") == "OUTPUT"


def test_every_button_has_a_name(page: Page) -> None:
    names = page.evaluate("[...document.querySelectorAll('button')].map((b) => b.ariaLabel || b.textContent.trim())")
    assert all(names) and "Copy link to model olmo1-s" in names and "Save scaling.svg, 1 kB" in names


def test_files_are_saved(page: Page, site: Path, tmp_path: Path) -> None:
    """The study's own, byte for byte."""
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    for name in ("scaling.svg", "scaling.csv"):
        page.click(f"button[data-name='{name}']")
        saved, end = tmp_path / name, time.monotonic() + WAIT
        content = (site.parent / f"figures/{name}").read_bytes()
        while not (saved.is_file() and saved.read_bytes() == content):
            assert time.monotonic() < end, list(tmp_path.iterdir())
            time.sleep(0.05)
    assert texts(page, ".told") == ["Saved: scaling.csv"]


def test_models_are_searched_and_sorted(page: Page) -> None:
    """By keyboard: numbers as numbers, what is not known last; how many rows are left is said."""
    assert page.evaluate(MODEL_ROWS) == ["model-olmo1-s", "model-pythia-xs", "model-pythia-s"]
    heads = "[...document.querySelectorAll('#models thead button')]"
    page.evaluate(f"{heads}.find((button) => button.textContent === 'layers').focus()")
    page.press("Enter")
    assert page.evaluate(MODEL_ROWS) == ["model-pythia-s", "model-pythia-xs", "model-olmo1-s"]
    page.press("Enter")
    assert page.evaluate(MODEL_ROWS) == ["model-pythia-xs", "model-pythia-s", "model-olmo1-s"]
    page.evaluate(f"{heads}[0].focus()")
    page.press("Enter")
    assert page.evaluate(MODEL_ROWS) == ["model-olmo1-s", "model-pythia-s", "model-pythia-xs"]
    page.evaluate("document.querySelector('#models input').focus()")
    page.type("PYTHIA 1,234")
    assert page.evaluate(MODEL_ROWS) == ["model-pythia-s"]
    assert texts(page, "#models output") == ["1 of 3 rows"]
    page.evaluate("document.querySelector('#models input').select()")
    page.type("link")
    assert page.evaluate(MODEL_ROWS) == []


def ground(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_colours_are_chosen(page: Page, site: Path) -> None:
    """Whatever the system says, and when the page is opened again."""
    light, dark = "rgb(255, 255, 255)", "rgb(20, 24, 29)"
    try:
        for scheme, seen in (("dark", dark), ("light", light)):
            page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            assert ground(page) == seen
        for value, seen in (("dark", dark), ("light", light), ("dark", dark)):
            page.evaluate(
                "(() => { const list = document.querySelector('.colours select'); list.value = "
                f"{json.dumps(value)}; list.dispatchEvent(new Event('change')); }})()"
            )
            assert ground(page) == seen
        page.open(site)
        assert ground(page) == dark and page.evaluate("document.querySelector('.colours select').value") == "dark"
    finally:
        page.evaluate("localStorage.clear()")
        page.call("Emulation.setEmulatedMedia", features=[])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(page: Page, site: Path, scheme: str) -> None:
    """A contrast of 4.5 at least (WCAG 2, AA), of everything unfolded, marked and told."""
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    try:
        page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
        page.evaluate("location.hash = '#model-olmo1-s'")
        page.wait(f"{FOCUS} === 'model-olmo1-s'")
        page.evaluate("tell('It is told.')")
        page.wait(LOADED.replace("> 100", "> 0"))
        found = page.evaluate(CONTRASTS)
        assert len(found) > 200 and min(found)[0] >= 4.5, min(found)
    finally:
        page.call("Emulation.setEmulatedMedia", features=[])


def test_without_scripts(page: Page, site: Path) -> None:
    """No button is there that does nothing; a link leads to what it names, and that is marked."""
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.open(site)
        page.call("Page.navigate", url=f"{site.as_uri()}#figure-claims")
        page.wait("document.querySelector(':target')?.id === 'figure-claims'")
        assert page.evaluate(CONTROLS) == 0
        assert texts(page, "noscript p")[0].endswith("need this page's scripts.")
        assert len(texts(page, "#models tbody tr")) == len(MODELS)
    finally:
        page.call("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_a_comparison_has_the_same(browser: Page, site: Path, tmp_path: Path, width: int) -> None:
    """Its page allows the same scripts and style: a link to a figure, one to a claim, and colours to choose."""
    browser.complaints.clear()
    written = tmp_path / "comparison.html"
    compare_studies(str(site.parent), str(site.parent), False, written)
    browser.open(written, width)
    for name in ("figure-scaling", "claim-t1"):
        follow(browser, written, name)
        browser.wait(f"{FOCUS} === '{name}'")
    assert browser.evaluate(OVERFLOW) == 0 and browser.evaluate("innerWidth") == width
    assert browser.evaluate("document.querySelector('.colours select').checkVisibility()")
    assert min(browser.evaluate(CONTRASTS))[0] >= 4.5 and browser.complaints == []
