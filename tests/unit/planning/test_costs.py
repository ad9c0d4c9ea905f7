"""recite.planning.costs: operations against closed forms and real models, memory against the engine's prediction."""

from pathlib import Path

import pytest
import torch
import transformers
import yaml

from recite.checkpoints.loading import Checkpoint
from recite.engine import activations, memory, passes
from recite.engine.memory import predicted_bytes
from recite.errors import ReciteError
from recite.kernels.packing import weight_bytes
from recite.planning import costs
from recite.planning.costs import Facts, Machine
from recite.stages.batching import measure as batching
from recite.stages.compressibility.stage import suffix_flops
from recite.stages.heads.cost import ablation_flops, traced_bytes
from recite.stages.lens.stage import decoding_flops
from recite.stages.recovery.stage import recovery_flops

ROOT = Path(__file__).resolve().parents[3]
REGISTRY = yaml.safe_load((ROOT / "config" / "models.yaml").read_text())

PYTHIA = Facts(12, 768, 12, 12, 3072, 50304, 162322944)


def facts_of(model: transformers.PreTrainedModel, shared_heads: int) -> Facts:
    config = model.config
    inner = getattr(config, "intermediate_size", None) or config.n_inner
    parameters = sum(parameter.numel() for parameter in model.parameters())
    width, heads = config.hidden_size, config.num_attention_heads
    return Facts(config.num_hidden_layers, width, heads, shared_heads, inner, config.vocab_size, parameters)


def linear_flops(model: transformers.PreTrainedModel, fed: int, unembedded: int) -> int:
    """2 x in x out of every linear layer, times the positions that it sees."""
    total = 0
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            positions = unembedded if name == "lm_head" else fed
            total += 2 * module.in_features * module.out_features * positions
    return total


def test_operations_counted_by_hand() -> None:
    """Pythia 160M, 32 + 32 tokens, 63 of them fed."""
    layer = 768 * 2304 + 768 * 768 + 768 * 3072 + 3072 * 768
    attention = 12 * 2 * 2 * 768 * sum(range(1, 64))
    assert costs.row_flops(PYTHIA, 32, 32) == 63 * 2 * 12 * layer + attention + 32 * 2 * 768 * 50304


def test_operations_equal_those_of_the_linear_layers(
    family: str, reference: transformers.PreTrainedModel, checkpoint: Checkpoint
) -> None:
    """Prevents a family whose gate, shared heads or tied embedding is guessed wrongly."""
    facts = facts_of(reference, checkpoint.shared_heads)
    attention = 4 * facts.layers * facts.width * 39 * 40 // 2
    assert costs.row_flops(facts, 32, 8) - attention == linear_flops(reference, 39, 8)


def test_operations_of_grouped_queries() -> None:
    """Keys and values of fewer heads than queries have."""
    config = transformers.LlamaConfig(
        vocab_size=500,
        hidden_size=64,
        intermediate_size=176,
        num_hidden_layers=5,
        num_attention_heads=8,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    model = transformers.LlamaForCausalLM(config)
    facts = facts_of(model, 2)
    attention = 4 * 5 * 64 * 63 * 64 // 2
    assert costs.row_flops(facts, 32, 32) - attention == linear_flops(model, 63, 32)


@pytest.mark.parametrize(
    "model",
    # an entry without numbers; one with experts, and one whose heads are wider than its width tells
    [name for name, entry in REGISTRY.items() if "parameters" in entry and name not in ("olmoe-1b-7b", "gemma-2-9b")],
)
def test_matrices_are_nearly_all_parameters(model: str) -> None:
    """Prevents an entry whose facts contradict its parameters: what is left is biases, norms and position tables."""
    facts = costs.registered_facts(model, REGISTRY[model])
    left = min(abs(facts.parameters - facts.body - tables * facts.embedding) for tables in (1, 2))
    assert left < 0.02 * facts.parameters


def test_operations_without_one_head_after_the_other() -> None:
    """The sum over heads of what is run: the layers from the head's on and the unembedding."""
    facts = Facts(4, 64, 8, 8, 256, 1000, 12 * 4 * 64**2 + 2 * 64 * 1000)
    layer = costs.pass_flops(facts, 63) / 4
    runs = [8 * ((4 - below) * layer + 2 * facts.embedding * 32) for below in range(4)]
    assert ablation_flops(facts, 32, 32, range(4)) == sum(runs)
    assert ablation_flops(facts, 32, 32, range(2, 3)) == runs[2]


def test_traced_bytes(checkpoint: Checkpoint) -> None:
    """What the engine's own trace takes."""
    facts = facts_of(checkpoint.model, checkpoint.shared_heads)
    context, draft = torch.zeros(4, 9, dtype=torch.int64), torch.zeros(4, 8, dtype=torch.int64)
    traced = activations.trace(checkpoint, context, draft, 4)
    pairs = [tensor for pair in traced.keys_values.values() for tensor in pair]
    kept = [*traced.residuals.values(), *traced.heads.values(), *pairs]
    assert sum(tensor.numel() * tensor.element_size() for tensor in kept) == traced_bytes(facts, 4, 4, 16)


def test_operations_of_suffixes_and_layers() -> None:
    suffixes = [costs.row_flops(PYTHIA, 1 + length, 4) for length in (1, 2, 3)]
    assert suffix_flops(PYTHIA, 1, 3, 4) == sum(suffixes)
    decoding = decoding_flops(PYTHIA, 32, 32, 12) - costs.pass_flops(PYTHIA, 63)
    assert decoding == (12 * 32 + 1) * 2 * PYTHIA.embedding
    recovery = recovery_flops(PYTHIA, 32) - 2 * costs.pass_flops(PYTHIA, 32)
    assert recovery == 2 * 2 * PYTHIA.embedding


def test_operations_grow_with_tokens() -> None:
    """One more context token costs the body once and keys; one more to recite the unembedding too."""
    more = costs.row_flops(PYTHIA, 33, 32) - costs.row_flops(PYTHIA, 32, 32)
    assert more == 2 * PYTHIA.body + 4 * 12 * 768 * 64
    assert costs.row_flops(PYTHIA, 32, 33) - costs.row_flops(PYTHIA, 32, 32) == more + 2 * PYTHIA.embedding


@pytest.mark.parametrize(("rows", "prompt", "steps"), [(8, 32, 32), (64, 33, 32), (16, 5, 3)])
def test_memory_is_what_the_engine_predicts(
    checkpoint: Checkpoint, rows: int, prompt: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two copies of one formula must not part; the plan's is for GPUs, where no pass is cut."""
    monkeypatch.setattr(passes, "PASS_TOKENS", 10**9)
    facts = facts_of(checkpoint.model, checkpoint.shared_heads)
    predicted = predicted_bytes(checkpoint, rows, prompt, steps) - weight_bytes(checkpoint.model)
    assert costs.peak_bytes(facts, 1, 4, rows, prompt, steps) - 4 * facts.parameters == predicted


def test_numbers_that_other_modules_hold() -> None:
    assert (costs.CHUNK, costs.KERNELS) == (passes.CHUNK, memory.KERNELS)
    assert (costs.SMALLEST_BATCH, costs.LARGEST_BATCH) == (batching.SMALLEST, batching.LARGEST)
    assert costs.SPARE == batching.SPARE


def test_largest_batch() -> None:
    """The largest power of two that fits; none where the weights do not."""

    def bytes_of(rows: int) -> int:
        return costs.peak_bytes(PYTHIA, 1, 2, rows, 32, 32)

    assert costs.largest_batch(PYTHIA, 1, 2, 1e15, 32, 32) == costs.LARGEST_BATCH
    assert costs.largest_batch(PYTHIA, 1, 2, (bytes_of(64) + 1) / costs.SPARE, 32, 32) == 64
    assert costs.largest_batch(PYTHIA, 1, 2, (bytes_of(64) - 9) / costs.SPARE, 32, 32) == 32
    assert costs.largest_batch(PYTHIA, 1, 2, 1e8, 32, 32) == 0


def test_weights_are_shared_out_to_gpus() -> None:
    one, two = (costs.peak_bytes(PYTHIA, gpus, 2, 8, 32, 32) for gpus in (1, 2))
    assert one - two == PYTHIA.parameters


def test_a_trained_model_roughly() -> None:
    """The largest Pythia of the mini study has 2,183,680 parameters."""
    facts = costs.trained_facts({"layers": 6, "width": 160, "heads": 10}, 1024)
    assert facts.parameters == pytest.approx(2_183_680, rel=0.02)
    assert facts.body == 12 * 6 * 160**2


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"servers": 0}, "--servers is 0; it must be at least 1"),
        ({"gpus": -1}, "--gpus is -1; it must be at least 0"),
        ({"cores": 0}, "--cores is 0; it must be at least 1"),
        ({"tflops": 0}, "--tflops is 0; it must be a number above 0"),
        ({"tflops": float("nan")}, "--tflops is nan"),
        ({"gpu_memory": -5.0}, "--gpu-memory is -5.0"),
        ({"load_gbs": float("inf")}, "--load-gbs is inf"),
        ({"efficiency": 1.2}, "--efficiency is 1.2; it is a share of the peak, at most 1"),
    ],
)
def test_machines_that_cannot_be(values: dict[str, float], sentence: str) -> None:
    with pytest.raises(ReciteError, match=sentence):
        Machine(**values).check()  # type: ignore[arg-type]


def test_an_entry_that_tells_too_little() -> None:
    with pytest.raises(ReciteError, match=r"model mine: a plan needs layers, heads, .*models file"):
        costs.registered_facts("mine", {"corpus": "notes", "width": 4})
