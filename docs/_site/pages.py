"""Pages of the documentation that are made from what stands elsewhere; a hook of MkDocs.

README, CONTRIBUTING and CHANGELOG are pages and not written twice. The reference of the config comes from the schemas,
that of the commands from the command line, that of the library from its docstrings, the gallery from the declarations
of the figures and, where the demo has run, its pictures.
"""

import importlib
import posixpath
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import typer
from jsonschema2md import Parser
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer.cli import get_docs_for_click

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "workflow"))

from recite import cli  # noqa: E402
from recite.catalogue import STAGES  # noqa: E402
from recite.study.config import SCHEMAS, read_yaml  # noqa: E402
from recite.study.declaration import Stage  # noqa: E402
from recite.study.study import load_study  # noqa: E402
from recite.tables import Table  # noqa: E402

COPIED = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files of the root -> pages."""
FIGURE = re.compile(r"<!-- figure: (\w+) -->")
"""Stands where a page shows a figure of the demo."""
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]*)(#[^)\s]*)?\)")
ELSEWHERE = {
    "../config/README.md": "reference/config.md",
    "config/README.md": "reference/config.md",
    "../README.md": "index.md",
}
"""Files that the site has in another form."""
PICTURES = ROOT / "results/mini/figures"
CONFIG = ROOT / "config/mini.yaml"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, and the pictures of the gallery, to those that lie in docs/."""
    pages = {page: at_the_root((ROOT / name).read_text(), page) for name, page in COPIED.items()}
    pages |= {"gallery.md": gallery(), "reference/config.md": keys(), "reference/commands.md": commands()}
    pages |= {"reference/library.md": library(), "reference/results.md": results()}
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    for picture in sorted(PICTURES.glob("*.png")):
        files.append(File.generated(config, f"gallery/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: object, config: MkDocsConfig, files: Files) -> str:
    """Links from docs/ to files beside it become their names: a site holds no sources."""

    def lead(link: re.Match[str]) -> str:
        if link[3] in ELSEWHERE:
            return f"[{link[2]}]({ELSEWHERE[link[3]]})"
        return f"{link[2]} (`{link[3].lstrip('./')}`)" if link[3].startswith("../") else link[0]

    return FIGURE.sub(picture, LINK.sub(lead, markdown))


def picture(mark: re.Match[str]) -> str:
    """A figure of the demo in the place of its mark, with a link to its caption; nothing where the demo has not run."""
    named = {name: figure.title for stage in STAGES for name, figure in stage.figures.items()}
    if not (PICTURES / f"{mark[1]}.png").is_file():
        return ""
    return f"[![{named[mark[1]]}](gallery/{mark[1]}.png)](gallery.md#{mark[1]})"


def at_the_root(text: str, page: str) -> str:
    """A text of the root as a page: links to pages lead there, those to other files become their names."""

    def lead(link: re.Match[str]) -> str:
        picture, words, target, place = link[1], link[2], link[3], link[4] or ""
        if not target or ":" in target:
            return link[0]
        if target in COPIED | ELSEWHERE:
            return f"[{words}]({(COPIED | ELSEWHERE)[target]}{place})"
        if target.startswith("docs/"):
            return f"{picture}[{words}]({posixpath.relpath(target, 'docs')}{place})"
        return f"`{target}`" if words == target or words.strip("`") == target else f"{words} (`{target}`)"

    return LINK.sub(lead, text)


def keys() -> str:
    """Every key of every config file, by the schemas that hold them."""
    text = "# Config\n\n" + "".join(f"- [{title(path)}](#{path.name.split('.')[0]})\n" for path in schemas())
    for path in schemas():
        schema = read_yaml(path)
        name = path.name.split(".")[0]
        if name == "study":
            sections = (stage for stage in STAGES if stage.section)
            folder = ROOT / "workflow"
            schema["properties"] |= {
                stage.section: read_yaml(folder.joinpath(*stage.package.split("."), "schema.yaml"))
                for stage in sections
            }
        lines = "".join(Parser(show_examples="object").parse_schema(schema)).split("## Properties", 1)[-1]
        lines = re.sub(r" \(\[Test\]\([^)]*\)\)", "", lines)
        lines = re.sub(r'<a id="[^"]*"></a>', "", lines)
        lines = re.sub(r"<(?!/?a\b)", "&lt;", lines)
        lines = re.sub(r"^( +)(?=- )", r"\1\1", lines, flags=re.M)  # four spaces a level, as this Markdown wants them
        text += f"\n## {title(path)} {{#{name}}}\n\n{lines}"
    return text


def schemas() -> list[Path]:
    return sorted(SCHEMAS.glob("*.schema.yaml"), key=lambda path: (path.name != "study.schema.yaml", path.name))


def title(path: Path) -> str:
    return str(read_yaml(path)["title"]).replace("<", "&lt;")


def results() -> str:
    """What lies in a study's folder: the rules with their files, and every table with its columns."""
    text = "# Results\n\nAll of a study lies in `results/<study>/`. Rules by stage, and the tables that they write.\n"
    for stage in STAGES:
        text += f"\n## {stage.name}\n\n"
        study = load_study(read_yaml(CONFIG), str(CONFIG), STAGES)
        for rule in stage.rules:
            files = rule.outputs_in(study).values()
            paths = [path for entry in files for path in ([entry] if isinstance(entry, str) else entry)]
            text += f"- rule `{rule.name}`: " + (", ".join(f"`{path}`" for path in paths) or "nothing") + "\n"
        for table in tables(stage):
            text += f"\n### Table `{table.name}`\n\n| column | type | unit | meaning |\n|---|---|---|---|\n"
            for column in table.columns:
                meaning = column.meaning.replace("|", "\\|").replace("<", "&lt;")
                text += f"| `{column.name}` | {column.type} | {column.unit} | {meaning} |\n"
    return text


def tables(stage: Stage) -> list[Table]:
    """The tables that a stage's own modules declare."""
    found = []
    for name in ("rows", "tables"):
        if (ROOT / "workflow").joinpath(*stage.package.split("."), f"{name}.py").exists():
            module = f"{stage.package}.{name}"
            values = vars(importlib.import_module(module)).values()
            found += [value for value in values if isinstance(value, Table) and value not in found]
    return found


def commands() -> str:
    """Every command with its options."""
    command = typer.main.get_command(cli.app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="recite")
    return text.replace("# `recite`", "# Commands", 1)


def library() -> str:
    """The modules of the library by rooms, with the docstrings of all that is public."""
    text = "# Library\n\nWhat a new measurement is written with. Stages and figures are not listed.\n"
    for name in public():
        text += f"\n::: {name}\n"
    return text


def public() -> Iterator[str]:
    """Modules that a new measurement, reader or architecture is written with."""
    for room in ("engine", "outcomes", "statistics", "tables", "corpora/readers", "study"):
        for path in sorted((ROOT / "workflow/recite" / room).glob("*.py")):
            if not path.stem.startswith("_"):
                yield ".".join(("recite", *room.split("/"), path.stem))


def gallery() -> str:
    """Every figure with its caption and, where the demo has run, its picture."""
    about = load_study(read_yaml(CONFIG), str(CONFIG), STAGES).about
    text = "# Gallery\n\nAll figures, as the mini study draws them (`make demo`, then `make docs`).\n"
    for stage in STAGES:
        for name, figure in stage.figures.items():
            text += f"\n## {figure.title} {{#{name}}}\n\n"
            if (PICTURES / f"{name}.png").is_file():
                text += f"![{figure.title}](gallery/{name}.png)\n\n"
            else:
                text += "*Not drawn by the study at hand.*\n\n"
            text += figure.caption.replace("{about}", about) + f"\n\nFigure `{name}`, tables "
            text += ", ".join(f"`{table}`" for table in figure.tables) + ".\n"
    return text
