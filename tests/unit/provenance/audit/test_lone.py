"""recite.provenance.audit.lone: what a figure's file says of itself, and nothing taken for it that says nothing."""

from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from PIL import Image

from recite.comparison.domains.tables import PROFILES
from recite.errors import ReciteError
from recite.files import canonical_json, sha256_file
from recite.provenance.audit.lone import read_origin, what_it_needs
from recite.report import style
from recite.report.drawing import draw

TABLES = {"tables": {"rates": "ab" * 32}}
ORIGIN = {"study": "mini", "figure": "scaling", "code": "cd" * 32, **TABLES}


@pytest.fixture
def figure(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A figure that says where it comes from, as .png or .svg."""
    path = tmp_path / f"scaling.{request.param}"
    with style.style():
        picture, axes = plt.subplots()
        axes.plot([0, 1])
        style.save(picture, path, path.suffix, canonical_json(ORIGIN))
    return path


@pytest.mark.parametrize("figure", ["png", "svg"], indirect=True)
def test_a_figure_says_where_it_comes_from(figure: Path) -> None:
    """Prevents a mailed figure from being a picture of nobody knows what."""
    assert read_origin(figure) == ORIGIN
    said = what_it_needs(figure)
    assert "figure scaling of study mini" in said and f"tables/rates.parquet  sha256 {'ab' * 32}" in said
    assert sha256_file(figure) in said


def test_other_programs_read_it_too(tmp_path: Path) -> None:
    """Prevents a chunk that only our own reader finds."""
    with style.style():
        style.save(plt.figure(), tmp_path / "a.png", ".png", canonical_json(ORIGIN))
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.text["Description"] == canonical_json(ORIGIN)


def test_a_drawn_figure_names_its_tables(tmp_path: Path) -> None:
    """Prevents digests of something else than the tables that were drawn."""
    path, stage = tmp_path / "profiles.parquet", "recite.comparison.domains"
    PROFILES.write(path, {name: [] for name in PROFILES.names}, {})
    options = {"study": "mini", "figure": "profiles", "title": "Profiles", "module": f"{stage}.figures.profiles"}
    outputs = {kind: tmp_path / f"profiles.{kind}" for kind in ("png", "svg")}
    draw(options | {"tables": {"profiles": f"{stage}.tables"}}, [path], outputs, code="ef")
    expected = {"study": "mini", "figure": "profiles", "code": "ef", "tables": {"profiles": sha256_file(path)}}
    assert [read_origin(path) for path in outputs.values()] == [expected, expected]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", b""),
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"),
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\x13tEXtDescription\0words?\0\0\0\0"),
        ("a.svg", b"<svg"),
        ("a.svg", b'<!DOCTYPE x [<!ENTITY a "aa">]><svg>&a;</svg>'),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><g/></svg>"),
        ("a.csv", b"x\n1\n"),
    ],
)
def test_files_that_say_nothing(tmp_path: Path, name: str, content: bytes) -> None:
    """Prevents a traceback, or a hang, on a file that is no figure of a study."""
    (tmp_path / name).write_bytes(content)
    assert read_origin(tmp_path / name) is None
    with pytest.raises(ReciteError, match="does not say what it was drawn from"):
        what_it_needs(tmp_path / name)
