"""recite.stages.counterfactual: the siblings' jobs, files, options and costs, and configs that cannot be."""

from typing import Any

import pytest

from recite.errors import ReciteError
from recite.planning import costs
from recite.planning.costs import Machine
from recite.planning.planner import Planner
from recite.stages.counterfactual.rows import HALF_NAMES
from recite.stages.counterfactual.stage import HALVES
from recite.study.study import Study
from studies import ROOT, load, loaded, shipped

JOB = {"model": "pythia-m", "seed": "5", "half": "b", "part": "code-0000"}


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The claims file is found from the root."""
    monkeypatch.chdir(ROOT)


def mini(**section: Any) -> Study:
    config = shipped("mini")
    config["counterfactual"] = {"model": "pythia-m", "seeds": [5, 9]} | section
    return load(config)


def told(study: Study, rule: str, **job: str) -> dict[str, Any]:
    return study.rules[rule].options(study, JOB | job)


@pytest.mark.parametrize("model", ["pythia-m", "starcoder-l"])
def test_a_sibling_is_the_model_but_for_its_rows_and_seed(model: str) -> None:
    """Prevents siblings of another shape or recipe, and one that is trained on what it is to be without."""
    study = mini(model=model)
    own = "training_in_steps" if model == "pythia-m" else "training"
    before, made = told(study, own, model=model), told(study, "counterfactual_training", model=model)
    before.pop("shares", None)
    assert made == before | {"recipe": before["recipe"] | {"seed": 5}}
    inputs = {
        name: study.rules[name].inputs(study, JOB | {"model": model}) for name in (own, "counterfactual_training")
    }
    rows = f"counterfactual/{model}/seed-5/rows-without-b.parquet"
    assert inputs["counterfactual_training"] == inputs[own] | {"rows": rows}
    scored = told(study, "counterfactual", model=model)
    assert scored == told(study, "scoring", model=model) | {"seed": 5, "without": "b"}
    folder = f"counterfactual/{model}/seed-5/without-b"
    found = study.rules["counterfactual"].inputs(study, JOB | {"model": model})
    assert found["checkpoint"] == f"{folder}/model.safetensors"
    assert found["shards"] == study.rules["scoring"].inputs(study, JOB | {"model": model})["shards"]
    assert HALVES == HALF_NAMES


def test_nothing_else_changes() -> None:
    """Prevents siblings from being models of the study: what other stages do and are told is the same without them."""
    config = shipped("mini")
    del config["counterfactual"]
    without, study = load(config), mini()
    assert study.models == without.models
    assert [name for name in study.rules if name not in without.rules] == [
        "counterfactual_halves",
        "counterfactual_training",
        "counterfactual",
        "counterfactual_aggregation",
        "neurons_siblings",
    ]
    for name, rule in without.rules.items():
        if not rule.run.startswith(("recite.stages", "recite.corpora")) or name == "verification":
            continue  # of what is told or compared
        assert study.jobs(name) == without.jobs(name)
        for job in without.jobs(name):
            assert rule.options(study, job) == rule.options(without, job)
    parts = len(study.parts("pythia-m"))
    counts = [len(study.jobs(f"counterfactual{name}")) for name in ("_halves", "_training", "", "_aggregation")]
    assert counts == [2, 4, 4 * parts, 1]
    assert "counterfactual" not in without.tables and "counterfactual" not in without.figures


def test_costs() -> None:
    """Prevents a plan that takes siblings for free: each is half a training, and the scoring of its model."""
    planned = Planner(mini(), Machine())
    jobs = {job.name: job for job in planned.jobs}
    own, half = jobs["training_in_steps/pythia-m"], jobs["counterfactual_training/pythia-m/seed-5/without-a"]
    assert half.seconds - costs.START_SECONDS == pytest.approx((own.seconds - costs.START_SECONDS) / 2)
    assert half.written == planned.costs["pythia-m"].weights < own.written
    scored = jobs["counterfactual/pythia-m/seed-9/without-b/code-0000"]
    assert scored.seconds == jobs["scoring/pythia-m/code-0000"].seconds
    assert "counterfactual_training/pythia-m/seed-9/without-b" in scored.after


def test_siblings_in_a_factorial() -> None:
    """Prevents a sibling of a cell from another architecture or recipe than the cell's."""
    config = shipped("mini")
    recipes = {"plain": {"learning_rate": 0.006}, "spaced": {"learning_rate": 0.006, "order": "spaced"}}
    crossed = {"architectures": ["olmo2", "pythia"], "recipes": recipes, "seeds": [4, 7]}
    config = {key: config[key] for key in ("study", "seed", "training", "sampling", "scoring")}
    training = {"corpus": "mini", "row_tokens": 64, "sizes": {"m": config["training"]["sizes"]["m"]}}
    config |= {"training": training | {"factorial": crossed}, "counterfactual": {"model": "pythia-spaced-4-m"}}
    study = load(config)
    made = told(study, "counterfactual_training", model="pythia-spaced-4-m")
    assert made["recipe"]["architecture"] == "pythia" and made["recipe"]["order"] == "spaced"
    assert made["recipe"]["seed"] == 5 and [job["seed"] for job in study.jobs("counterfactual_halves")] == ["1", "2"]


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"model": "pythia-xxl"}, r"counterfactual\.model: 'pythia-xxl' is not a model of this study"),
        ({"seeds": []}, r"counterfactual\.seeds: "),
        ({"seeds": [1, 1]}, r"counterfactual\.seeds: "),
        ({"seeds": [-1]}, r"counterfactual\.seeds\.0: "),
        ({"seed": [1]}, r"counterfactual: unknown key 'seed'; did you mean 'seeds'"),
    ],
)
def test_mistakes(section: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ReciteError, match=sentence):
        mini(**section)


def test_no_model() -> None:
    config = shipped("mini")
    config["counterfactual"] = {}
    with pytest.raises(ReciteError, match=r"counterfactual: key 'model' is missing"):
        load(config)


def test_registered_models_are_refused() -> None:
    """Prevents a study of checkpoints from elsewhere from training models of its own."""
    with pytest.raises(ReciteError, match=r"this study's checkpoints were trained elsewhere; drop counterfactual\."):
        loaded(shipped("paper"), counterfactual={"model": "pythia-1b"})
