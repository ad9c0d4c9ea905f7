"""What a plan is made of: jobs, and what the jobs of a model share."""

from typing import NamedTuple

from recite.planning.costs import Facts


class Job(NamedTuple):
    """One job: its place in the DAG and its cost; see `recite.study.declaration.Cost`.

    stage: its rule. subject: what its first wildcard names, a model mostly; "" where it has none. after: names of the
    jobs it waits for.
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
    held: int | None = None


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

    @property
    def number_bytes(self) -> int:
        """Bytes of a weight."""
        return self.weights // self.facts.parameters

    def seconds(self, rows: int, batch_rows: int, row: float, pace: float = 1) -> float:
        """Seconds of a job that runs `rows` rows in whole batches, at `row` operations each.

        pace: what its stage reaches on a GPU, over what scoring does.
        """
        rate = self.rate * (pace if self.gpus else 1)
        return self.load + -(-rows // batch_rows) * batch_rows * row / rate
