"""Faults: whatever strikes, the files come out the same, and nothing that was finished is computed again."""

import fcntl
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from checkouts import Checkout, copy_checkout, digests
from cluster.runs import HEAD, PROFILE, STUDY, end, end_what_runs_in, processes_in, until
from cluster.virtual import VirtualCluster

pytestmark = pytest.mark.faults

SCORES = [f"results/tiny/scores/pythia-{size}/code-0000.parquet" for size in ("xs", "s")]
TRAINED = ["rule_training_wildcards_pythia-xs", "rule_training_wildcards_pythia-s"]
SCORED = ["rule_scoring_wildcards_pythia-xs_code-0000", "rule_scoring_wildcards_pythia-s_code-0000"]


@dataclass
class Struck:
    """A checkout in which the scores have been made undisturbed, and the faults of the jobs that make lost files again.

    earlier: numbers of the jobs of other tests, which SLURM remembers. before: files that must stay, with their times.
    """

    checkout: Checkout
    slurm: VirtualCluster
    earlier: set[str]
    before: dict[Path, int] = field(default_factory=dict)
    heads: list["subprocess.Popen[str]"] = field(default_factory=list)

    def lose(self, *folders: str) -> None:
        """Take folders of results away; what the others hold must stay."""
        for folder in folders:
            shutil.rmtree(self.checkout.results / folder)
        kept = {"corpus", "tokenizers", "samples", "models"} - set(folders)
        paths = [path for name in kept for path in (self.checkout.results / name).rglob("*")]
        self.before = {path: path.stat().st_mtime_ns for path in paths if path.is_file() and path.name != "complete"}

    def start(self) -> "subprocess.Popen[str]":
        """Start the run that makes the scores."""
        self.heads.append(self.checkout.start(*PROFILE, *SCORES, program=HEAD))
        return self.heads[-1]

    def said(self, words: str) -> bool:
        """Whether a head has said this."""
        return any(words in path.read_text() for path in (self.checkout.root / ".snakemake/log").iterdir())

    @property
    def folder(self) -> Path:
        return self.checkout.root / "faults"

    def fault(self, name: str, kind: str) -> None:
        """Let a fault of this kind strike the job that writes the file of this name."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / name).write_text(kind)

    def struck(self, name: str) -> bool:
        return (self.folder / f"struck-{name}").exists()

    def jobs(self) -> list[tuple[str, str, str]]:
        """Number, state and comment of this test's jobs."""
        return [job for job in self.slurm.jobs() if job[0] not in self.earlier]

    def submitted(self) -> Counter[str]:
        """How often each job was submitted."""
        return Counter(comment for _, _, comment in self.jobs())

    def job(self, comment: str) -> str:
        """Number of the running job of this comment."""
        numbers = [number for number, _, found in self.slurm.jobs("RUNNING") if found == comment]
        assert len(numbers) == 1, self.slurm.jobs()
        return numbers[0]

    def detail(self, job: str, key: str) -> str:
        """What SLURM says of a job."""
        return self.slurm.ask("scontrol", "show", "job", job).split(f" {key}=")[1].split()[0]

    def status(self) -> str:
        """What `recite status` shows."""
        command = [".venv/bin/recite", "status", "--configfile", STUDY]
        run = subprocess.run(command, cwd=self.checkout.root, stdout=subprocess.PIPE, text=True, check=True)
        return run.stdout

    def check(self, undisturbed: Checkout) -> None:
        """The same bytes as undisturbed, nothing partial left, what was there before untouched."""
        made, expected = digests(self.checkout.results), digests(undisturbed.results)
        assert {str(Path(path).relative_to("results/tiny")) for path in SCORES} <= made.keys()
        assert {path: digest for path, digest in made.items() if "/." not in path}.items() <= expected.items()
        assert {path: path.stat().st_mtime_ns for path in self.before} == self.before
        assert "Nothing to be done" in self.checkout.snakemake("--dry-run", *SCORES).stdout


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The scores of the small study, made on this machine without a cluster, once for all workers of pytest-xdist."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    checkout = Checkout(root / "local/a checkout", STUDY)
    with (root / "local.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not checkout.root.exists():
            end(copy_checkout(checkout.root, STUDY).start(*SCORES))
    assert all((checkout.root / path).exists() for path in SCORES)
    return checkout


@pytest.fixture
def struck(
    slurm: VirtualCluster, undisturbed: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Struck]:
    """See Struck; every Python process of the run looks for faults."""
    checkout = copy_checkout(tmp_path / "a checkout", STUDY)
    for folder in ("results", ".snakemake"):
        shutil.copytree(undisturbed.root / folder, checkout.root / folder)
    monkeypatch.setenv("RECITE_FAULTS", str(checkout.root / "faults"))
    struck = Struck(checkout, slurm, {number for number, _, _ in slurm.jobs()})
    yield struck
    for head in struck.heads:  # of a failed test: it would go on with jobs
        head.kill()
    end_what_runs_in(checkout.root)


def test_killed_requeued_out_of_memory_and_a_node_lost(struck: Struck, undisturbed: Checkout) -> None:
    """Each strikes one of four jobs between its last byte and the file's name; none may fail the run."""
    slurm = struck.slurm
    struck.lose("models", "scores")
    struck.fault("models-pythia-xs-model.safetensors", "kill")
    struck.fault("models-pythia-s-model.safetensors", "hang")
    struck.fault("scores-pythia-xs-code-0000.parquet", "memory")
    struck.fault("scores-pythia-s-code-0000.parquet", "hang")
    head = struck.start()
    until(lambda: struck.struck("models-pythia-s-model.safetensors"), "training", head)
    node = struck.detail(struck.job(TRAINED[1]), "NodeList")
    slurm.ask("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    until(lambda: struck.struck("scores-pythia-s-code-0000.parquet"), "scoring", head)
    slurm.ask("scontrol", "update", f"nodename={node}", "state=resume")
    requeued = struck.job(SCORED[1])
    slurm.ask("scontrol", "requeue", requeued)
    end(head)
    struck.check(undisturbed)
    jobs = struck.submitted()
    assert {comment: jobs[comment] for comment in (*TRAINED, *SCORED)} == {
        TRAINED[0]: 2,  # killed: Snakemake submits it again
        TRAINED[1]: 1,  # its node was lost: SLURM starts it again
        SCORED[0]: 2,  # out of memory: again, with more
        SCORED[1]: 1,  # requeued
    }
    assert struck.detail(requeued, "Restarts") == "1"
    memory = [struck.detail(job, "MinMemoryNode") for job, _, comment in struck.jobs() if comment == SCORED[0]]
    assert sorted(memory) == ["2000M", "4000M"]


def test_time_limit(struck: Struck, undisturbed: Checkout) -> None:
    """A job that hangs is ended by its limit and submitted again with twice the time.

    SLURM's least limit is a minute, but a job's end can be set nearer; every 30 seconds it looks for jobs that should
    have ended.
    """
    slurm = struck.slurm
    struck.lose("scores")
    struck.fault("scores-pythia-xs-code-0000.parquet", "hang")
    head = struck.start()
    until(lambda: struck.struck("scores-pythia-xs-code-0000.parquet"), "scoring", head)
    hanging = struck.job(SCORED[0])
    assert struck.detail(hanging, "TimeLimit") == "00:15:00"
    slurm.ask("scontrol", "update", f"jobid={hanging}", "endtime=now+2")  # a "now" is over once the second is
    end(head)
    struck.check(undisturbed)
    ended = {comment: state for job, state, comment in struck.jobs() if job == hanging}
    assert ended == {SCORED[0]: "TIMEOUT"}
    jobs = struck.submitted()
    assert (jobs[SCORED[0]], jobs[SCORED[1]]) == (2, 1)
    again = [job for job, _, comment in struck.jobs() if comment == SCORED[0] and job != hanging]
    assert [struck.detail(job, "TimeLimit") for job in again] == ["00:30:00"]


def test_head_killed_and_started_again_while_a_job_runs(struck: Struck, undisturbed: Checkout) -> None:
    """What ended without a head is not computed again, and a job that runs twice leaves one whole file."""
    slurm = struck.slurm
    struck.lose("scores")
    struck.fault("scores-pythia-s-code-0000.parquet", "wait")
    head = struck.start()
    until(lambda: struck.struck("scores-pythia-s-code-0000.parquet"), "scoring", head)
    head.kill()
    head.communicate()
    other = struck.checkout.root / SCORES[0]
    until(other.exists, "the other job ends without a head")
    until(lambda: SCORED[0] not in [comment for _, _, comment in slurm.jobs("RUNNING", "COMPLETING")], "its end")
    assert "\nscoring/pythia-s/code-0000: " in struck.status() and "pythia-xs" not in struck.status()
    written = other.stat().st_mtime_ns
    locked = struck.checkout.snakemake(*PROFILE, *SCORES)
    assert locked.returncode == 1 and "--unlock" in locked.stdout
    assert struck.checkout.snakemake("--unlock").returncode == 0
    end(struck.start())
    orphan = struck.job(SCORED[1])
    (struck.folder / "go").touch()
    until(lambda: struck.detail(orphan, "JobState") == "COMPLETED" or not slurm.jobs("RUNNING"), "the orphan ends")
    struck.check(undisturbed)
    assert other.stat().st_mtime_ns == written
    jobs = struck.submitted()
    assert (jobs[SCORED[0]], jobs[SCORED[1]]) == (1, 2)


def test_controller_away(struck: Struck, undisturbed: Checkout) -> None:
    """Away as a job is to be submitted, and again as one ends: each is submitted once, and none is forgotten."""
    slurm = struck.slurm
    struck.lose("models", "scores")
    struck.fault("scores-pythia-s-code-0000.parquet", "wait")
    slurm.end("slurmctld")
    head = struck.start()
    until(lambda: struck.said("SLURM takes no job now"), "a job is ready", head)
    slurm.start_controller()
    until(lambda: struck.struck("scores-pythia-s-code-0000.parquet"), "scoring", head)
    until(lambda: (SCORED[0], "COMPLETED") in [(job, state) for _, state, job in struck.jobs()], "the other one", head)
    slurm.end("slurmctld")
    until(lambda: "scontrol" in children(head.pid).values(), "the head asks for its jobs", head)
    until(lambda: not {"scontrol", "squeue"} & {*children(head.pid).values()}, "it has no answer", head)
    (struck.folder / "go").touch()
    # The node tells at once, and again after a minute.
    until(lambda: processes_in(struck.checkout.root) <= {head.pid, *children(head.pid)}, "the job ends", head)
    slurm.start_controller()
    end(head)
    struck.check(undisturbed)
    jobs = struck.submitted()
    assert {comment: jobs[comment] for comment in (*TRAINED, *SCORED)} == dict.fromkeys((*TRAINED, *SCORED), 1)


def children(process: int) -> dict[int, str]:
    """Numbers and names of what a process has started and that runs."""
    run = subprocess.run(["ps", "--ppid", str(process), "-o", "pid=,comm="], stdout=subprocess.PIPE, text=True)
    return {int(number): name for number, name in (line.split(maxsplit=1) for line in run.stdout.splitlines())}
