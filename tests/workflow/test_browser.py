"""`recite site` on the tiny study, in a real browser: headless Chromium, by mouse, by keyboard, on a phone."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Checkout
from test_audit import Restored, flip

import chromium
from chromium import Page

PHONE, DESK = 375, 1280
LOADED = "[...document.images].every((image) => image.complete && image.naturalWidth > 100)"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
FIGURE = "#figure-scaling"


@pytest.fixture(scope="module")
def study(finished: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Restored:
    """A copy of the tiny study; tests put back what they change."""
    study = Restored(tmp_path_factory.mktemp("site") / "a copy")
    shutil.copytree(finished.root, study.root, symlinks=True)
    return study


@pytest.fixture(scope="module")
def site(study: Restored, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the tiny study, alone in a folder."""
    run = study.recite("site")
    assert run.returncode == 0 and run.stdout == "Wrote results/tiny/site.html\n", run.stderr
    first = study.file("site.html").read_bytes()
    assert study.recite("site").returncode == 0
    assert study.file("site.html").read_bytes() == first
    return study.file("site.html").rename(tmp_path_factory.mktemp("alone") / "site.html")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page of Chromium; without it, a skip, or a failure if nothing may be skipped."""
    if chromium.executable() is None:
        if os.environ.get("RECITE_NO_SKIP"):
            pytest.fail("no chromium; install Debian's package chromium")
        pytest.skip("chromium is not installed")
    with chromium.page(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(browser: Page, site: Path) -> Iterator[Page]:
    """The page in a desk's window; whatever a test does, nothing complains or asks for anything but the page."""
    browser.open(site, DESK)
    yield browser
    assert browser.complaints == []
    assert {url.partition("#")[0] for url in browser.requests if not url.startswith("data:")} == {site.as_uri()}


def texts(page: Page, selector: str) -> list[str]:
    """The text of all elements that a selector finds, as it is seen: nothing of what is hidden."""
    return page.evaluate(f"[...document.querySelectorAll('{selector}')].map((found) => found.innerText)")


def test_figures_are_seen(page: Page, finished: Checkout) -> None:
    """Each with a text for who cannot see it, a caption and what it rests on."""
    page.wait(LOADED)
    shown = page.evaluate("[...document.querySelectorAll('article')].map((article) => article.id)")
    assert sorted(shown) == sorted(f"figure-{path.stem}" for path in (finished.results / "figures").glob("*.png"))
    assert page.evaluate("[...document.images].every((image) => image.alt.length > 40)")
    assert all(len(caption) > 80 for caption in texts(page, "figcaption"))
    assert all("verified" in note for note in texts(page, "figure + .note"))
    assert len(texts(page, ".claims li")) >= 10
    assert page.evaluate(OVERFLOW) == 0


def test_lineage_opens_and_its_steps_tell(page: Page) -> None:
    """By mouse: unfold, choose a step, read its record under the picture."""
    page.click(f"{FIGURE} .how > summary")
    steps = page.evaluate(f"[...document.querySelectorAll('{FIGURE} .lineage a')].map((a) => a.textContent.trim())")
    assert len(steps) >= 5 and any("scoring" in step and "4 jobs" in step for step in steps)
    (record,) = texts(page, f"{FIGURE} .record")
    assert "recite.report.drawing:draw" in record and "tables/rates.parquet sha256 " in record
    place = next(i for i, step in enumerate(steps) if step.startswith("scoring"))
    page.evaluate(f"document.querySelectorAll('{FIGURE} .lineage a')[{place}].id = 'chosen'")
    page.click("#chosen rect")
    (record,) = texts(page, f"{FIGURE} .record")
    for word in (
        "recite.stages.scoring.measure:score",
        "float32",
        "cpu",
        "duration",
        "git commit",
        "batch rows",
        "Code",
        "Packages",
    ):
        assert word in record, word
    chosen = f"[...document.querySelectorAll('{FIGURE} .lineage a[aria-current]')].map((a) => a.id)"
    assert page.evaluate(chosen) == ["chosen"]
    assert page.evaluate("location.hash") == ""


def test_by_keyboard(page: Page) -> None:
    """Tab from the fold to the steps, Enter on one; tables are sorted by Enter on a header."""
    page.evaluate(f"document.querySelector('{FIGURE} .how > summary').focus()")
    page.press("Enter")
    page.wait(f"document.querySelector('{FIGURE} .how').open")
    for _ in range(3):
        page.press("Tab")
    assert page.evaluate("document.activeElement.matches('.lineage a')")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("scaling, 1 job, ")
    page.press("Enter")
    assert "recite.comparison.scaling.summarize:fit_scaling" in texts(page, f"{FIGURE} .record")[0]
    page.evaluate("document.querySelector('#table-rates > summary').focus()")
    page.press("Enter")
    page.evaluate("document.querySelector('#table-rates th button').focus()")
    page.press("Enter")
    assert page.evaluate("document.querySelector('#table-rates th').ariaSort") == "ascending"


def column(page: Page, name: str) -> list[str]:
    """The cells of a column of the table `rates` that are seen, from the top."""
    return page.evaluate(
        "(() => { const table = document.querySelector('#table-rates table');"
        f" const place = [...table.rows[0].cells].findIndex((cell) => cell.textContent === '{name}');"
        " return [...table.tBodies[0].rows].filter((row) => row.checkVisibility())"
        ".map((row) => row.cells[place].dataset.number ?? row.cells[place].textContent); })()"
    )


def header(page: Page, name: str) -> str:
    """A selector of a column's button in the table `rates`."""
    found = "[...document.querySelectorAll('#table-rates th')]"
    page.evaluate(f"{found}.find((cell) => cell.textContent === '{name}').id = 'header-{name}'")
    return f"#header-{name} button"


def test_tables_sort_and_filter(page: Page) -> None:
    page.evaluate("location.hash = '#table-rates'")
    page.wait("document.querySelector('#table-rates').open")
    before = column(page, "rate")
    page.click(header(page, "rate"))
    assert [float(cell) for cell in column(page, "rate")] == sorted(map(float, before))
    page.click(header(page, "rate"))
    assert [float(cell) for cell in column(page, "rate")] == sorted(map(float, before), reverse=True)
    assert page.evaluate("document.querySelector('#header-rate').ariaSort") == "descending"
    page.click(header(page, "model"))
    assert column(page, "model") == sorted(column(page, "model"))
    assert page.evaluate("document.querySelector('#header-rate').ariaSort") == "none"
    page.click("#table-rates input")
    page.type("Pythia-S licences")
    assert set(column(page, "model")) == {"pythia-s"} and set(column(page, "domain")) == {"licences"}
    assert texts(page, "#table-rates output") == [f"1 of {len(before)} rows"]


@pytest.mark.parametrize("width", [320, PHONE, DESK])
def test_nothing_is_wider_than_the_window(page: Page, site: Path, width: int) -> None:
    """With everything unfolded: what is wide scrolls in its own box."""
    page.open(site, width)
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    page.wait(LOADED)
    assert page.evaluate(OVERFLOW) == 0
    assert page.evaluate("innerWidth") == width


def test_without_scripts(page: Page, site: Path) -> None:
    """All can be read: claims, figures, and by its link a step's record."""
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.open(site)
        page.click(f"{FIGURE} .how > summary")
        page.click(f"{FIGURE} .lineage a:nth-of-type(2) rect")
        assert page.evaluate("location.hash").startswith("#made-")
        assert page.evaluate("document.querySelectorAll('thead button, .filter').length") == 0
        assert len(texts(page, ".claims li")) >= 10
    finally:
        page.call("Emulation.setScriptExecutionDisabled", value=False)


def test_nothing_of_this_machine(site: Path, places: list[str]) -> None:
    """The page is made to be given away."""
    text = site.read_text()
    assert not [place for place in places if place in text]


def test_a_changed_figure_is_called_that(study: Restored, site: Path) -> None:
    """It is shown, as what it is."""
    flip(study.file("figures/noise.png"))
    run = study.recite("site")
    flip(study.file("figures/noise.png"))
    assert run.returncode == 0
    page = study.file("site.html").read_text()
    noise = page[page.index('<article id="figure-noise">') :]
    assert noise.index('<span class="badge tampered">tampered</span> 1 of ') < noise.index("</article>")


def test_without_results(study: Restored, site: Path) -> None:
    aside = study.results.rename(study.root / "aside")
    run = study.recite("site")
    aside.rename(study.results)
    assert run.returncode == 1 and run.stdout == ""
    assert run.stderr.startswith("recite: ") and "run the study" in run.stderr and run.stderr.count("\n") == 1
