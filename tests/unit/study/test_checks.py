"""What no schema can say: the sentence for every mistake that spans config files."""

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from recite.errors import ReciteError
from recite.stages.heads.asked import blocks
from studies import NOTES, ROOT, load, loaded, own_study, shipped


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The real mini study's config; its corpora and claims files are found from the root."""
    monkeypatch.chdir(ROOT)
    return shipped("mini")


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
            {"corpus": "pyle"},
            r"training\.corpus: 'pyle' is not a corpus of config/corpora\.yaml .*known: mini",
        ),
        (
            "noise",
            {"models": ["pythia-xxl"]},
            r"noise\.models: 'pythia-xxl' is not a model of this study .*known: pythia-xs",
        ),
        (
            "compressibility",
            {"models": ["pythia-xxl"]},
            r"compressibility\.models: 'pythia-xxl' is not a model of this study .*known: pythia-xs",
        ),
        (
            "frequency",
            {"families": ["gpt9"]},
            r"frequency: 'gpt9' is not a family of this study \(known: pythia",
        ),
        (
            "frequency",
            {"other": "llama2"},
            r"frequency: 'llama2' is not a family of this study \(known: pythia",
        ),
        ("frequency", {"countings": []}, r"frequency\.countings: "),
        ("frequency", {"countings": ["bytes", "words"]}, r"frequency\.countings.*'words'"),
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
        (
            "training",
            {"corpus": "pile"},
            r"training\.corpus: pile has no controls planted; train on a corpus that is built",
        ),
        ("training", {"row_tokens": 63}, r"windows of 64 tokens, but training\.row_tokens is 63"),
        ("sampling", {"continuation_tokens": 33}, r"windows of 65 tokens, but training\.row_tokens is 64"),
        (
            "scoring",
            {"dtypes": {"pythia-xxl": "bfloat16"}},
            r"scoring\.dtypes: 'pythia-xxl' is not a model of this study",
        ),
        (
            "noise",
            {"layers": [0, 6]},
            r"noise\.layers has 6, but pythia-l has 6 layers, counted from 0; choose layers that every model",
        ),
        (
            "recovery",
            {"models": ["pythia-xs"], "strengths": [0.3, 0.25]},
            r"recovery\.strengths: 0\.25 is not one of noise\.strengths \(0\.0, 0\.3, .*; add it there, or",
        ),
        (
            "recovery",
            {"models": ["pythia-xxl"]},
            r"recovery\.models: 'pythia-xxl' is not a model of this study",
        ),
        (
            "predictability",
            {"contexts": 150},
            r"predictability\.contexts: a row needs 150 other rows of its domain, but .* is 150; ask for fewer",
        ),
        ("lens", {"models": ["pythia-xxl"]}, r"lens\.models: 'pythia-xxl' is not a model of this study"),
        (
            "tuned_lens",
            {"models": ["pythia-l", "pythia-xs"]},
            r"tuned_lens\.models: pythia-xs is not decoded by the plain lens, .*; add it to lens\.models, or leave it",
        ),
        ("dimension", {"models": ["pythia-xxl"]}, r"dimension\.models: 'pythia-xxl' is not a model of this study"),
        ("dimension", {"neighbours": 20}, r"dimension\.points: 20 neighbours need 80 points, but it is 60; allow more"),
        ("ablation", {"models": ["pythia-xxl"]}, r"ablation\.models: 'pythia-xxl' is not a model of this study"),
        (
            "ablation",
            {"rows_per_domain_of": {"pythia-xxl": 5}},
            r"ablation\.rows_per_domain_of: 'pythia-xxl' is not a model that there is",
        ),
        (
            "ablation",
            {"layers_per_job_of": {"pythia-xxl": 5}},
            r"ablation\.layers_per_job_of: 'pythia-xxl' is not a model that there is",
        ),
        (
            "ablation",
            {"batch_rows_of": {"pythia-xxl": 5}},
            r"ablation\.batch_rows_of: 'pythia-xxl' is not a model that there is",
        ),
        ("ablation", {"classes": {}}, r"ablation\.classes: {} should be non-empty"),
        ("ablation", {"classes": {"halves": 5}}, r"ablation\.classes: unknown key 'halves'; did you mean 'half'"),
        ("ablation", {"classes": {"memorized": 0}}, r"ablation\.classes\.memorized: 0 is less than the minimum of 1"),
        ("ablation", {"replacement": "ones"}, r"ablation\.replacement: 'ones' is not one of 'mean_of_others', 'zero'"),
        ("ablation", {"looks": [0]}, r"ablation\.looks\.0: 0 is less than the minimum of 1"),
        ("ablation", {"looks": [9, 5]}, r"ablation\.looks: \[9, 5\] do not ascend; put the smallest first"),
        (
            "ablation",
            {"looks": [5], "classes": {"half": 9}, "rows_per_domain": 9},
            r"ablation\.looks: heads are left by the rows of a class or by a domain's first rows, not by both",
        ),
        ("ablation", {"layers_per_job": 0}, r"ablation\.layers_per_job: 0 is less than the minimum of 1"),
        (
            "sampling",
            {"domains": {"pile": ["github"]}},
            r"sampling\.domains: 'pile' is not a corpus of this study \(known: mini\)",
        ),
        (
            "sampling",
            {"domains": {"mini": ["prose", "control"]}},
            r"sampling\.domains: 'prose' is not a domain of corpus mini",
        ),
        ("scoring", {"batch_rows": "all"}, r"scoring\.batch_rows: 'all' is not"),
        ("scoring", {"dtyp": "float32"}, r"scoring: unknown key 'dtyp'; did you mean 'dtype'"),
    ],
)
def test_mistakes_in_a_study(config: dict[str, Any], section: str, values: dict[str, Any], sentence: str) -> None:
    """Prevents a study that cannot work from starting, and its mistake from lacking file, key and remedy."""
    with pytest.raises(ReciteError, match=rf"^mini\.yaml: .*{sentence}|^mini\.yaml: {sentence}"):
        loaded(config, **{section: values})


def test_counting_by_another_tokenizer_that_is_not_named(config: dict[str, Any]) -> None:
    """Prevents a KeyError where it is not said whose tokens `other` counts."""
    del config["frequency"]["other"]
    sentence = r"mini\.yaml: frequency\.countings has other, but frequency\.other does not say whose tokenizer that is"
    with pytest.raises(ReciteError, match=sentence):
        loaded(config)


def test_neither_models_nor_training(config: dict[str, Any]) -> None:
    """Prevents a KeyError for a study that names no models."""
    del config["training"]
    sentence = r"mini\.yaml: key 'models' is missing; a study needs models: name some of config/models\.yaml or train"
    with pytest.raises(ReciteError, match=sentence):
        loaded(config)


def test_both_models_and_training(config: dict[str, Any]) -> None:
    """Prevents one of the two from being passed over in silence."""
    config["models"] = ["pythia-1b"]
    with pytest.raises(ReciteError, match=r"mini\.yaml: a study names models or trains them, not both; drop 'models'"):
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
        (
            ("build", "sources", "unseen"),
            {"packages": ["python"], "patterns": ["*.py"], "documents": 1},
            r"mini\.build\.sources: unseen is the name of a file of planted texts; call the domain otherwise",
        ),
        (("build", "seeds"), 3, r"mini\.build: unknown key 'seeds'; did you mean 'seed'"),
    ],
)
def test_mistakes_in_the_corpora_file(
    config: dict[str, Any], tmp_path: Path, place: tuple[str, ...], value: Any, sentence: str
) -> None:
    """Prevents a corpus that contradicts itself from being built; the message names the corpora file."""
    corpora = shipped("corpora")
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


def test_a_context_that_no_mask_holds(config: dict[str, Any]) -> None:
    """Prevents suffixes beyond the 64th from being lost without a word."""
    config["training"]["row_tokens"] = 128
    config["sampling"] |= {"context_tokens": 65}
    with pytest.raises(ReciteError, match=r"sampling\.context_tokens is 65, but compressibility .* 64 at most"):
        load(config, "mini")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"fame": {}}, r"claims\.yaml: 'fame' is not a claim with a statistic .*known: .*\bscaling\b"),
        ({"scaling": {"figure": "pie"}}, r"claims\.yaml: scaling\.figure: 'pie' is not a figure"),
        ({"scaling": {"below": 1}}, r"claims\.yaml: scaling"),
    ],
)
def test_a_claim_that_cannot_be_judged(
    config: dict[str, Any], tmp_path: Path, change: dict[str, dict[str, Any]], sentence: str
) -> None:
    """Prevents a claim without a statistic, a figure or a single bound from failing after the measurements."""
    (name,) = change
    entry = {"claim": "c", "statistic": "s", "figure": "scaling", "above": 0} | change[name]
    (tmp_path / "claims.yaml").write_text(yaml.safe_dump({name: entry}))
    config["claims_file"] = str(tmp_path / "claims.yaml")
    with pytest.raises(ReciteError, match=sentence):
        load(config, "mini")


def test_figure_that_nothing_draws(config: dict[str, Any]) -> None:
    """Prevents a figure that no stage has from being left out without a word."""
    config["figures"] = ["scaling", "poem"]
    with pytest.raises(ReciteError, match=r"mini\.yaml: figures: 'poem' is not a figure of a stage \(known: .*scaling"):
        load(config, "mini.yaml")


MINE = {"mine": {"corpus": "notes"}}


@pytest.fixture
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The claims file is found from the root."""
    monkeypatch.chdir(ROOT)


def assert_refused(config: dict[str, Any], sentence: str) -> None:
    """Loading the study must end in one sentence."""
    with pytest.raises(ReciteError, match=sentence) as refusal:
        load(config, "own.yaml")
    assert "\n" not in str(refusal.value)


def test_a_study_of_ones_own(tmp_path: Path, at_root: None) -> None:
    """What the following break must work as it is."""
    study = load(own_study(tmp_path, MINE, {"notes": NOTES}), "own.yaml")
    assert list(study.models) == ["mine"]


def test_unknown_model(tmp_path: Path, at_root: None) -> None:
    """A typing error must be answered by the names that there are."""
    config = own_study(tmp_path, MINE, {"notes": NOTES}, models=["mime"])
    assert_refused(config, r"^own\.yaml: models: 'mime' is not a model of .*models\.yaml \(known: mine\)")


def test_unknown_corpus(tmp_path: Path, at_root: None) -> None:
    """An entry that names no corpus of the corpora file; the sentence names both files."""
    config = own_study(tmp_path, {"mine": {"corpus": "nodes"}}, {"notes": NOTES})
    sentence = r"models\.yaml: mine\.corpus: 'nodes' is not a corpus of .*corpora\.yaml \(known: notes\)"
    assert_refused(config, sentence)


def test_registered_model_of_a_corpus_that_is_built(tmp_path: Path, at_root: None) -> None:
    """A corpus that is made in a study has no files for a checkpoint that comes from elsewhere."""
    corpora = {"mini": shipped("corpora")["mini"]}
    config = own_study(tmp_path, {"mine": {"corpus": "mini"}}, corpora)
    assert_refused(config, r"models\.yaml: mine\.corpus: mini is built for models that are trained here; name a corpus")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"domains": {"prose": "planted"}},
            r"notes\.domains: prose is of kind planted, which only a corpus that is built",
        ),
        ({"files": {"patterns": ["*"]}}, r"notes\.files must find a document's domain in a field \(domain\) or in its"),
        ({"files": {"patterns": ["*"], "domain": "kind", "path": "(.*)/"}}, r"notes\.files must find .*, one of them"),
        ({"files": {"patterns": ["*"], "path": "^[^/]+/"}}, r"notes\.files\.path: .* has 0 groups; put the label"),
        ({"files": {"patterns": ["*"], "path": "^(a)/(b)/"}}, r"notes\.files\.path: .* has 2 groups; put the label"),
        (
            {"files": {"patterns": ["*"], "path": "^(a/"}},
            r"notes\.files\.path: .* is not a regular expression \(missing \)",
        ),
        (
            {"files": {"patterns": ["*"], "domain": "kind", "labels": {"P": "prose", "C": "cod"}}},
            r"notes\.files\.labels: 'cod' is not a domain of that corpus \(known: prose, code\)",
        ),
        (
            {"files": {"patterns": ["*"], "domain": "kind", "labels": {"P": "prose"}}},
            r"notes\.files\.labels: none leads to code; add one or drop the domain",
        ),
        ({"files": {"patterns": []}}, r"notes\.files\.patterns: \[\] "),
        (
            {"files": {"patterns": ["*"], "domain": "kind", "revision": "main"}},
            r"notes\.files\.revision: 'main' does not match",
        ),
        ({"classes": {"prose": "mail"}}, r"notes\.classes: code has no class of text; give it one"),
        (
            {"classes": NOTES["classes"] | {"verse": "books"}},
            r"notes\.classes: 'verse' is not a domain of that corpus \(known: prose, code\)",
        ),
        ({"classes": NOTES["classes"] | {"prose": "letters"}}, r"notes\.classes\.prose: 'letters' is "),
        (
            {"classes": NOTES["classes"] | {"prose": "planted"}},
            r"notes\.classes: prose is of kind free_text, but of class planted; planted texts, and no others, are",
        ),
        ({"build": {}}, r"notes\.build: key 'seed' is missing"),
    ],
)
def test_mistakes_in_a_corpus_of_files(tmp_path: Path, at_root: None, change: dict[str, Any], sentence: str) -> None:
    """Prevents days of reading that find no document, or none of a domain."""
    assert_refused(own_study(tmp_path, MINE, {"notes": NOTES | change}), rf"corpora\.yaml: {sentence}")


@pytest.mark.parametrize("drop", [True, False])
def test_corpus_that_is_neither_or_both(tmp_path: Path, at_root: None, drop: bool) -> None:
    """A corpus that lies nowhere, or in two ways."""
    mini = shipped("corpora")["mini"]
    corpora = {"notes": {key: NOTES[key] for key in ("domains", "classes")} if drop else mini | NOTES}
    assert_refused(
        own_study(tmp_path, MINE, corpora), r"corpora\.yaml: notes must say how it is made \(build\) or where"
    )


@pytest.mark.parametrize("chosen", [None, ["code"], {"web": ["code"]}])
def test_domain_of_two_kinds(tmp_path: Path, at_root: None, chosen: Any) -> None:
    """Rates are by domain over all corpora: one name for two kinds would count rows as what they are not."""
    web = NOTES | {"domains": {"code": "free_text", "chat": "free_text"}}
    web["classes"] = {"code": "source_code", "chat": "forum"}
    registry = {"mine": {"corpus": "notes"}, "other": {"corpus": "web"}}
    config = own_study(tmp_path, registry, {"notes": NOTES, "web": web})
    if chosen:
        config["sampling"]["domains"] = chosen
    sentence = (
        r"own\.yaml: sampling\.domains: code is structural in one corpus and free_text in web; give the two different"
    )
    assert_refused(config, sentence)
    config["sampling"]["domains"] = {"web": ["chat"]}
    study = load(config, "own.yaml")
    assert study.domains == {"notes": NOTES["domains"], "web": {"chat": "free_text"}}
    assert study.text_classes == {"notes": NOTES["classes"], "web": {"chat": "forum"}}


def test_classes_of_the_papers_corpora() -> None:
    """Prevents corpora of different families from having fewer sorts of text in common than the config tells."""
    corpora, registry = shipped("corpora"), shipped("models")
    names = list(dict.fromkeys(registry[model]["corpus"] for model in shipped("paper")["models"]))
    shared = {
        (first, second): len({*corpora[first]["classes"].values()} & {*corpora[second]["classes"].values()})
        for first, second in combinations(names, 2)
    }
    lines = (
        (ROOT / "config" / "corpora.yaml")
        .read_text()
        .partition("Classes that two of the paper's corpora share:\n#\n")[2]
    )
    header, *told = [line.strip("# ").split() for line in lines.partition("\n#\n")[0].splitlines()]
    assert header == names[1:]
    table = {(row[0], name): int(n) for row in told for name, n in zip(names[-len(row[1:]) :], row[1:], strict=True)}
    assert table == shared
    assert sum(n >= 6 for n in shared.values()) == 3


def test_a_factorial_that_cannot_be(config: dict[str, Any]) -> None:
    """Families beside a factorial, an architecture that is none, and sizes that would be mixed."""
    recipe = {"learning_rate": 0.006}
    crossed = {"architectures": ["olmo2", "gpt5"], "recipes": {"a": dict(recipe), "b": dict(recipe)}, "seeds": [1, 2]}
    config["training"]["factorial"] = crossed
    with pytest.raises(ReciteError, match=r"^mini\.yaml: training must list its families .* or cross .*, one of them"):
        load(config, "mini.yaml")
    del config["training"]["families"]
    with pytest.raises(ReciteError, match=r"training\.factorial\.architectures: 'gpt5' is not a family of the arch"):
        load(config, "mini.yaml")
    crossed["architectures"] = ["olmo2", "pythia"]
    with pytest.raises(ReciteError, match=r"models of one size, but training\.sizes has xs, s, m, l; keep one"):
        load(config, "mini.yaml")


def test_recovery_is_from_noise(config: dict[str, Any]) -> None:
    """Prevents recovery without a strength or layer, and from a layer that only its models lack."""
    noise = config.pop("noise")
    with pytest.raises(ReciteError, match=r"^mini\.yaml: recovery is from noise, but there is no section noise; add"):
        loaded(config)
    config["noise"] = noise | {"layers": [0, 2], "models": ["pythia-l"]}
    config["recovery"]["models"] = ["pythia-xs"]
    with pytest.raises(ReciteError, match=r"noise\.layers has 2, but pythia-xs .* every model of recovery\.models"):
        loaded(config)


def test_noise_layer_of_registered_models(tmp_path: Path, at_root: None) -> None:
    """Where an entry tells the layers the mistake is found at once; where it tells nothing the study may start."""
    noise = {"models": ["mine", "other"], "strengths": [0.1], "layers": [4]}
    registry = {"mine": {"corpus": "notes"}, "other": {"corpus": "notes", "layers": 4}}
    sentence = r"own\.yaml: noise\.layers has 4, but other has 4 layers, counted from 0"
    assert_refused(own_study(tmp_path, registry, {"notes": NOTES}, noise=noise), sentence)
    noise["models"] = ["mine"]
    study = load(own_study(tmp_path, registry, {"notes": NOTES}, noise=noise), "own.yaml")
    assert study.models_of("noise") == ["mine"]


def test_layers_in_blocks_of_a_model_of_unknown_depth(tmp_path: Path, at_root: None) -> None:
    """Prevents a model whose layers nobody has counted from being cut into jobs of some of them."""
    config = own_study(tmp_path, MINE, {"notes": NOTES}, ablation={"layers_per_job": 2})
    sentence = (
        r"own\.yaml: ablation\.layers_per_job: the number of layers of mine is not known \(.*mine does not exist\); put"
    )
    assert_refused(config, sentence)
    own = own_study(tmp_path, MINE, {"notes": NOTES}, ablation={})
    assert blocks(load(own, "own.yaml"), "mine") == {0: None}
