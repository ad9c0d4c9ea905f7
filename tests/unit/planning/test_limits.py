"""recite.planning.limits: what jobs ask a scheduler for."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from recite.planning import limits
from recite.planning.costs import Machine
from recite.planning.held import SCORE_HELD
from recite.planning.limits import Limits
from recite.planning.planner import Planner
from recite.stages.frequency.stage import INDEX_MEGABYTES
from recite.stages.recovery.stage import LAYER_HELD
from studies import NOTES, load, loaded, own_study, shipped

PART = {"model": "pythia-12b", "part": "pile_cc-0000"}


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that a study names are found from the root."""
    monkeypatch.chdir(Path(__file__).resolve().parents[3])


def limits_of(name: str, **changes: Any) -> Limits:
    """Limits of a study of config/."""
    return Limits(load(shipped(name) | changes, f"{name}.yaml"))


@pytest.mark.parametrize("name", ["mini", "paper"])
def test_every_job_has_more_time_than_planned(name: str) -> None:
    """A job that SLURM ends before its time is lost; and no job that the plan knows may go by a default."""
    found = limits_of(name)
    planned = {job.name: job for job in Planner(found.study, Machine()).jobs}
    jobs = {
        (rule, tuple(job.items())): found.job(rule, job) for rule in found.study.rules for job in found.study.jobs(rule)
    }
    assert {job for job in jobs.values() if job} == {*planned.values()}
    assert {rule for (rule, _), job in jobs.items() if job is None} <= {"verification"}
    for (rule, wildcards), job in jobs.items():
        if job:
            assert job.stage == rule and all(value in job.name for _, value in wildcards)
            assert 60 * found.minutes(rule, dict(wildcards), 1) >= max(900, limits.MARGIN * job.seconds - 60)
    seen = {rule for rule, _ in jobs}
    assert {"scoring", "noise", "recovery", "ablation", "sampling", "aggregation", "figures"} <= seen


def test_attempts_double() -> None:
    """What ran out of time or memory must get more of it."""
    found = limits_of("paper")
    assert [found.minutes("scoring", PART, attempt) for attempt in (2, 3)] == [
        found.minutes("scoring", PART, 1) * factor for factor in (2, 4)
    ]
    memory = [found.megabytes("scoring", PART, attempt) for attempt in (1, 2, 3)]
    assert memory[1:] == [2 * memory[0], 4 * memory[0]]


def test_memory_follows_weights_and_tables() -> None:
    """The same memory for all jobs would be too little for the largest model, or too much for all others."""
    found = limits_of("paper")
    weights = 2 * found.study.models["pythia-12b"].entry["parameters"]  # type: ignore[index]
    assert found.megabytes("scoring", PART, 1) == 2000 + 3 * weights // 10**6
    suffixes = [job for job in found.jobs.values() if job.stage == "compressibility"]
    read = sum(job.written for job in suffixes)
    assert found.megabytes("compressibility_aggregation", {}, 1) == 2000 + 2 * read // 10**6
    largest = 23 * 300_000
    assert found.megabytes("aggregation", {}, 1) == 2000 + 2 * largest * SCORE_HELD // 10**6
    layered = largest * SCORE_HELD + 300_000 * 42 * LAYER_HELD
    assert found.megabytes("recovery_aggregation", {}, 1) == 2000 + 2 * layered // 10**6
    index = {"corpus": "starcoderdata", "units": "bytes", "group": "000"}
    assert found.megabytes("near_verbatim", PART | {"layer": "0", "alpha": "0.1"}, 1) < 16_000
    assert found.megabytes("registration", {"model": PART["model"]}, 1) == 2000 + 3 * weights // 10**6
    assert found.megabytes("frequency_index", index, 1) == INDEX_MEGABYTES
    one = found.job("candidates", {"corpus": "pile", "group": "000"})
    assert one is not None and one.cores == 16
    assert found.megabytes("candidates", {"corpus": "pile", "group": "000"}, 1) > 2000 + 15 * 500
    assert limits_of("mini").megabytes("scoring", {"model": "pythia-xs", "part": "code-0000"}, 1) == 2000


def test_downloads_have_a_day() -> None:
    """No plan knows how fast the hub is."""
    family = {"family": "pythia", "file": "tokenizer.json"}
    for fetch, minutes in ((False, limits.LEAST_MINUTES), (True, limits.FETCHING_MINUTES)):
        found = limits_of("paper", fetch=fetch)
        assert found.minutes("family_tokenizer", family, 1) == minutes
        assert found.minutes("aggregation", {}, 1) < limits.FETCHING_MINUTES


def test_a_study_that_cannot_be_planned(tmp_path: Path) -> None:
    """A model of two lines says too little for a plan, and must run all the same."""
    found = Limits(loaded(own_study(tmp_path, {"mine": {"corpus": "notes"}}, {"notes": NOTES})))
    assert found.minutes("scoring", {"model": "mine", "part": "prose-0000"}, 1) == limits.UNPLANNED_MINUTES
    assert found.megabytes("scoring", {"model": "mine", "part": "prose-0000"}, 1) == limits.BASE_MEGABYTES


def test_every_rule_that_computes_has_limits() -> None:
    """A rule without would get the scheduler's defaults, which may be a minute."""
    for path in Path("workflow/rules").glob("*.smk"):
        text = path.read_text()
        rules = text.count("    script:\n")
        assert text.count("runtime=minutes_of") == text.count("mem_mb=memory_of") == rules, path


def test_profile_names_only_options_of_snakemake() -> None:
    """A key that Snakemake does not know is an error only when somebody starts the study."""
    profile = yaml.safe_load(Path("profiles/slurm/config.yaml").read_text())
    assert Path("slurm").is_symlink() and Path("slurm/config.yaml").samefile("profiles/slurm/config.yaml")
    assert profile["executor"] == "slurm" and profile["slurm-requeue"] is True
    assert not {"slurm-array-jobs", "groups"} & profile.keys()
