"""recite.study.study: the resolved study, what each stage must know, and the registry held against transformers."""

import re
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import transformers
from snakemake.io import regex_from_filepattern

from recite.catalogue import STAGES
from recite.checkpoints.architectures import ARCHITECTURES
from recite.checkpoints.inspection import empty_model
from recite.checkpoints.registration import checkpoint_facts
from recite.errors import ReciteError
from recite.planning.limits import Limits
from recite.stages.frequency import stage as frequency
from recite.stages.heads import asked as heads
from recite.stages.noise import stage as noise
from recite.stages.recovery import stage as recovery
from recite.stages.sampling.stage import groups, layout
from recite.study.config import check_config, read_yaml
from recite.study.declaration import Figure
from recite.study.study import Study, listed
from studies import NOTES, ROOT, load, loaded, own_study, shipped


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The real mini study's config; its corpora and claims files are found from the root."""
    monkeypatch.chdir(ROOT)
    return shipped("mini")


@pytest.fixture
def paper(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The paper's study."""
    monkeypatch.chdir(ROOT)
    return shipped("paper")


def options(study: Study, rule: str, **wildcards: str) -> dict[str, Any]:
    """What a job of a rule is told."""
    return study.rules[rule].options(study, wildcards)


def asked_figures(config: dict[str, Any]) -> list[tuple[str, Figure]]:
    """The figures of the stages that a config asks for, by name."""
    stages = [stage for stage in STAGES if not stage.section or stage.section in config]
    return [item for stage in stages for item in stage.figures.items()]


def test_models_of_the_mini_study(config: dict[str, Any]) -> None:
    """Prevents a family, a size or a BOS policy from being lost between config and jobs."""
    study = loaded(config)
    families, sizes = config["training"]["families"], config["training"]["sizes"]
    assert study.trains
    assert set(study.models) == {f"{family}-{size}" for family in families for size in sizes}
    for name, model in study.models.items():
        assert name == model.name == f"{model.family}-{model.size}"
        assert model.bos == (0 if families[model.family].get("bos") else None)
        assert (model.corpus, model.layers) == ("mini", sizes[model.size]["layers"])
    for family in study.families:
        found = [model.name for model in study.models.values() if model.family == family]
        assert found == [f"{family}-{size}" for size in sizes]


def test_names_and_options_of_the_mini_study(config: dict[str, Any]) -> None:
    """Prevents a stage from being given another stage's values."""
    config["noise"]["strengths"] = [0.0, 0.00001, 0.1, 0.25, 1]
    config["recovery"]["strengths"] = [0.25, 1]
    study = loaded(config)
    assert (study.name, study.results) == ("mini", "results/mini")
    assert study.planted == ["control"]
    assert list(study.domains) == ["mini"] and list(study.domains["mini"]) == config["sampling"]["domains"]
    training, families = config["training"], config["training"]["families"]
    vocabulary = families["openllama"]["vocabulary"]
    tokenization = {"row_tokens": training["row_tokens"], "vocabulary": vocabulary}
    assert options(study, "tokenization", family="openllama") == tokenization
    made = options(study, "training", model="olmo1-m")
    assert made["family"] == "olmo1" and made["shape"] == training["sizes"]["m"]
    assert made["recipe"].items() >= families["olmo1"].items()
    batch = config["scoring"]["batch_rows"]
    scoring = {"model": "openllama-l", "family": "openllama", "bos": 0, "batch_rows": batch, "dtype": "float32"}
    assert options(study, "scoring", model="openllama-l") == scoring
    assert options(study, "scoring", model="pythia-l")["bos"] is None
    assert noise.layers(study) == [0]
    disturbed = {"seed": config["seed"], "layer": 2, "rms": "token"}
    both = {"noise": disturbed | {"positions": "prompt"}}
    assert options(study, "noise", model="openllama-l", layer="2", alpha="0.1") == scoring | both
    assert noise.strengths(study) == ["1e-05", "0.1", "0.25", "1.0"]
    assert recovery.strengths(study) == ["0.25", "1.0"]
    small = scoring | {"batch_rows": 32}
    assert options(study, "recovery", model="openllama-l", layer="2") == small | {"noise": disturbed}
    assert options(study, "lens", model="openllama-l") == small | {"layer_stride": 1}
    ablation = small | {"layers": [0, None], "round": 0, "replacement": "mean_of_others"}
    assert options(study, "ablation", model="openllama-l", part="code-0000", first="0", round="0") == ablation
    assert options(study, "aggregation")["kinds"]["mini"]["licences"] == "free_text"
    assert options(study, "corpus")["name"] == "mini"
    rows = config["sampling"]["rows_per_domain"]
    sampling = {"context_tokens": 32, "continuation_tokens": 32, "rows_per_domain": rows, "shard_rows": rows}
    drawn = {"corpus": "mini", "domain": "code", **sampling}
    assert options(study, "sampling", family="olmo1", domain="code") == drawn
    candidates = options(study, "candidates", corpus="mini")
    most = {"seed": config["seed"], "corpus": "mini", "most": -(-rows * 5 // 4) + 1, "excerpt": 1024, "place": "head"}
    labels = {domain: domain for domain in shipped("corpora")["mini"]["domains"]}
    read = {"text": "text", "id": "id", "domain": "domain"}
    assert layout(study, "mini") == read
    assert candidates == {"draw": most, "layout": read | {"labels": labels}}
    assert groups(study, "mini") == ["000"]


def test_parts_cover_every_shard_once(config: dict[str, Any]) -> None:
    """Prevents rows that no job, or two jobs, score; the last shard and the last part may be smaller."""
    study = loaded(config, sampling={"rows_per_domain": 25, "shard_rows": 10}, scoring={"shards_per_job": 4})
    shards = [f"{domain}-{index:04d}" for domain in config["sampling"]["domains"] for index in range(3)]
    for model, entry in study.models.items():
        assert study.shards(entry.family) == shards
        parts = study.parts(model)
        assert [shard for part in parts.values() for shard in part] == shards
        assert [len(part) for part in parts.values()] == [4, 4, 4, 4, 4, 1]
        assert all(name == part[0] for name, part in parts.items())


def test_rows_that_fill_their_shards_exactly(config: dict[str, Any]) -> None:
    """Prevents an empty last shard."""
    study = loaded(config, sampling={"domains": ["code", "control"], "rows_per_domain": 20, "shard_rows": 10})
    assert study.shards("pythia") == ["code-0000", "code-0001", "control-0000", "control-0001"]


@pytest.mark.parametrize("rows", [10, 25])
def test_appending_a_domain_keeps_the_earlier_parts(config: dict[str, Any], rows: int) -> None:
    """Prevents a new domain from scoring the finished ones again."""
    sampling = {"domains": ["code", "control"], "rows_per_domain": rows, "shard_rows": 10}
    before = loaded(config, sampling=sampling, scoring={"shards_per_job": 1}).parts("pythia-xs")
    more = sampling | {"domains": ["code", "control", "markup"]}
    after = loaded(config, sampling=more, scoring={"shards_per_job": 1}).parts("pythia-xs")
    assert {name: after[name] for name in before} == before
    assert {name.rpartition("-")[0] for name in after.keys() - before.keys()} == {"markup"}


def test_which_domains_are_sampled_changes_no_options(config: dict[str, Any]) -> None:
    """Prevents a new domain from reading the corpus again, or from drawing the samples of the others again."""
    config["scoring"]["batch_rows"] = "auto"
    before = loaded(config, sampling={"domains": ["code", "control"]})
    after = loaded(config, sampling={"domains": ["headers", "code", "markup", "control"]})
    assert options(after, "candidates", corpus="mini") == options(before, "candidates", corpus="mini")
    assert options(after, "corpus") == options(before, "corpus")
    for domain in ("code", "control"):
        drawn = {"family": "pythia", "domain": domain}
        assert options(after, "sampling", **drawn) == options(before, "sampling", **drawn)
        assert after.shards_of(domain) == before.shards_of(domain)
    for model in before.models:
        assert options(after, "scoring", model=model) == options(before, "scoring", model=model)
        assert options(after, "batching", model=model) == options(before, "batching", model=model)


def test_a_domain_more_in_the_registry_changes_no_sample(tmp_path: Path, config: dict[str, Any]) -> None:
    """Prevents a domain that is added to a corpus from drawing the samples of the others, or scoring them, again."""
    more = deepcopy(NOTES) | {"domains": NOTES["domains"] | {"chat": "free_text"}}
    more["classes"]["chat"] = "forum"
    before, after = (
        load(own_study(tmp_path, {"mine": {"corpus": "notes"}}, {"notes": notes}), "own.yaml")
        for notes in (NOTES, more)
    )
    drawn = {"family": "mine", "domain": "code"}
    assert options(after, "sampling", **drawn) == options(before, "sampling", **drawn)
    assert options(after, "scoring", model="mine") == options(before, "scoring", model="mine")
    kept = [options(study, "candidates", corpus="notes")["draw"] for study in (after, before)]
    assert kept[0] == kept[1]


def test_appending_a_size_keeps_the_options_of_the_others(config: dict[str, Any]) -> None:
    """Prevents a new size from training and scoring the others again."""
    before = loaded(config)
    sizes = config["training"]["sizes"] | {"xl": {"layers": 8, "width": 256, "heads": 8}}
    after = loaded(config, training={"sizes": sizes})
    for model in before.models:
        assert options(after, "training", model=model) == options(before, "training", model=model)
        assert options(after, "scoring", model=model) == options(before, "scoring", model=model)


def test_adding_a_model_keeps_the_options_of_the_others(paper: dict[str, Any]) -> None:
    """Prevents a checkpoint that is added to a study from reading, sampling or scoring anything again."""
    paper["frequency"]["families"].remove("olmo2")
    after = loaded(paper)
    paper["models"] = [name for name in paper["models"] if not name.startswith("olmo2")]
    before = loaded(paper)
    assert set(after.families) - set(before.families) == {"olmo2"}
    kept = ["registration", "batching", "scoring", "noise", "recovery", "lens", "ablation", "compressibility"]
    kept += ["family_tokenizer", "sampling", "candidates", "inventory", "frequency_index", "frequency"]
    for rule in kept:
        jobs = {tuple(job.items()) for job in before.jobs(rule)}
        assert jobs and jobs <= {tuple(job.items()) for job in after.jobs(rule)}
        for job in {items[0]: dict(items) for items in jobs}.values():
            assert options(after, rule, **job) == options(before, rule, **job)
    for model in before.models:
        assert after.parts(model) == before.parts(model)


def test_a_study_without_noise(config: dict[str, Any]) -> None:
    """Prevents a study without noise from asking for the noise table or its figure."""
    del config["noise"], config["recovery"]
    study = loaded(config)
    assert study.models_of("noise") == [] and noise.strengths(study) == []
    assert study.models_of("recovery") == [] and recovery.strengths(study) == []
    assert not {"noise", "noise_aggregation", "recovery", "recovery_aggregation"} & set(study.rules)
    assert not {"noise_rates", "recovery", "recovery_tests"} & set(study.tables)
    gone = {"noise_rates", "recovery", "factorial"}
    assert [*study.figures] == [name for name, figure in asked_figures(config) if not gone & set(figure.tables)]
    assert "noise" not in study.figures and "lens" in study.figures


def test_recovery_at_the_strengths_of_the_noise(config: dict[str, Any]) -> None:
    """Prevents an undisturbed run from being compared with itself where no strengths are named."""
    del config["recovery"]["strengths"]
    study = loaded(config)
    assert recovery.strengths(study) == noise.strengths(study) == ["0.3", "0.5"]
    config["noise"]["strengths"] = [0.0]
    still = loaded(config)
    assert recovery.strengths(still) == [] and "recovery" not in {*still.rules, *still.tables}


def test_parts_hold_the_first_rows_of_every_domain(config: dict[str, Any]) -> None:
    """Prevents rows beyond those that are asked for, shards without any, and parts other than those of scoring."""
    config["sampling"] |= {"domains": ["code", "control"], "rows_per_domain": 25, "shard_rows": 10}
    del config["ablation"]["classes"]
    config["ablation"] |= {"rows_per_domain": 12, "rows_per_domain_of": {"pythia-l": 99, "olmo1-l": 10}}
    study = loaded(config, scoring={"shards_per_job": 2})
    assert list(study.parts("olmo2-l")) == ["code-0000", "code-0002", "control-0001"]
    assert heads.parts(study, "olmo2-l") == {
        "code-0000": {"code-0000": 10, "code-0001": 2},
        "code-0002": {"control-0000": 10},
        "control-0001": {"control-0001": 2},
    }
    assert heads.parts(study, "olmo1-l") == {"code-0000": {"code-0000": 10}, "code-0002": {"control-0000": 10}}
    whole = {
        "code-0000": 10,
        "code-0001": 10,
        "code-0002": 5,
        "control-0000": 10,
        "control-0001": 10,
        "control-0002": 5,
    }
    assert {shard: rows for part in heads.parts(study, "pythia-l").values() for shard, rows in part.items()} == whole
    drawing = {"model": "pythia-l", "first": 25, "classes": {}, "looks": [], "domain": "control"}
    assert options(study, "ablation_rows", model="pythia-l", domain="control") == drawing
    assert options(study, "ablation_rows", model="olmo2-l", domain="code")["first"] == 12


def test_rows_of_classes_may_be_in_every_part(config: dict[str, Any]) -> None:
    """Prevents parts in which rows of a class are left, and first rows where only classes are asked for."""
    config["sampling"] |= {"domains": ["code", "control"], "rows_per_domain": 25, "shard_rows": 10}
    config["ablation"]["classes"] = {"memorized": 5, "half": 100}
    study = loaded(config, scoring={"shards_per_job": 2}, ablation={"rows_per_domain_of": {"olmo1-l": 3}})
    assert {part: list(shards) for part, shards in heads.parts(study, "pythia-l").items()} == study.parts("pythia-l")
    drawing = options(study, "ablation_rows", model="pythia-l", domain="code")
    assert (drawing["first"], drawing["classes"]) == (0, {"memorized": 5, "half": 100})
    assert [drawing[name] for name in ("seed", "memorized", "half", "unmemorized")] == [2026, 1.0, 0.5, 0.0]
    assert options(study, "ablation_rows", model="olmo1-l", domain="code")["first"] == 3
    assert loaded(config, ablation={"rows_per_domain": 7}).config["ablation"]["classes"] == drawing["classes"]


def test_blocks_of_layers(config: dict[str, Any]) -> None:
    """Prevents a layer that no job, or two jobs, ablate."""
    blocks = {"layers_per_job": 4, "layers_per_job_of": {"pythia-l": 3, "olmo1-l": 9}}
    study = loaded(config, ablation=blocks)
    assert heads.blocks(study, "olmo2-l") == {0: 4, 4: 6}
    assert heads.blocks(study, "pythia-l") == {0: 3, 3: 6}
    assert heads.blocks(study, "olmo1-l") == {0: 6}
    assert heads.blocks(loaded(config), "olmo2-l") == {0: None}
    job = {"model": "olmo2-l", "round": "0", "first": "4", "part": "code-0000"}
    assert job in study.jobs("ablation") and options(study, "ablation", **job)["layers"] == [4, 6]


def test_what_replaces_a_head(config: dict[str, Any]) -> None:
    """Prevents means that nobody needs, and a seed that ablates everything again where it decides nothing."""
    made = {
        by: loaded(config, ablation={"replacement": by})
        for by in ("mean_of_others", "zero", "dataset_mean", "resample")
    }
    assert [by for by, study in made.items() if "ablation_means" in study.rules] == ["dataset_mean"]
    told = {by: heads.ablation_options(study, "pythia-l", 0, 0) for by, study in made.items()}
    assert [by for by in made if "seed" in told[by]] == ["resample"]
    assert all(told[by]["replacement"] == by for by in made)


def test_looks(config: dict[str, Any]) -> None:
    """Rounds follow the looks that classes are large enough for; without any there is one, and no look."""
    classes = {"memorized": 40, "unmemorized": 8}
    whole, looked = (loaded(config, ablation={"classes": classes, "looks": looks}) for looks in ([], [10, 30, 40]))
    assert "open_heads" not in whole.rules and list(heads.rounds(whole)) == [0]
    assert heads.looks(looked) == [10, 30] and list(heads.rounds(looked)) == [0, 1, 2]
    assert {job["round"] for job in looked.jobs("ablation")} == {"0", "1", "2"}
    assert {job["round"] for job in looked.jobs("open_heads")} == {"0", "1"}
    told = [options(study, "ablation_rows", model="pythia-l", domain="code")["looks"] for study in (whole, looked)]
    assert told == [[], [10, 30]]
    told = options(looked, "open_heads", model="pythia-l", round="1")
    assert (told["round"], told["looks"], told["estimand"]) == (1, [10, 30], "corpus")
    assert list(whole.layer_profiles) == list(looked.layer_profiles) == ["recovery", "lens", "heads"]


def test_a_study_without_ablation(config: dict[str, Any]) -> None:
    """Prevents a study that ablates nothing from asking for the table or the figure of heads."""
    del config["ablation"]
    study = loaded(config)
    assert heads.models(study) == [] and not heads.needs_means(study)
    assert not {"ablation", "ablation_means", "open_heads", "ablation_aggregation"} & set(study.rules)
    assert not {"heads", "overlap", "power"} & {*study.rules, *study.tables, *study.figures}


def test_a_study_without_frequency(config: dict[str, Any]) -> None:
    """Prevents a study that counts nothing from asking for indexes, tables or figures of counts."""
    del config["frequency"]
    study = loaded(config)
    assert frequency.counted_families(study) == frequency.counted_models(study) == frequency.countings(study) == []
    assert not {"frequency_index", "frequency", "frequency_aggregation"} & set(study.rules)
    assert not {"frequency_rates", "thresholds", "countings"} & set(study.tables)
    assert not {"frequency", "countings"} & set(study.figures)


def test_ways_of_counting(config: dict[str, Any]) -> None:
    """Prevents rows from being counted in an index of other units than their own spans have."""
    study = loaded(config)
    assert {by: frequency.index_of(study, "olmo1", by) for by in frequency.countings(study)} == {
        "bytes": "bytes",
        "own": "olmo1",
        "other": "openllama",
    }
    assert frequency.counted_families(study) == list(study.families)
    assert frequency.counted_models(study) == list(study.models)
    assert options(study, "frequency", family="olmo1", counting="own") == {
        "family": "olmo1",
        "counting": "own",
        "by": "own",
        "rows_per_domain": None,
    }
    index = {"layout": options(study, "candidates", corpus="mini")["layout"] | {"labels": None}}
    assert options(study, "frequency_index", corpus="mini", units="bytes", group="000") == index
    few = loaded(config, frequency={"rows_per_domain": 25}, sampling={"rows_per_domain": 60, "shard_rows": 10})
    assert [shard for shard in frequency.counted_shards(few, "pythia") if shard.startswith("code")] == [
        "code-0000",
        "code-0001",
        "code-0002",
    ]


def test_public_index_where_there_is_one(paper: dict[str, Any]) -> None:
    """Prevents a corpus without a public index from being asked for there, and its counts from being left out."""
    study = loaded(paper, frequency={"families": ["pythia", "starcoder", "olmo3"]})
    made = {job["family"]: options(study, "frequency", **job) for job in study.jobs("frequency")}
    assert {family: told["by"] for family, told in made.items()} == {
        "pythia": "public",
        "starcoder": "bytes",
        "olmo3": "public",
    }
    assert (made["pythia"]["index"], made["pythia"]["tokenizer"]) == ("v4_piletrain_llama", "llama-2")
    assert made["pythia"]["public"] == {
        "endpoint": "https://api.infini-gram.io/",
        "connections": 4,
        "requests_per_second": 10,
        "tokenizer": "data/tokenizers/llama-2/tokenizer.model",
    }
    indexes = {family: frequency.index_of(study, family, "public") for family in ("pythia", "starcoder")}
    assert indexes == {"pythia": "", "starcoder": "bytes"}
    assert not {"index", "public", "tokenizer"} & made["starcoder"].keys()
    assert made["olmo3"]["index"].endswith("_olmo2") and made["olmo3"]["tokenizer"] == "olmo-2"
    assert made["olmo3"]["public"]["tokenizer"] == "data/tokenizers/olmo-2/tokenizer.json"
    counted = {model.split("-")[0] for model in frequency.counted_models(study)}
    assert counted == {"pythia", "starcoderbase", "olmo3"}


def test_tokens_of_a_public_index(tmp_path: Path, config: dict[str, Any]) -> None:
    """Prevents texts from being cut by another tokenizer than a public index, and one whose file nobody told."""
    corpora = read_yaml(Path("config/corpora.yaml"))
    corpora["pile"]["infini_gram"]["tokenizer"] = "gpt-neox"
    own = own_study(tmp_path, {"mine": {"corpus": "pile"}}, corpora, frequency={"countings": ["public"]})
    with pytest.raises(ReciteError, match=r"tokenizers names no file of gpt-neox, whose tokens the index of pile"):
        load(own, "own.yaml")
    own["frequency"]["public"] = {"tokenizers": {"gpt-neox": "there/tokenizer.json"}}
    made = options(load(own, "own.yaml"), "frequency", family="mine", counting="public")
    assert (made["tokenizer"], made["public"]["tokenizer"]) == ("gpt-neox", "there/tokenizer.json")
    assert options(loaded(config), "frequency", family="olmo1", counting="other")["tokenizer"] == "openllama"


def test_figures_of_the_mini_study(config: dict[str, Any]) -> None:
    """Prevents a figure from being left out of a study that has its tables."""
    found = [name for name, _ in asked_figures(config)]
    assert list(loaded(config).figures) == [name for name in found if name != "factorial"]
    assert len(found) > 20


def test_figures_have_names_of_their_own() -> None:
    """Prevents a stage's figure from taking the place of another one's."""
    names = [name for stage in STAGES for name in stage.figures]
    assert len(set(names)) == len(names)


def test_figures_that_a_study_names(config: dict[str, Any]) -> None:
    """Prevents figures that nobody asked for, and one whose tables a study lacks from stopping it."""
    config["figures"] = ["lens", "scaling", "noise"]
    assert list(loaded(config).figures) == ["scaling", "noise", "lens"]
    del config["noise"], config["recovery"]
    study = loaded(config)
    assert list(study.figures) == ["scaling", "lens"]
    assert study.jobs("figures") == [{"figure": "scaling"}, {"figure": "lens"}]


def test_a_factorial(config: dict[str, Any]) -> None:
    """Prevents a cell of another recipe, architecture or seed; a listed family keeps the options that it had."""
    before = options(loaded(config), "training", model="pythia-l")
    assert "architecture" not in before["recipe"] and loaded(config).crossed == {}
    families = config["training"].pop("families")
    recipes = {"plain": families["pythia"], "other": families["olmo2"]}
    for recipe in recipes.values():
        del recipe["seed"]
    crossed = {"architectures": ["olmo2", "pythia"], "recipes": recipes, "seeds": [4, 9]}
    config["training"] |= {"factorial": crossed, "sizes": {"m": config["training"]["sizes"]["m"]}}
    config["training"].pop("steps", None)
    for stage in ("frequency", "compressibility", "offsets", "trajectory", "counterfactual"):
        config.pop(stage, None)
    for section in config.values():
        if isinstance(section, dict):
            section.pop("models", None)
    study = loaded(config)
    assert list(study.models) == [
        f"{a}-{r}-{s}-m" for a in ("olmo2", "pythia") for r in ("plain", "other") for s in (4, 9)
    ]
    told = options(study, "training", model="pythia-other-9-m")
    assert told["recipe"] == study.config["training"]["factorial"]["recipes"]["other"] | {
        "architecture": "pythia",
        "seed": 9,
    }
    assert told["recipe"]["order"] == "spaced"
    assert told["shape"] == config["training"]["sizes"]["m"]
    assert options(study, "factorial")["families"]["olmo2-plain-4"] == {
        "architecture": "olmo2",
        "recipe": "plain",
        "seed": 4,
    }
    assert "factorial" in study.tables and "factorial" in study.figures


def test_a_study_of_natural_text_asks_for_no_controls(paper: dict[str, Any]) -> None:
    """Prevents checkpoints from elsewhere from being held against repetitions that nobody planted."""
    study = loaded(paper)
    assert study.planted == [] and "control_rates" not in study.tables
    assert all("control_rates" not in figure.tables for figure in study.figures.values())
    assert "verification" not in study.rules


def test_domains_by_corpus(paper: dict[str, Any]) -> None:
    """Prevents domains that are named for one corpus from being asked of the others."""
    study = loaded(paper, sampling={"domains": {"pile": ["github", "arxiv"], "dolma": ["wiki"]}})
    assert list(study.domains["pile"]) == ["github", "arxiv"] and list(study.domains["dolma"]) == ["wiki"]
    assert study.domains["redpajama"] == shipped("corpora")["redpajama"]["domains"]
    assert study.shards("olmo1") == [f"wiki-{index:04d}" for index in range(3)]


def test_options_of_a_corpus_of_files(paper: dict[str, Any]) -> None:
    """Prevents a change of how documents are read from leaving old candidates, and one of the plan from new ones."""
    study = loaded(paper)
    candidates = options(study, "candidates", corpus="dolma3")
    files = shipped("corpora")["dolma3"]["files"]
    assert candidates["layout"] == {"text": "text", **{key: files[key] for key in ("path", "labels", "removed")}}
    inventory = {key: files[key] for key in ("patterns", "groups", "hub", "revision")}
    folder = {"corpus": "dolma3", "folder": "data/corpora/dolma3"}
    assert options(study, "inventory", corpus="dolma3") == inventory | folder
    assert len(groups(study, "dolma3")) == files["groups"] == 64
    assert candidates["draw"]["most"] == 375_001
    assert candidates["draw"]["place"] == "offset"


def test_the_other_reading_of_the_list_is_twenty_too(paper: dict[str, Any]) -> None:
    """Prevents a line in the config's head that makes twenty-one models, or names one that there is not."""
    said = re.search(r"is this line: add (.*), drop (.*)\.", (ROOT / "config/paper.yaml").read_text())
    assert said is not None
    added, dropped = (re.split(r", | and ", names) for names in said.groups())
    assert set(dropped) <= set(paper["models"]) and set(added) <= set(shipped("models")) - set(paper["models"])
    other = load(paper | {"models": [name for name in paper["models"] if name not in dropped] + added})
    assert len(other.models) == 20
    assert sum(model.family == "pythia" for model in other.models.values()) == 6


def test_paper(paper: dict[str, Any]) -> None:
    """Prevents a checkpoint of the paper's twenty, or a family, from being lost."""
    study = loaded(paper)
    assert len(study.models) == 20 and study.models_of("noise") == list(study.models)
    assert list(study.families) == list(ARCHITECTURES)
    sizes = [options(study, "registration", model=model)["parameters"] for model in study.models]
    assert min(sizes) > 1e9 and max(sizes) < 33e9
    assert not study.trains and study.measures_batches
    assert options(study, "scoring", model="openllama-7b")["bos"] == 1
    assert {name for name, model in study.models.items() if model.bos is not None} == {
        name for name in study.models if name.startswith("openllama")
    }
    assert study.models["openllama-3b"].tokenizer == "tokenizer.model"
    assert study.weight_bytes("pythia-1b") == 2 * 1011781632


def test_the_other_reading_of_the_paper(paper: dict[str, Any]) -> None:
    """Prevents the smaller checkpoints, one line of config away, from being out of date."""
    names = [*paper["models"], "pythia-160m", "pythia-410m"]
    names.remove("starcoderbase-15.5b")
    paper["models"] = names
    assert len(loaded(paper).models) == 21


TIED = {"starcoderbase-1b", "starcoderbase-3b", "starcoderbase-7b", "starcoderbase-15.5b", "olmo1-1b"}
"""Checkpoints whose embedding is their unembedding."""
REGISTRY = check_config(read_yaml(ROOT / "config" / "models.yaml"), "models", "models.yaml")
FACTS = ("layers", "width", "heads", "shared_heads", "feed_forward", "vocabulary", "parameters")


def config_of(name: str, entry: dict[str, Any]) -> transformers.PretrainedConfig:
    """The config that a checkpoint's entry speaks of."""
    settings: dict[str, Any] = {
        "vocab_size": entry["vocabulary"],
        "hidden_size": entry["width"],
        "num_hidden_layers": entry["layers"],
        "num_attention_heads": entry["heads"],
        "num_key_value_heads": entry["shared_heads"],
        "intermediate_size": entry["feed_forward"],
        "tie_word_embeddings": name in TIED,
        "pad_token_id": None,
    }
    if entry["family"] == "starcoder":
        # learned positions, 8,192 of them, which a rotary model has no parameters for
        settings |= {"n_inner": settings.pop("intermediate_size"), "n_positions": 8192, "multi_query": True}
    if entry["family"] in ("pythia", "starcoder"):
        del settings["num_key_value_heads"]
    model_class = ARCHITECTURES[entry["family"]].model_class
    return getattr(transformers, model_class.replace("ForCausalLM", "Config"))(**settings)


@pytest.mark.parametrize("name", [name for name, entry in REGISTRY.items() if entry.get("family") in ARCHITECTURES])
def test_registry_agrees_with_transformers(name: str) -> None:
    """Prevents a wrong number of parameters, which is the axis of the scaling law and the size that jobs ask for."""
    entry = REGISTRY[name]
    architecture = ARCHITECTURES[entry["family"]]
    assert entry["width"] % entry["heads"] == 0
    found = checkpoint_facts(empty_model(config_of(name, entry), architecture), architecture)
    assert found == {fact: entry[fact] for fact in FACTS}


def test_registry_is_pinned() -> None:
    """Prevents a checkpoint that cannot be fetched, but for those that say so, and two that are one."""
    lines = (ROOT / "config/models.yaml").read_text().splitlines()
    told = ("  # no commit found", "  # Its commit was not found: add it before fetching.")
    unpinned = [name.removesuffix(":") for name, line in pairwise(lines) if line in told]
    assert [name for name, entry in REGISTRY.items() if "revision" not in entry] == unpinned
    commits = [entry["revision"] for entry in REGISTRY.values() if "revision" in entry]
    assert len(set(commits)) == len(commits)
    assert len({entry["hub"] for entry in REGISTRY.values()}) == len(REGISTRY)
    for entry in REGISTRY.values():
        assert entry["dtype"] in ("float16", "bfloat16")
    assert {name for name, entry in REGISTRY.items() if entry["gpus"] != 1} == {"k2-65b", "apertus-70b"}


def test_names_of_a_thousand_groups_and_ten_thousand_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents the last groups and shards from having no rule, limits or rows, for the digits of their names."""
    monkeypatch.chdir(ROOT)
    corpora = {"notes": NOTES | {"files": NOTES["files"] | {"groups": 1001, "gigabytes": 1}}}
    facts = {"layers": 2, "width": 32, "heads": 2, "shared_heads": 2, "feed_forward": 64, "vocabulary": 300}
    facts |= {"parameters": 30_000}
    made = own_study(tmp_path, {"mine": {"corpus": "notes", **facts}}, corpora)
    sections: dict[str, Any] = {"sampling": {"rows_per_domain": 10_001, "shard_rows": 1, "domains": ["code"]}}
    sections |= {"scoring": {"shards_per_job": 1}, "ablation": {"rows_per_domain": 10_001, "batch_rows": 8}}
    study = loaded(made, **sections)
    snakefile = (ROOT / "Snakefile").read_text()
    for wildcard, names in (("group", groups(study, "notes")), ("part", study.shards("mine"))):
        (constraint,) = re.findall(rf'^    {wildcard}=r"(.+)",$', snakefile, re.MULTILINE)
        matches = re.compile(regex_from_filepattern(f"a/{{{wildcard},{constraint}}}.parquet"))
        found = [matches.match(f"a/{name}.parquet") for name in names]
        assert [match and match[wildcard] for match in found] == names and names == sorted(names, key=len)
        assert not any(matches.match(f"a/{name}.parquet") for name in ("1", "12", "code-123", "code-", "code-12x"))
    limits = Limits(study)
    assert limits.job("candidates", {"corpus": "notes", "group": "1000"})
    assert limits.job("scoring", {"model": "mine", "part": "code-10000"})
    assert heads.parts(study, "mine")["code-10000"] == {"code-10000": 1}


def test_files_that_are_left_out_are_the_inventory_s_alone(paper: dict[str, Any]) -> None:
    """Prevents an inventory from passing over `without`, and one without it from being made anew."""
    study = loaded(paper)
    before = options(study, "inventory", corpus="dolma3")
    study.corpora["dolma3"]["files"]["without"] = ["a.jsonl"]
    assert options(study, "inventory", corpus="dolma3") == before | {"without": ["a.jsonl"]}
    assert "without" not in options(study, "candidates", corpus="dolma3")["layout"]


def test_models_as_the_report_lists_them(config: dict[str, Any], paper: dict[str, Any]) -> None:
    """Trained here or registered; a file that is not there yet leaves open what its entry does."""
    trained, registered = loaded(config), loaded(paper)
    assert listed(trained)["pythia-l"] == {"family": "pythia", "corpus": "mini", "layers": 6, "heads": 8}
    assert list(listed(registered)) == list(registered.models)
    assert listed(registered)["pythia-1b"] == {"family": "pythia", "corpus": "pile", "layers": 16, "heads": 8}
    registered.models["pythia-1b"] = registered.models["pythia-1b"]._replace(facts={})
    assert listed(registered)["pythia-1b"] == {"family": "pythia", "corpus": "pile", "layers": None, "heads": None}
