"""recite.provenance.audit.again: which jobs are drawn and passed over; Snakemake's part is played by a copy."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from recite.files import hash64
from recite.provenance.audit import again
from recite.provenance.audit.again import as_json, as_text, do_again
from recite.provenance.audit.verdicts import Audit
from recite.provenance.blueprint import Blueprint, Planned
from recite.provenance.digests import Digests
from recorded import FIGURES, ROOT, TABLE_MODULES, audited, jobs, write_record, write_study

CONFIG = Path("config.yaml")
Run = Callable[[Audit, Planned, Path, Path], str]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study by its path from the checkout, as audits know it."""
    write_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    return Path("results/tiny")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Planned]:
    """The jobs that ran: what each reads must be there, in a folder of its own, and what it makes must not."""
    done: list[Planned] = []

    def run(audit: Audit, job: Planned, configfile: Path, scratch: Path) -> str:
        there = scratch / audit.study
        assert scratch.parent == audit.study.parent.absolute()
        assert all((there / path).read_bytes() == (audit.study / path).read_bytes() for path in job.inputs)
        assert {path.relative_to(there).as_posix() for path in there.rglob("*") if path.is_file()} == {
            path for path in job.inputs if not path.startswith("../")
        }
        for path in job.outputs:
            (there / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(audit.study / path, there / path)
        done.append(job)
        return ""

    monkeypatch.setattr(again, "_run", run)
    return done


def fail(words: str) -> Run:
    return lambda audit, job, configfile, scratch: words


def test_all(study: Path, ran: list[Planned]) -> None:
    """Asked for more than there are, every job is done once, and its folder is gone."""
    found = do_again(audited(study), CONFIG, 100, 3, set())
    assert found.same and found.among == len(found.done) == len(ran) == len(jobs()) and not found.passed_over
    assert [path.name for path in study.parent.iterdir()] == ["tiny"]
    assert {path for job in found.done for path in job.outputs} == {path for job in jobs() for path in job.outputs}


def test_the_draw(study: Path, ran: list[Planned]) -> None:
    """The seed alone decides: the first two are the first of five, and another seed draws others."""
    order = [job.job for job in do_again(audited(study), CONFIG, 5, 3, set()).done]
    assert order == sorted((job.outputs[0] for job in jobs()), key=lambda name: hash64(3, name))[:5]
    assert [job.job for job in do_again(audited(study), CONFIG, 2, 3, set()).done] == order[:2]
    assert [job.job for job in do_again(audited(study), CONFIG, 5, 4, set()).done] != order


def test_one_output_of_several(study: Path, ran: list[Planned]) -> None:
    """Prevents a job of which only one output was asked for from being no job, or half of one."""
    found = Blueprint(ROOT, study, FIGURES, TABLE_MODULES, {}, [], [], jobs())
    done = do_again(Audit(found, ["figures/scaling.csv"], Digests(study)), CONFIG, 100, 3, set()).done
    assert {f"figures/scaling.{kind}" for kind in ("png", "csv", "svg")} in [{*job.outputs} for job in done]


def test_another_result(study: Path, ran: list[Planned], monkeypatch: pytest.MonkeyPatch) -> None:
    copy = again._run

    def run(audit: Audit, job: Planned, configfile: Path, scratch: Path) -> str:
        copy(audit, job, configfile, scratch)
        if job.rule == "figures":
            (scratch / audit.study / job.outputs[1]).write_text("other")
        return ""

    monkeypatch.setattr(again, "_run", run)
    found = do_again(audited(study), CONFIG, 100, 3, set())
    assert not found.same
    assert {job.job: job.outcome for job in found.done if job.outcome != "same"} == {
        f"figures/{name}.png": "other" for name in FIGURES
    }
    told = as_text(found)
    assert told.count("OTHER: ") == 2 and "figures/scaling.csv is " in told and "figures/scaling.png is " not in told


def test_a_failure(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure is one, but of a rule that may fetch, which cannot be held against it here."""
    monkeypatch.setattr(again, "_run", fail("it lies elsewhere."))
    found = do_again(audited(study), CONFIG, 100, 3, {"sampling"})
    assert not found.same and {job.outcome for job in found.done} == {"failed"}
    assert set(found.passed_over) == {job.outputs[0] for job in jobs() if job.rule == "sampling"}
    assert {*found.passed_over.values()} == {"it lies elsewhere."}
    assert as_json(found)["jobs"][0].keys() == {"job", "rule", "outputs", "words", "outcome"}
    assert "FAILED: tables/rates.parquet, by aggregation: it lies elsewhere." in as_text(found)


def test_none(study: Path, ran: list[Planned]) -> None:
    """Nothing proves nothing."""
    shutil.rmtree(study / "records")
    found = do_again(audited(study), CONFIG, 3, 3, set())
    assert not found.same and (found.among, found.done) == (0, [])


def test_passed_over(study: Path, ran: list[Planned]) -> None:
    """What would not have to come to the same bytes is named, and not done."""
    for place, job in enumerate(jobs()):
        if job.rule == "ledger":
            write_record(study, job, place, code="e" * 64)
        if job.outputs[0] == "scores/b-0000":
            write_record(study, job, place, seal="f" * 64)
    record = study / "records/scores/b-0000.json"
    record.write_text(record.read_text().replace('"threads": 1', '"threads": 2'))
    (study / "figures/claims.csv").unlink()
    (study / "samples/a-0000").write_text("changed")
    (study / "samples/a-0001").unlink()
    found = do_again(audited(study), CONFIG, 100, 3, set())
    told = found.passed_over
    assert told["scores/b-0000"] == "its record is not as its job wrote it"
    assert told["scores/a-0000"] == "samples/a-0000 is not what it read"
    assert told["scores/a-0001"] == "samples/a-0001 is not there"
    assert told["samples/a-0001"] == "samples/a-0001 is not there"
    assert told["figures/claims.png"] == "figures/claims.csv is not there"
    assert "its code has moved on" in told["tables/claims.parquet"]
    assert {job.outputs[0] for job in ran} == {job.job for job in found.done} and not {*told} & {
        job.job for job in found.done
    }
    assert found.among == len(found.done) + len(told)
