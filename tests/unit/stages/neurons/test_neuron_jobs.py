"""What jobs wait for and cost."""

from pathlib import Path

import pytest

from recite.planning.costs import Machine
from recite.planning.planner import Planner
from recite.stages.neurons import rows, stage
from studies import ROOT, load, loaded, shipped


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configs name their files from the root."""
    monkeypatch.chdir(ROOT)


def test_numbers_that_are_held_twice() -> None:
    assert len(rows.RANKINGS) == stage.RANKINGS > len(rows.SIBLING_RANKINGS) and rows.TOP == stage.NAMED


def test_a_sibling_stands_beside_its_twin() -> None:
    """Prevents a sibling beside itself, or beside one of another seed."""
    study = load(shipped("mini"))
    jobs = study.jobs("neurons_siblings")
    assert len(jobs) == 4
    for job in jobs:
        files = study.rules["neurons_siblings"].inputs(study, job)
        own, other = (
            f"counterfactual/starcoder-m/seed-{job['seed']}/without-{half}/"
            for half in (job["half"], stage.TWIN[job["half"]])
        )
        for prefix, folder in (("", own), ("twin_", other)):
            assert all(path.startswith(folder) for path in files[f"{prefix}scores"]) and files[f"{prefix}scores"]
        assert files["checkpoint"] == f"{own}model.safetensors" and files["checkpoint_config"] == f"{own}config.json"
        assert files["twin"] == f"{other}model.safetensors" and files["twin_config"] == f"{other}config.json"
        assert files["halves"] == f"counterfactual/starcoder-m/seed-{job['seed']}/halves.parquet"
        assert {Path(path).stem for path in files["shards"]} == {
            shard for part in study.parts("starcoder-m").values() for shard in part
        }
        assert study.rules["neurons_siblings"].options(study, job)["without"] == job["half"]


def test_without_siblings() -> None:
    """A study without siblings has no table and no figure of them, and one that asks for no neurons no job."""
    config = shipped("mini")
    del config["counterfactual"]
    study = load(config)
    assert study.jobs("neurons") and not study.jobs("neurons_siblings")
    assert "neuron_siblings" not in study.tables and "neuron_siblings" not in study.figures
    del config["neurons"]
    assert not {"neurons", "neurons_aggregation"} & set(load(config).rules)
    assert set(loaded(shipped("mini")).figures) >= {"neurons", "neuron_siblings"}


def test_cost_beside_head_ablation() -> None:
    """What the paper's study spends on it is a hundredth of all heads on all rows; a job's seconds are its passes'."""
    config = shipped("paper")
    made = Planner(load(config), Machine())
    full = Planner(load(config | {"ablation": config["ablation"] | {"looks": []}}), Machine())
    neurons, ablation = (
        sum(job.seconds * job.gpus for job in planner.jobs if job.stage == name)
        for planner, name in ((made, "neurons"), (full, "ablation"))
    )
    assert neurons < 0.01 * ablation
    (job,) = (job for job in made.jobs if job.name == "neurons/olmo2-32b")
    cost, section = made.costs["olmo2-32b"], made.study.config["neurons"]
    drawn = len(made.study.domains_of("olmo2-32b")) * 120
    passes = 3 * 16 + 2 * 6 * 7
    seconds = -(-drawn // 64) * 64 * passes * cost.row / (cost.rate * stage.PACE)
    assert section["points"] == 16 and len(section["ladder"]) == 7
    assert job.seconds == pytest.approx(cost.load + seconds)
    assert cost.weights / cost.gpus < job.peak < 80e9
    assert max(job.seconds for job in made.jobs if job.stage == "neurons") < 6 * 3600
