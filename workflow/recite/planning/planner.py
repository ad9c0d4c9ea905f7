"""The plan: every job of a study's DAG with what it waits for and what it costs, from the config alone.

Formulas and assumptions: docs/plan.md and `recite.planning.costs`.
"""

import math
from collections.abc import Iterator
from functools import cached_property
from itertools import product

from recite.errors import ReciteError
from recite.planning import costs
from recite.planning.costs import Facts, Machine
from recite.planning.job import Job, ModelCost
from recite.planning.plan_internal import ablation_jobs, lens_jobs, recovery_jobs
from recite.study.study import Study

CANDIDATES_CORES = 16
"""Threads of the rule `candidates` where a corpus lies in files."""
MEMORIZED = 0.05
"""Assumed share of rows that a model recites whole, which are those whose context is shortened."""
GPU_STAGES = ("batching", "scoring", "compressibility", "noise", "recovery", "lens", "screening", "ablation")


class Planner:
    """Makes the jobs of a study, stage by stage, each stage's after those it waits for."""

    def __init__(self, study: Study, machine: Machine) -> None:
        machine.check()
        self.study, self.machine = study, machine
        self.costs = {model: self._cost(model) for model in study.models}

    @cached_property
    def jobs(self) -> list[Job]:
        """Every job of `rule all`, after those it waits for."""
        made = [self._corpus(), self._models()] if self.study.trains else [self._inventories(), self._models()]
        made += [self._candidates(), self._sampling(), self._batching(), self._scoring(), self._compressibility()]
        made += [self._frequency(), self._noise(), recovery_jobs(self), lens_jobs(self)]
        made += [ablation_jobs(self), self._ending()]
        return [job for stage in made for job in stage]

    @property
    def tokens(self) -> tuple[int, int]:
        """Tokens of context and continuation; a begin-of-sequence token comes on top."""
        sampling = self.study.config["sampling"]
        return sampling["context_tokens"], sampling["continuation_tokens"]

    def facts(self, model: str) -> Facts:
        entry = self.study.models[model]
        if entry.entry is not None:
            return costs.registered_facts(model, entry.entry)
        options = self.study.training_options(model)
        return costs.trained_facts(options["shape"], options["recipe"]["vocabulary"])

    def rows(self, model: str) -> dict[str, int]:
        """Rows of every part of a model's sample; a domain's last shard may be smaller than the others."""
        sampling = self.study.config["sampling"]
        size, total = sampling["shard_rows"], sampling["rows_per_domain"]
        rows = {}
        for domain in self.study.domains[self.study.models[model].corpus]:
            for index, shard in enumerate(self.study.shards_of(domain)):
                rows[shard] = min(size, total - index * size)
        return {part: sum(rows[shard] for shard in shards) for part, shards in self.study.parts(model).items()}

    def text_bytes(self, corpus: str) -> float:
        """Bytes of a corpus's text; ReciteError where its entry does not tell."""
        entry = self.study.corpora[corpus]
        if "build" in entry:
            return self._documents(corpus) * entry["build"]["passage_characters"]
        if "gigabytes" not in entry["files"]:
            raise ReciteError(f"corpus {corpus}: a plan needs gigabytes; add it to its `files` in the corpora file.")
        return entry["files"]["gigabytes"] * 1e9

    def _documents(self, corpus: str) -> int:
        build = self.study.corpora[corpus]["build"]
        planted = sum(int(count) * texts for count, texts in build["controls"]["repetitions"].items())
        return sum(source["documents"] for source in build["sources"].values()) + planted

    def _cost(self, model: str) -> ModelCost:
        machine, facts, entry = self.machine, self.facts(model), self.study.models[model]
        size = 4 if self.study.scoring_options(model)["dtype"] == "float32" else 2
        context, continuation = self.tokens
        context += entry.bos is not None
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

    def _corpus(self) -> Iterator[Job]:
        corpus = self.study.config["training"]["corpus"]
        yield Job("corpus", "corpus", corpus, costs.START_SECONDS, ())
        for family in self.study.families:
            yield Job(f"tokenization/{family}", "tokenization", family, costs.START_SECONDS, ("corpus",))

    def _inventories(self) -> Iterator[Job]:
        for corpus in self.study.domains:
            yield Job(f"inventory/{corpus}", "inventory", corpus, costs.START_SECONDS, ())
        for family in self.study.families:
            yield Job(f"family_tokenizer/{family}", "family_tokenizer", family, costs.START_SECONDS, ())

    def _models(self) -> Iterator[Job]:
        for name, cost in self.costs.items():
            model = self.study.models[name]
            if not self.study.trains:
                seconds = cost.load + cost.weights / costs.HASH_BYTES
                yield Job(f"registration/{name}", "registration", name, seconds, (f"family_tokenizer/{model.family}",))
                continue
            recipe = self.study.training_options(name)["recipe"]
            tokens = self._documents(model.corpus) * recipe["epochs"] * self.study.config["training"]["row_tokens"]
            seconds = costs.START_SECONDS + 6 * cost.facts.parameters * tokens / cost.rate
            after = (f"tokenization/{model.family}",)
            yield Job(f"training/{name}", "training", name, seconds, after, written=cost.weights)

    def _candidates(self) -> Iterator[Job]:
        cores = 1 if self.study.trains else min(CANDIDATES_CORES, self.machine.cores)
        for corpus in self.study.domains:
            groups, options = self.study.groups(corpus), self.study.candidates_options(corpus)
            share = self.text_bytes(corpus) / groups
            seconds = costs.START_SECONDS + share / (self.machine.read_mbs * 1e6 * cores)
            kept = len(self.study.corpora[corpus]["domains"]) * options["draw"]["most"] * costs.CANDIDATE_BYTES
            after = ("corpus",) if self.study.trains else (f"inventory/{corpus}",)
            for group in self.study.group_names(corpus):
                name = f"candidates/{corpus}/{group}"
                yield Job(name, "candidates", corpus, seconds, after, cores=cores, written=int(min(kept, share)))

    def _sampling(self) -> Iterator[Job]:
        names, rows = [], self.study.config["sampling"]["rows_per_domain"]
        for family, first in self.study.families.items():
            tokenizer = self._tokenizer(family)
            groups = self.study.group_names(first.corpus)
            after = (*(f"candidates/{first.corpus}/{group}" for group in groups), tokenizer)
            scanned = len(groups) * self.study.candidates_options(first.corpus)["draw"]["most"] * costs.SCAN_SECONDS
            seconds = costs.START_SECONDS + scanned + rows * costs.SAMPLING_SECONDS
            for domain in self.study.domains[first.corpus]:
                names.append(f"sampling/{family}/{domain}")
                yield Job(names[-1], "sampling", family, seconds, after, written=rows * costs.SAMPLE_BYTES)
        yield Job("samples", "samples", "", costs.SUBMISSION_SECONDS, tuple(names))

    def maker(self, model: str) -> str:
        """The job that makes a model's weights, or checks them."""
        return f"{'training' if self.study.trains else 'registration'}/{model}"

    def _batching(self) -> Iterator[Job]:
        """Batches of every size from the smallest, doubling up to the largest that fits, are timed."""
        for model, cost in self.costs.items() if self.study.measures_batches else ():
            rows = 2 * cost.batch_rows - costs.SMALLEST_BATCH
            seconds = cost.load + costs.BATCH_TRIALS * rows * cost.row / cost.rate
            after = (self.maker(model),)
            yield Job(f"batching/{model}", "batching", model, seconds, after, cost.gpus, peak=cost.peak)

    def _scoring(self) -> Iterator[Job]:
        for model in self.study.models:
            yield from self._continuing("scoring", model, f"scoring/{model}", costs.SCORE_BYTES)

    def _compressibility(self) -> Iterator[Job]:
        """A job for every part of the scores, as if all its texts were distinct and no suffix failed before its end."""
        context, continuation = self.tokens
        names, read = [], 0
        for model in self.study.compressibility_models:
            cost, bos = self.costs[model], int(self.study.models[model].bos is not None)
            batch = self.study.compressibility_options(model)["batch_rows"]
            shape = (cost.weights // cost.facts.parameters, batch, bos + context, continuation, costs.BLOCK_BATCHES)
            peak = costs.peak_bytes(cost.facts, cost.gpus, *shape) if cost.gpus else 0
            row = costs.suffix_flops(cost.facts, bos, context, continuation)
            for part, rows in self.rows(model).items():
                recited = math.ceil(MEMORIZED * rows)
                seconds = cost.load + -(-recited // batch) * batch * row / cost.rate
                after, written = (self.maker(model), f"scoring/{model}/{part}"), recited * costs.SUFFIX_BYTES
                names.append(f"compressibility/{model}/{part}")
                read += recited
                yield Job(names[-1], "compressibility", model, seconds, after, cost.gpus, 1, written, peak)
        if names:
            seconds = costs.START_SECONDS + read * costs.AGGREGATION_SECONDS
            yield Job("compressibility_aggregation", "compressibility_aggregation", "", seconds, tuple(names))

    def _frequency(self) -> Iterator[Job]:
        """Local indexes, the counts of every family, and what sums them up; tokens are taken for bytes."""
        study, indexed, names, read = self.study, set[str](), [], 0
        for family in study.frequency_families:
            corpus = study.families[family].corpus
            domains, most = len(study.domains[corpus]), study.config["sampling"]["rows_per_domain"]
            rows = domains * min(most, study.config["frequency"].get("rows_per_domain", most))
            read += rows * sum(model.family == family for model in study.models.values())
            for counting in study.countings:
                after = [f"sampling/{family}/{domain}" for domain in study.domains[corpus]]
                if units := study.index_of(family, counting):
                    folder, seconds = f"frequency_index/{corpus}/{units}", rows * costs.SPANS * costs.COUNT_SECONDS
                    for group in study.group_names(corpus):
                        after.append(f"{folder}/{group}")
                        if after[-1] not in indexed:
                            indexed.add(after[-1])
                            yield self._index(after[-1], corpus, units)
                else:
                    seconds = rows * costs.SPANS / study.config["frequency"]["public"]["requests_per_second"]
                if counting == "other":
                    after.append(self._tokenizer(study.config["frequency"]["other"]))
                names.append(f"frequency/{family}/{counting}")
                seconds += costs.START_SECONDS
                yield Job(names[-1], "frequency", family, seconds, tuple(after), written=rows * costs.FREQUENCY_BYTES)
        if names:
            scores = [name for model in study.frequency_models for name in self._parts(f"scoring/{model}", model)]
            seconds = costs.START_SECONDS + read * costs.AGGREGATION_SECONDS
            yield Job("frequency_aggregation", "frequency_aggregation", "", seconds, (*names, *scores))

    def _index(self, name: str, corpus: str, units: str) -> Job:
        """One group of a corpus sorted, on as many cores as the rule asks for."""
        cores = 1 if self.study.trains else min(CANDIDATES_CORES, self.machine.cores)
        share = self.text_bytes(corpus) / self.study.groups(corpus)
        seconds = costs.START_SECONDS + share * costs.INDEX_SECONDS / cores
        after = ["corpus" if self.study.trains else f"inventory/{corpus}"]
        after += [self._tokenizer(units)] if units != "bytes" else []
        written = int(share * costs.INDEX_SIZE)
        return Job(name, "frequency_index", corpus, seconds, tuple(after), cores=cores, written=written)

    def _tokenizer(self, family: str) -> str:
        return f"tokenization/{family}" if self.study.trains else f"family_tokenizer/{family}"

    def _noise(self) -> Iterator[Job]:
        for model in self.study.noise_models:
            for folder in self._noise_folders(model):
                yield from self._continuing("noise", model, folder, costs.NOISE_BYTES)

    def _noise_folders(self, model: str) -> list[str]:
        runs = product(self.study.noise_layers, self.study.noise_strengths)
        return [f"noise/{model}/layer-{layer}/alpha-{alpha}" for layer, alpha in runs]

    def _continuing(self, stage: str, model: str, folder: str, row_bytes: int) -> Iterator[Job]:
        """A job for every part of a model's rows; each waits for the samples of all families."""
        cost = self.costs[model]
        ready = [self.maker(model), "samples", *([f"batching/{model}"] if self.study.measures_batches else [])]
        for part, rows in self.rows(model).items():
            batches = -(-rows // cost.batch_rows)
            seconds = cost.load + batches * cost.batch_rows * cost.row / cost.rate
            name = f"{folder}/{part}"
            yield Job(name, stage, model, seconds, tuple(ready), cost.gpus, 1, rows * row_bytes, cost.peak)

    def _parts(self, folder: str, model: str) -> list[str]:
        return [f"{folder}/{part}" for part in self.study.parts(model)]

    def _ending(self) -> Iterator[Job]:
        """What reads the scores of all models, each stage one job, and the pages drawn from its tables."""
        study = self.study
        rows = {model: sum(self.rows(model).values()) for model in study.models}
        clean = {model: self._parts(f"scoring/{model}", model) for model in study.models}
        planted = [f"sampling/{family}/{domain}" for family in study.families for domain in study.planted]
        after = (*(name for names in clean.values() for name in names), *planted)
        seconds = costs.START_SECONDS + sum(rows.values()) * costs.AGGREGATION_SECONDS
        yield Job("aggregation", "aggregation", "", seconds, after)
        if study.noise_models:
            read, names = 0, []
            for model in study.noise_models:
                folders = self._noise_folders(model)
                read += rows[model] * (1 + len(folders))
                names += clean[model]
                names += [name for folder in folders for name in self._parts(folder, model)]
            seconds = costs.START_SECONDS + read * costs.AGGREGATION_SECONDS
            yield Job("noise_aggregation", "noise_aggregation", "", seconds, tuple(names))
        yield Job("scaling", "scaling", "", costs.START_SECONDS, ("aggregation",))
        compared = ("aggregation", *(["noise_aggregation"] if study.noise_models else []))
        yield Job("domains", "domains", "", costs.START_SECONDS, compared)
        if study.signature_sources:
            yield Job("signatures", "signatures", "", costs.START_SECONDS, tuple(study.signature_makers))
        if "factorial" in study.tables_of:
            yield Job("factorial", "factorial", "", costs.START_SECONDS, ("signatures",))
        others = tuple(rule for rule in study.tables_of if rule != "ledger")
        yield Job("ledger", "ledger", "", costs.START_SECONDS, others)
        makers = {table: rule for rule, tables in study.tables_of.items() for table in tables}
        for figure, entry in study.figures.items():
            after = tuple(dict.fromkeys(makers[table] for table in entry["tables"]))
            yield Job(f"figures/{figure}", "figures", figure, costs.START_SECONDS, after)
        after = (*study.tables_of, *(["corpus"] if study.trains else []))
        yield Job("summary", "summary", "", costs.START_SECONDS, after)
