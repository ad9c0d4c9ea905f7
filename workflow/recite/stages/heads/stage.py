"""Heads: what rows of every class and domain lose by each attention head, and which heads matter where."""

from collections.abc import Iterable

from recite.stages.heads import asked, cost
from recite.stages.heads.asked import SECTION
from recite.stages.inputs import checkpoint, ready, scores_of_domain, shard_files
from recite.study.declaration import ONCE, Figure, Files, Rule, Stage, Wildcards
from recite.study.study import Study


def _models(study: Study) -> list[Wildcards]:
    return [{"model": model} for model in asked.models(study)]


def _jobs(study: Study) -> list[Wildcards]:
    return [
        {"model": model, "round": str(number), "first": str(first), "part": part}
        for model in asked.models(study)
        for number in asked.rounds(study)
        for first in asked.blocks(study, model)
        for part in asked.parts(study, model)
        if asked.rows(study, model, part, number)
    ]


def _looks(study: Study) -> list[Wildcards]:
    """One after every round but the last."""
    return [{"model": model, "round": str(n)} for model in asked.models(study) for n in asked.rounds(study)[:-1]]


def _means(study: Study, model: str) -> dict[str, str]:
    """The mean outputs of a model's heads, where these replace them."""
    return {"means": study.file("ablation_means", "means", {"model": model})} if asked.needs_means(study) else {}


def _draws(study: Study) -> list[Wildcards]:
    """Every domain of every model: one that is added later leaves the others' rows as they are."""
    return [{"model": model, "domain": domain} for model in asked.models(study) for domain in study.domains_of(model)]


def _scores(study: Study, wildcards: Wildcards) -> Files:
    return {"scores": scores_of_domain(study, wildcards["model"], wildcards["domain"])}


def _drawn(study: Study, model: str, shards: Iterable[str]) -> dict[str, list[str]]:
    """Which rows of a model's shards are ablated."""
    domains = dict.fromkeys(shard.rpartition("-")[0] for shard in shards)
    return {"drawn": [study.file("ablation_rows", "drawn", {"model": model, "domain": domain}) for domain in domains]}


def _all_rows(study: Study, wildcards: Wildcards) -> Files:
    """A model and all of its ablated rows."""
    model = wildcards["model"]
    names = [shard for shards in asked.parts(study, model).values() for shard in shards]
    rows = {"shards": shard_files(study, study.models[model].family, names)}
    return checkpoint(study, model) | ready(study) | rows | _drawn(study, model, names)


def _open_heads(study: Study, wildcards: Wildcards, name: str) -> dict[str, str]:
    """What the look before a round told, if there was one."""
    before = int(wildcards["round"]) - 1
    known = {"model": wildcards["model"], "round": str(before)}
    return {name: study.file("open_heads", "open_heads", known)} if before >= 0 else {}


def _inputs(study: Study, wildcards: Wildcards) -> Files:
    model = wildcards["model"]
    names = asked.rows(study, model, wildcards["part"])
    rows = {"shards": shard_files(study, study.models[model].family, names)} | _drawn(study, model, names)
    told = _open_heads(study, wildcards, "open_heads")
    return checkpoint(study, model) | ready(study) | rows | _means(study, model) | told


def _looked_at(study: Study, wildcards: Wildcards) -> Files:
    """All that a model's rounds have told up to one."""
    model = wildcards["model"]
    rounds = range(int(wildcards["round"]) + 1)
    ablated = [file for n in rounds for file in study.files("ablation", model=model, round=str(n))]
    drawn = study.files("ablation_rows", model=model)
    return {"ablated": ablated, "drawn": drawn} | _open_heads(study, wildcards, "before")


def _ablated(study: Study, wildcards: Wildcards) -> Files:
    return {"ablated": study.files("ablation"), "drawn": study.files("ablation_rows")}


RULES = (
    Rule(
        "ablation_rows",
        place="{model}/{domain}",
        run="recite.stages.heads.draw:draw_rows",
        jobs=_draws,
        inputs=_scores,
        outputs={"drawn": "ablation_rows/{model}/{domain}.parquet"},
        options=lambda study, wildcards: asked.drawing_options(study, wildcards["model"], wildcards["domain"]),
        cost=cost.drawing,
    ),
    Rule(
        "ablation_means",
        place="{model}",
        run="recite.stages.heads.measure.ablation:measure_means",
        jobs=lambda study: _models(study) if asked.needs_means(study) else (),
        inputs=_all_rows,
        outputs={"means": "ablation_means/{model}.parquet"},
        options=lambda study, wildcards: asked.run_options(study, wildcards["model"]),
        runs_model=True,
        cost=cost.means,
    ),
    Rule(
        "ablation",
        place="{model}/round-{round}/layers-{first}/{part}",
        run="recite.stages.heads.measure.ablation:measure_heads",
        jobs=_jobs,
        inputs=_inputs,
        outputs={"ablated": "ablation/{model}/round-{round}/layers-{first}/{part}.parquet"},
        options=lambda study, wildcards: asked.ablation_options(
            study, wildcards["model"], int(wildcards["first"]), int(wildcards["round"])
        ),
        runs_model=True,
        cost=cost.ablation,
    ),
    Rule(
        "open_heads",
        place="{model}/{round}",
        run="recite.stages.heads.places:tell_open_heads",
        jobs=_looks,
        inputs=_looked_at,
        outputs={"open_heads": "open_heads/{model}/{round}.parquet"},
        options=lambda study, wildcards: asked.looking_options(study, wildcards["model"], int(wildcards["round"])),
        cost=cost.looking,
    ),
    Rule(
        "ablation_aggregation",
        run="recite.stages.heads.summarize.ranking:aggregate_ablation",
        jobs=lambda study: ONCE if asked.models(study) else (),
        inputs=_ablated,
        tables=("heads",),
        options=lambda study, wildcards: study.summary_options(),
        cost=cost.summary,
    ),
    Rule(
        "overlap",
        run="recite.stages.heads.summarize.overlap:measure_overlap",
        jobs=lambda study: ONCE if asked.models(study) else (),
        inputs=_ablated,
        outputs={"draws": "draws/heads.parquet"},
        tables=("overlap",),
        options=lambda study, wildcards: study.summary_options(),
        cost=cost.overlap,
    ),
    Rule(
        "power",
        run="recite.stages.heads.summarize.power:measure_power",
        jobs=lambda study: ONCE if asked.models(study) else (),
        inputs=_ablated,
        tables=("power",),
        options=lambda study, wildcards: study.summary_options(),
        cost=cost.summary,
    ),
)

STAGE = Stage(
    "recite.stages.heads",
    RULES,
    section=SECTION,
    check=asked.check,
    profiles=("heads",),
    claims=("heads_shared", "heads_shared_unmemorized"),
    words=True,
    figures={
        "heads": Figure(
            "Importance of the attention heads",
            "Heads",
            ("heads",),
            (
                "What is lost without each attention head, whose output is replaced by the mean of the other "
                "heads of its layer unless the study's config says otherwise. Left, the drop of the memorization "
                "score M of the greedy continuation, in points; right, that of the log-probability of the true "
                "continuation, which the model is fed. Natural rows of all domains under each family's largest "
                "model, memorized ones beside unmemorized ones where rows were drawn by class; unmemorized ones have "
                "no hits to lose. The colour scale is one for all, and blue heads are in the way. Bootstrap "
                "intervals {about}, tests, ranks and single domains are in the table `heads`."
            ),
        ),
        "overlap": Figure(
            "Overlap of the most important heads",
            "Heads",
            ("overlap",),
            (
                "Jaccard index of the sets of most important heads, by the drop in hits, of unmemorized rows, which "
                "have none to lose, in log-probability, against the share of heads that a set has (a fifth alone where "
                "heads were left once their place in it was known): of halves of one "
                "domain's texts (mean over splits and domains), of a half of one domain's texts and a half of "
                "another's (mean over splits and pairs), and the share of heads that are in the sets of all domains, "
                "by all of their texts. Rows rank heads by chance in part, so that the first is the most that the "
                "second can be. Each family's largest model, natural domains, memorized rows in full colour and "
                "unmemorized ones pale where rows were drawn by class; numbers of rows are those of the former. Bars "
                "are normal intervals by a bootstrap {about}. Grey is where the mean over pairs of random sets lies."
            ),
        ),
        "power": Figure(
            "Effects that so many rows can show",
            "Heads",
            ("power",),
            (
                "The smallest effect of a head that a two-sided test at level 0.05 sees with a probability of "
                "80%, if the study had as many rows as it has, 2,500, or 10,000, by the variance over distinct "
                "texts measured here, texts recurring as they do here. Points are the median over a model's "
                "heads; bars reach from the head that varies least to the one that varies most. Natural rows of "
                "all domains, the memorized ones where rows were drawn by class, each family's largest model."
            ),
        ),
    },
)
