"""Prior predictability: each drawn row's continuation after its own context and after unrelated ones of its domain.

The model is fed the true continuation (teacher forcing). One pass gives its log-probability, and whether each of its
tokens leads: if all do, it would be recited greedily.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from recite.checkpoints.loading import Checkpoint, load_checkpoint
from recite.corpora.tables.samples import SAMPLES
from recite.engine.finite import at_rows, naming, refuse_non_finite
from recite.engine.memory import halving
from recite.engine.passes import check_length, forward, whole_rows
from recite.engine.residuals import Unkept, batches
from recite.errors import ReciteError
from recite.outcomes.drawing import draw_by_class, read_domain
from recite.progress import Done, Progress, unseen
from recite.stages.predictability.priors import unrelated
from recite.stages.predictability.rows import PRIORS
from recite.stages.predictability.templates import template_of
from recite.stages.scoring.rows import SCORES
from recite.tables.lists import as_array

SAME = ("row_id", "sequence_id", "domain", "inclusion_probability")
READ = (*SAME, "document_id", "text", "context_bytes", "context", "continuation")


class Forced(NamedTuple):
    """What a model makes of true continuations that it is fed.

    log_probability: (rows,) float32, nats, the sum over tokens. hits: (rows,) int64, tokens that lead.
    """

    log_probability: Tensor
    hits: Tensor


class Asked(NamedTuple):
    """Drawn rows of one domain: their columns of the table, and tokens.

    context: (rows, 1 + contexts, length), the row's own first. continuation: (rows, steps).
    """

    columns: dict[str, list[Any]]
    context: np.ndarray
    continuation: np.ndarray


def measure_priors(
    options: Mapping[str, Any],
    scores: Sequence[Path],
    shards: Sequence[Path],
    checkpoint: Path,
    priors: Path,
    threads: int,
) -> None:
    """Write a line for every row of some domains that is drawn by its class under one model.

    `options` are those of scoring with `domains`, `classes` (class -> how many rows of a domain), their thresholds,
    `contexts` (how many unrelated ones) and the seed. `scores` and `shards` hold all rows of these domains.
    """
    torch.set_num_threads(threads)
    drawn = [ask(domain, scores, rows, options) for domain, rows in by_domain(shards, options["domains"])]
    context, continuation = (np.concatenate([getattr(part, name) for part in drawn]) for name in Asked._fields[1:])
    loaded = load_checkpoint(checkpoint, options["dtype"], options["batch_rows"])
    text, steps = texts_of(context, continuation, options["bos"]), continuation.shape[1]
    columns = {name: [value for part in drawn for value in part.columns[name]] for name in drawn[0].columns}
    print(f"{options['model']}: {len(context)} rows after {context.shape[1]} contexts on {loaded.device}", flush=True)
    with naming(options["model"], np.repeat(columns["row_id"], context.shape[1]).tolist()):
        found, batch_rows = halving(
            lambda size: forced(loaded, text, steps, size, Progress(len(text))), options["batch_rows"]
        )
    metadata = {
        "options": dict(options),
        "batch_rows": batch_rows,
        "continuation_tokens": steps,
        "contexts": options["contexts"],
        "teacher_forced": True,
        "parameters": loaded.parameters,
        "weights_sha256": loaded.weights_sha256,
        "device": loaded.device,
        "dtype": loaded.dtype,
    }
    PRIORS.write(priors, columns | prior_columns(found, context.shape[1], steps), metadata)


def by_domain(shards: Sequence[Path], domains: Sequence[str]) -> Iterator[tuple[str, pa.Table]]:
    """Each of some domains with all of its rows; a shard's are of one domain."""
    of_domain: dict[str, list[Path]] = {domain: [] for domain in domains}
    for path in shards:
        of_domain[SAMPLES.read(path, ["domain"])["domain"][0].as_py()].append(path)
    for domain, paths in of_domain.items():
        yield domain, pa.concat_tables([SAMPLES.read(path, READ) for path in paths], promote_options="default")


def ask(domain: str, scores: Sequence[Path], rows: pa.Table, options: Mapping[str, Any]) -> Asked:
    """Draw rows of a domain and their contexts; ReciteError where scores and samples do not hold the same rows."""
    row_ids, hits, steps = read_domain(scores, SCORES, domain)
    sampled = rows["row_id"].to_numpy()
    if not np.array_equal(np.sort(row_ids), np.sort(sampled)):
        raise ReciteError(
            f"{scores[0].parent} scores other rows of {domain} than its samples hold; delete it and run again."
        )
    drawn = draw_by_class(row_ids, hits, steps, options)
    order = np.argsort(sampled)
    chosen = np.concatenate([np.array(part.row_ids, np.uint64) for part in drawn.values()])
    places = order[np.searchsorted(sampled[order], chosen)]
    context, continuation = as_array(rows["context"]), as_array(rows["continuation"])[places]
    documents = np.unique(rows["document_id"].to_pylist(), return_inverse=True)[1]
    others = unrelated(sampled, documents, context, places, options["contexts"], options["seed"])
    lines = rows.select([*SAME, "text", "context_bytes"]).take(pa.array(places)).to_pydict()
    columns = {name: lines[name] for name in SAME}
    columns["group"] = [group for group, part in drawn.items() for _ in part.row_ids]
    columns["drawn_share"] = [part.share for part in drawn.values() for _ in part.row_ids]
    told = zip(context[places], continuation, lines["text"], lines["context_bytes"], strict=True)
    columns["template"] = [template_of(*row) for row in told]
    return Asked(columns, context[np.column_stack([places, others])], continuation)


def texts_of(context: np.ndarray, continuation: np.ndarray, bos: int | None) -> Tensor:
    """Every context of every row before the row's continuation, behind `bos` if any: (rows x contexts, length)."""
    contexts = torch.from_numpy(context.astype(np.int64)).flatten(0, 1)
    true = torch.from_numpy(continuation.astype(np.int64)).repeat_interleave(context.shape[1], dim=0)
    first = [] if bos is None else [torch.full_like(contexts[:, :1], bos)]
    return torch.cat([*first, contexts, true], dim=1)


@torch.inference_mode()
def forced(checkpoint: Checkpoint, text: Tensor, steps: int, batch_rows: int, done: Done = unseen) -> Forced:
    """Feed `text` (rows, prompt + steps), int64 token ids, but for the last, and ask for its last `steps` tokens.

    `batch_rows` rows a pass, on a CPU fewer (see `whole_rows`); `done` is told the rows of each. Raises NotFiniteError
    where a log-probability is not finite.
    """
    fed = text.shape[1] - 1
    check_length(checkpoint, fed)
    found = Forced(torch.empty(len(text)), torch.empty(len(text), dtype=torch.int64))
    for rows, chosen in batches(len(text), whole_rows(checkpoint, batch_rows, fed)):
        logits = forward(checkpoint, text[chosen, :-1].to(checkpoint.model.device), Unkept(), steps)
        true = text[chosen, -steps:].to(logits.device)
        total, hits = torch.zeros(len(chosen), dtype=torch.float64), torch.zeros(len(chosen), dtype=torch.int64)
        for step in range(steps):  # in float32 all of them would take as much memory again as the logits
            logs = logits[:, step].float().log_softmax(-1)
            total += logs.gather(-1, true[:, step, None]).squeeze(-1).double().cpu()
            hits += (logits[:, step].argmax(-1) == true[:, step]).cpu()
        kept = rows.stop - rows.start
        with at_rows(chosen):
            refuse_non_finite(total, "likelihoods", checkpoint.dtype)
        found.log_probability[rows], found.hits[rows] = total[:kept].float(), hits[:kept]
        done(kept)
    return found


def prior_columns(found: Forced, contexts: int, steps: int) -> dict[str, Any]:
    """Columns of the table, from the rows' own contexts, each the first of `contexts`, and the others."""
    likely, hits = (values.reshape(-1, contexts).double().numpy() for values in found)
    return {
        "log_probability": likely[:, 0].astype(np.float32),
        "prior_log_probability": likely[:, 1:].mean(axis=1).astype(np.float32),
        "prior_hits": hits[:, 1:].mean(axis=1).astype(np.float32),
        "prior_recited": (hits[:, 1:] == steps).sum(axis=1).astype(np.uint16),
    }
