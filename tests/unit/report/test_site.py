"""recite.report.site: the page of a small study, its parts, and what it must not show or believe."""

import base64
import gzip
import hashlib
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recite.errors import ReciteError
from recite.provenance.lineage import Step, lineage
from recite.provenance.records import record_path
from recite.report.site import build, write_site
from recite.report.site.layout import BETWEEN, COLUMN, HEIGHT, WIDTH, layout
from recite.report.site.listing import MOST_ROWS, list_numbers, list_table, read_numbers
from recite.report.site.making import MOST_FILES, making_of
from recite.report.site.models import list_models
from recite.stages.scoring.tables import RATES
from recorded import MODELS, RATE, audited, jobs, write_record, write_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that tests leave as it is."""
    return write_study(tmp_path_factory.mktemp("site"), rows=MOST_ROWS + 50)


@pytest.fixture(scope="module")
def page(study: Path) -> str:
    return build(audited(study))


@pytest.fixture
def own(study: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    shutil.copytree(study.parent.parent, tmp_path / "own")
    return tmp_path / "own/results/tiny"


class Tags(HTMLParser):
    """All start tags with their attributes, and whether every element is closed where it must be."""

    VOID = ("meta", "img", "path", "rect", "input")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def values(self, name: str) -> list[str]:
        return [attributes[name] or "" for _, attributes in self.tags if name in attributes]


def test_elements_are_closed_and_links_lead_somewhere(page: str) -> None:
    assert page.startswith("<!doctype html>")
    found = Tags(page)
    assert found.open == []
    ids = found.values("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in found.values("href")} | set(found.values("aria-labelledby")) <= set(ids)


def test_nothing_comes_from_elsewhere(page: str) -> None:
    """The page is opened where there is no network, and sent to others."""
    found = Tags(page)
    assert all(source.startswith("data:image/png;base64,") for source in found.values("src"))
    assert all(link.startswith("#") for link in found.values("href"))
    assert "@import" not in page and "url(" not in page


def test_only_its_own_script_and_style_are_allowed(page: str) -> None:
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    allowed = ["default-src 'none'", "img-src data:"]
    for tag, count in (("style", 1), ("script", 2)):
        texts = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
        assert len(digests) == page.count(f"<{tag}") == count
        allowed.append(" ".join([f"{tag}-src", *(f"&#39;sha256-{digest}&#39;" for digest in digests)]))
    assert policy == "; ".join(allowed)
    assert not any(name.startswith("on") or name == "style" for _, about in Tags(page).tags for name in about)


def test_figures_are_the_files_themselves(page: str, study: Path) -> None:
    """With title, caption, number of rows, a text for who cannot see it, and what it rests on."""
    pictures = [base64.b64decode(source.partition(",")[2]) for source in Tags(page).values("src")]
    assert pictures == [(study / f"figures/{name}.png").read_bytes() for name in ("scaling", "claims")]
    assert "Rates &lt;b&gt;rise&lt;/b&gt;. <strong>n = 24 to 30 rows, 20 distinct texts.</strong>" in page
    assert any(alt.startswith("Rate & size. ") and "2 rows" in alt for alt in Tags(page).values("alt"))
    assert page.count("with all 10 files it rests on") == 1


def test_files_to_save_are_the_files_themselves(page: str, study: Path) -> None:
    """Drawing and numbers, byte for byte; packed, so that a page of many stays small."""
    saved = [about for tag, about in Tags(page).tags if tag == "button" and "data-gzip" in about]
    names = [f"{figure}.{kind}" for figure in ("scaling", "claims") for kind in ("svg", "csv")]
    assert [about["data-name"] for about in saved] == names
    for about in saved:
        content = gzip.decompress(base64.b64decode(about["data-gzip"] or ""))
        assert content == (study / f"figures/{about['data-name']}").read_bytes()
    assert {about["data-type"] for about in saved} == {"image/svg+xml", "text/csv"}


def test_all_that_can_be_sent_has_a_link(page: str) -> None:
    found = Tags(page)
    links = {name for name in found.values("data-link")}
    wanted = {"figure-scaling", "figure-claims", "claim-t0", "claim-t1", *(f"model-{name}" for name in MODELS)}
    assert links == wanted and links <= set(found.values("id"))


def test_models() -> None:
    """By family and size; what nothing tells is a dash, last when sorted."""
    rates = pd.DataFrame({name: [value, value] for name, value in RATE.items()} | {"n": [900, 8]})
    rates["domain"], rates.loc[1, "rate"] = ["natural", "control"], 1.0
    found = list_models(MODELS, rates)
    assert [entry.name for entry in found.entries] == ["olmo1-s", "pythia-xs", "pythia-s"]
    told = [dict(zip(found.columns, entry.cells, strict=True)) for entry in found.entries]
    assert told[2]["recited"] == ("12.5% [10.0 to 20.0]", "0.125") and told[2]["rows"] == ("900", "900")
    assert told[2]["parameters"] == ("1,234,567", "1234567") and told[2]["training corpus"] == ("mini", "")
    assert [line["layers"] for line in told] == [("–", ""), ("12", "12"), ("3", "3")]
    assert told[0]["recited"] == told[0]["heads"] == told[1]["parameters"] == ("–", "")
    numbers = {name for name, numeric in zip(found.columns, found.numeric, strict=True) if numeric}
    assert numbers == {"parameters", "layers", "heads", "recited", "rows"}


def test_claims(page: str) -> None:
    """A claim that was not measured shows no number; one whose figure is not in the study has no link.

    The interval is the one that the verdict is by: another one beside it would look like a wrong verdict.
    """
    first, second = re.findall(r"<li id=\"claim-.*?</li>", page, re.DOTALL)
    assert "not supported" in first and "<strong>0.5</strong>" in first and 'href="#figure-scaling"' in first
    assert "[-1.5, 2.5] <span>for models of such families; supported if &gt; 1; 0 models" in first
    assert "not measured" in second and "nan" not in second and "href" not in second


def test_rows_that_are_left_out_are_counted(page: str) -> None:
    assert f"250 rows in <code>tables/rates.parquet</code>; the first {MOST_ROWS} are shown, 50 are left out." in page


def test_the_same_bytes_again(page: str, own: Path) -> None:
    """In another place, too: the page does not say where it was made."""
    assert write_site(audited(own)) == own / "site.html"
    assert (own / "site.html").read_text() == page
    assert not list(own.glob(".site.html*"))


def test_a_changed_file_is_called_that(own: Path) -> None:
    """Prevents a page that shows a figure that somebody painted without a word."""
    (own / "scores/a-0000").write_text("other")
    found = build(audited(own))
    assert "1 of 9 files" in found and "1 of 10 files" in found and "with all" not in found
    assert found.count("scores/a-0000: its bytes are not those that were written") == 1
    assert re.search(r'class="tampered"[^>]* aria-label="scoring, 3 jobs, tampered; made from sampling"', found)


def test_what_records_say_is_text(own: Path) -> None:
    """A record that came from somebody else is not to run in the reader's browser."""
    job = next(job for job in jobs() if job.rule == "scoring")
    evil = "</script><script>alert(1)</script>"
    write_record(own, job, 1, parameters={evil: evil}, rule=evil)
    found = build(audited(own))
    assert evil not in found and found.count("&lt;script&gt;") >= 3


@pytest.mark.parametrize(
    "path", ["figures/scaling.png", "figures/claims.csv", "figures/scaling.svg", "tables/rates.parquet"]
)
def test_what_is_missing_is_named(own: Path, path: str) -> None:
    (own / path).unlink()
    with pytest.raises(ReciteError, match=f"{path} does not exist; run the study"):
        write_site(audited(own))
    assert not (own / "site.html").exists()


def test_a_damaged_list_of_numbers(own: Path) -> None:
    (own / "figures/scaling.csv").write_text("")
    with pytest.raises(ReciteError, match=r"scaling\.csv is not whole \(No columns"):
        build(audited(own))


def test_making_of_a_single_job(study: Path) -> None:
    audit = audited(study)
    made = making_of(audit, lineage(audit, ["figures/scaling.png"])[-1])
    assert (made.title, made.count, made.status) == ("figures", "1 job", "verified")
    facts = dict(made.facts)
    assert facts["function"] == "recite.report.drawing:draw" and facts["figure"] == "scaling"
    assert facts["git commit"] == "d" * 40 and facts["duration"] == "8.5 s" and "last finished" not in facts
    assert facts["started"] == "2026-01-02T03:04:08.000+00:00"
    assert dict(made.parameters) == {"figure": "scaling", "options.seed": "3", "options.at.deep": "[1,2]"}
    assert [path for path, _ in made.inputs.named] == ["tables/rates.parquet"]
    digest = hashlib.sha256((study / "figures/scaling.png").read_bytes()).hexdigest()
    assert ("figures/scaling.png", digest) in made.outputs.named
    code, packages = made.lists
    assert code == f"Code {'c' * 64}" and dict(made.lists[code])["recite.stages.scoring.measure"] == "2" * 64
    assert {"python", "torch"} <= dict(made.lists[packages]).keys()


def test_making_of_several_jobs(study: Path) -> None:
    """What they have in common is said once, what differs with its values."""
    audit = audited(study)
    step = next(step for step in lineage(audit, ["figures/scaling.png"]) if step.rule == "scoring")
    made = making_of(audit, step)
    facts = dict(made.facts)
    assert made.count == "3 jobs" and facts["device"] == "cpu" and facts["dtype"] == "float32"
    assert facts["shard"] == "3 values: a-0000, a-0001, b-0000"
    assert facts["duration"] == "13.5 s in all, 3.5 to 5.5 s a job"
    assert facts["CPU time"] == "12.8 s in all, 3.25 to 5.25 s a job" and facts["peak memory"] == "100 MB"
    assert facts["started"] < facts["last finished"] == "2026-01-02T03:04:10.500+00:00"
    assert len(made.outputs.named) == 3 and made.outputs.more == 0


def test_making_of_a_leaf_and_of_many(study: Path) -> None:
    audit = audited(study)
    leaf = making_of(audit, lineage(audit, ["figures/scaling.png"])[0])
    assert (leaf.title, leaf.count, leaf.facts, leaf.inputs.named) == ("source files", "1 file", [], [])
    assert leaf.outputs.named[0][1] == hashlib.sha256(b"config/corpora.yaml").hexdigest()
    many = making_of(audit, Step("", tuple(f"gone/{i}" for i in range(MOST_FILES + 5)), ()))
    assert len(many.outputs.named) == MOST_FILES and many.outputs.more == 5 and many.outputs.named[0][1] == ""


def test_making_without_what_records_point_to(own: Path) -> None:
    """Commit and lists are not always there."""
    job = next(job for job in jobs() if job.rule == "scoring")
    write_record(own, job, 1, code="e" * 64, git={"commit": "f" * 40, "dirty": True})
    audit = audited(own)
    made = making_of(audit, Step("scoring", (job.outputs[0],), ()))
    assert made.lists[f"Code {'e' * 64}"] == [("the list is not there or not whole", "")]
    assert dict(made.facts)["git commit"] == f"{'f' * 40}, with changes not committed"
    assert made.status == "stale"
    record_path(own, job.outputs[0]).unlink()
    assert making_of(audited(own), Step("scoring", (job.outputs[0],), ())).status == "missing"


def test_cells(study: Path) -> None:
    """Numbers are rounded for reading and sorted in full."""
    table = list_table(study, RATES)
    rate = table.columns.index("rate")
    assert table.numeric[rate] and not table.numeric[table.columns.index("model")]
    assert table.cells[1][rate] == ("0.1429", repr(1 / 7))
    assert dict(table.meanings)["n"] == "rows scored (row)"
    assert table.rows == MOST_ROWS + 50 and len(table.cells) == MOST_ROWS and table.left_out == 50
    numbers = list_numbers(read_numbers(study / "figures/scaling.csv"), "scaling")
    assert numbers.cells[1] == [("olmo1", ""), ("30", "30"), ("20", "20"), ("–", "")]


def steps_of(seed: int) -> list[Step]:
    """A random lineage of 25 steps with one on top."""
    generator = np.random.default_rng(seed)
    steps = [Step("leaf", ("0",), ())]
    for place in range(1, 24):
        inputs = generator.choice(place, min(place, int(generator.integers(1, 4))), replace=False)
        steps.append(Step("rule", (str(place),), tuple(sorted(map(int, inputs)))))
    read = {name for step in steps for name in step.inputs}
    return [*steps, Step("top", ("top",), tuple(sorted(set(range(24)) - read)))]


@pytest.mark.parametrize("seed", range(20))
def test_layout(seed: int) -> None:
    """No step lies on another or outside of the picture; each is left of those that it was made from."""
    steps = steps_of(seed)
    found = layout(steps)
    assert layout(steps) == found
    assert found.places[-1][0] == BETWEEN == min(x for x, _ in found.places)
    for step, (x, y) in zip(steps, found.places, strict=True):
        assert 0 <= x <= found.width - WIDTH and 0 <= y <= found.height - HEIGHT
        assert all(found.places[place][0] >= x + COLUMN for place in step.inputs)
    for one, other in pairwise(sorted(found.places)):
        assert one[0] < other[0] or other[1] - one[1] >= HEIGHT


def test_edges_pass_between_steps() -> None:
    """An edge over a column that another step stands in goes around it; where a longer way leads there is none."""
    steps = [Step("a", ("a",), ()), Step("b", ("b",), (0,)), Step("c", ("c",), ()), Step("d", ("d",), (0, 1, 2))]
    assert len(layout(steps).edges) == 3
    steps = [Step("a", ("a",), ()), Step("b", ("b",), ()), Step("c", ("c",), (0, 1)), Step("d", ("d",), (1,))]
    found = layout([*steps, Step("e", ("e",), (2,)), Step("f", ("f",), (3, 4))])
    (long,) = [edge for edge in found.edges if "H" in edge]
    y = int(re.findall(r"(\d+)H", long)[0])
    top = found.places[2][1]
    assert not top <= y <= top + HEIGHT
