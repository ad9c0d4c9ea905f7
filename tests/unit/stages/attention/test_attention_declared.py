"""What the jobs of attention wait for, are told and cost."""

from pathlib import Path

import pytest

from recite.errors import ReciteError
from recite.planning.costs import Machine
from recite.planning.planner import Planner
from recite.stages.attention import stage
from studies import ROOT, load, loaded, shipped


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configs name their files from the root."""
    monkeypatch.chdir(ROOT)


def test_a_job_knows_its_planted_rows() -> None:
    """Unseen rows are told by copies, of the model's own samples; without that class nobody waits for them."""
    study = load(shipped("mini"))
    (job,) = (job for job in study.jobs("attention") if job["model"] == "olmo2-l")
    rule = study.rules["attention"]
    inputs = rule.inputs(study, job)
    assert inputs["planted"] == ["samples/olmo2/control-0000.parquet"] and inputs["planted"][0] in inputs["shards"]
    assert inputs["controls"] == study.file("corpus", "controls", {})
    assert rule.options(study, job)["domains"]["control"] == "planted"
    without = loaded(shipped("mini"), attention={"classes": {"memorized": 3}})
    inputs = without.rules["attention"].inputs(without, job)
    assert inputs["planted"] == [] and "controls" not in inputs


def test_importance_is_of_models_that_have_both() -> None:
    study = loaded(shipped("mini"), attention={"models": ["pythia-s", "pythia-l"]})
    inputs = study.rules["induction_aggregation"].inputs(study, {})
    assert len(inputs["induced"]) == 2
    assert {Path(path).parts[1] for path in inputs["ablated"]} == {"pythia-l"}
    assert {Path(path).parts[1] for path in inputs["drawn"]} == {"pythia-l"}
    config = shipped("mini")
    del config["ablation"], config["erasing"]
    study = load(config)
    assert study.rules["induction_aggregation"].inputs(study, {})["ablated"] == []
    assert "induction" not in study.figures and "attention" in study.figures


def test_segments_fit_the_context() -> None:
    """A segment without a token has no attention to cut."""
    with pytest.raises(ReciteError, match=r"attention\.segments: 17 segments .* \(32 tokens\); ask for fewer"):
        loaded(shipped("mini"), attention={"segments": 17})
    loaded(shipped("mini"), attention={"segments": 16})


def test_cost_beside_scoring() -> None:
    """What the paper's study spends on it is a tenth of scoring at most; a job's seconds are those of its passes."""
    made = Planner(load(shipped("paper")), Machine())
    hours = {
        rule: sum(job.seconds * job.gpus for job in made.jobs if job.stage == rule)
        for rule in ("attention", "induction", "scoring")
    }
    assert 0.03 < (hours["attention"] + hours["induction"]) / hours["scoring"] < 0.1
    (job,) = (job for job in made.jobs if job.name == "attention/olmo2-32b/dclm-0000")
    cost = made.costs["olmo2-32b"]
    passes = -(-300 * 22 // 64) * 64
    seconds = passes * cost.row / (cost.rate * stage.PACE)
    assert job.seconds == pytest.approx(cost.load + seconds + 300_000 * stage.DRAWING_SECONDS)
    assert cost.weights / cost.gpus < job.peak < 80e9
    numbers = 300 * cost.facts.layers * cost.facts.heads * 11
    assert numbers * 4 < job.written < numbers * 5
