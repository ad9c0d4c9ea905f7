"""The report as one page that needs nothing else: rows to read, claims, figures with how they were made, tables.

It stands beside Snakemake's report. What it says of the making of a figure comes from the records; whether that still
holds, from an audit of today.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recite.errors import ReciteError
from recite.files import atomic
from recite.outcomes.examples import FOLDER as EXAMPLES
from recite.provenance.audit.verdicts import STATUSES, Audit
from recite.provenance.lineage import Step, lineage
from recite.report.site.gallery import Gallery, make_gallery
from recite.report.site.layout import HEIGHT, WIDTH, Layout, layout
from recite.report.site.listing import Listing, list_numbers, list_table, read_numbers
from recite.report.site.making import Making, making_of
from recite.report.site.models import TABLE as RATES
from recite.report.site.models import Models, list_models
from recite.report.site.packed import Packed, pack
from recite.report.site.shell import FOLDER, render
from recite.tables.declared import declared

PAGE = "site.html"
CLAIMS = "claims"
"""The table of the paper's claims."""
SCRIPTS = ("files", "tables", "gallery", "lineage")


@dataclass(frozen=True)
class Node:
    """A step in the picture of a figure's lineage; `making` is its place among the makings of the page."""

    making: int
    x: int
    y: int
    inputs: str


@dataclass(frozen=True)
class Shown:
    """A figure: its entry in the figures file, its picture as data, what it rests on."""

    name: str
    entry: Mapping[str, Any]
    picture: str
    alt: str
    size: str
    files: list[Packed]
    status: str
    rests_on: str
    numbers: Listing
    nodes: list[Node]
    layout: Layout
    making: int


class Makings:
    """The steps of all figures' lineages, each told once: figures share most of them."""

    def __init__(self, audit: Audit) -> None:
        self.audit = audit
        self.places: dict[tuple[str, tuple[str, ...]], int] = {}
        self.all: list[Making] = []

    def place_of(self, step: Step) -> int:
        """Place of a step's making in `all`."""
        key = (step.rule, step.jobs)
        if key not in self.places:
            self.places[key] = len(self.all)
            self.all.append(making_of(self.audit, step))
        return self.places[key]


def write_site(audit: Audit) -> Path:
    """Write the page of an audited study into its folder, whole or not at all; returns its path.

    Raises ReciteError where a figure or a table of the study is not there.
    """
    path = audit.study / PAGE
    text = build(audit)
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def build(audit: Audit) -> str:
    """The page as HTML."""
    examples = sorted(path for path in audit.findings if path.startswith(f"{EXAMPLES}/"))
    names = sorted(path[len("tables/") : -len(".parquet")] for path in audit.findings if path.startswith("tables/"))
    needed = [f"tables/{name}.parquet" for name in {*names, CLAIMS}]
    needed += [f"figures/{name}.{kind}" for name in audit.blueprint.figures for kind in ("png", "svg", "csv")]
    for path in sorted([*needed, *examples]):
        if not (audit.study / path).is_file():
            raise ReciteError(f"{audit.study / path} does not exist; run the study, or bring its results there.")
    makings, modules = Makings(audit), audit.blueprint.tables
    figures = [_figure(audit, makings, name, entry) for name, entry in audit.blueprint.figures.items()]
    return render(
        FOLDER / "page.html.jinja",
        SCRIPTS,
        study=audit.study.name,
        digest=audit.digest,
        files=len(audit.findings),
        counts=_counts(audit),
        commits=_commits(audit),
        gallery=_gallery(audit, examples),
        claims=declared(modules[CLAIMS], CLAIMS).read(audit.study / f"tables/{CLAIMS}.parquet").to_pylist(),
        models=_models(audit),
        figures=figures,
        categories=list(dict.fromkeys(figure.entry["category"] for figure in figures)),
        tables=[list_table(audit.study, declared(modules[name], name)) for name in names if name in modules],
        makings=makings.all,
        width=WIDTH,
        height=HEIGHT,
    )


def _counts(audit: Audit) -> dict[str, int]:
    found = [finding.status for finding in audit.findings.values()]
    return {status: found.count(status) for status in STATUSES if status in found}


def _commits(audit: Audit) -> list[str]:
    records = [record for record in map(audit.record_of, audit.records) if record]
    return sorted({record["git"]["commit"] for record in records if "git" in record})


def _figure(audit: Audit, makings: Makings, name: str, entry: Mapping[str, Any]) -> Shown:
    path = f"figures/{name}.png"
    steps = lineage(audit, [path])
    drawn = layout(steps)
    status, rests_on = _standing(audit, [path])
    frame = read_numbers(audit.study / f"figures/{name}.csv")
    numbers = list_numbers(frame, name)
    return Shown(
        name=name,
        entry=entry,
        picture=base64.b64encode((audit.study / path).read_bytes()).decode(),
        alt=_alt(entry, numbers),
        size=_size(frame),
        files=[pack(audit.study / f"figures/{name}.{kind}") for kind in ("svg", "csv")],
        status=status,
        rests_on=rests_on,
        numbers=numbers,
        nodes=[
            Node(makings.place_of(step), x, y, ", ".join(_names(steps, step)))
            for step, (x, y) in zip(steps, drawn.places, strict=True)
        ],
        layout=drawn,
        making=makings.place_of(steps[-1]),
    )


def _models(audit: Audit) -> Models | None:
    """The models, where the study has a table of their rates."""
    path = f"tables/{RATES}.parquet"
    if path not in audit.findings:
        return None
    rates = declared(audit.blueprint.tables[RATES], RATES).read(audit.study / path).to_pandas()
    return list_models(audit.blueprint.models, rates)


def _gallery(audit: Audit, paths: Sequence[str]) -> Gallery | None:
    """The rows to read, where the study has any."""
    gallery = make_gallery([audit.study / path for path in paths], *_standing(audit, paths)) if paths else None
    return gallery if gallery and gallery.cards else None


def _standing(audit: Audit, paths: Sequence[str]) -> tuple[str, str]:
    """The worst status of what some files rest on, and in words of how many of them."""
    below = [finding.status for finding in audit.below(paths).values()]
    worst = max(below, key=STATUSES.index)
    bad = sum(status != "verified" for status in below)
    told = f"{bad:,} of {len(below):,} files" if bad else f"with all {len(below):,} files it rests on"
    return worst, told


def _names(steps: Sequence[Step], step: Step) -> list[str]:
    return [steps[place].rule or "source files" for place in step.inputs]


def _alt(entry: Mapping[str, Any], numbers: Listing) -> str:
    """What stands for the picture: its title, and where its content is told in words and numbers."""
    return (
        f"{entry['title']}. The caption says what is drawn; the {numbers.rows:,} rows drawn are in the table below it."
    )


def _size(frame: pd.DataFrame) -> str:
    """The numbers of rows and distinct texts behind a figure's points, where they have such; "" else."""
    parts = []
    for column, noun in (("n", "rows"), ("distinct", "distinct texts")):
        if column in frame and pd.api.types.is_numeric_dtype(frame[column]) and frame[column].notna().any():
            low, high = int(frame[column].min()), int(frame[column].max())
            parts.append(f"{low:,}{'' if low == high else f' to {high:,}'} {noun}")
    return f"n = {', '.join(parts)}" if parts else ""
