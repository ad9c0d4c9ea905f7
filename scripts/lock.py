"""Locks every version with its digests, for all platforms, from pyproject.toml: `make lock`.

Writes envs/torch.txt, envs/lock.txt (the rest of what a study needs), envs/cuda.txt (what torch's CUDA builds need
beside these), envs/dev.txt (what `make test` and `make check` need) and envs/recite.yaml (all for conda).
Versions that are locked stay, unless named: `make lock OPTIONS=torch` takes the newest torch. A path to a wheel allows
its digest beside those of the package index: torch's CPU builds lie on an index of their own.
"""

import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ENVS = Path(__file__).parents[1] / "envs"
CUDA = re.compile(r"(nvidia-|cuda-|triton)")
BLOCK = re.compile(
    r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^ ;]+)(?P<marker> ; [^\\\n]+?)? \\\n(?P<digests>(?: .*\n)+)", re.M
)
DIGEST = re.compile(r"--hash=(sha256:[0-9a-f]{64})")
EVERYWHERE = (
    " ; python_full_version < '3.14' and ((platform_machine == 'arm64' and sys_platform == 'darwin') or "
    "(platform_machine == 'aarch64' and sys_platform == 'linux') or "
    "(platform_machine == 'x86_64' and sys_platform == 'linux'))"
)
"""The marker that holds wherever Recite runs: of the environments that pyproject.toml names to uv."""
TOOLS = "3.11.5"
"""The lowest Python that the tools run on; a study runs on all of `requires-python`."""
HEADS = {
    "torch.txt": "torch: the package index's builds, and its CPU build for Linux on x86-64; written by `make lock`.",
    "lock.txt": "What a study needs beside torch, for every platform; written by `make lock` from pyproject.toml.",
    "cuda.txt": "What torch's CUDA builds need beside lock.txt; written by `make lock`.",
    "dev.txt": "What `make test`, `make check` and `make docs` need beside lock.txt; written by `make lock`.",
    "recite.yaml": "For `snakemake --sdm conda`: the versions of torch.txt and lock.txt; written by `make lock`.",
}

Locked = dict[str, tuple[str, list[str]]]
"""Package -> `name==version ; marker` and its digests."""


def parsed(text: str) -> Locked:
    """What a lock file says."""
    found: Locked = {}
    for block in BLOCK.finditer(text):
        marker = "" if block["marker"] in (None, EVERYWHERE) else block["marker"]
        found[block["name"]] = f"{block['name']}=={block['version']}{marker}", DIGEST.findall(block["digests"])
    return found


def read(name: str) -> Locked:
    """A lock file of envs/, if it is there."""
    return parsed((ENVS / name).read_text()) if (ENVS / name).exists() else {}


def resolved(pins: Locked, *options: str) -> Locked:
    """The versions that uv finds for all platforms, where those of `pins` are given."""
    command = ["uv", "pip", "compile", "-q", "--universal", "--generate-hashes", "--no-annotate"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as given:
        given.write("".join(f"{line}\n" for line, _ in pins.values()))
        given.flush()
        run = subprocess.run(
            [*command, "--no-header", "-c", given.name, *options], check=True, stdout=subprocess.PIPE, text=True
        )
    return parsed(run.stdout)


def with_digests(locked: Locked, before: Locked, wheels: list[Path]) -> Locked:
    """With the digests of `wheels`, and those that a version that stays was allowed before."""
    found = {}
    for name, (line, digests) in locked.items():
        kept = before[name][1] if name in before and before[name][0] == line else []
        start = f"{line.partition(' ')[0].replace('==', '-')}"
        own = [
            f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in wheels if path.name.startswith(start)
        ]
        found[name] = line, sorted({*digests, *kept, *own})
    return found


def text_of(locked: Locked) -> str:
    """A lock file as pip reads it."""
    return "".join(
        " \\\n    ".join([line, *(f"--hash={digest}" for digest in digests)]) + "\n"
        for _, (line, digests) in sorted(locked.items())
    )


def conda_of(locked: Locked) -> str:
    """The environment file of conda."""
    lines = [
        "name: recite",
        "channels: [conda-forge, nodefaults]",
        "dependencies:",
        "  - python=3.11",
        "  - pip",
        "  - pip:",
    ]
    return "\n".join([*lines, *(f"      - {line}" for _, (line, _) in sorted(locked.items()))]) + "\n"


def main(arguments: list[str]) -> None:
    wheels, newer = [Path(argument) for argument in arguments if argument.endswith(".whl")], {*arguments}
    before = {name: found for file in ("torch", "lock", "cuda", "dev") for name, found in read(f"{file}.txt").items()}
    pins = {name: found for name, found in before.items() if name not in newer}
    project = str(ENVS.parent / "pyproject.toml")
    needed = with_digests(resolved(pins, project), before, wheels)
    tools = resolved(pins | needed, "--group", f"{project}:dev", "--python-version", TOOLS)
    parts: dict[str, Locked] = {"torch.txt": {}, "lock.txt": {}, "cuda.txt": {}}
    for name, found in needed.items():
        parts["torch.txt" if name == "torch" else "cuda.txt" if CUDA.match(name) else "lock.txt"][name] = found
    parts["dev.txt"] = {name: found for name, found in tools.items() if name not in needed}
    texts = {name: text_of(part) for name, part in parts.items()}
    texts["recite.yaml"] = conda_of(parts["lock.txt"] | parts["torch.txt"])
    for name, text in texts.items():
        (ENVS / name).write_text(f"# {HEADS[name]}\n{text}")


if __name__ == "__main__":
    main(sys.argv[1:])
