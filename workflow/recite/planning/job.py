"""What a plan is made of: jobs, and what the jobs of a model share."""

from typing import NamedTuple

from recite.planning.costs import PACES, Facts


class Job(NamedTuple):
    """One job: its place in the DAG and its cost.

    subject: model or corpus, or "" where there is none. after: names of the jobs it waits for. written: bytes on
    disk. peak: bytes of each of its GPUs.
    """

    name: str
    stage: str
    subject: str
    seconds: float
    after: tuple[str, ...]
    gpus: int = 0
    cores: int = 1
    written: int = 0
    peak: int = 0


class ModelCost(NamedTuple):
    """What all jobs of a model share.

    weights: bytes. load: seconds from start to the first row. rate: operations a second of a job, whose GPUs take
    turns. row: operations of one row. batch_rows: rows of a batch. peak: bytes of each GPU.
    """

    facts: Facts
    gpus: int
    weights: int
    load: float
    rate: float
    row: int
    batch_rows: int
    peak: int

    def pace(self, stage: str) -> float:
        """Operations a second of another stage than scoring."""
        return self.rate * (PACES[stage] if self.gpus else 1)
