"""What is written once for a family or a model: tokenizers, counts in a corpus, nearest neighbours."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import torch

from recite.corpora.tokenization import train_tokenizer
from recite.outcomes.frame import NATURAL, is_natural
from recite.stages.dimension.drawing import points_of
from recite.stages.dimension.measure import STORED, nearest, scored_parts
from recite.stages.dimension.rows import NEIGHBOURS, PLACES
from recite.stages.frequency.rows import FREQUENCIES
from recite.study.study import Study
from rehearsal.planted import VOCABULARY
from rehearsal.sampled import domain_rows
from rehearsal.written import Written

DIMENSIONS = (6, 12)
"""Of the points of layers in the first and in the second half of a model."""


def write_tokenizers(study: Study, folder: Path) -> None:
    """A tokenizer of as many tokens as the rows are of, in the format that each family's is read in."""
    texts = [" ".join(map(str, range(start, start + 50))) for start in range(0, 5000, 50)]
    for family, first in study.families.items():
        path = folder / f"tokenizers/{family}/{first.tokenizer}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".json":
            train_tokenizer(texts, VOCABULARY).save(str(path))
            continue
        (path.parent / "texts").write_text("\n".join(texts))
        sentencepiece.SentencePieceTrainer.train(
            input=str(path.parent / "texts"),
            model_prefix=str(path.with_suffix("")),
            vocab_size=VOCABULARY,
            model_type="bpe",
            byte_fallback=True,
            minloglevel=2,
        )
        (path.parent / "texts").unlink()


def write_frequencies(study: Study, folder: Path) -> None:
    """Counts that are higher the sooner a text is recited."""
    for job in study.jobs("frequency"):
        options = study.rules["frequency"].options(study, job)
        family, most = job["family"], options["rows_per_domain"]
        total = study.config["sampling"]["rows_per_domain"]
        domains = study.domains[study.families[family].corpus]
        parts = [domain_rows(study.seed, family, domain, total).part(slice(most)) for domain in domains]
        rank, other = (np.concatenate([getattr(part, name) for part in parts]) for name in ("rank", "other"))
        counts = np.floor(2 ** (10 * (1 - rank) ** 20 + 2 * other)).astype(np.uint64)
        columns: dict[str, Any] = {
            "row_id": np.concatenate([part.row_ids for part in parts]),
            "sequence_id": np.concatenate([part.sequences for part in parts]),
            "domain": [part.name for part in parts for _ in part.row_ids],
            "sequence": counts,
            "context": counts * 2,
            "continuation": counts * 3,
            "token_frequency": 1e-4 * (1 + rank),
        }
        asked = {key: value for key, value in options.items() if key != "public"}
        about = {"options": asked, "too_long": 0, "corpus_units": 10**12}
        FREQUENCIES.write(folder / study.file("frequency", "frequencies", job), columns, about)


@lru_cache(maxsize=64)
def ball(points: int, dimension: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest others of points that are uniform in a ball: places and distances, (points, count)."""
    generator = torch.Generator().manual_seed(points * 100 + dimension)
    directions = torch.randn(points, dimension, generator=generator, dtype=torch.float64)
    radii = torch.rand(points, 1, generator=generator, dtype=torch.float64) ** (1 / dimension)
    cloud = radii * directions / directions.norm(dim=1, keepdim=True)
    found = nearest(cloud[:, None, None], count, torch.device("cpu"))
    return found.place[:, 0, 0], found.distance[:, 0, 0]


def write_neighbours(made: Written) -> None:
    """Each class's points: in balls of one dimension in the first half of the layers, of another in the second."""
    options, layers = made.options("dimension"), made.planted.layers
    parts = scored_parts(*(made.inputs("dimension", name) for name in ("scores", "shards")))
    kinds = {domain: NATURAL for domain, kind in options["kinds"].items() if is_natural(kind)}
    lines: dict[str, list[Any]] = {name: [] for name in NEIGHBOURS.names}
    for (kind, group), texts in points_of(parts, kinds, {}, options).items():
        count = min(len(texts) - 1, STORED * options["neighbours"])
        halves = [ball(len(texts), dimension, count) for dimension in DIMENSIONS]
        of_layer = [halves[2 * layer >= layers] for layer in range(layers)] * len(PLACES)
        place, distance = (np.stack(found, axis=1).reshape(len(texts), -1) for found in zip(*of_layer, strict=True))
        lines["row_id"] += [text.row_id for text in texts]
        lines["sequence_id"] += [text.sequence_id for text in texts]
        lines["domain"] += [text.domain for text in texts]
        lines["rows"] += [kind] * len(texts)
        lines["group"] += [group] * len(texts)
        lines["point"] += range(len(texts))
        lines["nearest"] += [*place]
        lines["distance"] += [*distance]
    about = {"layers": layers, "places": list(PLACES), "teacher_forced": True, "width": made.planted.shape["width"]}
    made.write(NEIGHBOURS, "dimension", "neighbours", lines, about)
