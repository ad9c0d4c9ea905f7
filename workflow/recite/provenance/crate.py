"""Export: a study as a Workflow Run RO-Crate (https://w3id.org/ro/wfrun/workflow/0.5), checksums and lineage included.

In it are the figures, tables and summary, the records of all jobs, the audit, the code and the configs. What is large,
such as samples, scores and weights, is named by its digest in the audit and the records.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from recite.errors import ReciteError
from recite.files import atomic, sha256_file
from recite.provenance.audit.text import as_json
from recite.provenance.audit.verdicts import Audit, finished
from recite.provenance.records import FOLDER, portable
from recite.study.config import read_yaml

CODE = ("Snakefile", "LICENSE", "envs/recite.yaml", "scripts/*.py", "workflow/**/*")
SHOWN = ("figures/", "tables/", "summary.md")
TERMS = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
}
TYPES = {
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".csv": "text/csv",
    ".md": "text/markdown",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
    ".py": "text/x-python",
    ".yaml": "application/yaml",
}


def export(audit: Audit, configfile: Path, archive: Path) -> None:
    """Write the crate of an audited study as a zip file; ReciteError unless all of the study is verified."""
    if not audit.verified:
        raise ReciteError("not all of the study is verified, and only what is can be exported; ask recite audit.")
    with tempfile.TemporaryDirectory() as folder:
        crate = build(audit, configfile, Path(folder))
        with atomic(archive) as temporary:
            # The library gives every archive the ending .zip.
            crate.write_zip(temporary.with_suffix(".zip"))
            temporary.with_suffix(".zip").replace(temporary)


def build(audit: Audit, configfile: Path, folder: Path) -> ROCrate:
    """The crate; `folder` takes the files that are made for it."""
    crate = ROCrate(version="1.1")
    crate.metadata.extra_terms |= TERMS
    root, study = audit.blueprint.root, audit.study
    ends = [finished(record) for record in audit.records.values()]
    starts = sorted(record["started"] for record in audit.records.values())
    crate.name = f"Recite: study {study.name}"
    crate.description = (
        "What language models memorize of their training data: figures, tables, code, and the record of every job."
    )
    crate.license = "https://spdx.org/licenses/Apache-2.0"
    crate.datePublished = max(ends)
    for source in _code(root):
        if source != root / "Snakefile":
            _add(crate, source, source.relative_to(root).as_posix())
    workflow = crate.add_workflow(
        root / "Snakefile", "Snakefile", main=True, lang="snakemake", properties=_about(root / "Snakefile", "Snakefile")
    )
    configs = [_add(crate, source, name) for name, source in _configs(configfile, folder).items()]
    shown = [path for path in audit.findings if path.startswith(SHOWN)]
    results = {path: _add(crate, study / path, path) for path in shown}
    for source in sorted((study / FOLDER).rglob("*.json")):
        _add(crate, source, source.relative_to(study).as_posix())
    lineage = folder / "audit.json"
    lineage.write_text(json.dumps(as_json(audit), indent=1) + "\n")
    _add(crate, lineage, "audit.json", description=f"Every file with its status and inputs; digest {audit.digest}")
    run = {
        "@type": "CreateAction",
        "name": f"Run of study {study.name}",
        "startTime": starts[0],
        "endTime": max(ends).isoformat(timespec="milliseconds"),
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }
    action = crate.add(ContextEntity(crate, "#run", properties=run))
    action["instrument"], action["object"], action["result"] = workflow, configs, list(results.values())
    crate.root_dataset.append_to("mentions", action)
    _add_jobs(crate, audit, results)
    for profile, name in PROFILES.items():
        about = {"@type": "CreativeWork", "name": name, "version": "0.5"}
        crate.root_dataset.append_to("conformsTo", crate.add(ContextEntity(crate, profile, properties=about)))
    return crate


def _add_jobs(crate: ROCrate, audit: Audit, results: Mapping[str, Any]) -> None:
    """The jobs that made what is in the crate, each with the module that does it, inputs and outputs."""
    for name, record in sorted(audit.records.items()):
        made = [results[path] for path in record["outputs"] if path in results]
        if made:
            about = {
                "@type": "CreateAction",
                "name": f"{record['rule']} {' '.join(record['wildcards'].values())}".strip(),
                "startTime": record["started"],
                "endTime": finished(record).isoformat(timespec="milliseconds"),
                "description": json.dumps(record["parameters"], ensure_ascii=False, sort_keys=True),
            }
            action = crate.add(ContextEntity(crate, f"#job/{name}", properties=about))
            action["instrument"] = crate.dereference(_source(record["run"]))
            action["object"] = [results[path] for path in record["inputs"] if path in results]
            action["result"] = made
            crate.root_dataset.append_to("mentions", action)


def _source(run: str) -> str:
    """The file of a function, in the crate."""
    return f"workflow/{run.partition(':')[0].replace('.', '/')}.py"


def _add(crate: ROCrate, source: Path, name: str, **more: str) -> Any:
    return crate.add_file(source, name, properties=_about(source, name) | more)


def _about(source: Path, name: str) -> dict[str, Any]:
    about = {"name": name, "contentSize": str(source.stat().st_size), "sha256": sha256_file(source)}
    about |= {"encodingFormat": TYPES[source.suffix]} if source.suffix in TYPES else {}
    return about | ({"@type": ["File", "SoftwareSourceCode"]} if source.suffix == ".py" else {})


def _code(root: Path) -> Iterator[Path]:
    for pattern in CODE:
        for path in sorted(root.glob(pattern)):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def _configs(configfile: Path, folder: Path) -> dict[str, Path]:
    """Name in the crate -> config file, with absolute paths cut down to their names: they may hold a user's."""
    config = read_yaml(configfile)
    named = [Path(value) for key, value in config.items() if key.endswith("_file")]
    found: dict[str, Path] = {}
    for path in dict.fromkeys([configfile, *named, *sorted(Path("config").glob("*.yaml"))]):
        name = path.as_posix() if not path.is_absolute() and ".." not in path.parts else f"config/{path.name}"
        text = path.read_text()
        for value in _absolute(read_yaml(path)):
            text = text.replace(value, portable(value))
        found[name] = folder / name
        found[name].parent.mkdir(parents=True, exist_ok=True)
        found[name].write_text(text)
    return found


def _absolute(value: Any) -> set[str]:
    """All absolute paths among the values of a config."""
    if isinstance(value, dict):
        return set().union(*map(_absolute, value.values()))
    if isinstance(value, list):
        return set().union(*map(_absolute, value))
    return {value} if isinstance(value, str) and portable(value) != value else set()
