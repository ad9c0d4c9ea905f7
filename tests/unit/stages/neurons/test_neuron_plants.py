"""Planted truth: two small siblings, each trained on half of some texts, and which neurons carry the one's own half."""

from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from recite.checkpoints.architectures import Shape
from recite.checkpoints.loading import load_checkpoint
from recite.checkpoints.training import build_model
from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tables.training import CONTROLS
from recite.engine.rows import Rows
from recite.errors import ReciteError
from recite.report import style
from recite.report.told import Told
from recite.stages.counterfactual.rows import HALVES
from recite.stages.neurons.figures.neuron_siblings import draw as draw_siblings
from recite.stages.neurons.figures.neurons import draw
from recite.stages.neurons.measure.drawing import Asked, ask, ask_of_sibling
from recite.stages.neurons.measure.jobs import Found, Loaded, measure_neurons, measure_siblings, measured
from recite.stages.neurons.measure.sets import halves_of
from recite.stages.neurons.rows import CARRIERS, CLASS_NEURONS, NEURON_ROWS, OTHERS, RANKINGS, SIBLING_RANKINGS, TOP
from recite.stages.neurons.summarize.aggregate import aggregate_neurons
from recite.stages.neurons.tables import NEURON_LAYERS, NEURON_OVERLAP, NEURON_SIBLINGS, NEURONS
from recite.stages.neurons.words import sections
from recite.stages.scoring.rows import SCORES

TABLES = (NEURONS, NEURON_OVERLAP, NEURON_LAYERS, NEURON_SIBLINGS)

TEXTS, LENGTH, CONTEXT, TOKENS = 32, 16, 8, 50
LADDER = [20, 60]
OPTIONS = {"bos": None, "seed": 3, "points": 8, "ladder": LADDER}


def trained(folder: Path, texts: Tensor) -> Path:
    """A model that knows some texts by heart, from the same start whatever these are."""
    model = build_model("openllama", Shape(layers=2, width=48, heads=4), TOKENS, LENGTH, seed=5)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(100):
        logits = model(input_ids=texts[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), texts[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def siblings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tensor, list[Path]]:
    """Texts, and where the models lie that saw the first half of them, and the other."""
    texts = torch.randint(0, TOKENS, (TEXTS, LENGTH), generator=torch.Generator().manual_seed(1))
    halves = texts.chunk(2)
    return texts, [trained(tmp_path_factory.mktemp("sibling"), half) for half in halves]


class Planted(NamedTuple):
    """What was found of texts of both halves in the sibling that saw the first. lost: (texts, rankings, sizes) nats."""

    found: Found
    carriers: np.ndarray
    lost: np.ndarray


@pytest.fixture(scope="module")
def planted(siblings: tuple[Tensor, list[Path]]) -> Planted:
    texts, folders = siblings
    loaded = Loaded(*(load_checkpoint(folder, "float32", 32) for folder in folders))
    carriers = np.arange(TEXTS) < TEXTS // 2
    ids = list(range(1, TEXTS + 1))
    rows = Rows(ids, ids, ["code"] * TEXTS, [1.0] * TEXTS, texts[:, :CONTEXT], texts[:, CONTEXT:])
    asked = Asked(rows, np.where(carriers, CARRIERS, OTHERS).astype(object), [1.0] * TEXTS)
    halves = halves_of(ids, carriers, 3)
    found = measured(OPTIONS, asked, loaded, halves, CARRIERS, SIBLING_RANKINGS, 32)
    likely = found.without.log_probability.numpy()
    lost = (likely[:, :1] - likely[:, 1:]).reshape(TEXTS, len(SIBLING_RANKINGS), len(LADDER))
    return Planted(found, carriers, lost / (LENGTH - CONTEXT))


def test_only_what_was_seen_is_recited(planted: Planted) -> None:
    """Prevents a truth that is none."""
    clean = planted.found.without.hits[:, 0].numpy()
    assert (clean[planted.carriers] == LENGTH - CONTEXT).all() and clean[~planted.carriers].mean() < 2


def test_neurons_of_other_seen_texts(planted: Planted) -> None:
    """Neurons that other seen texts rank cost a seen text more than random ones of the same layers, and others less."""
    mean = {
        (ranking, group): planted.lost[chosen, place].mean(axis=0)
        for place, ranking in enumerate(SIBLING_RANKINGS)
        for group, chosen in ((CARRIERS, planted.carriers), (OTHERS, ~planted.carriers))
    }
    for size in range(len(LADDER)):
        attributed, random = (mean[f"class_{name}", CARRIERS][size] for name in ("attribution", "random"))
        assert attributed > 1.5 * random
        assert attributed > 1.5 * mean["class_attribution", OTHERS][size]
    assert mean["class_attribution", CARRIERS][-1] > 0.3


def test_completeness_in_a_trained_model(planted: Planted) -> None:
    """Where neurons carry much, too."""
    clean = planted.found.without.log_probability[:, 0].numpy()
    whole = clean - planted.found.bare
    assert np.abs(planted.found.attributed - whole).mean() < 0.05 * np.abs(whole).mean()


KINDS = {"code": "structural", "prose": "free_text", "control": "planted"}
ABOUT: dict[str, Any] = {
    "corpora": {"a-s": "c"},
    "kinds": {"c": KINDS},
    "estimand": "corpus",
    "confidence": 0.95,
    "resamples": 200,
    "memorized": 1.0,
    "half": 0.5,
    "unmemorized": 0.25,
    "seed": 3,
}
TWICE = [*range(TEXTS), 0, 1, 0]
"""The text of each row: some are there again."""


def domain_of(text: int) -> str:
    return ("code", "prose", "control", "code")[text % 4]


@pytest.fixture(scope="module")
def study(
    siblings: tuple[Tensor, list[Path]], planted: Planted, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Path]]:
    """Samples and scores of all rows, a file a domain, and the tables that a study's jobs make of them."""
    folder, (texts, _) = tmp_path_factory.mktemp("study"), siblings
    found: dict[str, list[Path]] = {}
    clean = planted.found.without.hits[:, 0].tolist()
    for domain in KINDS:
        rows = [row for row, text in enumerate(TWICE) if domain_of(text) == domain]
        of_rows = [TWICE[row] for row in rows]
        columns: dict[str, Any] = {
            "row_id": [1000 - row for row in rows],
            "sequence_id": [text + 1 for text in of_rows],
            "domain": [domain] * len(rows),
            "inclusion_probability": [0.5] * len(rows),
            "document_id": [str(text) for text in of_rows],
            "context": texts[of_rows, :CONTEXT].tolist(),
            "continuation": texts[of_rows, CONTEXT:].tolist(),
            "text": [b"x"] * len(rows),
            "source_file": ["f"] * len(rows),
        }
        columns |= {name: [0] * len(rows) for name in ("source_row", "window_start", "context_bytes")}
        paths = {name: folder / f"{name}-{domain}.parquet" for name in ("samples", "scores", "twin", "nothing")}
        SAMPLES.write(paths["samples"], columns, {})
        made = {"options": {"model": "a-s"}, "continuation_tokens": LENGTH - CONTEXT}
        scores = {
            "scores": [clean[text] for text in of_rows],
            "twin": [clean[(text + TEXTS // 2) % TEXTS] for text in of_rows],
            "nothing": [0] * len(rows),
        }
        for name, hits in scores.items():
            lines = {"hits": hits, "first_mismatch": hits, "generated": [[1]] * len(rows), "margin": [1.0] * len(rows)}
            SCORES.write(paths[name], {key: (columns | lines)[key] for key in SCORES.names}, made)
        for name, path in paths.items():
            found.setdefault(name, []).append(path)
    names = sorted({str(text) for text in TWICE if domain_of(text) == "control"})
    CONTROLS.write(
        folder / "controls.parquet", {"document_id": names, "repetitions": [4 * (int(name) < 16) for name in names]}, {}
    )
    halves = {"row_id": [1000 - row for row in range(len(TWICE))], "held": [1] * len(TWICE)}
    HALVES.write(
        folder / "halves.parquet", halves | {"half": ["a" if text < TEXTS // 2 else "b" for text in TWICE]}, {}
    )
    return found | {"controls": [folder / "controls.parquet"], "halves": [folder / "halves.parquet"]}


def options(**changes: Any) -> dict[str, Any]:
    about = {"model": "a-s", "family": "openllama", "dtype": "float32", "batch_rows": 32}
    return OPTIONS | about | {name: ABOUT[name] for name in ("memorized", "half", "unmemorized")} | changes


CLASSES = {"memorized": 20, "unmemorized": 20}


@pytest.fixture(scope="module")
def tables(
    study: dict[str, list[Path]], siblings: tuple[Tensor, list[Path]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, pd.DataFrame]:
    """From the jobs to the tables: of one sibling as if it were a model, and as a sibling."""
    folder, (model, twin) = tmp_path_factory.mktemp("tables"), siblings[1]
    paths = {name: folder / f"{name}.parquet" for name in ("rows", "class", "sibling", "other")}
    asked = options(classes=CLASSES)
    measure_neurons(asked, study["scores"], study["samples"], model, paths["rows"], paths["class"], 1)
    given = (study["scores"], study["twin"], study["halves"][0], study["samples"], model, twin)
    measure_siblings(asked | {"without": "b"}, *given, paths["sibling"], paths["other"], 1)
    outputs = {table.name: folder / f"{table.name}.parquet" for table in TABLES}
    about = ([paths["rows"]], [paths["class"]], [paths["sibling"]], study["samples"][2:], study["controls"][0])
    aggregate_neurons(ABOUT, *about, outputs)
    found = {table.name: table.read(outputs[table.name]).to_pandas() for table in TABLES}
    return found | {
        "rows": NEURON_ROWS.read(paths["rows"]).to_pandas(),
        "class": CLASS_NEURONS.read(paths["class"]).to_pandas(),
    }


def test_rows_of_equal_text_are_told_alike(tables: dict[str, pd.DataFrame], planted: Planted) -> None:
    """All rows of the classes are there, and rows of one text have one line's numbers."""
    rows = tables["rows"].assign(text=lambda table: table["sequence_id"] - 1)
    assert len(rows) == len(TWICE)
    assert (rows["domain"] == rows["text"].map(domain_of)).all() and (rows["drawn_share"] == 1).all()
    assert (rows["group"] == np.where(rows["text"] < 16, "memorized", "unmemorized")).all()
    for _, of_text in rows.groupby("text"):
        assert of_text["half"].nunique() == 1
        for name in ("hits", "log_probability", "top_neuron"):
            assert len({tuple(values) for values in of_text[name]}) == 1
    # The same rows were measured by hand above, but for own rankings.
    of_class = [RANKINGS.index(name) for name in SIBLING_RANKINGS[:2]]
    for row in rows.itertuples():
        found = (row.clean_log_probability - np.array(row.log_probability)).reshape(len(RANKINGS), -1)[of_class]
        np.testing.assert_allclose(found / 8, planted.lost[row.text, :2], atol=1e-4)
    assert (tables["class"].groupby("half").size() == max(TOP, *LADDER)).all()


def test_means_by_hand(tables: dict[str, pd.DataFrame]) -> None:
    """Another group, ranking or size, or a share of the wrong rows, would show."""
    rows, table = tables["rows"], tables["neurons"]
    kinds = {"natural": rows["domain"] != "control", "planted": rows["domain"] == "control"}
    kinds["unseen"] = kinds["planted"] & (rows["sequence_id"] > 16)
    checked = 0
    for line in table.itertuples():
        own = rows[kinds[line.rows] & (rows["group"] == line.group)]
        place = RANKINGS.index(line.ranking) * len(LADDER) + LADDER.index(line.k) if line.k else None
        hits = own["clean_hits"] if place is None else own["hits"].str[place]
        likely = own["clean_log_probability"] if place is None else own["log_probability"].str[place]
        assert (line.n, line.distinct) == (len(own), own["sequence_id"].nunique())
        assert line.score == pytest.approx(hits.mean() / 8) and line.recited == pytest.approx((hits == 8).mean())
        assert line.lost == pytest.approx((own["clean_log_probability"] - likely).mean() / 8, abs=1e-6)
        assert line.lost_low <= line.lost + 1e-9 and line.lost <= line.lost_high + 1e-9
        checked += 1
    assert checked == 5 * (1 + len(RANKINGS) * len(LADDER))
    kept = table[(table["rows"] == "natural") & (table["group"] == "memorized") & (table["k"] == 60)].set_index(
        "ranking"
    )
    assert (
        kept.loc["own_attribution", "score"]
        < kept.loc["class_attribution", "score"]
        < kept.loc["class_random", "score"]
    )


def test_overlaps_by_brute_force(tables: dict[str, pd.DataFrame]) -> None:
    """Pairs of rows of one text are none; domains are told apart; chance is that of two random sets."""
    rows = tables["rows"][tables["rows"]["domain"] != "control"]
    sets = [set(zip(row.top_layer, row.top_neuron, strict=True)) for row in rows.itertuples()]
    values: dict[str, list[float]] = {}
    for (a, one), (b, other) in product(enumerate(rows.itertuples()), repeat=2):
        if one.sequence_id == other.sequence_id or one.group != "memorized":
            continue
        kind = "within_domain" if one.domain == other.domain else "across_domains"
        kind = "with_unmemorized" if other.group != "memorized" else kind
        values.setdefault(kind, []).append(len(sets[a] & sets[b]) / len(sets[a] | sets[b]))
    table = tables["neuron_overlap"].set_index("comparison")
    assert set(table.index) == {*values, "halves"} and len(values) == 3
    for kind, pairs in values.items():
        line = table.loc[kind]
        assert line["overlap"] == pytest.approx(np.mean(pairs))
        assert line["overlap_low"] < line["overlap"] < line["overlap_high"]
    of_halves = [
        set(zip(part["layer"][:TOP], part["neuron"][:TOP], strict=True)) for _, part in tables["class"].groupby("half")
    ]
    assert table.loc["halves", "overlap"] == len(of_halves[0] & of_halves[1]) / len(of_halves[0] | of_halves[1])
    neurons, share = table["neurons"].iloc[0], TOP / table["neurons"].iloc[0]
    assert neurons == 2 * 128 and table["chance"].iloc[0] == pytest.approx(share / (2 - share), abs=0.01)


def test_layers_and_siblings(tables: dict[str, pd.DataFrame]) -> None:
    """Shares of a group add up to 1; a sibling's carriers are what it saw and recites."""
    layers = tables["neuron_layers"]
    assert layers.groupby("group")["share"].sum().tolist() == pytest.approx([1, 1])
    table = tables["neuron_siblings"]
    assert set(table["ranking"]) == {"none", *SIBLING_RANKINGS} and (table["siblings"] == 1).all()
    assert set(table["n"][table["group"] == CARRIERS]) == {19} and set(table["n"][table["group"] == OTHERS]) == {16}
    found = table[table["k"] == 60].set_index(["group", "ranking"])["lost"]
    assert found[CARRIERS, "class_attribution"] > 1.5 * found[CARRIERS, "class_random"]
    assert found[CARRIERS, "class_attribution"] > 1.5 * found[OTHERS, "class_attribution"]


def test_figures_and_words(tables: dict[str, pd.DataFrame]) -> None:
    """Every ranking has its line, and nothing to draw is said."""
    with style.style():
        figure, table = draw(tables)
        left, lost, where = figure.axes
        assert [len(axes.containers) for axes in (left, lost, where)] == [5, 4, 2] and len(table)
        figure, _ = draw_siblings(tables)
        assert [len(axes.containers) for axes in figure.axes] == [5, 5]
        empty = {name: table.iloc[:0] for name, table in tables.items()}
        for drawn in (draw, draw_siblings):
            figure, _ = drawn(empty)
            assert not figure.axes and len(figure.texts) == 1
    (told,) = sections(Told(tables, None, []))
    assert "| a-s | memorized | 15 | 12 | 60 |" in told and "| a-s | carriers | 19 | 16 | 60 |" in told
    assert sections(Told(empty, None, [])) == []


def test_nothing_is_recited(study: dict[str, list[Path]], siblings: tuple[Tensor, list[Path]], tmp_path: Path) -> None:
    """A model without carriers has tables without a line, and none that follow."""
    asked, paths = options(classes=CLASSES), (tmp_path / "rows.parquet", tmp_path / "class.parquet")
    measure_neurons(asked, study["nothing"], study["samples"], siblings[1][0], *paths, 1)
    assert NEURON_ROWS.read(paths[0]).num_rows == CLASS_NEURONS.read(paths[1]).num_rows == 0
    outputs = {table.name: tmp_path / f"{table.name}.parquet" for table in TABLES}
    aggregate_neurons(ABOUT, [paths[0]], [paths[1]], [paths[0]], [], None, outputs)
    assert all(table.read(outputs[table.name]).num_rows == 0 for table in TABLES)


def test_other_rows_are_refused(study: dict[str, list[Path]]) -> None:
    """Scores of other rows than were sampled, or than the twin's."""
    asked = options(classes=CLASSES, without="b")
    with pytest.raises(ReciteError, match=r"does not hold all rows that were scored"):
        ask(asked, study["scores"], study["samples"][:2])
    with pytest.raises(ReciteError, match=r"holds other rows than its twin's scores"):
        ask_of_sibling(asked, study["scores"], study["twin"][:2], study["halves"][0], study["samples"])


def test_rows_do_not_hang_on_the_shards(study: dict[str, list[Path]], tmp_path: Path) -> None:
    """A shard of which no row was drawn, and a study of which none was, would end the job."""
    asked = options(classes={"memorized": 2})
    whole = ask(asked, study["scores"], study["samples"])
    parts = []
    for path in study["samples"]:
        table = SAMPLES.read(path)
        for start in range(0, len(table), 2):
            parts.append(tmp_path / f"{path.stem}-{start}.parquet")
            SAMPLES.write(parts[-1], table.slice(start, 2), {})
    split = ask(asked, study["scores"], parts)
    assert split.rows.ids.tolist() == whole.rows.ids.tolist()
    assert split.rows.domains.tolist() == whole.rows.domains.tolist()
    assert len(whole.rows.ids) == 6 and split.groups.tolist() == whole.groups.tolist() == ["memorized"] * 6
    assert torch.equal(split.rows.context, whole.rows.context) and split.shares == whole.shares
    none = ask(asked, study["nothing"], study["samples"])
    assert len(none.rows.ids) == 0 and none.rows.continuation.shape == (0, LENGTH - CONTEXT)
    texts, places = none.each_text()
    assert len(texts.rows.ids) == len(places) == 0
