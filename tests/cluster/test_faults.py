"""Faults: whatever strikes, the files come out the same, and nothing that was finished is computed again."""

import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from checkouts import Checkout, copy_checkout, digests
from cluster.runs import PROFILE, STUDY
from cluster.virtual import VirtualCluster

pytestmark = pytest.mark.faults

SCORES = [f"results/tiny/scores/pythia-{size}/code-0000.parquet" for size in ("xs", "s")]
TRAINED = ["rule_training_wildcards_pythia-xs", "rule_training_wildcards_pythia-s"]
AWAY = 20
"""Seconds."""
SCORED = ["rule_scoring_wildcards_pythia-xs_code-0000", "rule_scoring_wildcards_pythia-s_code-0000"]


def until(ready: Callable[[], object], what: str, seconds: float = 1200) -> None:
    """Wait for something to be true."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"{what}: not within {seconds:g} s"
        time.sleep(0.2)


@dataclass
class Struck:
    """A checkout in which the undisturbed study has run, and the faults of the jobs that make lost files again.

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
        kept = {"corpus", "tokenizers", "samples", "models", "noise"} - set(folders)
        paths = [path for name in kept for path in (self.checkout.results / name).rglob("*")]
        self.before = {path: path.stat().st_mtime_ns for path in paths if path.is_file() and path.name != "complete"}

    def start(self) -> "subprocess.Popen[str]":
        """Start the run that makes the scores."""
        self.heads.append(self.checkout.start(*PROFILE, *SCORES))
        return self.heads[-1]

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


def end(head: "subprocess.Popen[str]") -> str:
    """Output of a run that must succeed."""
    output, _ = head.communicate(timeout=1800)
    assert head.returncode == 0, output
    return output


def test_killed_requeued_out_of_memory_and_a_node_lost(struck: Struck, undisturbed: Checkout) -> None:
    """Each strikes one of four jobs between its last byte and the file's name; none may fail the run."""
    slurm = struck.slurm
    struck.lose("models", "scores")
    struck.fault("models-pythia-xs-model.safetensors", "kill")
    struck.fault("models-pythia-s-model.safetensors", "hang")
    struck.fault("scores-pythia-xs-code-0000.parquet", "memory")
    struck.fault("scores-pythia-s-code-0000.parquet", "hang")
    head = struck.start()
    until(lambda: struck.struck("models-pythia-s-model.safetensors"), "training")
    node = struck.detail(struck.job(TRAINED[1]), "NodeList")
    slurm.ask("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    until(lambda: struck.struck("scores-pythia-s-code-0000.parquet"), "scoring")
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
    """A job that hangs is ended by its limit and submitted again with twice the time."""
    slurm = struck.slurm
    struck.lose("scores")
    struck.fault("scores-pythia-xs-code-0000.parquet", "hang")
    head = struck.start()
    until(lambda: struck.struck("scores-pythia-xs-code-0000.parquet"), "scoring")
    hanging = struck.job(SCORED[0])
    slurm.ask("scontrol", "update", f"jobid={hanging}", "timelimit=1")
    end(head)
    struck.check(undisturbed)
    ended = {comment: state for job, state, comment in struck.jobs() if job == hanging}
    assert ended == {SCORED[0]: "TIMEOUT"}
    jobs = struck.submitted()
    assert (jobs[SCORED[0]], jobs[SCORED[1]]) == (2, 1)
    limits = [struck.detail(job, "TimeLimit") for job, _, comment in struck.jobs() if comment == SCORED[0]]
    assert sorted(limits) == ["00:01:00", "00:30:00"]


def test_head_killed_and_started_again_while_a_job_runs(struck: Struck, undisturbed: Checkout) -> None:
    """What ended without a head is not computed again, and a job that runs twice leaves one whole file."""
    slurm = struck.slurm
    struck.lose("scores")
    struck.fault("scores-pythia-s-code-0000.parquet", "wait")
    head = struck.start()
    until(lambda: struck.struck("scores-pythia-s-code-0000.parquet"), "scoring")
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
    until((struck.checkout.root / ".snakemake/slurm_logs/rule_training").exists, "a job is ready")
    time.sleep(AWAY)
    slurm.start_controller()
    until(lambda: struck.struck("scores-pythia-s-code-0000.parquet"), "scoring")
    slurm.end("slurmctld")
    until(lambda: {"scontrol", "squeue"} & children(head.pid), "the head asks for its jobs")
    (struck.folder / "go").touch()
    time.sleep(AWAY)
    slurm.start_controller()
    end(head)
    struck.check(undisturbed)
    jobs = struck.submitted()
    assert {comment: jobs[comment] for comment in (*TRAINED, *SCORED)} == dict.fromkeys((*TRAINED, *SCORED), 1)


def children(process: int) -> set[str]:
    """Names of what a process has started and that runs."""
    run = subprocess.run(["ps", "--ppid", str(process), "-o", "comm="], stdout=subprocess.PIPE, text=True)
    return set(run.stdout.split())
