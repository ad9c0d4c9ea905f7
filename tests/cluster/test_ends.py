"""However SLURM ends a job, and whatever it refuses: the head waits for none for ever, and tries none in vain."""

import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from checkouts import REPOSITORY
from cluster.runs import HEAD, PROFILE, SECONDS, end_what_runs_in, until
from cluster.virtual import GPUS, NODES, VirtualCluster
from recite.doctor.slurm import count_gpus, read_nodes

STRUCK = ("cancelled", "failed", "lost", "node", "preempted")
"""Jobs of which the first attempt is ended by what they are named after."""
REFUSED = {
    "nowhere": "invalid partition specified: nowhere; Batch job submission failed: Invalid partition name specified",
    "large": "Memory specification can not be satisfied; "
    "Batch job submission failed: Requested node configuration is not available",
}
"""Jobs that SLURM never takes, and its words."""
SNAKEFILE = f"""
import sys
sys.path.insert(0, "{REPOSITORY}/workflow")
from recite.jobs.slurm_executor import mend
mend()

rule all:
    input:
        expand("made/{{name}}", name={[*STRUCK, *REFUSED, "closed", "finished", "deadline"]}),


rule job:
    output:
        "made/{{name}}",
    resources:
        slurm_partition=lambda wildcards: {{"nowhere": "nowhere", "closed": "closed", "preempted": "spare"}}.get(
            wildcards.name, "a100"
        ),
        slurm_extra=lambda wildcards, attempt: "--exclusive"
        + " --begin=now+8 --deadline=now+65" * (wildcards.name == "deadline" and attempt == 1),
        runtime=lambda wildcards: 1 if wildcards.name == "deadline" else 20,
        mem_mb=lambda wildcards, attempt: 9_999_999 if wildcards.name == "large" else 2000 * attempt,
    shell:
        '''
        echo $SLURM_JOB_ID {{resources.mem_mb}} >> runs/{{wildcards.name}}
        if [ $(wc -l < runs/{{wildcards.name}}) = 1 ]; then
            case {{wildcards.name}} in
                failed) exit 3 ;;
                cancelled | lost | node | preempted) sleep 600 ;;
                finished) while [ ! -e go ]; do sleep 0.2; done ;;
            esac
        fi
        echo {{wildcards.name}} > {{output}}
        '''
"""


class Head:
    """Snakemake on the jobs above."""

    def __init__(self, root: Path, slurm: VirtualCluster) -> None:
        self.root, self.slurm = root, slurm
        (root / "runs").mkdir()
        (root / "Snakefile").write_text(SNAKEFILE)
        command = [sys.executable, *HEAD, *PROFILE, "--snakefile", str(root / "Snakefile"), "--directory", str(root)]
        with (root / "log.txt").open("w") as output:
            self.process = subprocess.Popen(command, cwd=REPOSITORY, text=True, stdout=output, stderr=output)

    @property
    def log(self) -> str:
        return (self.root / "log.txt").read_text()

    def until(self, ready: Callable[[], object], what: str) -> None:
        try:
            until(ready, what, self.process)
        except AssertionError as error:
            error.add_note(self.log)
            raise

    def runs(self, name: str) -> list[list[str]]:
        """Number and memory of a job's runs."""
        path = self.root / "runs" / name
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def state(self, name: str) -> str:
        """What SLURM says of a job's first run."""
        return self.detail(name, "JobState")

    def detail(self, name: str, key: str) -> str:
        return self.slurm.ask("scontrol", "show", "job", self.runs(name)[0][0]).split(f" {key}=")[1].split()[0]

    def made(self, *names: str) -> bool:
        return all((self.root / "made" / name).exists() for name in names)


def test_every_end_and_every_refusal(slurm: VirtualCluster, tmp_path: Path) -> None:
    slurm.ask("scontrol", "update", "partition=closed", "state=drain")
    seen_by_doctor(slurm)
    head = Head(tmp_path, slurm)
    try:
        strike(head)
        forget(head)
        assert head.process.wait(SECONDS) == 1, head.log
    finally:
        head.process.kill()
        end_what_runs_in(tmp_path)
    once = {"closed": ["2000"], "finished": ["2000"], "deadline": ["4000"]}
    assert head.made(*STRUCK, *once) and not head.made("nowhere") and not head.made("large")
    memory = {name: [megabytes for _, megabytes in head.runs(name)] for name in (*STRUCK, *once)}
    assert memory == {name: ["2000", "4000"] for name in STRUCK} | once
    said = re.findall(r"SLURM takes no job now: (.*)\. Jobs wait", head.log)
    assert said == ["Batch job submission failed: Required partition not available (inactive or drain)"]
    refused = re.findall(r"SLURM does not take this job, and would not later: (.*?)\. For further", head.log)
    assert sorted(refused) == sorted(REFUSED.values())
    assert head.log.count("Trying to restart job") == len((*STRUCK, "deadline"))


def seen_by_doctor(slurm: VirtualCluster) -> None:
    """What `recite doctor` would read, here of a real sinfo."""
    nodes = read_nodes(slurm.ask("sinfo", "-h", "-N", "-o", "%P|%a|%T|%G"))
    assert Counter((node.partition, node.default, node.open, node.takes_jobs) for node in nodes) == {
        ("a100", True, "up", True): NODES,
        ("spare", False, "up", True): NODES,
        ("closed", False, "drain", True): NODES,
    }
    assert {count_gpus(node.gres, "a100") for node in nodes} == {GPUS}


def strike(head: Head) -> None:
    """Let each job end in its way, and the closed partition open when the head has found it closed."""
    slurm, ask = head.slurm, head.slurm.ask
    head.until(lambda: "SLURM takes no job now" in head.log, "a job is refused")
    ask("scontrol", "update", "partition=closed", "state=up")
    head.until(lambda: all(map(head.runs, (*STRUCK, "finished"))), "all jobs run")
    ask("scancel", head.runs("cancelled")[0][0])
    ask(
        "sbatch",
        "-p",
        "a100",
        "-w",
        head.detail("preempted", "NodeList"),
        "--exclusive",
        "--output",
        "/dev/null",
        "--wrap",
        "true",
    )
    ask("scontrol", "update", f"jobid={head.runs('node')[0][0]}", "requeue=0")
    node = head.detail("node", "NodeList")
    ask("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    ended = {"cancelled": "CANCELLED", "failed": "FAILED", "node": "NODE_FAIL", "preempted": "PREEMPTED"}
    head.until(lambda: {name: head.state(name) for name in ended} == ended, "each has ended in its way")
    # It is not to begin before it is too late for it to end.
    head.until(lambda: "DEADLINE" in [state for _, state, _ in slurm.jobs()], "a job misses its deadline")
    ask("scontrol", "update", f"nodename={node}", "state=resume")
    again = (*ended, "closed", "deadline")
    head.until(lambda: head.made(*again), "each is made again")
    head.until(lambda: head.log.count("Finished jobid") == len(again), "the head knows")
    assert len(head.runs("lost")) == 1 and slurm.jobs("RUNNING")


def forget(head: Head) -> None:
    """While the head does not look, one job ends, and then the controller forgets all jobs."""
    head.process.send_signal(signal.SIGSTOP)
    (head.root / "go").touch()
    head.until(lambda: head.state("finished") == "COMPLETED", "a job ends")
    head.slurm.end("slurmctld")
    head.slurm.start_controller("-c")
    head.slurm.wait_for_nodes()
    assert not head.slurm.jobs()
    head.process.send_signal(signal.SIGCONT)
