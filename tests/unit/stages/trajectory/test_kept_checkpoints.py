"""recite.stages.trajectory: which checkpoints there are, of trained models and of registered ones on disk."""

import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from recite.checkpoints.training import build_model
from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tokenization import train_tokenizer
from recite.errors import ReciteError
from recite.files import read_json
from recite.planning.costs import Machine
from recite.planning.planner import Planner
from recite.stages.models.registering import register_proved
from recite.stages.scoring.measure import score
from recite.stages.scoring.rows import SCORES
from recite.stages.trajectory.measure import follow_rows
from recite.stages.trajectory.rows import FOLLOWED
from recite.study.study import Study
from recite.tables import read_metadata
from studies import NOTES, ROOT, load, loaded, own_study, shipped

COMMIT, OTHER = "a" * 40, "b" * 40
CORPUS = NOTES | {"files": NOTES["files"] | {"gigabytes": 0.001}}


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The claims file is found from the root."""
    monkeypatch.chdir(ROOT)


def own(folder: Path, entry: dict[str, Any], **sections: Any) -> Study:
    """The study of one model of one's own."""
    registry = {"mine": {"corpus": "notes", **entry}}
    return loaded(own_study(folder, registry, {"notes": CORPUS}, **({"trajectory": {}} | sections)))


def test_of_trained_models() -> None:
    """Prevents weights from being kept that nobody asked for, and scored that are not there."""
    study = load(shipped("mini"))
    assert study.jobs("training_in_steps") == [{"model": "pythia-m"}, {"model": "olmo2-m"}]
    assert len(study.jobs("training")) == 22 and {"model": "pythia-m"} not in study.jobs("training")
    job = {"model": "olmo2-m", "step": "0.67", "part": "code-0000"}
    assert job in study.jobs("trajectory") and len(study.jobs("trajectory")) == 4
    inputs = study.rules["trajectory"].inputs(study, job)
    assert inputs["checkpoint"] == "models/olmo2-m/steps/0.67/model.safetensors"
    made = study.files("training_in_steps", "kept", model="olmo2-m")
    assert {inputs["checkpoint"], inputs["checkpoint_config"]} <= set(made) and len(made) == 6
    told = {name: study.rules[name].options(study, job) for name in ("scoring", "trajectory", "training_in_steps")}
    assert told["trajectory"] == told["scoring"] | {"step": "0.67"}
    assert told["training_in_steps"]["shares"] == [0.33, 0.67]
    assert "shares" not in study.rules["training"].options(study, {"model": "olmo2-l"})
    # The model itself is where it was, whoever reads it.
    scored = study.rules["scoring"].inputs(study, job)["checkpoint"]
    assert scored == "models/olmo2-m/model.safetensors" == study.file("training_in_steps", "weights", job)


def test_a_study_of_none_but_kept_models() -> None:
    """Prevents a study in which every training keeps weights from having no model."""
    config = shipped("mini")
    names = [f"{family}-{size}" for family in config["training"]["families"] for size in config["training"]["sizes"]]
    study = loaded(config, training={"steps": {"models": names, "shares": [0.5]}})
    assert "training" not in study.rules and len(study.jobs("trajectory_rows")) == 24
    jobs = {job.name: job for job in Planner(study, Machine()).jobs}
    assert "training_in_steps/pythia-xs" in jobs["scoring/pythia-xs/code-0000"].after
    assert jobs["training_in_steps/pythia-xs"].written == 2 * Planner(study, Machine()).costs["pythia-xs"].weights


def test_of_registered_models(tmp_path: Path) -> None:
    """Prevents the whole training's weights, or its commit, from being taken for an earlier step's."""
    steps = {3000: {"revision": OTHER}, 1000: {"path": "/data/early"}, 20000: {}}
    entry = {"hub": "me/mine", "revision": COMMIT, "path": "/data/mine", "step": 143000, "steps": steps, "gpus": 2}
    study = own(tmp_path, entry)
    assert study.models["mine"].steps == ("1000", "3000", "20000")
    assert [job["step"] for job in study.jobs("step_registration")] == ["1000", "3000", "20000"]
    rule = study.rules["step_registration"]
    told = {job["step"]: rule.options(study, job) for job in study.jobs("step_registration")}
    same = {"model": "mine", "corpus": "notes", "family": "mine", "hub": "me/mine", "tokenizer": "tokenizer.json"}
    assert told["1000"] == same | {"path": "/data/early"}
    assert told["3000"] == same | {"path": "/data/mine-step3000", "revision": OTHER}
    assert told["20000"] == same | {"path": "/data/mine-step20000"}
    registered = study.rules["registration"].options(study, {"model": "mine"})
    assert registered == same | {"path": "/data/mine", "revision": COMMIT}
    inputs = study.rules["trajectory"].inputs(study, {"model": "mine", "step": "3000", "part": "prose-0000"})
    assert inputs["checkpoint"] == "checkpoints/mine/3000.json" == study.file(rule.name, "record", told_job("3000"))
    rows = study.rules["trajectory_rows"].options(study, {"model": "mine"})
    assert (rows["steps"], rows["step"]) == (["1000", "3000", "20000"], 143000)
    assert study.tables.keys() >= {"trajectory", "trajectory_fates"} and "trajectory_recency" not in study.tables


def told_job(step: str) -> dict[str, str]:
    return {"model": "mine", "step": step}


def test_what_a_step_costs(tmp_path: Path) -> None:
    """Prevents a plan that takes a checkpoint on the way for free: each is the scoring of its model once more."""
    facts = {"layers": 4, "width": 1024, "heads": 8, "shared_heads": 8, "feed_forward": 4096, "vocabulary": 50000}
    steps = {10: {}, 20: {}}
    study = own(tmp_path, facts | {"parameters": 150_000_000, "step": 30, "steps": steps})
    jobs = Planner(study, Machine()).jobs
    seconds = {stage: [job.seconds for job in jobs if job.stage == stage] for stage in ("scoring", "trajectory")}
    assert sum(seconds["trajectory"]) == pytest.approx(2 * sum(seconds["scoring"]))


def test_steps_that_do_nothing_alone(tmp_path: Path) -> None:
    """Prevents a registry with steps from costing a study that does not ask for them."""
    config = own_study(tmp_path, {"mine": {"corpus": "notes", "step": 30, "steps": {10: {}}}}, {"notes": CORPUS})
    assert not {"step_registration", "trajectory", "trajectory_rows"} & loaded(config).rules.keys()


@pytest.mark.parametrize(
    ("entry", "sections", "sentence"),
    [
        ({}, {}, r"trajectory: no model of the study has checkpoints on the way, .* `steps` in the models file"),
        ({}, {"trajectory": {"models": ["mine"]}}, r"trajectory\.models: mine has checkpoints on the way, which are"),
        ({"steps": {5: {}}}, {}, r"models\.yaml: mine: `step`, .* must be said .*the last is 5"),
        ({"steps": {5: {}, 7: {}}, "step": 7}, {}, r"must be said and be more than those .*the last is 7"),
        ({"steps": {5: {"revision": "main"}}, "step": 7}, {}, r"mine\.steps\.5\.revision: 'main' does not match"),
        ({"steps": {"five": {}}, "step": 7}, {}, r"mine\.steps: 'five' does not match"),
    ],
)
def test_mistakes(tmp_path: Path, entry: dict[str, Any], sections: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ReciteError, match=sentence):
        own(tmp_path, entry, **sections)


def test_mistakes_of_a_training() -> None:
    config = shipped("mini")
    steps = {"models": ["pythia-xxl"], "shares": [0.5]}
    with pytest.raises(ReciteError, match=r"training\.steps\.models: 'pythia-xxl' is not a model of this study"):
        loaded(config, training={"steps": steps})
    with pytest.raises(ReciteError, match=r"training\.steps\.shares\.0: "):
        loaded(deepcopy(config), training={"steps": steps | {"shares": [1.0]}})


def test_registered_and_scored(tmp_path: Path, checkpoint_folder: Callable[[str], Path]) -> None:
    """Local folders, end to end: each step's record names its own weights, and hits are those of its own weights."""
    texts = ["the warranty of the software is the warranty of the author"] * 4
    for name, seed in (("mine-step10", 6), ("mine", 5)):
        shutil.copytree(checkpoint_folder("pythia"), tmp_path / name)
        if seed != 5:
            from conftest import SHAPE, VOCABULARY

            build_model("pythia", SHAPE, VOCABULARY, 64, seed).save_pretrained(tmp_path / name)
        train_tokenizer(texts, 300).save(str(tmp_path / name / "tokenizer.json"))
    study = own(tmp_path, {"path": str(tmp_path / "mine"), "step": 20, "steps": {10: {}}})
    tokenizer = tmp_path / "mine/tokenizer.json"
    records = {"registration": tmp_path / "last.json", "step_registration": tmp_path / "first.json"}
    for rule, record in records.items():
        register_proved(study.rules[rule].options(study, told_job("10")), tokenizer, record, False)
    paths = [read_json(record)["path"] for record in records.values()]
    assert paths == [str(tmp_path / "mine"), str(tmp_path / "mine-step10")]
    shard = rows(tmp_path / "samples.parquet")
    for rule, record, name in (("scoring", "last", "scores"), ("trajectory", "first", "earlier")):
        job = told_job("10") | {"part": "prose-0000"}
        options = study.rules[rule].options(study, job)
        score(options, [shard], tmp_path / f"{record}.json", None, tmp_path / f"{name}.parquet", 1)
    scores, earlier, followed = (tmp_path / f"{name}.parquet" for name in ("scores", "earlier", "followed"))
    told = study.rules["trajectory_rows"].options(study, told_job("10"))
    follow_rows(told, [scores], [earlier], followed, None, None, None)
    table = FOLLOWED.read(followed)
    both = [SCORES.read(path)["hits"].to_pylist() for path in (earlier, scores)]
    assert table["hits"].to_pylist() == [list(hits) for hits in zip(*both, strict=True)]
    assert read_metadata(earlier)["weights_sha256"] != read_metadata(scores)["weights_sha256"]
    assert read_metadata(followed)["steps"] == [10, 20] and table["seen"].to_pylist() == [[]] * 12


def rows(path: Path) -> Path:
    """A sample of twelve random rows."""
    tokens = torch.randint(0, 300, (12, 24), generator=torch.Generator().manual_seed(2))
    columns: dict[str, Any] = {"row_id": range(12), "sequence_id": range(12), "domain": ["prose"] * 12}
    columns |= {"document_id": [str(row) for row in range(12)], "source_file": ["f"] * 12, "text": [b"x"] * 12}
    columns |= dict.fromkeys(("source_row", "window_start", "context_bytes"), [0] * 12)
    columns |= {"context": tokens[:, :16].tolist(), "continuation": tokens[:, 16:].tolist()}
    SAMPLES.write(path, columns | {"inclusion_probability": [1.0] * 12}, {})
    return path
