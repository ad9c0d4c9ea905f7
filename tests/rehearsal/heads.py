"""What the jobs of head ablation write: rows without each head, of which a few carry the recall."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from recite.stages.heads.asked import rounds
from recite.stages.heads.draw import draw_rows
from recite.stages.heads.measure.chosen import heads_of_rows, read_chosen
from recite.stages.heads.places import tell_open_heads
from recite.stages.heads.rows import ABLATED
from rehearsal.drawn import likelihoods
from rehearsal.measured import of_part, scatter
from rehearsal.planted import LOST_HITS, LOST_NATS, STEPS
from rehearsal.sampled import hits_of, part_rows
from rehearsal.written import Written, coarse


def write_heads(made: Written) -> None:
    """Every table of one model's rows without heads; which rows these are is drawn as the study's own rule does."""
    domains = [job["domain"] for job in made.study.jobs("ablation_rows") if job["model"] == made.model]
    with TemporaryDirectory() as folder:
        drawn = {domain: Path(folder, f"{domain}.parquet") for domain in domains}
        for domain, path in drawn.items():
            job = {"domain": domain}
            draw_rows(made.options("ablation_rows", **job), made.inputs("ablation_rows", "scores", **job), path)
        told = None
        for number in rounds(made.study):
            for part in made.study.parts(made.model):
                for job in of_part(made, "ablation", part):
                    if job["round"] == str(number):
                        named = {path.stem for path in made.inputs("ablation", "drawn", **job)}
                        write_ablated(made, job, [drawn[domain] for domain in domains if domain in named], told)
            if number < rounds(made.study)[-1]:
                look = {"round": str(number)}
                path = Path(folder, f"open-{number}.parquet")
                ablated = made.inputs("open_heads", "ablated", **look)
                tell_open_heads(made.options("open_heads", **look), ablated, list(drawn.values()), told, path)
                told = path


def write_ablated(made: Written, job: dict[str, str], drawn: list[Path], told: Path | None) -> None:
    planted = made.planted
    chosen = read_chosen(made.inputs("ablation", "shards", **job), drawn, round_=int(job["round"]))
    rows = chosen.rows
    whole = part_rows(made.study, made.model, job["part"])
    order = np.argsort(whole.row_ids)
    places = order[np.searchsorted(whole.row_ids[order], rows.ids)]
    clean = hits_of(planted, whole)[places].astype(int)
    first, stop = made.options("ablation", **job)["layers"]
    here = np.arange(first * planted.heads, (planted.layers if stop is None else stop) * planted.heads)
    carries = np.isin(here, planted.carriers)
    rng = scatter(made, "heads", job["part"], first, job["round"])
    going = np.zeros((len(clean), len(here)), bool)
    for heads, lines in heads_of_rows(chosen, told, range(here[0], here[-1] + 1)).items():
        going[np.ix_(lines, np.array(heads, int) - here[0])] = True
    lost = np.where(carries & (clean == STEPS)[:, None], LOST_HITS, 0)
    loses = np.where(carries, LOST_NATS, 0) * rng.uniform(0.5, 1.5, (len(clean), 1))
    loses = loses + 0.3 * rng.standard_normal((len(clean), len(here)), np.float32)
    own = likelihoods(clean)
    columns = {
        "row_id": rows.ids,
        "sequence_id": rows.sequences,
        "domain": pa.array(rows.domains).dictionary_encode(),
        "inclusion_probability": rows.probabilities,
        "clean_hits": clean,
        "clean_log_probability": own,
        "heads": some(np.broadcast_to(here.astype(np.uint16), going.shape), going),
        "hits": some(np.maximum(clean[:, None] - lost, 0).astype(np.uint8), going),
        "log_probability": some(coarse(own[:, None] - loses), going),
    }
    about = {"layers": planted.layers, "heads": planted.heads, "first_layer": first}
    made.write(ABLATED, "ablation", "ablated", columns, about, **job)


def some(values: np.ndarray, chosen: np.ndarray) -> pa.ListArray:
    """A column of lists: of each row the chosen values."""
    ends = np.concatenate([[0], np.cumsum(chosen.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(ends, values[chosen])
