"""Samples: from documents, found in files or made here, to the rows that are measured."""

from typing import Any

from recite.planning import costs
from recite.planning.planner import Planner, short
from recite.stages.inputs import shard_files, tokenizer
from recite.study.declaration import ONCE, READY, Cost, Files, Rule, Stage, Wildcards
from recite.study.study import Study

FOLDER = "data/corpora"
"""Where the files of a corpus lie unless its entry says otherwise."""
LAYOUT_KEYS = ("text", "id", "domain", "path", "labels", "removed")
"""Keys of a corpus's `files` entry that say how its documents are read."""
BUILT_FILES = {"text": "text", "id": "id", "domain": "domain"}
"""How the documents of a corpus that is made here are read."""
CANDIDATE_BYTES, SAMPLE_BYTES = 360, 270
SCAN_SECONDS = 7.5e-6
"""Seconds on one core to read such a candidate with a filter."""
SAMPLING_SECONDS = 5.4e-4
"""Seconds on one core to draw a row: 15,000 rows, a byte-level BPE of 16,000 tokens."""


def groups(study: Study, corpus: str) -> list[str]:
    """What the jobs are called that read the files of a corpus."""
    return [f"{group:03d}" for group in range(study.corpora[corpus].get("files", {}).get("groups", 1))]


def group_jobs(study: Study) -> list[Wildcards]:
    """A job for every group of files of every corpus."""
    return [{"corpus": corpus, "group": group} for corpus in study.domains for group in groups(study, corpus)]


def layout(study: Study, corpus: str) -> dict[str, Any]:
    """How the documents of a corpus are read, whatever their labels."""
    files = study.corpora[corpus].get("files", BUILT_FILES)
    return {key: value for key, value in files.items() if key in LAYOUT_KEYS}


def built(study: Study) -> dict[str, Any]:
    """Name and `build` entry of the corpus that is made here, and whether all of a document may be sampled."""
    corpus = study.config["training"]["corpus"]
    whole = {"whole": True} if study.config["sampling"]["window"] == "offset" else {}
    return {"name": corpus, **study.corpora[corpus]["build"], **whole}


def built_files(study: Study) -> dict[str, str]:
    """Name -> documents to train on of a corpus that is made here: its domains', and planted texts' further copies."""
    return {name: _built_file(name) for name in [*built(study)["sources"], "control", "repeats"]}


def unseen_files(study: Study) -> dict[str, str]:
    """Name -> documents of a corpus that is made here that are sampled, but neither trained on nor counted in."""
    return {"unseen": _built_file("unseen")}


def _built_file(name: str) -> str:
    return f"corpus/documents/{name}.jsonl.zst"


def documents(study: Study, corpus: str) -> list[str]:
    """The files to sample of a corpus that is made here, or the inventory of one that lies elsewhere."""
    if study.trains:
        files = built_files(study)
        return [*(files[domain] for domain in study.corpora[corpus]["domains"]), *unseen_files(study).values()]
    return [study.file("inventory", "inventory", {"corpus": corpus})]


def training_documents(study: Study, corpus: str) -> list[str]:
    """The files of what the corpus's models are trained on, of whatever domain, sampled or not."""
    return [*built_files(study).values()] if study.trains else documents(study, corpus)


def _inventory_options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    corpus = wildcards["corpus"]
    files = {"folder": f"{FOLDER}/{corpus}", **study.corpora[corpus]["files"]}
    kept = ("folder", "patterns", "without", "groups", "hub", "revision", "dataset", "whole")
    return {"corpus": corpus, **{key: files[key] for key in kept if key in files}}


def most(study: Study, rows: int) -> int:
    """Documents of a domain that are candidates for a sample of `rows`."""
    return int(-(-int(rows * study.config["sampling"]["candidates_per_row"] * 100) // 100) + 1)


def _most(study: Study) -> int:
    return most(study, study.config["sampling"]["rows_per_domain"])


def candidates_options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    """What decides the candidates of a corpus; not which of its domains are sampled."""
    sampling, corpus = study.config["sampling"], wildcards["corpus"]
    tokens = sampling["context_tokens"] + sampling["continuation_tokens"]
    labels = {domain: domain for domain in study.corpora[corpus]["domains"]}
    return {
        "draw": {
            "seed": study.seed,
            "corpus": corpus,
            "most": _most(study),
            "excerpt": sampling["characters_per_token"] * tokens,
            "place": sampling["window"],
        },
        "layout": {"labels": labels} | layout(study, corpus),
    }


def candidates_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    study, corpus, cores = planner.study, wildcards["corpus"], planner.reading_cores()
    share = planner.text_bytes(corpus) / len(groups(study, corpus))
    seconds = costs.START_SECONDS + share / (planner.machine.read_mbs * 1e6 * cores)
    domains = len(study.corpora[corpus]["domains"])
    written = int(min(domains * _most(study) * CANDIDATE_BYTES, share))
    return Cost(seconds, cores=cores, written=written, held=written // domains)


def _sampling_jobs(study: Study) -> list[Wildcards]:
    return [
        {"family": family, "domain": domain}
        for family, model in study.families.items()
        for domain in study.domains[model.corpus]
    ]


def _sampling_inputs(study: Study, wildcards: Wildcards) -> Files:
    family = wildcards["family"]
    return {
        "candidates": study.files("candidates", "candidates", corpus=study.families[family].corpus),
        "tokenizer": tokenizer(study, family),
    }


def _sampling_options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    sampling = study.config["sampling"]
    kept = ("context_tokens", "continuation_tokens", "rows_per_domain", "shard_rows")
    corpus = study.families[wildcards["family"]].corpus
    return {"corpus": corpus, "domain": wildcards["domain"], **{key: sampling[key] for key in kept}}


def _sampling_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    study, rows = planner.study, planner.study.config["sampling"]["rows_per_domain"]
    corpus = study.families[wildcards["family"]].corpus
    number = len(groups(study, corpus))
    seconds = costs.START_SECONDS + number * _most(study) * SCAN_SECONDS + rows * SAMPLING_SECONDS
    group = candidates_cost(planner, {"corpus": corpus})
    return Cost(seconds, written=rows * SAMPLE_BYTES, held=number * (group.held or 0))


def _samples(study: Study, wildcards: Wildcards) -> Files:
    return {READY: [file for family in study.families for file in shard_files(study, family, study.shards(family))]}


RULES = (
    Rule(
        "corpus",
        run="recite.stages.sampling.jobs:make_corpus",
        jobs=lambda study: ONCE if study.trains else (),
        outputs=lambda study: {
            **built_files(study),
            **unseen_files(study),
            "controls": "corpus/controls.parquet",
            "manifest": "corpus/manifest.json",
        },
        options=lambda study, wildcards: built(study),
        cost=short,
    ),
    Rule(
        "inventory",
        place="{corpus}",
        run="recite.corpora.inventory:take_inventory",
        jobs=lambda study: () if study.trains else [{"corpus": corpus} for corpus in study.domains],
        outputs={"inventory": "inventories/{corpus}.json"},
        options=_inventory_options,
        fetches=True,
        cost=short,
    ),
    Rule(
        "candidates",
        place="{corpus}/{group}",
        run="recite.stages.sampling.jobs:gather_candidates",
        jobs=group_jobs,
        inputs=lambda study, wildcards: {"documents": documents(study, wildcards["corpus"])},
        outputs={"candidates": "candidates/{corpus}/{group}.parquet"},
        options=candidates_options,
        cost=candidates_cost,
    ),
    Rule(
        "sampling",
        place="{family}/{domain}",
        run="recite.corpora.sampling:sample",
        jobs=_sampling_jobs,
        inputs=_sampling_inputs,
        outputs=lambda study: {
            "shards": [f"samples/{{family}}/{shard}.parquet" for shard in study.shards_of("{domain}")]
        },
        options=_sampling_options,
        cost=_sampling_cost,
    ),
    Rule(
        "samples",
        run="",
        inputs=_samples,
        outputs={"complete": "samples/complete"},
        cost=lambda planner, wildcards: Cost(costs.SUBMISSION_SECONDS),
        asked=False,
    ),
)

STAGE = Stage("recite.stages.sampling", RULES)
