"""Which domains a job asks, what it waits for and costs."""

from pathlib import Path

import pytest

from recite.planning.costs import Machine
from recite.planning.planner import Planner
from recite.stages.inputs import domains_of_part
from recite.stages.predictability import stage
from studies import ROOT, load, shipped


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configs name their files from the root."""
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("name", ["mini", "paper"])
def test_every_domain_is_asked_whole_and_once(name: str) -> None:
    """Prevents rows drawn from a part of a domain, and a domain lost between two parts."""
    study = load(shipped(name))
    jobs = study.jobs("predictability")
    for model in study.models_of("predictability"):
        own = [job for job in jobs if job["model"] == model]
        asked = [domain for job in own for domain in domains_of_part(study, model, job["part"])]
        assert asked == list(study.domains_of(model))
        for job in own:
            files = study.rules["predictability"].inputs(study, job)
            domains = domains_of_part(study, model, job["part"])
            assert [Path(path).stem for path in files["shards"]] == [s for d in domains for s in study.shards_of(d)]
            held = {shard for path in files["scores"] for shard in study.parts(model)[Path(path).stem]}
            assert held >= {Path(path).stem for path in files["shards"]}
            assert len(set(files["scores"])) == len(files["scores"])


def test_cost_beside_scoring() -> None:
    """What the paper's study spends on it is a tenth of scoring at most; a job's seconds are those of its passes."""
    made = Planner(load(shipped("paper")), Machine())
    hours = {
        rule: sum(job.seconds * job.gpus for job in made.jobs if job.stage == rule)
        for rule in ("predictability", "scoring")
    }
    assert 0.03 < hours["predictability"] / hours["scoring"] < 0.1
    (job,) = (job for job in made.jobs if job.name == "predictability/olmo2-32b/dclm-0000")
    cost = made.costs["olmo2-32b"]
    passes = -(-2000 * 9 // 64) * 64
    seconds = passes * cost.row / (cost.rate * stage.PACE)
    assert job.seconds == pytest.approx(cost.load + seconds + 300_000 * stage.DRAWING_SECONDS)
    assert cost.weights / cost.gpus < job.peak < 80e9
