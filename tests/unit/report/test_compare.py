"""recite.report.compare: two small studies whose differences are known, and what cannot be compared."""

import base64
import io
import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from jsonschema import Draft202012Validator
from PIL import Image
from typer.testing import CliRunner, Result

from recite.cli import app
from recite.comparison.claims.tables import CLAIMS
from recite.files import write_json
from recite.report.compare.comparison import compare
from recite.report.compare.numbers import compare_numbers, largest
from recite.report.compare.page import WIDEST
from recite.report.compare.results import open_results
from recite.report.compare.text import MOST_LINES, as_json, as_text
from recite.stages.frequency.tables import THRESHOLDS
from recite.stages.heads.tables import HEADS
from recite.stages.near_verbatim.tables import NEAR_VERBATIM
from recite.stages.noise.tables import NOISE_RATES
from recite.statistics.intervals import wilson
from recite.tables import Table
from recorded import fill

MODELS, DOMAINS, TOLERANCES = ("pythia-s", "pythia-xs"), tuple(f"d{place}" for place in range(20)), (0.0, 0.1)
ROWS = 60
CHANGED = 17
"""A line of near_verbatim."""


def write(folder: Path, table: Table, count: int, /, **given: list[Any]) -> None:
    """A table of so many lines, filled where nothing is given."""
    table.write(folder / f"tables/{table.name}.parquet", fill(table, count) | given, {})


def write_rates(folder: Path, seed: int, rows: int = ROWS, tolerances: tuple[float, ...] = TOLERANCES) -> None:
    """near_verbatim, a line a model, domain and tolerance, of rates that are 0.3 everywhere."""
    lines = [(model, domain, tolerance) for model in MODELS for domain in DOMAINS for tolerance in tolerances]
    counts = np.random.default_rng(seed).binomial(rows, 0.3, len(lines))
    models, domains, shares = map(list, zip(*lines, strict=True))
    write_counts(folder, counts, rows, model=models, domain=domains, tolerance=shares, kind=["free_text"] * len(lines))


def write_counts(folder: Path, counts: np.ndarray, rows: int, **keys: list[Any]) -> None:
    ends = [wilson(count / rows, rows, 0.95) for count in counts]
    numbers = {"n": [rows] * len(ends), "recalled": counts.tolist(), "rate": (counts / rows).tolist()}
    numbers |= {"rate_low": [end.low for end in ends], "rate_high": [end.high for end in ends]}
    same = {"family": ["pythia"] * len(ends), "noise_layer": [0] * len(ends), "alpha": [0.0] * len(ends)}
    write(folder, NEAR_VERBATIM, len(ends), **same, **keys, **numbers)


def write_claims(folder: Path, *verdicts: str) -> None:
    known = {"claim": [f"claim{place}" for place in range(len(verdicts))], "verdict": list(verdicts)}
    known |= {"text": ["Models <b>grow</b>"] * len(verdicts), "over": ["families"] * len(verdicts)}
    write(
        folder,
        CLAIMS,
        len(verdicts),
        **known,
        high=[math.inf] * len(verdicts),
        value=[math.nan] + [0.5] * (len(verdicts) - 1),
    )


def write_record(folder: Path, rule: str, **options: Any) -> None:
    record = {"rule": rule, "parameters": {"options": options}, "code": "c" * 64, "environment": "e" * 64}
    write_json(folder / f"records/{rule}.json", record)


def write_figure(folder: Path, name: str, colour: str) -> None:
    (folder / "figures").mkdir(exist_ok=True)
    Image.new("RGB", (3 * WIDEST, WIDEST), colour).save(folder / f"figures/{name}.png")


def write_study(folder: Path, seed: int) -> Path:
    write_rates(folder, seed)
    write_claims(folder, "not measured", "supported", "supported")
    write_record(folder, "candidates", seed=seed, study=folder.name, draw={"rows": ROWS})
    write_record(folder, "aggregation", seed=seed)
    write_figure(folder, "scaling", "red")
    return folder


@pytest.fixture
def a(tmp_path: Path) -> Path:
    return write_study(tmp_path / "results/ours", 3)


@pytest.fixture
def b(tmp_path: Path) -> Path:
    return write_study(tmp_path / "elsewhere/theirs", 5)


def data(a: Path, b: Path) -> dict[str, Any]:
    return json.loads(json.dumps(as_json(compare(str(a), str(b))), allow_nan=False))


def keys(a: Path, b: Path) -> dict[str, list[str]]:
    return {table.table: table.keys for table in compare_numbers(open_results(str(a)), open_results(str(b)))}


def recite(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


def test_with_itself(a: Path) -> None:
    """Prevents a study from differing from itself."""
    copy = shutil.copytree(a, a.parent / "copy")
    found = data(a, copy)
    assert (found["beyond"], found["lines"]) == (0, 80) and found["settings"] == []
    assert not any(claim["differs"] for claim in found["claims"]) and len(found["claims"]) == 3
    lines = found["tables"][0]["statistics"][0]["lines"]
    assert all(line["a"] == line["b"] and line["difference"]["value"] == 0 for line in lines)
    text = as_text(compare(str(a), str(copy)))
    assert "Claims: 0 of 3 verdicts differ" in text and "0 of 80 differ" in text and "Settings: none" in text


def test_another_seed(a: Path, b: Path) -> None:
    """Two samples of the same: about one line in twenty is beyond, and the seed is what differs."""
    found = data(a, b)
    assert 0 < found["beyond"] <= 9 and found["lines"] == 80
    assert found["settings"] == [{"name": "seed", "a": ["3"], "b": ["5"], "rules": ["aggregation", "candidates"]}]
    assert "  seed: 3 | 5  (aggregation, candidates)\n" in as_text(compare(str(a), str(b)))


def test_a_planted_difference(a: Path) -> None:
    """Newcombe's own example, 56 of 70 and 48 of 80, among lines that do not differ, is found and comes first."""
    copy = shutil.copytree(a, a.parent / "copy")
    for folder, rows, count in ((a, 70, 56), (copy, 80, 48)):
        counts = np.full(30, rows // 2)
        counts[CHANGED] = count
        domains = [f"d{place}" for place in range(30)]
        same: dict[str, list[Any]] = {name: ["x"] * 30 for name in ("model", "kind")}
        write_counts(folder, counts, rows, domain=domains, tolerance=[0.1] * 30, **same)
    beyond = largest(compare_numbers(open_results(str(a)), open_results(str(copy))))
    assert len(beyond) == 1
    line = beyond.iloc[0]
    assert line["of"]["domain"] == f"d{CHANGED}" and line["difference_value"] == pytest.approx(0.2)
    assert (line["difference_low"], line["difference_high"]) == (
        pytest.approx(0.0524, abs=6e-5),
        pytest.approx(0.3339, abs=6e-5),
    )
    text = as_text(compare(str(a), str(copy)))
    assert (
        f"domain d{CHANGED}, kind x, noise_layer 0, alpha 0, tolerance 0.1: 0.8 [" in text
        and "difference 0.2 [0.0524, 0.334]" in text
    )


def test_many_differences_are_counted(a: Path, b: Path) -> None:
    """The text names the largest, the most of what their interval allows first; JSON has all."""
    lines = [(model, domain, tolerance) for model in MODELS for domain in DOMAINS for tolerance in TOLERANCES]
    models, domains, shares = map(list, zip(*lines, strict=True))
    place = {"model": models, "domain": domains, "tolerance": shares, "kind": ["free_text"] * 80}
    write_counts(b, np.arange(80) % 40 + 20, ROWS, **place)
    found = data(a, b)
    told = [line for line in found["tables"][0]["statistics"][0]["lines"] if line["beyond"]]
    text = as_text(compare(str(a), str(b)))
    assert found["beyond"] == len(told) > MOST_LINES and f"Largest of {len(told)}, A - B" in text
    assert text.count("  near_verbatim, rate, ") == MOST_LINES
    for line in told:
        low, high = line["difference"]["low"], line["difference"]["high"]
        assert low > 0 or high < 0
    sizes = largest(compare(str(a), str(b)).numbers)["times"].tolist()
    assert sizes == sorted(sizes, reverse=True) and min(sizes) > 1


def test_lines_are_joined_by_what_they_are_of(a: Path, b: Path) -> None:
    """Other numbers of rows part no lines; grids do, and a strength of one study is not held against the other's."""
    layers, heads, ranks = [0, 0, 1, 1], [0, 1, 0, 1], [4, 3, 2, 1]
    same: dict[str, list[Any]] = {name: ["x"] * 4 for name in ("model", "family", "group", "rows", "domain")}
    for folder, rank, alpha, rows in ((a, ranks, 0.5, 60), (b, ranks[::-1], 0.3, 80)):
        write_rates(folder, 3, rows)
        write(folder, HEADS, 4, layer=layers, head=heads, rank=rank, n=[rows] * 4, heads=[4] * 4, **same)
        of_noise: dict[str, list[Any]] = {name: ["x"] * 2 for name in ("model", "family", "kind")}
        write(
            folder, NOISE_RATES, 2, domain=["x", "y"], alpha=[alpha] * 2, noise_layer=[0, 0], n=[rows] * 2, **of_noise
        )
    found = {table.table: table for table in compare_numbers(open_results(str(a)), open_results(str(b)))}
    undisturbed = {"noise_layer", "alpha"}
    assert {*found["near_verbatim"].keys} == {"model", "family", "domain", "kind", "tolerance"} | undisturbed
    assert (found["near_verbatim"].lines, found["near_verbatim"].only) == (80, (0, 0))
    assert {"layer", "head"} <= {*found["heads"].keys} and not {"rank", "n", "heads", "parameters"} & {
        *found["heads"].keys
    }
    assert found["heads"].only == (0, 0) and found["heads"].beyond == 0
    assert "alpha" in found["noise_rates"].keys and (found["noise_rates"].lines, found["noise_rates"].only) == (
        0,
        (2, 2),
    )


def test_lines_of_one_study_only(a: Path, b: Path) -> None:
    """A tolerance that one study did not measure is counted, not held against another."""
    write_rates(b, 5, tolerances=(0.0, 0.2))
    table = data(a, b)["tables"][0]
    assert (table["lines"], table["only_a"], table["only_b"]) == (40, 40, 40)
    assert "lines of only A 40, of only B 40" in as_text(compare(str(a), str(b)))


def test_models_of_one_study_only(a: Path, b: Path) -> None:
    """Models that only one study measured are named, and their lines counted."""
    table = pq.read_table(b / "tables/near_verbatim.parquet").to_pydict()
    table["model"] = ["pythia-m" if model == "pythia-xs" else model for model in table["model"]]
    write(b, NEAR_VERBATIM, 80, **table)
    found = data(a, b)
    assert (found["a"]["only"]["models"], found["b"]["only"]["models"]) == (["pythia-xs"], ["pythia-m"])
    assert (found["lines"], found["tables"][0]["only_a"]) == (40, 40)


def test_what_is_no_number(tmp_path: Path) -> None:
    """What one study could not measure is left out and counted; without any width every difference is beyond."""
    for name, last in (("a", 2.0), ("b", 2.5)):
        values = [3.0, math.inf if name == "a" else 3.0, math.nan, last]
        lows, highs = [1.0, 1.0, math.nan, last], [math.inf, math.inf, math.nan, last]
        shift = {f"shift{end}": [0.0] * 4 for end in ("", "_low", "_high")}
        words: dict[str, list[Any]] = {name: ["x"] * 4 for name in ("model", "family", "rows", "counting")}
        ends = {"threshold": values, "threshold_low": lows, "threshold_high": highs}
        write(tmp_path / name, THRESHOLDS, 4, measure=list("pqrs"), n=[9] * 4, **words, **ends, **shift)
    (table,) = data(tmp_path / "a", tmp_path / "b")["tables"]
    found = {statistic["statistic"]: statistic for statistic in table["statistics"]}
    threshold = found["threshold"]
    assert (threshold["undefined"], threshold["exact"], threshold["beyond"]) == (2, 1, 1)
    assert [line["of"]["measure"] for line in threshold["lines"]] == ["p", "s"]
    assert threshold["lines"][0]["a"] == {"value": 3.0, "low": 1.0, "high": None}
    assert (found["shift"]["exact"], found["shift"]["beyond"]) == (4, 0)
    assert "2 not measured in one; 5 of no width in both" in as_text(compare(str(tmp_path / "a"), str(tmp_path / "b")))


def test_claims(a: Path, b: Path) -> None:
    """Verdicts that differ are told with both intervals; a claim of one study is no difference."""
    write_claims(b, "not measured", "undecided", "supported", "supported")
    found = data(a, b)["claims"]
    assert [claim["claim"] for claim in found if claim["differs"]] == ["claim1"]
    assert found[3]["a"] is None and found[3]["b"]["verdict"] == "supported"
    assert found[0]["a"]["value"] is None and found[1]["a"]["low"] == pytest.approx(1 / 7)
    text = as_text(compare(str(a), str(b)))
    assert (
        "Claims: 1 of 4 verdicts differ\n  claim1: supported, 0.5 [0.143, 0.143] | undecided, 0.5 [0.143, 0.143]\n"
        in text
    )


NUMBER, WORDS = {"type": ["number", "null"]}, {"type": "array", "items": {"type": "string"}}
COUNT = {"type": "integer", "minimum": 0}


def closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


INTERVAL = closed(value=NUMBER, low=NUMBER, high=NUMBER)
TEXT = {"type": "string"}
SIDE = closed(verdict=TEXT, value=NUMBER, low=NUMBER, high=NUMBER, over=TEXT, rule=TEXT)
STUDY = closed(name=TEXT, only=closed(models=WORDS, tables=WORDS, figures=WORDS))
LINE = closed(of={"type": "object"}, a=INTERVAL, b=INTERVAL, difference=INTERVAL, beyond={"type": "boolean"})
STATISTIC = closed(statistic=TEXT, beyond=COUNT, undefined=COUNT, exact=COUNT, lines={"type": "array", "items": LINE})
TABLE = closed(
    table=TEXT,
    keys=WORDS,
    only_a=COUNT,
    only_b=COUNT,
    beyond=COUNT,
    lines=COUNT,
    statistics={"type": "array", "items": STATISTIC},
)
CLAIM = closed(
    claim=TEXT,
    text=TEXT,
    a={"anyOf": [SIDE, {"type": "null"}]},
    b={"anyOf": [SIDE, {"type": "null"}]},
    differs={"type": "boolean"},
)
SCHEMA = closed(
    format={"const": 1},
    a=STUDY,
    b=STUDY,
    recorded={"type": "boolean"},
    settings={"type": "array", "items": closed(name=TEXT, a=WORDS, b=WORDS, rules=WORDS)},
    claims={"type": "array", "items": CLAIM},
    expected={"type": "number"},
    beyond=COUNT,
    lines=COUNT,
    tables={"type": "array", "items": TABLE},
)
"""What programs may rely on: a change here is another format."""


def test_json(a: Path, b: Path) -> None:
    write_claims(b, "undecided")
    run = recite(a, b, "--json")
    assert run.exit_code == 0, run.stderr
    found = json.loads(run.stdout, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    Draft202012Validator(SCHEMA).validate(found)
    assert found["claims"] and found["settings"] and found["tables"][0]["statistics"][0]["lines"]
    assert str(a.parent) not in run.stdout
    assert recite(a, b, "--json").stdout == run.stdout


def test_tables_of_one_study_only(a: Path, b: Path) -> None:
    """A table that is not there, or is called otherwise, is named; what is left is compared."""
    (b / "tables/near_verbatim.parquet").rename(b / "tables/nearly.parquet")
    (b / "tables/claims.parquet").unlink()
    write_figure(b, "noise", "blue")
    run = recite(a, b)
    assert run.exit_code == 0
    assert "Only in A: tables claims, near_verbatim\nOnly in B: tables nearly; figures noise\n" in run.stdout
    assert "no ledger" in run.stdout and "no table with intervals is in both" in run.stdout


def test_without_records(a: Path, b: Path) -> None:
    """Tables alone, as somebody may send them, are compared."""
    shutil.rmtree(b / "records")
    found = data(a, b)
    assert not found["recorded"] and found["settings"] == [] and found["lines"] == 80
    assert "the records of one are not there" in as_text(compare(str(a), str(b)))


def test_code_and_packages(a: Path, b: Path) -> None:
    for folder, version in ((a, "2.0"), (b, "2.1")):
        write_json(folder / f"records/.environments/{'e' * 64}.json", {"numpy": version, "torch": "9"})
    write_json(
        b / "records/aggregation.json", json.loads((b / "records/aggregation.json").read_text()) | {"code": "d" * 64}
    )
    found = {setting["name"]: setting for setting in data(a, b)["settings"]}
    assert (found["numpy"]["a"], found["numpy"]["b"]) == (["2.0"], ["2.1"]) and "torch" not in found
    assert found["code"]["rules"] == ["aggregation"]


def test_names_under_results(a: Path, b: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(a.parent.parent)
    run = recite("ours", "elsewhere/theirs")
    assert run.exit_code == 0 and run.stdout.startswith("A: ours\nB: theirs\n")


def refused(*arguments: Any) -> str:
    """The one sentence that a comparison is refused with."""
    run = recite(*arguments)
    assert run.exit_code == 1 and run.stdout == "" and run.stderr.count("\n") == 1 and run.stderr.startswith("recite: ")
    return run.stderr


def test_refused(a: Path, b: Path, tmp_path: Path) -> None:
    """No results, another version of a table, a broken table: one sentence that names what to do."""
    assert "nowhere is no folder of finished results" in refused(a, "nowhere")
    assert "is no folder of finished results" in refused(tmp_path / "elsewhere", b)
    table = b / "tables/near_verbatim.parquet"
    whole = table.read_bytes()
    pq.write_table(pq.read_table(table).drop_columns("mean_run"), table)
    told = refused(a, b, "--page", tmp_path / "page.html")
    assert "two versions of the table (other or missing: mean_run)" in told and not (tmp_path / "page.html").exists()
    table.write_bytes(whole[:-20])
    assert "near_verbatim.parquet is not a whole Parquet file" in refused(a, b)
    pq.write_table(pq.read_table(io.BytesIO(whole)).slice(0, 2), table)
    assert recite(a, b).exit_code == 0
    pq.write_table(pq.read_table(io.BytesIO(whole)).take([0, 0]), table)
    assert "do not tell apart" in refused(a, b)


def test_page(a: Path, b: Path, tmp_path: Path) -> None:
    """One file that asks for nothing, with figures of bounded size beside each other, light and dark."""
    write_claims(b, "not measured", "undecided", "supported")
    write_figure(b, "noise", "blue")
    page = tmp_path / "page.html"
    assert recite(a, b, "--page", page).exit_code == 0
    html = page.read_text()
    assert recite(a, b, "--page", page).exit_code == 0 and page.read_text() == html
    assert not re.search(r"https?://|src=\"(?!data:)", html) and str(tmp_path) not in html
    assert html.count("<script>") == 2 and "unsafe" not in html and "light-dark(" in html
    assert 'data-link="figure-noise"' in html and "Models &lt;b&gt;grow&lt;/b&gt;" in html
    assert html.count('class="differs"') == 1 and html.index('class="differs"') < html.index("not measured</span>")
    pictures = [base64.b64decode(found) for found in re.findall(r"data:image/png;base64,([^\"]+)", html)]
    assert len(pictures) == 3 and html.count("It has none.") == 1
    for picture in pictures:
        opened = Image.open(io.BytesIO(picture))
        assert opened.width == WIDEST
    colours = [Image.open(io.BytesIO(picture)).convert("RGB").getpixel((5, 5)) for picture in pictures]
    assert sorted(colours) == [(0, 0, 255), (255, 0, 0), (255, 0, 0)]
    (b / "figures/scaling.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    assert "scaling.png is no whole PNG picture" in refused(a, b, "--page", page)
    assert page.read_text() == html
