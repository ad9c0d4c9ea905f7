"""The plan: every job of a study's DAG with what it waits for and what it costs, from the config alone.

Jobs, files and costs are those that the stages declare, and so are the rules that Snakemake reads. Formulas and
assumptions: docs/plan.md and `recite.planning.costs`.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from recite.errors import ReciteError
from recite.planning import costs
from recite.planning.costs import Facts, Machine
from recite.planning.job import Job, ModelCost
from recite.sources.patterns import files_below, matching
from recite.study.declaration import Cost, Rule, Wildcards
from recite.study.models import recipes_of
from recite.study.study import Study, paths_of


class _Waiting(NamedTuple):
    """A job whose cost is not known yet."""

    name: str
    rule: Rule
    wildcards: Wildcards
    inputs: list[str]


class Planner:
    """Makes the jobs of a study, each after those it waits for."""

    def __init__(self, study: Study, machine: Machine) -> None:
        machine.check()
        self.study, self.machine = study, machine
        self.costs = {model: self._cost(model) for model in study.models}

    @cached_property
    def jobs(self) -> list[Job]:
        """Every job of `rule all`, after those it waits for, else in the order of the stages."""
        done: set[str] = set()
        asked = [name for name, job in self._named.items() if job.rule.asked]
        return [job for name in asked for job in self._ordered(name, done)]

    @cached_property
    def _named(self) -> dict[str, _Waiting]:
        study, found = self.study, {}
        for rule in study.rules.values():
            for wildcards in study.jobs(rule.name):
                name = rule.path.format_map(wildcards)
                found[name] = _Waiting(name, rule, wildcards, paths_of(rule.inputs(study, wildcards).values()))
        return found

    @cached_property
    def _makers(self) -> dict[str, str]:
        """Path in the study -> the job that makes it."""
        made = {name: paths_of(self.study.outputs(job.rule.name).values()) for name, job in self._named.items()}
        return {path.format_map(self._named[name].wildcards): name for name, paths in made.items() for path in paths}

    def _ordered(self, name: str, done: set[str]) -> Iterator[Job]:
        """A job after those that it waits for, but for what is done; the DAG is as deep as there are stages."""
        if name in done:
            return
        done.add(name)
        _, rule, wildcards, inputs = self._named[name]
        after = tuple(dict.fromkeys(self._makers[path] for path in inputs))
        for earlier in after:
            yield from self._ordered(earlier, done)
        cost = rule.cost(self, wildcards)
        yield Job(name, rule.name, next(iter(wildcards.values()), ""), cost[0], after, *cost[1:])

    @property
    def tokens(self) -> tuple[int, int]:
        """Tokens of context and continuation; a begin-of-sequence token comes on top."""
        sampling = self.study.config["sampling"]
        return sampling["context_tokens"], sampling["continuation_tokens"]

    def tokens_of(self, model: str) -> tuple[int, int]:
        """Tokens of a row's context, with its begin-of-sequence token, and of its continuation."""
        context, continuation = self.tokens
        return context + (self.study.models[model].bos is not None), continuation

    def facts(self, model: str) -> Facts:
        entry = self.study.models[model]
        if entry.facts is not None:
            return costs.registered_facts(model, entry.facts, entry.unknown)
        training = self.study.config["training"]
        return costs.trained_facts(training["sizes"][entry.size], recipes_of(training)[entry.family]["vocabulary"])

    @cached_property
    def _rows(self) -> dict[str, dict[str, int]]:
        return {model: self._count(model) for model in self.study.models}

    def rows(self, model: str) -> dict[str, int]:
        """Rows of every part of a model's sample; a domain's last shard may be smaller than the others."""
        return self._rows[model]

    def total_rows(self, models: Iterable[str]) -> int:
        """Rows of the samples of some models, each for itself."""
        return sum(sum(self.rows(model).values()) for model in models)

    def _count(self, model: str) -> dict[str, int]:
        sampling = self.study.config["sampling"]
        size, total = sampling["shard_rows"], sampling["rows_per_domain"]
        rows = {}
        for domain in self.study.domains_of(model):
            for index, shard in enumerate(self.study.shards_of(domain)):
                rows[shard] = min(size, total - index * size)
        return {part: sum(rows[shard] for shard in shards) for part, shards in self.study.parts(model).items()}

    def text_bytes(self, corpus: str) -> float:
        """Bytes of a corpus's text, as its entry tells or its files weigh; ReciteError where neither does."""
        entry = self.study.corpora[corpus]
        if "build" in entry:
            return float(self.documents(corpus) * entry["build"]["passage_characters"])
        files = entry["files"]
        if "gigabytes" in files:
            return float(files["gigabytes"] * 1e9)
        folder = Path(files.get("folder", ""))
        names = files_below(folder) if "folder" in files else []
        if "patterns" in files:
            names = sorted({name for pattern in files["patterns"] for name in matching(names, pattern)})
        if not names:
            raise ReciteError(
                f"corpus {corpus}: a plan needs gigabytes; add it to its entry in the corpora file, or put its files "
                "there first."
            )
        return float(sum((folder / name).stat().st_size for name in names))

    def documents(self, corpus: str) -> int:
        """Documents of a corpus that is made here, planted copies included."""
        build = self.study.corpora[corpus]["build"]
        planted = sum(int(count) * texts for count, texts in build["controls"]["repetitions"].items())
        return int(sum(source["documents"] for source in build["sources"].values()) + planted)

    def reading_cores(self) -> int:
        """Cores of a job that reads a corpus."""
        return 1 if self.study.trains else min(costs.READING_CORES, self.machine.cores)

    def continuing(self, model: str, part: str, row_bytes: int) -> Cost:
        """The cost of continuing one part of a model's rows, `row_bytes` of which are written for each."""
        cost, rows = self.costs[model], self.rows(model)[part]
        return Cost(cost.seconds(rows, cost.batch_rows, cost.row), cost.gpus, 1, rows * row_bytes, cost.peak)

    def whole_peak(self, model: str, rows: int, positions: int, unembedded: int) -> int:
        """Bytes of each GPU, where there are any, of a pass over `positions` tokens of `rows` rows."""
        cost = self.costs[model]
        if not cost.gpus:
            return 0
        return costs.whole_peak_bytes(cost.facts, cost.gpus, cost.number_bytes, rows, positions, unembedded)

    def _cost(self, model: str) -> ModelCost:
        machine, facts, entry = self.machine, self.facts(model), self.study.models[model]
        size = 4 if self.study.run_options(model)["dtype"] == "float32" else 2
        context, continuation = self.tokens_of(model)
        weights = facts.parameters * size
        shape = (facts, entry.gpus, size)
        memory = machine.gpu_memory * 1e9
        largest = costs.largest_batch(*shape, memory, context, continuation) if entry.gpus else costs.LARGEST_BATCH
        rows = largest if self.study.measures_batches else self.study.config["scoring"]["batch_rows"]
        if not largest:
            raise ReciteError(
                f"model {model}: not even {costs.SMALLEST_BATCH} rows fit the {machine.gpu_memory:g} GB of each of its "
                f"{entry.gpus} GPUs; give it more `gpus` in the models file."
            )
        return ModelCost(
            facts,
            entry.gpus,
            weights,
            costs.START_SECONDS + weights / (machine.load_gbs * 1e9),
            machine.efficiency * (machine.tflops * 1e12 if entry.gpus else costs.CORE_FLOPS),
            costs.row_flops(facts, context, continuation),
            rows,
            costs.peak_bytes(*shape, rows, context, continuation) if entry.gpus else 0,
        )


def short(planner: Planner, wildcards: Wildcards) -> Cost:
    """The cost of little more than a start."""
    return Cost(costs.START_SECONDS)
