"""A real SLURM on one machine: eight nodes of eight GPUs, whose daemons are processes of the test."""

import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path

NODES, GPUS = 8, 8
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "sinfo", "scontrol", "scancel")

SLURM_CONF = """ClusterName=recite
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
AuthInfo=socket={root}/munge/socket,cred_expire=10
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/%n.spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/%n.log
SlurmdParameters=config_overrides
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
JobRequeue=1
MinJobAge=3600
KillWait=2
SlurmdTimeout=60
ReturnToService=2
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
{nodes}
PartitionName=DEFAULT Nodes=a100-[1-{count}] MaxTime=INFINITE State=UP OverSubscribe=NO PreemptMode=OFF
PartitionName=a100 Default=YES PriorityTier=2
PartitionName=spare PriorityTier=1 PreemptMode=CANCEL
PartitionName=closed PriorityTier=2
"""
NODE = "NodeName=a100-{0} NodeHostname=localhost NodeAddr=127.0.0.1 Port={1} CPUs=16 RealMemory=512000 Gres=gpu:a100:8"


def missing() -> str | None:
    """Why no virtual cluster can be had here, or None."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"{', '.join(absent)} missing: apt-get install slurm-wlm munge"
    if os.geteuid():
        return "the daemons of SLURM need root"
    return None


class VirtualCluster:
    """The daemons, their settings and their folders under `root`, beside others that may run on this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        # As processes at one time differ in their numbers, so do the ports of their clusters.
        self.port = 16800 + os.getpid() % 900 * 16

    @property
    def environment(self) -> dict[str, str]:
        """What makes SLURM's commands and daemons those of this cluster."""
        return {"SLURM_CONF": f"{self.root}/slurm.conf", "PATH": f"{self.root}/bin:{os.environ['PATH']}"}

    def start(self) -> None:
        """Write the settings, start all daemons and wait until every node is idle."""
        for folder in ("munge", "state", "devices", "bin"):
            (self.root / folder).mkdir(mode=0o755)
        for index in range(GPUS):
            os.mknod(self.root / f"devices/nvidia{index}", 0o666 | 0o020000, os.makedev(1, 3))
        nodes = "\n".join(NODE.format(number, self.port + number) for number in self.numbers)
        settings = SLURM_CONF.format(root=self.root, port=self.port, nodes=nodes, count=NODES)
        (self.root / "slurm.conf").write_text(settings)
        gpus = f"Name=gpu Type=a100 File={self.root}/devices/nvidia[0-{GPUS - 1}]"
        lines = [f"NodeName=a100-{number} {gpus}" for number in self.numbers]
        (self.root / "gres.conf").write_text("\n".join(["AutoDetect=off", *lines]) + "\n")
        # The plugin takes SLURM_CONF away from the srun of a job.
        srun = self.root / "bin/srun"
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={self.root}/slurm.conf exec {shutil.which("srun")} "$@"\n')
        srun.chmod(0o755)
        self._start_munge()
        self.start_controller()
        for number in self.numbers:
            self.start_node(number)
        self.wait_for_nodes()

    @property
    def numbers(self) -> range:
        return range(1, NODES + 1)

    def _start_munge(self) -> None:
        """Credentials with a key and a socket of its own, beside one that may be there."""
        folder = self.root / "munge"
        key = folder / "key"
        key.write_bytes(secrets.token_bytes(64))
        key.chmod(0o400)
        files = {"key-file": "key", "socket": "socket", "log-file": "log", "pid-file": "pid", "seed-file": "seed"}
        options = [f"--{option}={folder}/{name}" for option, name in files.items()]
        self._run("munged", ["munged", "--foreground", "--force", *options])
        self._wait(lambda: (folder / "socket").exists(), "munged does not start")

    def start_controller(self, *options: str) -> None:
        self._run("slurmctld", ["slurmctld", "-D", *options])

    def start_node(self, number: int) -> None:
        (self.root / f"a100-{number}.spool").mkdir(exist_ok=True)
        self._run(f"a100-{number}", ["slurmd", "-D", "-N", f"a100-{number}"])

    def _run(self, name: str, command: list[str]) -> None:
        with (self.root / f"{name}.out").open("ab") as output:
            self.daemons[name] = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)

    def end(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        """End one daemon and wait for it."""
        daemon = self.daemons.pop(name)
        daemon.send_signal(how)
        daemon.wait(120)

    def recover(self) -> None:
        """Undo what a failed test may have left behind: jobs, nodes set down, no controller."""
        if "slurmctld" not in self.daemons:
            self.start_controller()
            self._wait(lambda: self.ask("sinfo", "-h"), "slurmctld does not answer")
        self.forget()
        for number in self.numbers:
            self.ask("scontrol", "update", f"nodename=a100-{number}", "state=resume")
        self.wait_for_nodes()

    def wait_for_nodes(self) -> None:
        """Until every node takes jobs."""

        def ready() -> bool:
            states = self.ask("sinfo", "-h", "-N", "-p", "a100", "-o", "%T").split()
            return len(states) == NODES and set(states) <= {"idle", "mixed", "allocated"}

        self._wait(ready, "the nodes do not come up")

    def ask(self, *command: str) -> str:
        """Output of one of SLURM's commands; empty while the controller cannot be reached."""
        return subprocess.run(command, capture_output=True, text=True, timeout=120).stdout

    def jobs(self, *states: str) -> list[tuple[str, str, str]]:
        """Number, state and comment of every job, of some states or of all."""
        command = ["squeue", "-h", "-t", ",".join(states) or "all", "-o", "%i|%T|%k"]
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=120, check=True)
        return [tuple(line.split("|", 2)) for line in run.stdout.splitlines()]  # type: ignore[misc]

    def forget(self) -> None:
        """Cancel what is left of a test and wait until nothing runs."""
        self.ask("scancel", "--full", "--signal=KILL", "--user=root")
        self.ask("scancel", "--user=root")
        self._wait(lambda: not self.jobs("PENDING", "RUNNING", "COMPLETING"), "jobs do not end")

    def stop(self) -> None:
        """End what runs, and all daemons."""
        if "slurmctld" in self.daemons:
            self.forget()
        for name in reversed(list(self.daemons)):
            self.end(name)

    def _wait(self, ready: object, sentence: str, seconds: float = 180) -> None:
        end = time.monotonic() + seconds
        while not ready():  # type: ignore[operator]
            if time.monotonic() > end:
                raise RuntimeError(f"{sentence}; see {self.root}")
            time.sleep(0.2)
