"""recite.provenance.lineage: the steps behind a figure, by the records."""

from pathlib import Path

import pytest

from recite.errors import ReciteError
from recite.provenance.lineage import Step, lineage
from recite.provenance.records import record_path
from recorded import SHARDS, audited, jobs, write_record, write_study

SAMPLES, SCORES = ([f"{kind}/{shard}" for shard in SHARDS] for kind in ("samples", "scores"))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path)


def test_from_the_figure_to_the_leaves(study: Path) -> None:
    """Shards of a rule are one step, the file that no job made is there, and every step comes after its inputs."""
    assert lineage(audited(study), ["figures/claims.png"]) == [
        Step("", ("../../config/corpora.yaml",), ()),
        Step("sampling", tuple(SAMPLES), (0,)),
        Step("scoring", tuple(SCORES), (1,)),
        Step("aggregation", ("tables/rates.parquet",), (1, 2)),
        Step("ledger", ("tables/claims.parquet",), (3,)),
        Step("figures", ("figures/claims.png",), (4,)),
    ]


def test_any_output_of_a_job_is_the_job(study: Path) -> None:
    audit = audited(study)
    assert lineage(audit, ["figures/claims.csv"]) == lineage(audit, ["figures/claims.png"])
    assert lineage(audit, ["figures/claims.csv", "figures/claims.png"]) == lineage(audit, ["figures/claims.png"])


def test_jobs_of_a_rule_at_two_heights_are_two_steps(study: Path) -> None:
    """As one step they would be made from themselves."""
    inputs = ("figures/claims.csv",)
    place, job = next((i, job) for i, job in enumerate(jobs()) if job.outputs[0] == "figures/scaling.png")
    write_record(study, job._replace(inputs=inputs), place)
    steps = lineage(audited(study), ["figures/scaling.png"])
    assert [step.jobs for step in steps if step.rule == "figures"] == [
        ("figures/claims.png",),
        ("figures/scaling.png",),
    ]
    assert steps[-1].inputs == (len(steps) - 2,)


def test_without_a_record_the_way_ends(study: Path) -> None:
    """What made it is not known; the rule that would make it is."""
    record_path(study, "tables/claims.parquet").unlink()
    assert lineage(audited(study), ["figures/claims.png"]) == [
        Step("ledger", ("tables/claims.parquet",), ()),
        Step("figures", ("figures/claims.png",), (0,)),
    ]


def test_a_broken_seal_is_no_record(study: Path) -> None:
    path = record_path(study, "tables/claims.parquet")
    path.write_text(path.read_text().replace('"threads": 1', '"threads": 2'))
    assert len(lineage(audited(study), ["figures/claims.png"])) == 2


def test_made_from_itself(study: Path) -> None:
    """Prevents a forged record from an endless walk."""
    job = next(job for job in jobs() if job.rule == "aggregation")
    write_record(study, job._replace(inputs=("tables/claims.parquet",)), 0)
    with pytest.raises(ReciteError, match=r"was made from itself; ask recite audit"):
        lineage(audited(study), ["figures/claims.png"])
