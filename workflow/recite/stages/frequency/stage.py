"""Frequency: how often the sampled texts occur in the corpus, by which units, and memorization by frequency."""

from typing import Any

from recite.errors import ReciteError
from recite.planning import costs
from recite.planning.held import held
from recite.planning.planner import Planner
from recite.stages.inputs import scores_of, shard_files, tokenizer
from recite.stages.sampling.stage import groups, layout, training_documents
from recite.study.asked import Asked
from recite.study.checks import known
from recite.study.declaration import ONCE, Cost, Figure, Files, Rule, Stage, Wildcards
from recite.study.study import Study

SECTION = "frequency"
INDEX_FILES = ("tokenized.0", "offset.0", "table.0", "index.json")
INDEX_MEGABYTES = 120_000
"""For the suffixes of a share of a corpus that lies in files, sorted in pieces of this size."""
FREQUENCY_BYTES = 45
INDEX_SECONDS = 5e-7
"""Seconds on one core to sort a byte of a corpus with infini-gram, 50 MB at once."""
COUNT_SECONDS = 4e-4
"""Seconds to count a span in a local index (`make bench-frequency`)."""
INDEX_SIZE = 6
"""Bytes of a local index for each byte of the corpus: the byte itself and, up to a terabyte, five that point to it."""
SPANS = 3
"""Spans that are counted of a row."""


def counted_families(study: Study) -> list[str]:
    """The families whose rows are counted."""
    section = study.config.get(SECTION)
    return [] if section is None else list(section.get("families", study.families))


def counted_models(study: Study) -> list[str]:
    """Their models."""
    families = counted_families(study)
    return [name for name, model in study.models.items() if model.family in families]


def countings(study: Study) -> list[str]:
    """The ways of counting."""
    return list(study.config[SECTION]["countings"]) if counted_families(study) else []


def counted_by(study: Study, family: str, counting: str) -> str:
    """How a family's rows are counted: public only where its corpus has an index there, else by bytes."""
    has_index = "infini_gram" in study.corpora[study.families[family].corpus]
    return "bytes" if counting == "public" and not has_index else counting


def index_of(study: Study, family: str, counting: str) -> str:
    """Units of the local index that a counting needs: bytes, or the family whose tokens they are; "" for none."""
    by = counted_by(study, family, counting)
    return {"own": family, "other": study.config[SECTION].get("other", ""), "public": ""}.get(by, by)


def counted_shards(study: Study, family: str) -> list[str]:
    """The shards whose rows are counted: the first of every domain, as many as hold rows_per_domain."""
    size, most = study.config["sampling"]["shard_rows"], study.config[SECTION].get("rows_per_domain")
    needed = None if most is None else -(-most // size)
    domains = study.domains[study.families[family].corpus]
    return [shard for domain in domains for shard in study.shards_of(domain)[:needed]]


def _check(study: Asked, source: str) -> None:
    """The section's families are of the study, and `other` is named where it is counted by."""
    section = study.config[SECTION]
    for name in (*section.get("families", ()), *([section["other"]] if "other" in section else [])):
        known(name, study.families, f"{source}: frequency", "family of this study")
    if "other" in section["countings"] and "other" not in section:
        raise ReciteError(
            f"{source}: frequency.countings has other, but frequency.other does not say whose tokenizer that is; "
            "name a family of this study."
        )
    if "public" in section["countings"]:
        _check_public(study, section, source)


def _check_public(study: Asked, section: dict[str, Any], source: str) -> None:
    """Of every public index that is asked the study knows the tokenizer."""
    for family in section.get("families", study.families):
        corpus = study.families[family].corpus
        tokenizer = study.corpora[corpus].get("infini_gram", {}).get("tokenizer")
        if tokenizer and tokenizer not in section["public"]["tokenizers"]:
            raise ReciteError(
                f"{source}: frequency.public.tokenizers names no file of {tokenizer}, whose tokens the index of "
                f"{corpus} holds; add one, or leave out family {family}."
            )


def _counted(study: Study) -> list[Wildcards]:
    return [
        {"family": family, "counting": counting} for family in counted_families(study) for counting in countings(study)
    ]


def _index_jobs(study: Study) -> list[Wildcards]:
    """A job for every group of a corpus and every kind of units that its rows are counted by."""
    wanted: dict[tuple[str, str], None] = {}
    for job in _counted(study):
        units = index_of(study, job["family"], job["counting"])
        if units:
            wanted[study.families[job["family"]].corpus, units] = None
    return [
        {"corpus": corpus, "units": units, "group": group}
        for corpus, units in wanted
        for group in groups(study, corpus)
    ]


def _index_inputs(study: Study, wildcards: Wildcards) -> Files:
    units = wildcards["units"]
    cut = {} if units == "bytes" else {"tokenizer": tokenizer(study, units)}
    return {"documents": training_documents(study, wildcards["corpus"]), **cut}


def _index_options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    """Documents of any label are indexed, but for those that were taken out of the corpus."""
    return {"layout": layout(study, wildcards["corpus"]) | {"labels": None}}


def _index_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    """Tokens are taken for bytes."""
    cores, corpus = planner.reading_cores(), wildcards["corpus"]
    share = planner.text_bytes(corpus) / len(groups(planner.study, corpus))
    seconds = costs.START_SECONDS + share * INDEX_SECONDS / cores
    return Cost(seconds, cores=cores, written=int(share * INDEX_SIZE))


def _inputs(study: Study, wildcards: Wildcards) -> Files:
    family, counting = wildcards["family"], wildcards["counting"]
    units, corpus = index_of(study, family, counting), study.families[family].corpus
    indexes = study.files("frequency_index", "index", corpus=corpus, units=units) if units else []
    cut = {"tokenizer": tokenizer(study, study.config[SECTION]["other"])} if counting == "other" else {}
    return {"shards": shard_files(study, family, counted_shards(study, family)), "indexes": indexes, **cut}


def _options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    family, counting = wildcards["family"], wildcards["counting"]
    section, by = study.config[SECTION], counted_by(study, family, counting)
    options = {"family": family, "counting": counting, "by": by, "rows_per_domain": section.get("rows_per_domain")}
    if by == "other":
        options["tokenizer"] = section["other"]
    if by == "public":
        entry, public = study.corpora[study.families[family].corpus]["infini_gram"], section["public"]
        asked = {key: value for key, value in public.items() if key != "tokenizers"}
        options |= entry | {"public": asked | {"tokenizer": public["tokenizers"][entry["tokenizer"]]}}
    return options


def _rows(study: Study, family: str) -> int:
    """Rows that are counted."""
    most = study.config["sampling"]["rows_per_domain"]
    domains = len(study.domains[study.families[family].corpus])
    return int(domains * min(most, study.config[SECTION].get("rows_per_domain", most)))


def _cost(planner: Planner, wildcards: Wildcards) -> Cost:
    study, family = planner.study, wildcards["family"]
    rows = _rows(study, family)
    if index_of(study, family, wildcards["counting"]):
        seconds = rows * SPANS * COUNT_SECONDS
    else:
        seconds = rows * SPANS / study.config[SECTION]["public"]["requests_per_second"]
    return Cost(costs.START_SECONDS + seconds, written=rows * FREQUENCY_BYTES, held=0)


def _summary_inputs(study: Study, wildcards: Wildcards) -> Files:
    scores = scores_of(study, counted_models(study))
    return {"scores": scores, "frequencies": study.files("frequency")}


def _summary_options(study: Study, wildcards: Wildcards) -> dict[str, Any]:
    section = study.config[SECTION]
    return study.summary_options() | {"countings": section["countings"], "rise": section["rise"]}


def _summary_cost(planner: Planner, wildcards: Wildcards) -> Cost:
    models, families = planner.study.models, counted_families(planner.study)
    read = sum(
        _rows(planner.study, family) * sum(model.family == family for model in models.values()) for family in families
    )
    memory = held(planner, [name for name, model in models.items() if model.family in families])
    return Cost(costs.START_SECONDS + read * costs.AGGREGATION_SECONDS, held=memory)


RULES = (
    Rule(
        "frequency_index",
        place="{corpus}/{units}/{group}",
        run="recite.stages.frequency.indexing:index_corpus",
        jobs=_index_jobs,
        inputs=_index_inputs,
        outputs={"index": [f"indexes/{{corpus}}/{{units}}/{{group}}/{file}" for file in INDEX_FILES]},
        options=_index_options,
        megabytes=lambda study: 0 if study.trains else INDEX_MEGABYTES,
        cost=_index_cost,
    ),
    Rule(
        "frequency",
        place="{family}/{counting}",
        run="recite.stages.frequency.measure:count",
        jobs=_counted,
        inputs=_inputs,
        outputs={"frequencies": "frequencies/{family}/{counting}.parquet"},
        options=_options,
        cost=_cost,
    ),
    Rule(
        "frequency_aggregation",
        run="recite.stages.frequency.summarize:aggregate_frequencies",
        jobs=lambda study: ONCE if counted_families(study) else (),
        inputs=_summary_inputs,
        outputs={"draws": "draws/frequency.parquet"},
        tables=("frequency_rates", "thresholds", "countings"),
        options=_summary_options,
        cost=_summary_cost,
    ),
)

STAGE = Stage(
    "recite.stages.frequency",
    RULES,
    section=SECTION,
    check=_check,
    claims=("frequency",),
    words=True,
    figures={
        "frequency": Figure(
            "Memorization against corpus frequency",
            "Frequency",
            ("frequency_rates", "thresholds"),
            (
                "Share of memorized rows of each family's largest model by how often the row's text, or its "
                "continuation, occurs in the corpus, and by the mean share of the corpus that its tokens have (the "
                "paper's average token frequency), in bins of a doubling (half a doubling for tokens) with Wilson "
                "intervals {about}; bins of fewer than three rows are left out. Points of different "
                "families are set apart a little. A triangle above a panel is the threshold: the count at which a "
                "curve that only rises has left its floor by the study's `rise`, ten points unless the config "
                "says otherwise; its bar is the bootstrap interval. The planted rows' true counts are "
                "their known numbers of copies."
            ),
        ),
        "countings": Figure(
            "Counting by bytes and by tokens",
            "Frequency",
            ("countings", "thresholds"),
            (
                "The same texts counted in the corpus in several ways, held against the study's first. Left, the share "
                "of texts that a way does not find at all though they are there (filled), or counts otherwise "
                "(hollow); middle, by how many doublings counts are off, on average over the texts found, with "
                "t-intervals over distinct texts; right, the count at which natural rows leave their floor under each "
                "way, for each family's largest model, with bootstrap intervals; none where the rate does not rise so "
                "far. Another tokenizer's tokens are what a public index of one tokenizer counts for all models; whose "
                "tokens each way counts stands in the table behind the figure."
            ),
        ),
    },
)
