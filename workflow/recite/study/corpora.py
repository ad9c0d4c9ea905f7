"""Corpora as the stages see them: entries in their short forms, written out.

A folder of texts and a data set become a `files` entry, as files of documents have it, with what is read otherwise as
`whole` or `dataset`; domains and classes that are not given are filled in.
"""

import re
from collections.abc import Mapping
from typing import Any

from recite.errors import ReciteError

TEXTS = ("*.txt", "*.md", "*.py")
"""Files that are texts where an entry gives no patterns."""
ALONE = "^()"
"""Finds one label, which is empty, in every name."""
FIRST_LEVEL = "^([^/]*)"
"""Finds the first folder in a name; of a file outside folders the name, which is no domain."""
OPENED = ("config", "split", "streaming", "builder")
"""Keys of a `dataset` entry that say how the library opens it, and with which builder."""
BUILDER_OPTIONS = {"delimiter": "sep", "sample_by": "sample_by"}


def completed(corpora: dict[str, Any], corpora_file: str) -> dict[str, Any]:
    """The corpora with all that their entries leave out; ReciteError for one that lies in two places."""
    for name, entry in corpora.items():
        given = [key for key in ("build", "files", "texts", "dataset") if key in entry]
        if len(given) != 1:
            raise ReciteError(
                f"{corpora_file}: {name} must say how it is made (build) or where it lies (files, texts or dataset), "
                "one of them."
            )
        if "build" not in entry:
            entry.setdefault("domains", {re.sub("[^a-z0-9_]", "_", name.lower()): "free_text"})
        domains = entry.setdefault("domains", {})
        if "classes" not in entry:
            entry["classes"] = {domain: "planted" if kind == "planted" else "other" for domain, kind in domains.items()}
        if "texts" in entry:
            entry["files"] = _of_texts(entry["texts"], domains)
        elif "dataset" in entry:
            entry["files"] = _of_dataset(entry["dataset"], f"{corpora_file}: {name}.dataset")
        if "files" in entry:
            entry["files"] |= _lone(entry["files"], domains)
            if "labels" in entry["files"]:  # YAML's keys may be numbers
                entry["files"]["labels"] = {str(label): domain for label, domain in entry["files"]["labels"].items()}
    return corpora


def _lone(files: Mapping[str, Any], domains: Mapping[str, str]) -> dict[str, Any]:
    """Of a corpus with one domain, and no word on labels, every document is of it."""
    if len(domains) > 1 or files.keys() & {"domain", "path", "labels"}:
        return {}
    return {"path": ALONE, "labels": dict.fromkeys([""], next(iter(domains)))}


def _of_texts(texts: Any, domains: Mapping[str, str]) -> dict[str, Any]:
    files: dict[str, Any] = {"patterns": [*TEXTS], "groups": 1, "text": "text"}
    files |= {"folder": texts} if isinstance(texts, str) else texts
    if len(domains) > 1:
        files.setdefault("path", FIRST_LEVEL)
    return files | {"whole": True}


def _of_dataset(dataset: Mapping[str, Any], place: str) -> dict[str, Any]:
    if dataset["streaming"] and not {"name", "revision"} <= dataset.keys():
        raise ReciteError(f"{place}: what is read from the hub (streaming) needs `name` and `revision`; add them.")
    if "delimiter" in dataset and dataset.get("builder") != "csv":
        raise ReciteError(f"{place}: only builder csv has a delimiter; add `builder: csv`, or drop it.")
    if "sample_by" in dataset and dataset.get("builder") != "text":
        raise ReciteError(f"{place}: only builder text has sample_by; add `builder: text`, or drop it.")
    opened = {"config": None} | {key: dataset[key] for key in OPENED if key in dataset}
    options = {name: dataset[key] for key, name in BUILDER_OPTIONS.items() if key in dataset}
    files = {key: value for key, value in dataset.items() if key not in (*OPENED, *BUILDER_OPTIONS, "name")}
    if "name" in dataset:
        files["hub"] = dataset["name"]
    return files | {"dataset": opened | {"options": options}}
