"""Weights, tokenizers and corpora that lie on this machine, or are fetched from the hub by pinned revision.

Nothing is fetched unless the study says `fetch: true`. A folder is fetched beside its place and renamed when it is
whole.
"""

from collections.abc import Mapping, Sequence
from glob import escape
from pathlib import Path
from shutil import rmtree
from typing import Any

from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from recite.errors import ReciteError
from recite.sources.patterns import matching, plain_patterns
from recite.sources.pointers import refuse_pointer

WEIGHTS = ["*.safetensors"]
BESIDE_WEIGHTS = ["*.json", "tokenizer.model"]
SUBFOLDERS = ["*/*"]
"""Other forms of the same model; what is run lies at the top of its repository."""
NOTES = ".cache"
"""Folder in which the hub's library notes what is done, to go on from there."""
REFUSED = (401, 403)
"""HTTP status of what is there, but not for everyone."""


def model_folder(options: Mapping[str, Any]) -> Path:
    """Folder or GGUF file of a registered checkpoint; `options` are its entry, model and fetch."""
    path, what = Path(options["path"]), f"model {options['model']}"
    if path.suffix == ".gguf" and not path.exists():
        raise ReciteError(f"{what} is not there: {path} does not exist; put it there, GGUF files are not fetched.")
    return _present(path, what, options, "model", WEIGHTS, BESIDE_WEIGHTS, SUBFOLDERS)


def corpus_folder(options: Mapping[str, Any]) -> Path:
    """Folder of a corpus; `options` are its files entry with corpus and fetch."""
    what = f"corpus {options['corpus']}"
    return _present(Path(options["folder"]), what, options, "dataset", options["patterns"])


def tokenizer_file(options: Mapping[str, Any]) -> Path:
    """The tokenizer's file of a registered checkpoint; fetched by itself where the checkpoint is not there."""
    folder = Path(options["path"])
    file = (folder.parent if folder.suffix == ".gguf" else folder) / options["tokenizer"]
    if file.is_file():
        refuse_pointer(file)
        return file
    what = f"the tokenizer of model {options['model']}"
    if folder.exists() or Path(options["tokenizer"]).is_absolute():
        raise ReciteError(f"{what} is not there: {file} does not exist; name it by `tokenizer` in the models file.")
    _fetchable(file, what, options)
    try:
        return Path(hf_hub_download(options["hub"], options["tokenizer"], revision=options["revision"]))
    except Exception as error:
        raise ReciteError(_failed(what, options, error)) from None


def _present(
    path: Path,
    what: str,
    options: Mapping[str, Any],
    kind: str,
    needed: Sequence[str],
    wanted: Sequence[str] = (),
    ignored: Sequence[str] = (),
) -> Path:
    """`path` where it exists; else fetch what matches a pattern, of which each of `needed` must match a file."""
    if path.exists():
        return path
    _fetchable(path, what, options)
    partial = path.with_name(f".{path.name}.{options['revision'][:12]}.partial")
    try:
        snapshot_download(
            options["hub"],
            repo_type=kind,
            revision=options["revision"],
            local_dir=partial,
            allow_patterns=[
                one for pattern in (*needed, *wanted) for one in (*plain_patterns(pattern), escape(pattern))
            ],
            ignore_patterns=list(ignored),
        )
    except Exception as error:
        raise ReciteError(_failed(what, options, error)) from None
    names = [file.relative_to(partial).as_posix() for file in partial.rglob("*") if file.is_file()]
    fetched = [name for name in names if not name.startswith(f"{NOTES}/")]
    for pattern in needed:
        if not matching(fetched, pattern):
            raise ReciteError(
                f"{what} cannot be fetched: {options['hub']} at {options['revision']} has no file that matches "
                f"{pattern!r}; put the files at {path} by hand, converted where they are of another format."
            )
    partial.rename(path)
    rmtree(path / NOTES, ignore_errors=True)
    return path


def _fetchable(path: Path, what: str, options: Mapping[str, Any]) -> None:
    if not options["fetch"]:
        raise ReciteError(
            f"{what} is not there: {path} does not exist; put it there, or set `fetch: true` in the study."
        )
    if "hub" not in options or "revision" not in options:
        raise ReciteError(
            f"{what} is not at {path} and cannot be fetched: its entry does not pin `hub` and `revision`, "
            "the commit's 40 hexadecimal digits."
        )


def _failed(what: str, options: Mapping[str, Any], error: Exception) -> str:
    place = f"{options['hub']} at {options['revision']}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    reason = " ".join(lines[:2]).rstrip(".")
    if isinstance(error, HfHubHTTPError) and error.response.status_code in REFUSED:
        remedy = "it is gated, private or not there: accept its terms on the hub and log in, or correct `hub`"
    else:
        remedy = "run again to go on where it stopped, or put it in its place by hand"
    return f"{what} ({place}) could not be fetched ({reason}); {remedy}."
