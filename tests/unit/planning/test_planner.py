"""recite.planning.planner: the jobs of the two studies, what they wait for and cost, what a plan cannot do without."""

import math
import re
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from recite.errors import ReciteError
from recite.planning import costs
from recite.planning.costs import Machine
from recite.planning.job import Job
from recite.planning.planner import Planner
from recite.stages.compressibility.stage import suffix_flops
from recite.stages.frequency import stage as frequency
from recite.stages.heads import asked
from recite.stages.heads import cost as heads
from recite.stages.lens import stage as lens
from recite.stages.noise import stage as noise
from recite.stages.recovery import stage as recovery
from recite.stages.sampling.stage import groups
from recite.stages.scoring.stage import SCORE_BYTES
from studies import load, shipped

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def planner(name: str, machine: Machine | None = None, **changes: Any) -> Planner:
    """The plan of a study of config/, with keys of its sections changed; a section of None is dropped."""
    config = shipped(name)
    for section, values in deepcopy(changes).items():
        if isinstance(values, dict):
            config[section].update(values)
        else:
            config[section] = values
    config = {key: value for key, value in config.items() if value is not None}
    return Planner(load(config, f"{name}.yaml"), machine or Machine())


def named(made: Planner) -> dict[str, Job]:
    return {job.name: job for job in made.jobs}


def awaited(job: Job) -> list[str]:
    """What a job that runs a model waits for, but for its own shards' samples, which `samples` or scores wait for."""
    return [name for name in job.after if not name.startswith("sampling/")]


@pytest.mark.parametrize("name", ["mini", "paper"])
def test_jobs_of_every_stage(name: str) -> None:
    """Prevents jobs that the DAG has not, and jobs that the plan forgets."""
    made = planner(name)
    study, counts = made.study, Counter(job.stage for job in made.jobs)
    parts = {model: len(study.parts(model)) for model in study.models}
    assert set(study.rules) - set(counts) <= {"verification"} and "verification" not in counts  # not asked for
    assert counts["scoring"] == sum(parts.values())
    assert noise.layers(study) == [0]
    for stage, times in (
        ("noise", len(noise.strengths(study))),
        ("recovery", len(recovery.strengths(study))),
        ("lens", 1),
        ("compressibility", 1),
    ):
        assert counts[stage] == times * sum(parts[model] for model in study.models_of(stage)) > 0
    blocks = {model: len(asked.blocks(study, model)) * len(asked.parts(study, model)) for model in study.models}
    rounds = len(asked.rounds(study))
    assert counts["ablation"] == rounds * sum(blocks[model] for model in asked.models(study)) > 0
    assert counts["open_heads"] == (rounds - 1) * len(asked.models(study))
    assert counts["sampling"] == sum(len(study.domains[model.corpus]) for model in study.families.values())
    assert counts["candidates"] == sum(len(groups(study, corpus)) for corpus in study.domains)
    trained = counts["training"] + counts["training_in_steps"]
    assert (trained if study.trains else counts["registration"]) == len(study.models)
    followed = [model for model in study.models_of("trajectory") if study.models[model].steps]
    assert counts["trajectory"] == sum(parts[model] * len(study.models[model].steps) for model in followed)
    assert counts["trajectory_rows"] == counts["training_in_steps"] == len(followed) == (2 if study.trains else 0)
    assert counts["batching"] == (len(study.models) if study.measures_batches else 0)
    assert counts["figures"] == len(study.figures)
    assert counts["frequency"] == len(frequency.counted_families(study)) * len(frequency.countings(study))
    assert counts["frequency_index"] == {"mini": 1 + 6, "paper": 6}[name]
    assert len(named(made)) == len(made.jobs)


@pytest.mark.parametrize("name", ["mini", "paper"])
def test_jobs_wait_for_jobs_before_them(name: str) -> None:
    """Prevents a job that waits for a file that no job makes."""
    seen: set[str] = set()
    for job in planner(name).jobs:
        assert set(job.after) <= seen
        seen.add(job.name)


def test_what_a_scoring_job_waits_for() -> None:
    jobs = named(planner("paper"))
    scoring = jobs["scoring/pythia-1b/pile_cc-0000"]
    samples = {name for name, job in jobs.items() if job.stage == "sampling"}
    assert set(awaited(scoring)) == {"registration/pythia-1b", "samples", "batching/pythia-1b"}
    assert {"sampling/pythia/pile_cc"} <= set(scoring.after).intersection(samples) < samples
    assert jobs["noise/pythia-1b/layer-0/alpha-0.1/pile_cc-0000"].after == scoring.after
    assert set(jobs["samples"].after) == samples
    assert len(jobs["sampling/olmo3/arxiv"].after) == 64 + 1
    assert jobs["registration/olmo2-32b"].after == ("family_tokenizer/olmo2/tokenizer.json",)
    fixed = named(planner("paper", scoring={"batch_rows": 256}))
    assert "batching/pythia-1b" not in fixed
    assert awaited(fixed["scoring/pythia-1b/pile_cc-0000"]) == ["registration/pythia-1b", "samples"]


def test_what_the_end_waits_for() -> None:
    jobs = named(planner("mini"))
    scored = {name for name, job in jobs.items() if job.stage == "scoring"}
    families = {job.subject for job in jobs.values() if job.stage == "tokenization"}
    planted = {f"sampling/{family}/control" for family in families}
    assert set(jobs["aggregation"].after) == scored | planted | {"corpus"}
    largest = {name for name in scored if name.split("/")[1].endswith("-l")}
    larger = largest | {name for name in scored if name.split("/")[1].endswith("-m")}
    noisy = {name for name, job in jobs.items() if job.stage == "noise"}
    assert set(jobs["noise_aggregation"].after) == noisy | largest
    assert jobs["figures/noise"].after == ("noise_aggregation",)
    for stage in ("recovery", "lens"):
        found = {name for name, job in jobs.items() if job.stage == stage}
        assert set(jobs[f"{stage}_aggregation"].after) == found | larger
        assert jobs[f"figures/{stage}"].after == (f"{stage}_aggregation",)
    ablated = {name for name, job in jobs.items() if job.stage == "ablation"}
    for stage in ("ablation_aggregation", "overlap", "power"):
        assert set(jobs[stage].after) == ablated | {name for name in jobs if name.startswith("ablation_rows/")}
    own = {name for name in scored if name.split("/")[1] == "pythia-l"}
    assert set(jobs["ablation_rows/pythia-l/code"].after) == own
    assert jobs["figures/heads"].after == ("ablation_aggregation",)
    assert set(jobs["signatures"].after) == {"recovery_aggregation", "lens_aggregation", "ablation_aggregation"}
    assert jobs["figures/controls"].after == ("aggregation",)
    assert jobs["scaling"].after == ("aggregation",)
    assert set(jobs["domains"].after) == {"aggregation", "noise_aggregation"}
    assert set(jobs["figures/scaling"].after) == {"aggregation", "scaling"}
    makers = set(planner("mini").study.tables.values())
    assert {"aggregation", "scaling", "noise_aggregation", "overlap", "signatures", "ledger"} < makers
    assert set(jobs["summary"].after) == makers | {"corpus"}
    assert set(jobs["ledger"].after) == makers - {"ledger"}


def test_a_study_without_noise() -> None:
    stages = {job.stage for job in planner("mini", noise=None, recovery=None).jobs}
    assert not stages & {"noise", "noise_aggregation", "recovery", "recovery_aggregation"}


def test_rows_of_ragged_parts() -> None:
    """25 rows in shards of 10, four shards a job: a domain's last shard is half full."""
    made = planner("mini", sampling={"rows_per_domain": 25, "shard_rows": 10}, scoring={"shards_per_job": 4})
    rows = made.rows("pythia-xs")
    assert list(rows)[:2] == ["code-0000", "headers-0001"]
    assert list(rows.values())[:2] == [10 + 10 + 5 + 10, 10 + 5 + 10 + 10]
    assert sum(rows.values()) == 25 * len(made.study.domains["mini"])


def test_seconds_of_a_scoring_job() -> None:
    """300,000 rows of Pythia 1B in batches of 512, the last of them filled up, in float16."""
    made = planner(
        "paper", Machine(tflops=100, efficiency=0.5, load_gbs=4), scoring={"batch_rows": 512, "shards_per_job_of": {}}
    )
    body, unembedding, attention = 16 * 12 * 2048**2, 50304 * 2048, 4 * 16 * 2048 * 63 * 32
    flops = 586 * 512 * (2 * body * 63 + attention + 2 * unembedding * 32)
    job = named(made)["scoring/pythia-1b/pile_cc-0000"]
    assert job.seconds == pytest.approx(18.5 + 1011781632 * 2 / 4e9 + flops / 50e12)
    assert (job.gpus, job.cores, job.written) == (1, 1, 300_000 * SCORE_BYTES)


def test_a_bos_token_costs_a_position() -> None:
    """OpenLLaMA's rows are one token longer."""
    made = planner("paper")
    facts = made.costs["openllama-7b"].facts
    assert made.costs["openllama-7b"].row == costs.row_flops(facts, 33, 32)
    assert made.costs["olmo1-7b"].row == costs.row_flops(made.costs["olmo1-7b"].facts, 32, 32)


def test_two_gpus_take_turns(tmp_path: Path) -> None:
    """They hold more, but a row is no sooner done."""
    entry = shipped("models")["olmo2-32b"]
    path = tmp_path / "models.yaml"
    path.write_text(yaml.safe_dump({"olmo2-32b": entry | {"gpus": 2}}))
    one = planner("paper", models=["olmo2-32b"], frequency=None).costs["olmo2-32b"]
    other = {"models_file": str(path), "scoring": {"shards_per_job_of": {}}, "frequency": None, "ablation": None}
    two = planner("paper", models=["olmo2-32b"], **other)
    cost = two.costs["olmo2-32b"]
    assert (cost.gpus, one.gpus) == (2, 1) and cost.rate == one.rate == 0.4 * 312e12
    assert cost.batch_rows > one.batch_rows


def test_batches_fit_the_memory() -> None:
    """A smaller GPU has smaller batches; twice the batch would not fit."""
    for memory in (40, 80):
        none = {"noise": None, "recovery": None, "frequency": None}
        made = planner("paper", Machine(gpu_memory=memory), models=["pythia-6.9b"], **none)
        cost = made.costs["pythia-6.9b"]
        assert cost.peak <= costs.SPARE * memory * 1e9
        assert costs.peak_bytes(cost.facts, 1, 2, 2 * cost.batch_rows, 32, 32) > costs.SPARE * memory * 1e9
        assert named(made)["batching/pythia-6.9b"].peak == cost.peak


def test_seconds_of_candidates() -> None:
    """780 GB in six groups, 16 cores of 100 MB/s; a server of fewer cores takes longer, as Snakemake caps threads."""
    for cores in (16, 4):
        made = planner("paper", Machine(cores=cores, read_mbs=100))
        job = named(made)["candidates/starcoderdata/005"]
        assert job.cores == cores
        assert job.seconds == pytest.approx(18.5 + 780e9 / 6 / (cores * 100e6))


def test_threads_of_the_rules() -> None:
    """Two copies of one number must not part."""
    for name in ("sampling", "frequency"):
        rules = (ROOT / "workflow" / "rules" / f"{name}.smk").read_text()
        for key in ("threads: ", "cpus_per_task="):
            assert re.findall(rf"{key}1 if study.trains else (\d+)", rules) == [str(costs.READING_CORES)]


def test_candidates_are_never_more_than_the_text() -> None:
    made = planner("paper")
    for job in made.jobs:
        if job.stage == "candidates":
            assert 0 < job.written <= made.text_bytes(job.subject) / len(groups(made.study, job.subject))


def test_training_costs_six_operations_a_parameter_and_token() -> None:
    made = planner("mini", Machine(efficiency=1.0))
    texts = 6 * 150 + 24 + 48 + 96 + 128 + 192 + 384 + 512
    facts = made.costs["pythia-l"].facts
    job = named(made)["training/pythia-l"]
    assert job.gpus == 0
    assert job.seconds == pytest.approx(18.5 + 6 * facts.parameters * texts * 64 / costs.CORE_FLOPS)


def test_compressibility_shortens_the_assumed_share_of_memorized_rows() -> None:
    """Prevents every row from being counted, and a last batch that is not filled from costing less than a whole one."""
    made = planner("paper")
    job = named(made)["compressibility/openllama-7b/common_crawl-0000"]
    assert set(awaited(job)) == {"registration/openllama-7b", "scoring/openllama-7b/common_crawl-0000"}
    cost = made.costs["openllama-7b"]
    rows = made.rows("openllama-7b")["common_crawl-0000"]
    batches = -(-int(rows * 0.05) // 64)
    work = batches * 64 * suffix_flops(cost.facts, 1, 32, 32)
    assert job.seconds == pytest.approx(cost.load + work / (0.4 * 312e12))
    assert job.gpus == cost.gpus and job.peak > cost.weights


def test_frequency_waits_for_its_index_and_tokenizers() -> None:
    """Prevents counts before their index, and indexes of other tokens than those that are counted."""
    jobs = named(planner("mini"))
    domains = {f"sampling/starcoder/{domain}" for domain in ("code", "control")}
    after = {by: set(jobs[f"frequency/starcoder/{by}"].after) for by in ("bytes", "own", "other")}
    assert all(found > domains for found in after.values())
    shared = set.intersection(*after.values())
    assert {by: found - shared for by, found in after.items()} == {
        "bytes": {"frequency_index/mini/bytes/000"},
        "own": {"frequency_index/mini/starcoder/000"},
        "other": {"frequency_index/mini/openllama/000", "tokenization/openllama"},
    }
    assert jobs["frequency_index/mini/starcoder/000"].after == ("corpus", "tokenization/starcoder")
    assert jobs["frequency_index/mini/bytes/000"].after == ("corpus",)


def test_frequency_by_the_public_index() -> None:
    """Three spans a row at ten requests a second, and a local index where there is no public one."""
    made = planner("paper")
    jobs = named(made)
    rows = 1000 * len(made.study.domains["pile"])
    public, local = jobs["frequency/pythia/public"], jobs["frequency/starcoder/public"]
    assert public.seconds == pytest.approx(costs.START_SECONDS + 3 * rows / 10)
    assert not any(name.startswith("frequency_index") for name in public.after)
    assert sum(name.startswith("frequency_index/starcoderdata/bytes") for name in local.after) == 6
    index = jobs["frequency_index/starcoderdata/bytes/000"]
    assert index.written == pytest.approx(6 * made.text_bytes("starcoderdata") / 6, rel=1e-6)
    assert "frequency/olmo3/public" not in jobs


def test_recovery_feeds_every_prompt_twice() -> None:
    """Prevents continuations from being counted, and jobs that wait for scores, which they do not read."""
    made = planner("paper")
    job = named(made)["recovery/openllama-7b/layer-0/alpha-0.3/common_crawl-0000"]
    assert awaited(job) == ["registration/openllama-7b", "samples"]
    cost, rows = made.costs["openllama-7b"], made.rows("openllama-7b")["common_crawl-0000"]
    work = 2 * -(-rows // 64) * 64 * (costs.pass_flops(cost.facts, 33) + 2 * cost.facts.embedding)
    assert job.seconds == pytest.approx(cost.load + work / (0.4 * 312e12))
    assert job.written == rows * (costs.LAYERED_BYTES + 32 * recovery.LAYER_BYTES)
    assert cost.weights < job.peak < 80e9


def test_lens_unembeds_every_decoded_layer() -> None:
    """Prevents the last token from being fed, and a class of rows before they are scored; 17 of 32 are decoded."""
    made = planner("paper")
    job = named(made)["lens/pythia-6.9b/pile_cc-0000"]
    assert set(awaited(job)) == {"registration/pythia-6.9b", "scoring/pythia-6.9b/pile_cc-0000"}
    cost, rows = made.costs["pythia-6.9b"], made.rows("pythia-6.9b")["pile_cc-0000"]
    work = costs.pass_flops(cost.facts, 63) + 2 * cost.facts.embedding * (32 * 17 + 1)
    assert job.seconds == pytest.approx(cost.load + -(-rows // 64) * 64 * work / (0.4 * 312e12 * lens.PACE))
    assert job.written == rows * (costs.LAYERED_BYTES + 17 * lens.LAYER_BYTES)
    assert cost.weights < job.peak < 80e9


def test_ablation_runs_every_head_twice() -> None:
    """Prevents rows that are not ablated, other layers, and one pass for every head where there are two."""
    made = ablating(FIRST)
    jobs = named(made)
    cost, batch = made.costs["openllama-7b"], made.study.config["ablation"]["batch_rows"]
    job = jobs["ablation/openllama-7b/round-0/layers-30/common_crawl-0000"]
    assert awaited(job) == ["registration/openllama-7b", "samples", "ablation_rows/openllama-7b/common_crawl"]
    row = 2 * heads.ablation_flops(cost.facts, 33, 32, range(30, 32)) + 2 * cost.row
    work = -(-1000 // batch) * batch * row
    assert job.seconds == pytest.approx(cost.load + work / (0.4 * 312e12 * heads.PACE))
    assert job.written == 1000 * (costs.LAYERED_BYTES + 2 * 32 * heads.HEAD_BYTES)
    assert cost.weights < job.peak < 80e9
    parts = asked.parts(made.study, "openllama-7b")
    assert len([name for name in jobs if name.startswith("ablation/openllama-7b/")]) == 4 * len(parts)
    means = named(ablating(FIRST | {"replacement": "dataset_mean"}))
    domains = {f"sampling/openllama/{domain}" for domain in made.study.domains_of("openllama-7b")}
    drawn = {f"ablation_rows/openllama-7b/{domain}" for domain in made.study.domains_of("openllama-7b")}
    assert set(means["ablation_means/openllama-7b"].after) == {*awaited(job), *drawn, *domains}
    after = means["ablation/openllama-7b/round-0/layers-30/common_crawl-0000"].after
    assert after == (*job.after, "ablation_means/openllama-7b")


def test_heads_are_left_after_looks() -> None:
    """Prevents rounds of other rows, two passes for what takes one, and a round that does not wait for its look."""
    classes = {"memorized": 800, "half": 100, "unmemorized": 300}
    made = ablating({"classes": classes, "looks": [150, 400, 1000], "layers_per_job": 10})
    assert asked.looks(made.study) == [150, 400] and list(asked.rounds(made.study)) == [0, 1, 2]
    jobs, cost = named(made), made.costs["openllama-7b"]
    job = jobs["ablation/openllama-7b/round-1/layers-30/common_crawl-0000"]
    here = "ablation_rows/openllama-7b/common_crawl"
    assert awaited(job) == ["registration/openllama-7b", "samples", here, "open_heads/openllama-7b/0"]
    look = jobs["open_heads/openllama-7b/1"]
    assert {name.rpartition("/")[0] for name in look.after if name.startswith("ablation/")} == {
        f"ablation/openllama-7b/round-{n}/layers-{first}" for n in (0, 1) for first in (0, 10, 20, 30)
    }
    assert "open_heads/openllama-7b/0" in look.after and "open_heads/openllama-7b/2" not in jobs
    total = made.study.config["sampling"]["rows_per_domain"]
    parts, shards = asked.parts(made.study, "openllama-7b"), made.study.shards_of("common_crawl")
    counts = [
        {
            name: sum(asked.of_class(made.study, "openllama-7b", shard, number)[name] for shard in shards)
            for name in ("memorized", "half", "unmemorized")
        }
        for number in (0, 1, 2)
    ]
    spread = len(shards)
    for found, expected in zip(counts, ((150, 100, 150), (250, 0, 150), (400, 0, 0)), strict=True):
        assert all(0 <= a - b < spread for a, b in zip(found.values(), expected, strict=True))
    held = asked.of_class(made.study, "openllama-7b", "common_crawl-0000", 1)
    assert held["memorized"] == math.ceil(250 * min(total, made.study.config["sampling"]["shard_rows"]) / total)
    rows = dict.fromkeys(held, 0)
    for shard in parts["common_crawl-0000"]:
        for name, expected in asked.of_class(made.study, "openllama-7b", shard, 1).items():
            rows[name] += expected
    count, passes = sum(rows.values()), rows["memorized"] + 2 * rows["half"] + rows["unmemorized"]
    each = heads.OPEN[1] * heads.ablation_flops(cost.facts, 33, 32, range(30, 32)) * passes / count + 2 * cost.row
    batch = made.study.config["ablation"]["batch_rows"]
    work = -(-count // batch) * batch * each
    assert job.seconds == pytest.approx(cost.load + work / (0.4 * 312e12 * heads.PACE))
    assert "open_heads/openllama-7b/0" not in named(ablating(FIRST))


def test_large_models_have_fewer_rows_ablated() -> None:
    """Prevents a domain whose first shard holds them all from being ablated in three shards."""
    study = ablating({"rows_per_domain": 10_000, "rows_per_domain_of": {"pythia-12b": 2_500}}).study
    for model, rows in (("pythia-6.9b", 10_000), ("pythia-12b", 2_500)):
        domains = study.domains[study.models[model].corpus]
        shards = [shard for part in asked.parts(study, model).values() for shard in part.items()]
        assert shards == [(f"{domain}-0000", rows) for domain in domains]


def test_rows_of_classes_are_of_all_shards() -> None:
    """Prevents a plan without the shards in which rows of a class may be, or with all of a class in each of them."""
    made = ablating({"classes": {"memorized": 3000, "unmemorized": 600_000}, "rows_per_domain": 500})
    rows = asked.rows(made.study, "openllama-7b", "common_crawl-0000")
    assert rows == {f"common_crawl-{number:04d}": 100_000 for number in range(3)}
    made = ablating({"classes": {"memorized": 3000, "half": 600}, "rows_per_domain": 500})
    rows = asked.rows(made.study, "openllama-7b", "common_crawl-0000")
    assert rows == {"common_crawl-0000": 1700, "common_crawl-0001": 1200, "common_crawl-0002": 1200}
    drawing = named(made)["ablation_rows/openllama-7b/common_crawl"]
    scored = [name for name in named(made) if name.startswith("scoring/openllama-7b/common_crawl")]
    assert list(drawing.after) == scored
    assert not drawing.gpus and drawing.seconds > 1


FIRST: dict[str, Any] = {"rows_per_domain": 1000, "layers_per_job": 10}


def ablating(section: dict[str, Any]) -> Planner:
    """The plan of the paper's study with other rows and layers of its ablation."""
    config = shipped("paper")
    batches = {key: config["ablation"][key] for key in ("batch_rows", "batch_rows_of")}
    return Planner(load(config | {"ablation": batches | section}, "paper.yaml"), Machine())


SMALL: dict[str, Any] = {"scoring": {"shards_per_job_of": {}}, "ablation": None}
"""What a study of models that the registry of the paper lacks must change."""


def test_an_entry_without_facts(tmp_path: Path) -> None:
    """A model of one's own needs two lines to run, and its facts to be planned."""
    path = tmp_path / "models.yaml"
    path.write_text("mine: {corpus: pile}\n")
    with pytest.raises(ReciteError, match=r"model mine: a plan needs layers, width, .*models file"):
        none = {"noise": None, "recovery": None, "frequency": None}
        planner("paper", models_file=str(path), models=["mine"], **none, **SMALL)


def test_a_corpus_of_unknown_size(tmp_path: Path) -> None:
    corpora = shipped("corpora")
    del corpora["pile"]["files"]["gigabytes"]
    path = tmp_path / "corpora.yaml"
    path.write_text(yaml.safe_dump(corpora))
    with pytest.raises(ReciteError, match=r"corpus pile: a plan needs gigabytes; .*corpora file"):
        assert planner("paper", corpora_file=str(path)).jobs


def test_a_model_that_does_not_fit() -> None:
    with pytest.raises(ReciteError, match=r"model pythia-12b: not even 8 rows fit the 24 GB of each of its 1 GPUs"):
        planner("paper", Machine(gpu_memory=24))


def test_a_machine_that_cannot_be() -> None:
    with pytest.raises(ReciteError, match="--servers is 0"):
        planner("paper", Machine(servers=0))
