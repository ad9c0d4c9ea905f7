"""Training the mini study's models: small, seeded, the same bits on the same machine."""

import math
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers.utils import logging

from recite.checkpoints.architectures import ARCHITECTURES, Shape
from recite.corpora.special_tokens import BOS_ID
from recite.corpora.tables.training import TRAINING_ROWS
from recite.corpora.tokenizer import load_tokenizer
from recite.errors import ReciteError
from recite.files import atomic, canonical_json, hash64, sha256_file, write_json
from recite.kernels.allocator import keep_freed
from recite.progress import Progress

REFERENCE_WIDTH = 64
WARM_UP = 0.05
"""Share of the steps over which the learning rate rises."""
FINAL_RATE = 0.1
"""Learning rate at the last step, as a share of the peak."""
WEIGHT_DECAY = 0.01
BETAS = (0.9, 0.95)
CLIP_NORM = 1.0
NO_TARGET = -100
"""Where there is no next token to learn; in rows, what fills those that are shorter than the longest."""
MARGIN_POSITIONS = 64
"""Positions beyond the row that a model can address."""


def train_model(
    options: Mapping[str, Any], rows: Path, tokenizer: Path, tokenizer_config: Path, folder: Path, threads: int
) -> None:
    """Train one model and write `folder` as an ordinary Hugging Face checkpoint, with training.json.

    `options` may hold `shares` of the training after which the weights are saved too, each as a checkpoint in
    `folder`/steps/<share>: `kept_steps` says after which steps. That changes no bit of the training. training.json
    records sizes, the recipe, the digests of the rows in their order and of the weights, the loss and the number of
    steps; it is written last.
    """
    torch.set_num_threads(threads)
    keep_freed()
    recipe = options["recipe"]
    family = recipe.get("architecture", options["family"])
    tokens = read_rows(rows)
    vocabulary = len(load_tokenizer(tokenizer).vocabulary)
    model = build_model(family, Shape(**options["shape"]), vocabulary, tokens.shape[1], recipe["seed"])
    parameters = sum(parameter.numel() for parameter in model.parameters())
    order = training_order(tokens, recipe)
    steps = math.ceil(len(order) / recipe["batch_rows"])
    kept = kept_steps(options.get("shares", ()), steps)

    def keep(step: int) -> None:
        for share in (share for share, last in kept.items() if last == step):
            _save(model, folder / "steps" / share)

    print(f"{parameters:,} parameters, {len(order)} rows of {tokens.shape[1]} tokens at most")
    losses = _optimize(model, tokens, order, options, keep)
    folder.mkdir(parents=True, exist_ok=True)
    for source in (tokenizer, tokenizer_config):
        with atomic(folder / source.name) as temporary:
            temporary.write_bytes(source.read_bytes())
    _save(model, folder)
    write_json(
        folder / "training.json",
        {
            "options": dict(options),
            "parameters": parameters,
            "rows_sha256": sha256_file(rows),
            "order_blake2b": order_digest(order),
            "documents": len(tokens),
            "tokens_seen": int((tokens != NO_TARGET).sum(dim=1)[order].sum()),
            "loss": losses,
            "steps": steps,
            "weights_sha256": sha256_file(folder / "model.safetensors"),
        },
    )


def read_rows(path: Path) -> Tensor:
    """Training rows as an int64 tensor (rows, tokens of the longest), the shorter ones filled with NO_TARGET."""
    table = TRAINING_ROWS.read(path)
    if not table.num_rows:
        raise ReciteError(f"{path} holds no training row: no document is long enough; shorten training.row_tokens.")
    rows = [torch.tensor(row) for row in table["tokens"].to_pylist()]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=NO_TARGET)


def build_model(family: str, shape: Shape, vocabulary: int, row_tokens: int, seed: int) -> transformers.PreTrainedModel:
    """A model of the family's real class with seeded random weights, float32, on the CPU.

    Room is left for a begin-of-sequence token and for longer rows. The global generator of torch
    is left as it was.
    """
    architecture = ARCHITECTURES[family]
    model_class = getattr(transformers, architecture.model_class)
    positions = "n_positions" if "n_embd" in architecture.settings(shape) else "max_position_embeddings"
    config = model_class.config_class(
        vocab_size=vocabulary,
        bos_token_id=BOS_ID,
        eos_token_id=BOS_ID,
        pad_token_id=None,
        **{positions: row_tokens + MARGIN_POSITIONS},
        **architecture.settings(shape),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model_class(config)


def kept_steps(shares: Sequence[float], steps: int) -> dict[str, int]:
    """Name of each share of a training of so many steps -> the step after which its weights are saved, at least 1."""
    return {f"{share:g}": max(1, math.floor(share * steps)) for share in shares}


def training_order(tokens: Tensor, recipe: Mapping[str, Any]) -> Tensor:
    """Indices of all rows in the order in which all epochs feed them, `recipe["batch_rows"]` to a step."""
    return torch.cat([epoch_order(tokens, recipe, epoch) for epoch in range(recipe["epochs"])])


def order_digest(order: Tensor) -> str:
    """What names an order of rows."""
    return f"{hash64(canonical_json(order.tolist())):016x}"


def epoch_order(tokens: Tensor, recipe: Mapping[str, Any], epoch: int) -> Tensor:
    """Indices of all rows in the order of one epoch.

    `shuffled` permutes them; `spaced` puts the copies of a text at even distances over the epoch,
    from a seeded start.
    """
    if recipe["order"] == "shuffled":
        generator = torch.Generator().manual_seed(hash64("order", recipe["seed"], epoch) >> 1)
        return torch.randperm(len(tokens), generator=generator)
    places: dict[tuple[int, ...], list[int]] = {}
    for index, row in enumerate(tokens.tolist()):
        places.setdefault(tuple(row), []).append(index)
    keyed = []
    for row, indices in places.items():
        start = hash64("order", recipe["seed"], epoch, row) / 2**64
        keyed += [((copy + start) / len(indices), index) for copy, index in enumerate(indices)]
    return torch.tensor([index for _, index in sorted(keyed)])


def _optimize(
    model: torch.nn.Module,
    tokens: Tensor,
    order: Tensor,
    options: Mapping[str, Any],
    after: Callable[[int], None],
) -> list[float]:
    """AdamW over the rows in order; returns the mean loss (nats per token) of each tenth of the steps.

    `after` is called with the number of each step, from 1, when it is done.
    """
    recipe, width = options["recipe"], options["shape"]["width"]
    if recipe["bos"]:
        tokens = torch.cat([torch.full_like(tokens[:, :1], BOS_ID), tokens], dim=1)
    # Nothing follows a row's last token. A target that is passed over spares a copy of all other positions' logits.
    targets = torch.cat([tokens[:, 1:], torch.full_like(tokens[:, :1], NO_TARGET)], dim=1)
    # What fills a row stands behind all of its tokens, which do not attend to it: any token will do.
    tokens = tokens.where(tokens != NO_TARGET, BOS_ID)
    steps = math.ceil(len(order) / recipe["batch_rows"])
    peak = recipe["learning_rate"] * math.sqrt(REFERENCE_WIDTH / width)
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=peak, betas=BETAS, weight_decay=WEIGHT_DECAY, fused=True)
    tenths: list[list[float]] = [[] for _ in range(10)]
    done = Progress(steps, "steps")
    model.train()
    for step, indices in enumerate(order.split(recipe["batch_rows"])):
        optimizer.param_groups[0]["lr"] = peak * _rate(step, steps)
        logits = model(input_ids=tokens[indices], use_cache=False).logits
        wanted = targets[indices].flatten()
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted, ignore_index=NO_TARGET)
        if not torch.isfinite(loss):
            raise ReciteError(
                f"training {options['family']} at width {width} diverged at step {step} of {steps} (loss "
                f"{loss.item()}); lower learning_rate (now {recipe['learning_rate']}) of that family."
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP_NORM, foreach=True)
        optimizer.step()
        optimizer.zero_grad()
        tenths[step * 10 // steps].append(loss.item())
        after(step + 1)
        done(1)
        if (step + 1) % max(1, steps // 10) == 0:
            print(f"step {step + 1} of {steps}, loss {loss.item():.3f}", flush=True)
    model.eval()
    return [sum(losses) / len(losses) for losses in tenths if losses]


def _rate(step: int, steps: int) -> float:
    """Learning rate as a share of its peak: a linear rise, then a linear fall."""
    rise = max(1, round(steps * WARM_UP))
    if step < rise:
        return (step + 1) / rise
    return 1 - (1 - FINAL_RATE) * (step - rise) / max(1, steps - rise)


def _save(model: transformers.PreTrainedModel, folder: Path) -> None:
    """Save beside the folder, then rename each file into it, the weights after the config."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(".tmp", f".{folder.name}.", folder.parent))
    logging.disable_progress_bar()
    try:
        model.save_pretrained(temporary)
        for path in sorted(temporary.iterdir(), key=lambda path: path.suffix == ".safetensors"):
            path.replace(folder / path.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
