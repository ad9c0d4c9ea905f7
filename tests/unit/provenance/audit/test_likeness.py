"""recite.provenance.audit.likeness: what is the same to who looks at it, however it was saved, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image, PngImagePlugin

from recite.provenance.audit.likeness import shown
from recite.report import style


@pytest.fixture(scope="module")
def figure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A figure as the study draws it, its path without a suffix."""
    path = tmp_path_factory.mktemp("figure") / "scaling"
    with style.style():
        picture, axes = plt.subplots()
        axes.plot([0, 1], label="naïve")
        axes.legend()
        for suffix in (".png", ".svg"):
            style.save(picture, path.with_suffix(suffix), suffix, '{"study": "mini"}')
    pd.DataFrame({"model": ["a", 'b "quoted", b'], "rate": [0.1, 2e-9]}).to_csv(path.with_suffix(".csv"), index=False)
    return path


def repacked(picture: Image.Image, path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", "another")
    picture.save(path, pnginfo=info, optimize=True, dpi=(72, 72))


PICTURES: dict[str, tuple[str, Callable[[Image.Image, Path], None]]] = {
    "without metadata": ("a.png", lambda picture, path: picture.save(path)),
    "other metadata": ("a.PNG", repacked),
    "without transparency": ("a.png", lambda picture, path: picture.convert("RGB").save(path)),
    "as TIFF": ("a.tiff", lambda picture, path: picture.save(path, compression="tiff_lzw")),
    "as WebP": ("a.webp", lambda picture, path: picture.save(path, lossless=True)),
    "as BMP": ("a.bmp", lambda picture, path: picture.convert("RGB").save(path)),
    "another suffix": ("a.dat", lambda picture, path: picture.save(path, "PNG")),
}


@pytest.mark.parametrize("case", PICTURES)
def test_pictures_saved_anew(figure: Path, tmp_path: Path, case: str) -> None:
    """Prevents a figure from being unknown for what a mail program or a viewer made of its file."""
    name, save = PICTURES[case]
    with Image.open(figure.with_suffix(".png")) as picture:
        save(picture, tmp_path / name)
    assert (tmp_path / name).read_bytes() != figure.with_suffix(".png").read_bytes()
    assert shown(tmp_path / name) == shown(figure.with_suffix(".png")) is not None


OTHERS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "one pixel": lambda picture: Image.fromarray(
        np.asarray(picture) ^ np.eye(*picture.size[::-1], dtype=np.uint8)[..., None]
    ),
    "another size": lambda picture: picture.resize((picture.width * 2, picture.height * 2)),
    "cropped": lambda picture: picture.crop((0, 0, picture.width - 1, picture.height)),
    "turned": lambda picture: picture.rotate(180),
    "grey": lambda picture: picture.convert("L"),
    "transparent": lambda picture: Image.merge(
        "RGBA", (*picture.convert("RGB").split(), Image.new("L", picture.size, 9))
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_pictures(figure: Path, tmp_path: Path, case: str) -> None:
    """Prevents a picture that was changed from passing for the figure."""
    with Image.open(figure.with_suffix(".png")) as picture:
        OTHERS[case](picture).save(tmp_path / "a.png")
    assert shown(tmp_path / "a.png") not in (None, shown(figure.with_suffix(".png")))


def test_a_picture_that_moves_is_none(figure: Path, tmp_path: Path) -> None:
    """Prevents a second frame, which is another picture, from being overlooked."""
    with Image.open(figure.with_suffix(".png")) as picture:
        picture.save(tmp_path / "a.png", save_all=True, append_images=[picture.rotate(180)])
    assert shown(tmp_path / "a.png") is None


DRAWINGS: dict[str, tuple[Callable[[str], str], bool]] = {
    "without metadata": (lambda text: text[: text.index("<metadata>")] + text[text.index("</metadata>") + 11 :], True),
    "line ends": (lambda text: text.replace("\n", "\r\n"), True),
    "indentation and a comment": (lambda text: text.replace("<g ", "<!-- a -->\n      <g "), True),
    "quotes": (lambda text: text.replace('version="1.1"', "version='1.1'"), True),
    "prefixes": (lambda text: text.replace("xlink", "link"), True),
    "empty elements": (lambda text: text.replace("/>", " />"), True),
    "a colour": (lambda text: text.replace("stroke:", "stroke: red; fill:", 1), False),
    "a style sheet": (lambda text: text.replace("<svg", '<?xml-stylesheet href="a.css"?><svg', 1), False),
    "an element more": (lambda text: text.replace("</svg>", '<rect width="9" height="9"/></svg>'), False),
    "a foreign element": (
        lambda text: text.replace("</svg>", '<style xmlns="http://www.w3.org/1999/xhtml"/></svg>'),
        False,
    ),
    "an element in its metadata's place": (lambda text: text.replace("</metadata>", "</metadata>words"), False),
}


@pytest.mark.parametrize("case", DRAWINGS)
def test_drawings_saved_anew(figure: Path, tmp_path: Path, case: str) -> None:
    """Prevents an SVG from being unknown for its line ends, or taken for one that shows something else."""
    change, is_same = DRAWINGS[case]
    text = figure.with_suffix(".svg").read_text()
    (tmp_path / "a.svg").write_bytes(change(text).encode())
    assert change(text) != text
    assert (shown(tmp_path / "a.svg") == shown(figure.with_suffix(".svg"))) is is_same


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        (lambda text: text.replace("\n", "\r\n"), True),
        (lambda text: "\ufeff" + text, True),
        (lambda text: text.rstrip("\n"), True),
        (lambda text: text.replace("a,", '"a",'), True),
        (lambda text: text.replace("0.1", "0.2"), False),
        (lambda text: text.replace("0.1", "0.10"), False),
        (lambda text: text + "c,1\n", False),
        (lambda text: text.replace(",", ";"), False),
    ],
)
def test_tables_saved_anew(figure: Path, tmp_path: Path, change: Callable[[str], str], is_same: bool) -> None:
    """Prevents a table from being unknown for its line ends, or taken for one of other numbers."""
    text = figure.with_suffix(".csv").read_text()
    (tmp_path / "a.csv").write_bytes(change(text).encode())
    assert (shown(tmp_path / "a.csv") == shown(figure.with_suffix(".csv"))) is is_same


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"\xff\xfe\x00",
        b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR",
        b'a,"b',
    ],
)
def test_files_that_show_nothing(tmp_path: Path, content: bytes) -> None:
    """Prevents two files that cannot be read from being alike."""
    (tmp_path / "a").write_bytes(content)
    assert shown(tmp_path / "a") is None


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    """Prevents a file of a kilobyte from filling the memory; its text is taken as it stands."""
    start = '<!DOCTYPE svg [<!ENTITY a "aa">]><svg xmlns="http://www.w3.org/2000/svg">'
    for name, inner in (("a", "&a;"), ("b", "aa")):
        (tmp_path / name).write_text(f"{start}{inner}</svg>")
    assert shown(tmp_path / "a") != shown(tmp_path / "b")
