"""What a job ran in: Python, the pinned packages as they are installed, and the commit of the code."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

PINS = Path("envs", "recite.yaml")
PIN = re.compile(r"^ *- ([A-Za-z0-9][\w.-]*)==", re.MULTILINE)
INSTALLED = re.compile(r"(.+?)-([^-]+)\.dist-info")


def installed_versions(root: Path) -> dict[str, str]:
    """Version of Python and of every package that the checkout `root` pins, as they are in this process.

    Other packages are left out: what develops or tests a study does not make it. Names of folders are read and no
    package's metadata, as every job comes here.
    """
    pinned = {_normal(name) for name in PIN.findall((root / PINS).read_text())}
    versions: dict[str, str] = {}
    for place in sys.path:
        for folder in os.listdir(place) if os.path.isdir(place) else ():  # noqa: PTH112, PTH208
            found = INSTALLED.fullmatch(folder)
            if found and _normal(found[1]) in pinned:
                versions.setdefault(_normal(found[1]), found[2])
    return {"python": platform.python_version(), **dict(sorted(versions.items()))}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def git_state(root: Path) -> dict[str, Any] | None:
    """Commit of the checkout `root`, and whether tracked files differ from it; None where there is no git to ask."""
    command = ["git", "-C", str(root), "status", "--porcelain=v2", "--branch", "--untracked-files=no"]
    # Other jobs ask at the same time, so no lock is taken; a repository around the checkout is not its own.
    settings = {"GIT_OPTIONAL_LOCKS": "0", "GIT_CEILING_DIRECTORIES": str(root.resolve().parent)}
    try:
        run = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = run.stdout.splitlines()
    commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), "")
    if run.returncode or not re.fullmatch(r"[0-9a-f]{40,64}", commit):
        return None
    return {"commit": commit, "dirty": any(not line.startswith("#") for line in lines)}
