"""What the jobs of head ablation write: rows without each head, of which a few carry the recall."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from recite.stages.heads.draw import draw_rows
from recite.stages.heads.measure.chosen import read_chosen
from recite.stages.heads.rows import ABLATED
from recite.tables.lists import as_lists
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
        for part in made.study.parts(made.model):
            for job in of_part(made, "ablation", part):
                named = {path.stem for path in made.inputs("ablation", "drawn", **job)}
                write_ablated(made, job, [drawn[domain] for domain in domains if domain in named])


def write_ablated(made: Written, job: dict[str, str], drawn: list[Path]) -> None:
    planted = made.planted
    rows = read_chosen(made.inputs("ablation", "shards", **job), drawn).rows
    whole = part_rows(made.study, made.model, job["part"])
    order = np.argsort(whole.row_ids)
    places = order[np.searchsorted(whole.row_ids[order], rows.ids)]
    clean = hits_of(planted, whole)[places].astype(int)
    first, stop = made.options("ablation", **job)["layers"]
    here = np.arange(first * planted.heads, (planted.layers if stop is None else stop) * planted.heads)
    carries = np.isin(here, planted.carriers)
    rng = scatter(made, "heads", job["part"], first)
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
        "hits": as_lists(np.maximum(clean[:, None] - lost, 0).astype(np.uint8)),
        "log_probability": as_lists(coarse(own[:, None] - loses)),
        "estimate": as_lists(coarse(np.abs(loses))),
    }
    about = {"layers": planted.layers, "heads": planted.heads, "first_layer": first}
    about |= {"ablated": here.tolist(), "ablated_of_model": planted.layers * planted.heads}
    made.write(ABLATED, "ablation", "ablated", columns, about, **job)
