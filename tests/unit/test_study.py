"""recite.study: the resolved study, and the sentence for every mistake that spans config files."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from recite.errors import ReciteError
from recite.study import Study, load_study

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The real mini study's config; its corpora and figures files are found from the root."""
    monkeypatch.chdir(ROOT)
    return yaml.safe_load((ROOT / "config" / "mini.yaml").read_text())


def loaded(config: dict[str, Any], **changes: dict[str, Any]) -> Study:
    """The study of a copy of the config, with keys of its sections changed."""
    changed = deepcopy(config)
    for section, values in changes.items():
        changed[section].update(values)
    return load_study(changed, "mini.yaml")


def test_models_of_the_mini_study(config: dict[str, Any]) -> None:
    """Prevents a family, a size or a BOS policy from being lost between config and jobs."""
    study = loaded(config)
    families, sizes = config["training"]["families"], config["training"]["sizes"]
    assert set(study.models) == {f"{family}-{size}" for family in families for size in sizes}
    for name, model in study.models.items():
        assert name == model.name == f"{model.family}-{model.size}"
        assert model.bos == families[model.family].get("bos", False)
    for family in study.families:
        found = [model.name for model in study.models.values() if model.family == family]
        assert found == [f"{family}-{size}" for size in sizes]


def test_names_and_options_of_the_mini_study(config: dict[str, Any]) -> None:
    """Prevents a stage from being given another stage's values."""
    config["noise"]["strengths"] = [0.0, 0.00001, 0.1, 0.25, 1]
    study = loaded(config)
    assert (study.name, study.results, study.corpus) == ("mini", "results/mini", "mini")
    assert study.planted == ["control"]
    assert set(study.domain_kinds) == set(config["sampling"]["domains"])
    training, families = config["training"], config["training"]["families"]
    vocabulary = families["openllama"]["vocabulary"]
    assert study.tokenization_options("openllama") == {"row_tokens": training["row_tokens"], "vocabulary": vocabulary}
    made = study.training_options("olmo1-m")
    assert made["family"] == "olmo1" and made["shape"] == training["sizes"]["m"]
    assert made["recipe"].items() >= families["olmo1"].items()
    batch = config["scoring"]["batch_rows"]
    scoring = {"model": "openllama-l", "family": "openllama", "bos": True, "batch_rows": batch, "dtype": "float32"}
    assert study.scoring_options("openllama-l") == scoring
    assert study.noise_options() == {"seed": config["seed"], "layer": 0, "rms": "token", "positions": "prompt"}
    assert study.noise_strengths == ["1e-05", "0.1", "0.25", "1.0"]
    assert study.aggregation_options()["kinds"]["licences"] == "free_text"
    assert study.corpus_options()["name"] == "mini" and study.sampling_options()["seed"] == config["seed"]


def test_parts_cover_every_shard_once(config: dict[str, Any]) -> None:
    """Prevents rows that no job, or two jobs, score; the last shard and the last part may be smaller."""
    study = loaded(config, sampling={"rows_per_domain": 25, "shard_rows": 10}, scoring={"shards_per_job": 4})
    shards = [f"{domain}-{index:04d}" for domain in config["sampling"]["domains"] for index in range(3)]
    assert study.shards == shards
    assert [len(part) for part in study.parts.values()] == [4, 4, 4, 4, 2]
    assert all(name == part[0] for name, part in study.parts.items())


def test_rows_that_fill_their_shards_exactly(config: dict[str, Any]) -> None:
    """Prevents an empty last shard."""
    study = loaded(config, sampling={"domains": ["code", "control"], "rows_per_domain": 20, "shard_rows": 10})
    assert study.shards == ["code-0000", "code-0001", "control-0000", "control-0001"]


@pytest.mark.parametrize("rows", [10, 25])
def test_appending_a_domain_keeps_the_earlier_parts(config: dict[str, Any], rows: int) -> None:
    """Prevents a new domain from scoring the finished ones again."""
    sampling = {"domains": ["code", "control"], "rows_per_domain": rows, "shard_rows": 10}
    before = loaded(config, sampling=sampling, scoring={"shards_per_job": 1}).parts
    more = sampling | {"domains": ["code", "control", "markup"]}
    after = loaded(config, sampling=more, scoring={"shards_per_job": 1}).parts
    assert {name: after[name] for name in before} == before
    assert {name.rpartition("-")[0] for name in after.keys() - before.keys()} == {"markup"}


def test_appending_a_model_keeps_the_options_of_the_others(config: dict[str, Any]) -> None:
    """Prevents a new size from training and scoring the others again."""
    before = loaded(config)
    sizes = config["training"]["sizes"] | {"xl": {"layers": 8, "width": 256, "heads": 8}}
    after = loaded(config, training={"sizes": sizes})
    for model in before.models:
        assert after.training_options(model) == before.training_options(model)
        assert after.scoring_options(model) == before.scoring_options(model)


def test_a_study_without_noise(config: dict[str, Any]) -> None:
    """Prevents a study without noise from asking for the noise table or its figure."""
    del config["noise"]
    study = loaded(config)
    assert study.noise_models == [] and study.noise_strengths == []
    assert "noise_rates" not in study.tables
    assert set(study.figures) == set(study.figure_entries) - {"noise"}


def test_figures_of_the_mini_study(config: dict[str, Any]) -> None:
    """Prevents a figure from being left out of a study that has its tables."""
    study = loaded(config)
    assert set(study.figures) == set(yaml.safe_load((ROOT / "config" / "figures.yaml").read_text()))


@pytest.mark.parametrize(
    ("section", "values", "sentence"),
    [
        (
            "training",
            {"families": {"gpt9": {"seed": 1, "learning_rate": 0.1}}},
            r"training\.families: 'gpt9' .*known: pyt",
        ),
        (
            "training",
            {"corpus": "pile"},
            r"training\.corpus: 'pile' is not a corpus of config/corpora\.yaml .*known: mini",
        ),
        (
            "noise",
            {"models": ["pythia-xxl"]},
            r"noise\.models: 'pythia-xxl' is not a model of this study .*known: pythia-xs",
        ),
        (
            "sampling",
            {"domains": ["prose"]},
            r"sampling\.domains: 'prose' is not a domain of corpus mini .*known: code",
        ),
        (
            "training",
            {"sizes": {"odd": {"layers": 1, "width": 30, "heads": 4}}},
            r"training\.sizes\.odd: 4 heads do not divide width 30; choose a width",
        ),
        (
            "training",
            {"sizes": {"thin": {"layers": 1, "width": 48, "heads": 4}}},
            r"training\.sizes\.thin: heads of width 12 .*multiple of 8",
        ),
        ("training", {"row_tokens": 63}, r"windows of 64 tokens, but training\.row_tokens is 63"),
        ("sampling", {"continuation_tokens": 33}, r"windows of 65 tokens, but training\.row_tokens is 64"),
        (
            "sampling",
            {"window": "offset"},
            r"sampling\.window is offset, but models trained here see only the head of each document",
        ),
        (
            "scoring",
            {"dtypes": {"pythia-xxl": "bfloat16"}},
            r"scoring\.dtypes: 'pythia-xxl' is not a model of this study",
        ),
        ("scoring", {"batch_rows": "all"}, r"scoring\.batch_rows: 'all' is not"),
        ("scoring", {"dtyp": "float32"}, r"scoring: unknown key 'dtyp'; did you mean 'dtype'"),
    ],
)
def test_mistakes_in_a_study(config: dict[str, Any], section: str, values: dict[str, Any], sentence: str) -> None:
    """Prevents a study that cannot work from starting, and its mistake from lacking file, key and remedy."""
    with pytest.raises(ReciteError, match=rf"^mini\.yaml: .*{sentence}|^mini\.yaml: {sentence}"):
        loaded(config, **{section: values})


def test_a_study_without_training(config: dict[str, Any]) -> None:
    """Prevents a KeyError for a study that names no models."""
    del config["training"]
    with pytest.raises(ReciteError, match=r"mini\.yaml: key 'training' is missing; a study needs models"):
        loaded(config)


@pytest.mark.parametrize("domains", [["code", "markup"], ["control"]])
def test_a_study_needs_natural_and_planted_domains(config: dict[str, Any], domains: list[str]) -> None:
    """Prevents hours of scoring that end in a crash of aggregation, which needs rows of both kinds."""
    with pytest.raises(ReciteError, match=r"mini\.yaml: sampling\.domains"):
        loaded(config, sampling={"domains": domains})


def test_missing_corpora_file(config: dict[str, Any]) -> None:
    """Prevents a traceback where corpora_file is mistyped."""
    config["corpora_file"] = "config/nowhere.yaml"
    with pytest.raises(ReciteError, match=r"config/nowhere\.yaml does not exist; run from the repository's root"):
        loaded(config)


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (("domains", "code"), ..., r"mini\.build\.sources: 'code' is not a domain of that corpus"),
        (
            ("domains", "control"),
            "structural",
            r"mini\.domains must have one domain of kind planted, called control",
        ),
        (
            ("build", "controls", "source"),
            "prose",
            r"mini\.build\.controls\.source: 'prose' is not a source of that corpus",
        ),
        (("build", "seeds"), 3, r"mini\.build: unknown key 'seeds'; did you mean 'seed'"),
    ],
)
def test_mistakes_in_the_corpora_file(
    config: dict[str, Any], tmp_path: Path, place: tuple[str, ...], value: Any, sentence: str
) -> None:
    """Prevents a corpus that contradicts itself from being built; the message names the corpora file."""
    corpora = yaml.safe_load((ROOT / "config" / "corpora.yaml").read_text())
    inner = corpora["mini"]
    for key in place[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    config["corpora_file"] = str(tmp_path / "corpora.yaml")
    config["sampling"]["domains"] = ["headers", "control"]
    Path(config["corpora_file"]).write_text(yaml.safe_dump(corpora))
    with pytest.raises(ReciteError, match=rf"corpora\.yaml: {sentence}"):
        loaded(config)


def test_figure_that_nothing_draws(config: dict[str, Any], tmp_path: Path) -> None:
    """Prevents a figure without a function from being found out by the last job of a study."""
    entry = "poem: {title: A poem, category: Scores, tables: [rates], caption: Words.}"
    (tmp_path / "figures.yaml").write_text(entry)
    config["figures_file"] = str(tmp_path / "figures.yaml")
    with pytest.raises(ReciteError, match=r"figures\.yaml: nothing draws poem; add poem\.py"):
        load_study(config, "mini.yaml")
