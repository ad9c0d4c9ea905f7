"""README and documentation build without a warning, and their commands run on what `make demo` made."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from checkouts import REPOSITORY
from recite.corpora.tables.samples import SAMPLES

PAGES = (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md")))
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.M | re.S)
ELSEWHERE = {"needs a cluster", "needs weights", "takes long", "needs the three files", "needs another study"}
"""Marks of commands that are not run here, nor are those of make: `.ci/run` calls them."""
SAMPLE = "results/mini/samples/pythia/code-0000.parquet"
PICTURE = "results/mini/figures/scaling.png"


def blocks(page: Path) -> list[tuple[str, str]]:
    """Mark and lines of each block of commands."""
    found = []
    for info, lines in FENCE.findall(page.read_text()):
        if info.split(" ")[0] == "sh":
            mark = re.fullmatch(r'sh(?: title="([^"]+)")?', info)
            assert mark, f"{page}: {info}"
            found.append((mark[1] or "", lines))
    return found


def commands() -> list[str]:
    """Every command that must run here, once."""
    lines = (line for page in PAGES for mark, text in blocks(page) if not mark for line in text.splitlines())
    found = (line.split(" #")[0].strip() for line in lines)
    return [*dict.fromkeys(line for line in found if line and not line.startswith(("#", "make ")))]


def test_every_block_says_where_it_runs() -> None:
    """A block that looks like commands and is not marked `sh` would never be tried."""
    marks = {mark for page in PAGES for mark, _ in blocks(page) if mark}
    assert marks <= ELSEWHERE
    for page in PAGES:
        for info, text in FENCE.findall(page.read_text()):
            looks = re.search(r"^(make|\.venv/bin/|snakemake|recite) ?", text, re.M)
            assert not looks or info.startswith(("sh", "text")), f"{page}: {text}"


@pytest.mark.parametrize("command", commands())
def test_command(command: str) -> None:
    if not (REPOSITORY / "results/mini/summary.md").exists():
        if os.environ.get("RECITE_NO_SKIP"):
            pytest.fail("the mini study has not been run")
        pytest.skip("the mini study has not been run (make demo)")
    row = str(SAMPLES.read(REPOSITORY / SAMPLE, ["row_id"])["row_id"][0].as_py())
    words = [{"ID": row, "FILE.png": PICTURE}.get(word, word) for word in shlex.split(command)]
    run = subprocess.run(words, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode == 0, run.stdout


def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Broken links and anchors, keys that MkDocs does not know, docstrings that cannot be read."""
    arguments = ["-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    run = subprocess.run([sys.executable, *arguments], cwd=REPOSITORY, env=environment, **output)
    assert run.returncode == 0, run.stdout
    page = (tmp_path / "site/reference/config.html").read_text()
    assert "near_verbatim" in page and "tolerances" in page
    assert 'src="http' not in (tmp_path / "site/index.html").read_text()
