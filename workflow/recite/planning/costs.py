"""What a job costs: floating-point operations, bytes and seconds, from what is known before anything runs.

Formulas and assumptions are explained in docs/plan.md. No torch here: a plan is made where nothing is installed but the
config's readers. Numbers that other modules hold too are held against these in the tests.
"""

from collections.abc import Mapping
from itertools import product
from typing import Any, NamedTuple

from recite.errors import ReciteError

SUBMISSION_SECONDS = 3.5
"""Snakemake's time for a job on SLURM, from submission to the start of the process."""
START_SECONDS = SUBMISSION_SECONDS + 15
"""The same and the imports of a job that runs the library: Snakemake, torch, transformers, seaborn."""
CORE_FLOPS = 60e9
"""Peak of one core in float32: 123 GFLOP/s were seen in matrix products on two."""
HASH_BYTES = 1.3e9
"""Bytes a second of SHA-256 on one core."""
SMALLEST_BATCH, LARGEST_BATCH = 8, 4096
SPARE = 0.9
"""Share of a GPU's memory that a batch may be predicted to take, as in `recite.stages.batching.measure`."""
BATCH_TRIALS = 3
"""How often each batch size is timed, as in `recite.stages.batching.measure`."""
CHUNK = 8
"""Most tokens that are unembedded at once, as in `recite.engine.passes`."""
BLOCK_BATCHES = 4
"""Batches whose keys and values are kept at once, as in `recite.engine.passes`."""
KERNELS = 2**25
"""Bytes of kernels, as in `recite.engine.memory`."""
READING_CORES = 16
"""Cores of a job that reads a corpus that lies in files."""

# Bytes a row on disk, wherever a stage says how many: 20,000 rows written by the tables' own writers, texts of 1,024
# characters of the Python standard library, tokens drawn from Zipf's law over 100,000 ids, random numbers for layers.
LAYERED_BYTES = 30
"""What names a row whose layers are told."""
NUMBER_BYTES = 4

# Seconds on one core.
AGGREGATION_SECONDS = 1e-6
"""A row whose score is summed up: 10 million rows, 2,000 resamples (`make bench-aggregation`)."""
LAYERS_SECONDS = 1e-5
"""Reading a row of 32 layers: 20,000 and 300,000 rows."""
RESAMPLING_SECONDS = 4
"""Resampling the classes of a model by layer."""


class Machine(NamedTuple):
    """Servers of one kind.

    gpus, cores: of one server. tflops: peak of a GPU in 10^12 operations a second; efficiency: share of it that is
    reached, of a core's peak too. gpu_memory: GB (10^9 bytes). load_gbs: GB a second from disk to GPU. read_mbs: MB of
    text a second that one core reads of a corpus.
    """

    servers: int = 8
    gpus: int = 8
    cores: int = 16
    tflops: float = 312
    efficiency: float = 0.4
    gpu_memory: float = 80
    load_gbs: float = 2.0
    read_mbs: float = 150

    def check(self) -> None:
        """Raise ReciteError for a machine that cannot be."""
        for name, value in self._asdict().items():
            least = 0 if name == "gpus" else 1 if name in ("servers", "cores") else None
            if (value < least) if least is not None else not 0 < value < float("inf"):
                bound = f"at least {least}" if least is not None else "a number above 0"
                raise ReciteError(f"--{name.replace('_', '-')} is {value}; it must be {bound}.")
        if self.efficiency > 1:
            raise ReciteError(f"--efficiency is {self.efficiency}; it is a share of the peak, at most 1.")


class Facts(NamedTuple):
    """What a model's costs follow from."""

    layers: int
    width: int
    heads: int
    shared_heads: int
    feed_forward: int
    vocabulary: int
    parameters: int

    @property
    def attention(self) -> int:
        """Weights of a layer's four attention projections: queries and output, keys and values."""
        return 2 * self.width * self.width + 2 * self.width * self.shared_heads * (self.width // self.heads)

    @property
    def embedding(self) -> int:
        """Weights of the embedding, and of the unembedding."""
        return self.vocabulary * self.width

    @property
    def body(self) -> int:
        """Weights of the decoder layers' matrices.

        Assumed: heads of width / heads, four attention projections, and a feed-forward layer of two matrices or, gated,
        of three; the embedding tied to the unembedding or not. Of these four kinds the one is taken whose matrices come
        nearest to `parameters`. Norms, biases and position tables are left out: they are no matrix products.
        """
        matrices, _ = min(product((2, 3), (1, 2)), key=lambda kind: abs(self.parameters - self._matrices(*kind)))
        return self._matrices(matrices, 0)

    def _matrices(self, feed_forward: int, embeddings: int) -> int:
        layer = self.attention + feed_forward * self.width * self.feed_forward
        return self.layers * layer + embeddings * self.embedding


def registered_facts(model: str, known: Mapping[str, Any], unknown: str = "") -> Facts:
    """Facts of a checkpoint, of what its entry and its files say; ReciteError where this is too little.

    `unknown` is the clause that says why its files say no more.
    """
    missing = [name for name in Facts._fields if name not in known]
    if missing:
        why = f" ({unknown})" if unknown else ""
        raise ReciteError(
            f"model {model}: a plan needs {', '.join(missing)}{why}; put its files there, or add them to its entry "
            "in the models file."
        )
    return Facts(*(known[name] for name in Facts._fields))


def trained_facts(shape: Mapping[str, int], vocabulary: int) -> Facts:
    """Facts of a model that a study trains, roughly.

    12 x layers x width^2 weights in the layers, whatever the family, and two embeddings.
    """
    layers, width, heads = shape["layers"], shape["width"], shape["heads"]
    parameters = 12 * layers * width**2 + 2 * vocabulary * width
    return Facts(layers, width, heads, heads, 4 * width, vocabulary, parameters)


def pass_flops(facts: Facts, positions: int) -> int:
    """Operations of all layers on `positions` tokens of one row, each of which attends to itself and those before it.

    2 x body weights x positions + 4 x layers x width x keys seen, positions (positions + 1) / 2.
    """
    keys = positions * (positions + 1) // 2
    return 2 * facts.body * positions + 4 * facts.layers * facts.width * keys


def restarted_flops(facts: Facts, context: int, continuation: int, layers: range) -> int:
    """Operations to run one row once from each of some layers on: what lies below is as it was.

    Whether it is continued or its true continuation is fed, all of the continuation is unembedded.
    """
    layer = pass_flops(facts, context + continuation - 1) // facts.layers
    return sum((facts.layers - below) * layer + 2 * facts.embedding * continuation for below in layers)


def row_flops(facts: Facts, context: int, continuation: int) -> int:
    """Operations to continue one row greedily; the last token of the continuation is not fed, all are unembedded."""
    return pass_flops(facts, context + continuation - 1) + 2 * facts.embedding * continuation


def whole_peak_bytes(facts: Facts, gpus: int, size: int, rows: int, positions: int, unembedded: int) -> int:
    """Peak memory of a GPU where `rows` rows are fed whole and no keys and values are kept.

    size: bytes of a number. The widest layer is that of `recite.engine.memory`; logits are those of `unembedded`
    positions of a row, in float32, with their logarithms, probabilities and the product of the two.
    """
    mixing = facts.heads * (3 * facts.width // facts.heads + 2 * positions)
    hidden = rows * positions * (4 * facts.width + max(4 * facts.feed_forward, mixing)) * size
    logits = rows * unembedded * facts.vocabulary * 16
    return facts.parameters * size // gpus + max(hidden, logits) + KERNELS


def peak_bytes(
    facts: Facts, gpus: int, size: int, rows: int, context: int, continuation: int, block_batches: int = 1
) -> int:
    """Peak memory of a GPU: `recite.engine.memory.predicted_bytes` with the weights in equal parts on `gpus` GPUs.

    size: bytes of a number. Keys, values and logits are counted whole, as where the batch is chosen; keys and values
    are those of `block_batches` batches of `rows` rows.
    """
    head = facts.width // facts.heads
    length = context + continuation - 1
    caches = 2 * facts.layers * block_batches * rows * length * facts.shared_heads * head * size
    checked = min(CHUNK, continuation)
    hidden = max(
        rows * fed * (4 * facts.width + max(4 * facts.feed_forward, facts.heads * (3 * head + 2 * keys))) * size
        for fed, keys in ((context, context), (checked, length))
    )
    logits = rows * checked * facts.vocabulary * size
    return facts.parameters * size // gpus + caches + max(hidden, logits) + KERNELS


def largest_batch(facts: Facts, gpus: int, size: int, memory: float, context: int, continuation: int) -> int:
    """Rows of the largest batch, a power of two, that fits the share SPARE of `memory` bytes; 0 if none does."""
    rows = LARGEST_BATCH
    while rows >= SMALLEST_BATCH:
        if peak_bytes(facts, gpus, size, rows, context, continuation) <= SPARE * memory:
            return rows
        rows //= 2
    return 0
