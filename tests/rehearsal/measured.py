"""What jobs write of every row of a model: scores with and without noise, recovery, layers, suffixes, extraction."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from recite.files import hash64
from recite.stages.compressibility.rows import SUFFIXES
from recite.stages.extraction.rows import EXTRACTED
from recite.stages.lens.layers import decoded_layers
from recite.stages.lens.measure import Sums, position_columns
from recite.stages.lens.rows import AMOUNTS, COUNTS, DECODED, DECODED_POSITIONS
from recite.stages.noise.rows import NOISE_SCORES
from recite.stages.recovery.rows import MEASURES, RECOVERED
from recite.stages.scoring.rows import SCORES
from recite.stages.tuned_lens.rows import TRANSLATED, TRANSLATION
from recite.tables.lists import as_lists
from rehearsal.planted import STEPS, Planted
from rehearsal.sampled import Rows, domain_rows, hits_of, part_rows, rows_of, score_columns
from rehearsal.written import Written, coarse

SCATTER = 0.1
"""Standard deviation of a row's numbers about what is planted, as a share of it."""
DISTINCT = ("row_id", "sequence_id", "domain")


def write_rows(made: Written) -> None:
    """Everything of a model that has a line for every row."""
    for part in made.study.parts(made.model):
        rows = part_rows(made.study, made.model, part)
        hits = hits_of(made.planted, rows)
        made.write(SCORES, "scoring", "scores", score_columns(rows, hits), {}, part=part)
        write_lens(made, part, rows, hits)
        write_suffixes(made, part, rows, hits)
        for job in of_part(made, "noise", part):
            under = hits_of(made.planted, rows, float(job["alpha"]))
            columns = score_columns(rows, under) | {"alpha": np.full(len(under), float(job["alpha"]))}
            made.write(NOISE_SCORES, "noise", "scores", columns, {"alpha": float(job["alpha"])}, **job)
        for job in of_part(made, "recovery", part):
            write_recovery(made, rows, hits, job)


def of_part(made: Written, rule: str, part: str) -> Iterator[dict[str, str]]:
    """The wildcards of a rule's jobs of one part of the model's rows."""
    for job in made.study.jobs(rule) if rule in made.study.rules else ():
        if job["model"] == made.model and job["part"] == part:
            yield {name: value for name, value in job.items() if name != "model"}


def scatter(made: Written, *what: object) -> np.random.Generator:
    return np.random.default_rng(hash64(made.study.seed, "scatter", made.model, *what))


def named(rows: Rows) -> dict[str, Any]:
    return {name: rows.names[name] for name in DISTINCT}


def write_recovery(made: Written, rows: Rows, hits: np.ndarray, job: Mapping[str, str]) -> None:
    """The difference that noise makes: growth as planted, and the cosines that go with what is regained."""
    planted, alpha = made.planted, float(job["alpha"])
    recited = (hits == STEPS).astype(int)
    scattered = 1 + SCATTER * scatter(made, job["alpha"], job["part"]).standard_normal((len(hits), 1))
    first = 1 / np.sqrt(1 + alpha**2)
    of_class = {
        "growth": [planted.growth(memorized) for memorized in (False, True)],
        "cosine": [first + (1 - first) * planted.regained(memorized) for memorized in (False, True)],
        "baseline": [first + (1 - first) * 0.5 * planted.regained(memorized) for memorized in (False, True)],
        "along": [np.linspace(1, 0.4, planted.layers)] * 2,
    }
    columns = named(rows)
    for name in MEASURES:
        values = np.array(of_class[name])[recited]
        columns[name] = as_lists(coarse(values * scattered if name == "growth" else values))
    about = {"alpha": alpha, "first_layer": 0, "layers": planted.layers}
    made.write(RECOVERED, "recovery", "recovery", columns, about, **job)


def decoded(planted: Planted, hits: np.ndarray, rng: np.random.Generator, sooner: float = 0.0) -> dict[str, np.ndarray]:
    """What layers say of rows with so many hits, amount or count -> (rows, layers); curves may rise by a depth sooner.

    A row's probability is scattered about its class's, which the mean over rows leaves as planted.
    """
    classes = np.where(hits == STEPS, 0, np.where(hits == 0, 1, 2))
    curves = np.array([planted.probability(group) for group in ("memorized", "unmemorized", "between")])
    if sooner:
        layers = np.arange(planted.layers)
        curves = np.array([np.interp(layers + sooner * planted.layers, layers, curve) for curve in curves])
    true = curves[classes] * (1 + SCATTER * rng.uniform(-0.5, 0.5, (len(hits), 1)))
    found = {"probability": coarse(true), "log_probability": coarse(np.log(true) - 0.1)}
    found |= {"log_rank": coarse(5 * (1 - true)), "entropy": coarse(6 * (1 - true))}
    leads = np.round(STEPS * true).clip(0, STEPS).astype(np.uint8)
    return found | {"leads": leads, "settled": (leads * 0.9).astype(np.uint8), "agrees": leads}


def some_layers(made: Written, found: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a table of decoded layers says of them, and what those say that the study decodes."""
    layers = decoded_layers(made.planted.layers, made.study.config["lens"]["layer_stride"])
    about = {"layers": made.planted.layers, "decoded": layers, "teacher_forced": True}
    return about, {name: values[:, layers] for name, values in found.items()}


def write_lens(made: Written, part: str, rows: Rows, hits: np.ndarray) -> None:
    """Decoded layers, and their sums by domain, hits and position, which say the same at every position."""
    about, found = some_layers(made, decoded(made.planted, hits, scatter(made, "lens", part)))
    layers = about["decoded"]
    columns = named(rows) | {name: as_lists(found[name]) for name in (*AMOUNTS, *COUNTS)}
    made.write(DECODED, "lens", "lens", columns, about, part=part)
    names = list(zip(rows.domains.tolist(), hits.tolist(), strict=True))
    groups = sorted(set(names))
    places = {name: place for place, name in enumerate(groups)}
    members = np.array([places[name] for name in names])
    sums = {}
    for name in (*AMOUNTS, *COUNTS):
        total = np.zeros((len(groups), len(layers)))
        np.add.at(total, members, found[name] / (STEPS if name in COUNTS else 1))
        whole = np.floor(total) if name in COUNTS else total
        sums[name] = np.repeat(whole[:, :, None], STEPS, axis=2)
    columns = position_columns(Sums({}, sums), layers, groups, members)
    made.write(DECODED_POSITIONS, "lens", "positions", columns, about, part=part)


def write_suffixes(made: Written, part: str, rows: Rows, hits: np.ndarray) -> None:
    """Of recited rows the shortest sufficient suffix: half of the context or less for two of three."""
    chosen = np.flatnonzero(hits == STEPS)
    shortest = 1 + np.floor(24 * rows.other[chosen]).astype(np.uint64)
    everything = np.uint64(2**STEPS - 1)
    columns = {name: np.asarray(values)[chosen] for name, values in rows.names.items()}
    below = shortest - np.uint64(1)
    columns |= {"mask": everything >> below << below, "shortest": shortest.astype(np.uint8)}
    made.write(SUFFIXES, "compressibility", "suffixes", columns, {"context_tokens": STEPS}, part=part)


def write_first_rows(made: Written) -> None:
    """What is measured of the first rows of every domain: extraction at every strength, layers by the tuned lens."""
    study, model = made.study, made.model
    for job in study.jobs("extraction"):
        if job["model"] == model:
            alpha, most = float(job["alpha"]), study.config["extraction"]["rows_per_domain"]
            rows = first_rows(made, most)
            hits = hits_of(made.planted, rows, alpha)
            likely = np.where(hits == STEPS, -0.5 - rows.other, -1.0 - (STEPS - hits) * (0.2 + rows.other))
            schemes = len(made.options("extraction", **job)["schemes"])
            columns = rows.names | {"log_probability": as_lists(coarse(likely[:, None] + np.zeros(schemes)))}
            strength = {"alpha": alpha} if alpha else {}
            of = {name: value for name, value in job.items() if name != "model"}
            made.write(EXTRACTED, "extraction", "extracted", columns, strength | {"teacher_forced": True}, **of)
    rows = first_rows(made, study.config["tuned_lens"]["rows_per_domain"])
    measured = rows.other > study.config["tuned_lens"]["training_share"]
    found = decoded(made.planted, hits_of(made.planted, rows), scatter(made, "tuned lens"), sooner=0.1)
    about, found = some_layers(made, found)
    columns = {name: np.asarray(values)[measured] for name, values in named(rows).items()}
    columns |= {name: as_lists(found[name][measured]) for name in (*AMOUNTS, *COUNTS)}
    made.write(TRANSLATED, "tuned_lens", "translated", columns, about)
    layers = about["decoded"][:-1]
    before = np.linspace(3, 0.5, len(layers))
    lines = {"layer": layers, "before": before, "after": before / 4}
    about = {"rows": int((~measured).sum()), "checked_rows": 64}
    made.write(TRANSLATION, "tuned_lens_training", "training", lines, about)


def first_rows(made: Written, most: int) -> Rows:
    """The first rows of every domain of a model's sample."""
    study, family = made.study, made.planted.family
    total = study.config["sampling"]["rows_per_domain"]
    domains = study.domains_of(made.model)
    return rows_of([domain_rows(study.seed, family, domain, total).part(slice(most)) for domain in domains])
