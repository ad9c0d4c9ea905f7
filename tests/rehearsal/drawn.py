"""What jobs write of rows that are drawn by their class: priors, attention, sublayers, erasing and neurons."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from recite.stages.attention.measure import read_texts
from recite.stages.attention.places import ITSELF, even_shares, members_of, spans_of
from recite.stages.attention.rows import ATTENDED, INDUCED
from recite.stages.drawn import DrawnRows, read_drawn
from recite.stages.erasing.measure.drawing import ranks, read_both
from recite.stages.erasing.rows import (
    DAMAGED,
    HEADS,
    MEMORIZED,
    NEURONS,
    NOISE,
    NONE,
    OTHER,
    RANDOM,
    RANKED,
    RECALLED,
    SUBLAYERS,
    Rung,
)
from recite.stages.neurons.measure.drawing import ask
from recite.stages.neurons.measure.sets import halves_of
from recite.stages.neurons.rows import CLASS_NEURONS, NEURON_ROWS, RANKINGS, TOP
from recite.stages.predictability.rows import PRIORS
from recite.stages.sublayers.rows import WITHOUT_SUBLAYERS
from recite.tables.lists import as_lists
from rehearsal.measured import of_part, scatter
from rehearsal.planted import STEPS
from rehearsal.written import Written, coarse

EXPLAINED = 0.1
"""Chance that an unrelated context gives a memorized row away."""
HITS = {"memorized": STEPS, "half": STEPS // 2, "unmemorized": 0}
TO_THE_LAST = {"memorized": 0.3, "unmemorized": 0.2}
"""Attention to the last segment of the context; the rest is as even as can be."""
INDUCTION = 0.6
COMMON = 30
"""Neurons, all of the planted layer, that every memorized row has among its foremost."""


def write_drawn(made: Written) -> None:
    """Every table of drawn rows of one model."""
    for part in made.study.parts(made.model):
        for job in of_part(made, "predictability", part):
            write_priors(made, job)
        for job in of_part(made, "sublayers", part):
            write_sublayers(made, job)
        for job in of_part(made, "attention", part):
            write_attention(made, job)
    write_induction(made)
    write_erasing(made)
    write_neurons(made)


def drawn_of(made: Written, rule: str, job: dict[str, str]) -> tuple[DrawnRows, np.ndarray, np.ndarray]:
    """The rows that a job draws, their hits, and the log-probability of their true continuations, nats."""
    scores, shards = (made.inputs(rule, name, **job) for name in ("scores", "shards"))
    drawn = read_drawn(scores, shards, made.options(rule, **job))
    hits = np.array([HITS[group] for group in drawn.groups])
    return drawn, hits, likelihoods(hits)


def likelihoods(hits: np.ndarray) -> np.ndarray:
    return np.where(hits == STEPS, -1.6, -3.0 * STEPS).astype(float)


def write_priors(made: Written, job: dict[str, str]) -> None:
    drawn, hits, own = drawn_of(made, "predictability", job)
    contexts = made.study.config["predictability"]["contexts"]
    rng = scatter(made, "priors", job["part"])
    recited = np.where(hits == STEPS, rng.binomial(contexts, EXPLAINED, len(hits)), 0)
    columns = drawn.columns | {"log_probability": own, "prior_log_probability": own - 40, "prior_hits": recited * 4.0}
    columns |= {"prior_recited": recited, "template": np.where(rng.random(len(hits)) < 0.1, "repeating", "")}
    made.write(PRIORS, "predictability", "priors", columns, {"contexts": contexts, "teacher_forced": True}, **job)


def write_sublayers(made: Written, job: dict[str, str]) -> None:
    drawn, hits, own = drawn_of(made, "sublayers", job)
    lost = made.planted.sublayer_losses().ravel() * scatter(made, "sublayers").uniform(0.8, 1.2, (len(hits), 1))
    left = np.clip(hits[:, None] - np.round(lost * (hits[:, None] > 0)), 0, STEPS).astype(np.uint8)
    columns = drawn.columns | {"clean_hits": hits, "clean_log_probability": own, "hits": as_lists(left)}
    columns["log_probability"] = as_lists(coarse(own[:, None] - 0.5 * lost))
    made.write(WITHOUT_SUBLAYERS, "sublayers", "without", columns, {"layers": made.planted.layers}, **job)


def write_attention(made: Written, job: dict[str, str]) -> None:
    planted, options = made.planted, made.options("attention", **job)
    scores, shards = (made.inputs("attention", name, **job) for name in ("scores", "shards"))
    columns: dict[str, Any] = read_texts(options, scores, shards, {})[0]
    groups, bos = np.array(columns["group"]), options["bos"] is not None
    spans = spans_of(STEPS, STEPS, options["segments"], bos)
    places = [*spans, ITSELF]
    last = places.index(f"context {options['segments']}/{options['segments']}")
    to_last = np.where(groups == "memorized", TO_THE_LAST["memorized"], TO_THE_LAST["unmemorized"])
    to_last = to_last * (1 + 0.1 * scatter(made, "attention", job["part"]).uniform(-1, 1, len(groups)))
    mass = np.repeat((1 - to_last[:, None]) / (len(places) - 1), len(places), axis=1)
    mass[:, last] = to_last
    mass = np.repeat(coarse(mass)[:, None], planted.layers * planted.heads, axis=1)
    hits = np.where(groups == "memorized", STEPS, 0).astype(np.uint8)
    cuts = np.full((len(groups), len(spans)), 2)
    cuts[:, last] = 12
    columns |= {"clean_hits": hits, "clean_log_probability": likelihoods(hits)}
    columns |= {"hits": as_lists(np.maximum(hits[:, None].astype(int) - cuts, 0).astype(np.uint8))}
    columns |= {"log_probability": as_lists(coarse(likelihoods(hits)[:, None] - cuts))}
    columns |= {"mass": as_lists(mass.reshape(len(groups), -1))}
    about = {"layers": planted.layers, "heads": planted.heads, "places": places, "teacher_forced": True}
    about["even"] = even_shares(members_of(spans, STEPS + bos, STEPS))
    made.write(ATTENDED, "attention", "attended", columns, about, **job)


def write_induction(made: Written) -> None:
    """The heads that carry recall are the induction heads."""
    planted, options = made.planted, made.options("induction")
    induction = np.full(planted.layers * planted.heads, 0.05)
    induction[planted.carriers] = INDUCTION
    noise = scatter(made, "induction").uniform(0.8, 1.2, (options["sequences"], len(induction)))
    columns = {"sequence": np.arange(options["sequences"]), "induction": as_lists(coarse(induction * noise))}
    columns["previous"] = as_lists(coarse(0.1 * noise))
    about = {"layers": planted.layers, "heads": planted.heads, "even": 0.04}
    made.write(INDUCED, "induction", "induced", columns, about)


def rungs_of(made: Written) -> list[Rung]:
    """The ladders of the config; no more is replaced than there is."""
    config, shape = made.study.config["erasing"], made.planted.shape
    totals = {HEADS: shape["layers"] * shape["heads"], SUBLAYERS: 2 * shape["layers"]}
    totals[NEURONS] = shape["layers"] * shape["feed_forward"]
    found = [Rung(NOISE, NONE, alpha, 0.0) for alpha in config["noise"]]
    for name, total in totals.items():
        for order in (RANKED, RANDOM) if name != SUBLAYERS else (RANKED,):
            found += [Rung(name, order, float(k), k / total) for k in config[name] if k <= total]
    return found


def write_erasing(made: Written) -> None:
    """Ranked sets cost recall and little else; noise and random sets cost both."""
    scores, shards = (made.inputs("erasing", name) for name in ("scores", "shards"))
    options, rungs = made.options("erasing"), rungs_of(made)
    drawn = read_both(options, scores, shards, [], None)
    groups, texts = np.array(drawn.groups), drawn.rows.sequences.tolist()
    chosen = np.array([not ranks(text, options["seed"]) for text in texts]) & (groups == MEMORIZED)
    strength = np.concatenate([np.arange(1, 1 + len(own)) / len(own) for own in _ladders(rungs)])
    ranked = np.array([rung.order == RANKED for rung in rungs])
    kept = np.round(STEPS * (1 - strength * np.where(ranked, 0.9, 0.6))).astype(np.uint8)
    damage = STEPS * strength * np.where(ranked, 0.3, 1.2)
    about = {"rungs": [list(rung) for rung in rungs]}
    rows = {name: np.asarray(values) for name, values in drawn.columns.items() if name != "group"}
    own = {name: values[chosen] for name, values in rows.items()}
    count, others = int(chosen.sum()), groups == OTHER
    own |= {"clean_hits": np.full(count, STEPS), "hits": as_lists(np.tile(kept, (count, 1)))}
    made.write(RECALLED, "erasing", "recalled", own, about)
    rest = {name: values[others] for name, values in rows.items()}
    clean = likelihoods(np.zeros(int(others.sum())))
    scattered = scatter(made, "erasing").uniform(0.8, 1.2, (len(clean), 1))
    rest |= {"clean_log_probability": clean, "log_probability": as_lists(coarse(clean[:, None] - damage * scattered))}
    made.write(DAMAGED, "erasing", "damaged", rest, about)


def _ladders(rungs: Sequence[Rung]) -> list[list[Rung]]:
    names = dict.fromkeys((rung.intervention, rung.order) for rung in rungs)
    return [[rung for rung in rungs if (rung.intervention, rung.order) == name] for name in names]


def write_neurons(made: Written) -> None:
    """Memorized rows have some neurons of the planted layer in common; without them they are not recited."""
    planted, options = made.planted, made.options("neurons")
    asked = ask(options, *(made.inputs("neurons", name) for name in ("scores", "shards")))
    memorized, rng = asked.groups == "memorized", scatter(made, "neurons")
    rows, ladder = len(asked.groups), options["ladder"]
    hits = np.array([HITS[group] for group in asked.groups.tolist()], int)
    halves = halves_of(asked.rows.sequences, memorized, options["seed"])
    layers = np.where(memorized[:, None] & (np.arange(TOP) < COMMON), planted.peak, 0)
    neurons = rng.integers(COMMON, planted.shape["feed_forward"], (rows, 2 * TOP))
    neurons = np.array([rng.permutation(own)[:TOP] for own in map(np.unique, neurons)]).reshape(rows, TOP)
    neurons = np.where(layers == planted.peak, np.arange(TOP), neurons)
    random = np.array([name.endswith("random") for name in RANKINGS])
    lost = np.where(random, 0, 1)[:, None] * np.minimum(1.0, np.array(ladder) / COMMON)
    left = np.round(hits[:, None] * (1 - lost.ravel())).astype(np.uint8)
    own = likelihoods(hits)
    columns: dict[str, Any] = {
        "row_id": asked.rows.ids,
        "sequence_id": asked.rows.sequences,
        "domain": asked.rows.domains,
        "inclusion_probability": asked.rows.probabilities,
        "group": asked.groups.tolist(),
        "drawn_share": asked.shares,
        "half": halves.astype(np.uint8),
        "clean_hits": hits,
        "clean_log_probability": own,
        "bare_log_probability": own - 60,
        "attributed": np.full(rows, 60.0),
        "top_layer": as_lists(layers),
        "top_neuron": as_lists(neurons),
        "top_attribution": as_lists(np.tile(np.linspace(2, 0.1, TOP, dtype=np.float32), (rows, 1))),
        "hits": as_lists(left),
        "log_probability": as_lists(coarse(own[:, None] - 20 * lost.ravel())),
    }
    about = {"rankings": list(RANKINGS), "ladder": ladder, "layers": [planted.shape["feed_forward"]] * planted.layers}
    made.write(NEURON_ROWS, "neurons", "neuron_rows", columns, about)
    most = max(TOP, *ladder)
    of_class = {"half": np.repeat([0, 1], most), "layer": np.full(2 * most, planted.peak)}
    of_class |= {"neuron": np.tile(np.arange(most), 2), "attribution": np.tile(np.linspace(2, 0, most), 2)}
    made.write(CLASS_NEURONS, "neurons", "class_neurons", of_class, about)
