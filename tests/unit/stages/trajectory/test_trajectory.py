"""recite.stages.trajectory: what became of rows by hand, exposures by brute force, on trainings that were done."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recite.checkpoints.training import read_rows, train_model, training_order
from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tables.training import CONTROLS, TRAINING_ROWS
from recite.corpora.tokenization import train_tokenizer
from recite.errors import ReciteError
from recite.files import read_json, write_json
from recite.report.told import Told
from recite.stages.scoring.measure import score
from recite.stages.scoring.rows import SCORES
from recite.stages.trajectory.exposures import exposures
from recite.stages.trajectory.figures.trajectory import draw
from recite.stages.trajectory.measure import fates, follow_rows, steps_of
from recite.stages.trajectory.rows import FOLLOWED
from recite.stages.trajectory.summarize import aggregate_trajectories
from recite.stages.trajectory.tables import FATES, RECALL, RECENCY, TRAJECTORY
from recite.stages.trajectory.words import sections
from recite.statistics.intervals import wilson
from recite.tables import read_metadata

LENGTH, HALF = 16, 8
PLANTED = {"control/x0": 0, "control/x1": 1, "control/x60": 60}
SHARES = [0.25, 0.5, 1]
OPTIONS = {"model": "a-s", "family": "a"}
SUMMARY: dict[str, Any] = {
    "seed": 1,
    "corpora": {"a-s": "mini"},
    "kinds": {"mini": {"code": "structural", "control": "planted"}},
    "estimand": "texts",
    "confidence": 0.95,
    "resamples": 200,
    "memorized": 1.0,
    "late_after": 0.67,
}


def sample(path: Path, rows: dict[str, list[int]], domain: str) -> Path:
    """A shard of rows by document."""
    count = len(rows)
    ids = [1000 * len(domain) + place for place in range(count)]
    columns = {
        "row_id": ids,
        "sequence_id": ids,
        "domain": [domain] * count,
        "document_id": list(rows),
        "source_file": ["f"] * count,
        "source_row": [0] * count,
        "window_start": [0] * count,
        "text": [b"x"] * count,
        "context_bytes": [0] * count,
        "context": [tokens[:HALF] for tokens in rows.values()],
        "continuation": [tokens[HALF:] for tokens in rows.values()],
        "inclusion_probability": [1.0] * count,
    }
    SAMPLES.write(path, columns, {})
    return path


@pytest.fixture(scope="module", params=["shuffled", "spaced"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model trained on planted copies and single texts, its checkpoints, samples and scores."""
    folder = tmp_path_factory.mktemp("trained")
    tokenizer = train_tokenizer(["abc " * 40], 270)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})
    size = tokenizer.get_vocab_size()
    texts = np.random.default_rng(5).integers(3, size, (43, LENGTH)).tolist()
    natural = {f"code/{place}": tokens for place, tokens in enumerate(texts[:40])}
    planted = dict(zip(PLANTED, texts[40:], strict=True))
    rows = list(natural.items()) + [(name, planted[name]) for name, count in PLANTED.items() for _ in range(count)]
    columns = {"document_id": [name for name, _ in rows], "tokens": [tokens for _, tokens in rows]}
    TRAINING_ROWS.write(folder / "rows.parquet", columns, {})
    controls = {"document_id": list(PLANTED), "repetitions": list(PLANTED.values())}
    CONTROLS.write(folder / "controls.parquet", controls, {})
    sample(folder / "code.parquet", natural, "code")
    sample(folder / "control.parquet", planted, "control")
    recipe = {"seed": 4, "learning_rate": 0.02, "order": request.param, "epochs": 2, "batch_rows": 4, "bos": False}
    options = {"family": "pythia", "shape": {"layers": 2, "width": 32, "heads": 2}, "recipe": recipe, "shares": SHARES}
    names = ("rows.parquet", "tokenizer.json", "tokenizer_config.json")
    train_model(options, *(folder / name for name in names), folder / "model", threads=1)
    shards = [folder / "code.parquet", folder / "control.parquet"]
    made = read_json(folder / "model/training.json")
    made["options"]["shares"] = SHARES[:-1]  # the last is the model itself, as no study has it
    write_json(folder / "training.json", made)
    told = OPTIONS | {"bos": None, "batch_rows": 16, "dtype": "float32"}
    score(told, shards, folder / "model/model.safetensors", None, folder / "scores.parquet", 1)
    for share in SHARES:
        weights = folder / f"model/steps/{share:g}/model.safetensors"
        score(told | {"step": f"{share:g}"}, shards, weights, None, folder / f"{share:g}.parquet", 1)
    return folder


def follow(folder: Path) -> Path:
    """The table of what became of the rows of a training."""
    shards = [folder / "code.parquet", folder / "control.parquet"]
    earlier = [folder / f"{share:g}.parquet" for share in SHARES[:-1]]
    options = OPTIONS | {"memorized": 1.0}
    record, rows = folder / "training.json", folder / "rows.parquet"
    follow_rows(options, [folder / "scores.parquet"], earlier, folder / "followed.parquet", record, rows, shards)
    return folder / "followed.parquet"


def test_the_last_checkpoint_is_the_model(trained: Path) -> None:
    """Prevents checkpoints from being scored otherwise than the model: the same weights have the same scores."""
    assert SCORES.read(trained / "1.parquet").equals(SCORES.read(trained / "scores.parquet"))
    digests = {read_metadata(trained / name)["weights_sha256"] for name in ("1.parquet", "scores.parquet")}
    assert digests == {read_json(trained / "model/training.json")["weights_sha256"]}
    assert not SCORES.read(trained / "0.25.parquet").equals(SCORES.read(trained / "scores.parquet"))
    hits = FOLLOWED.read(follow(trained))["hits"].to_pylist()
    assert [row[-1] for row in hits] == SCORES.read(trained / "scores.parquet")["hits"].to_pylist()
    assert [row[0] for row in hits] == SCORES.read(trained / "0.25.parquet")["hits"].to_pylist()


def test_steps_at_which_a_text_was_seen(trained: Path) -> None:
    """Prevents a copy from being looked for in another order than it was fed in, or in another batch."""
    record = read_json(trained / "model/training.json")
    tokens = read_rows(trained / "rows.parquet")
    batches = training_order(tokens, record["options"]["recipe"]).split(4)
    table = FOLLOWED.read(follow(trained))
    shards = [SAMPLES.read(trained / f"{name}.parquet") for name in ("code", "control")]
    windows = [
        [*context, *rest]
        for shard in shards
        for context, rest in zip(shard["context"].to_pylist(), shard["continuation"].to_pylist(), strict=True)
    ]
    for window, seen in zip(windows, table["seen"].to_pylist(), strict=True):
        brute = [step + 1 for step, batch in enumerate(batches) for row in tokens[batch].tolist() if row == window]
        assert seen == brute
    assert [len(seen) for seen in table["seen"].to_pylist()[-3:]] == [0, 2, 120]
    assert read_metadata(trained / "followed.parquet")["steps"] == [12, 25, 51]


def test_windows_inside_longer_rows(tmp_path: Path) -> None:
    """Prevents a text that does not begin its training row from counting as never seen."""
    rows = tmp_path / "rows.parquet"
    TRAINING_ROWS.write(rows, {"document_id": ["a", "b", "c"], "tokens": [[9, 1, 2, 3], [1, 2, 9], [1, 2, 1, 2]]}, {})
    recipe = {"seed": 1, "order": "shuffled", "epochs": 1, "batch_rows": 1}
    tokens = read_rows(rows)
    order = training_order(tokens, recipe).tolist()
    with pytest.raises(ReciteError, match="is not what the model was trained on, in that order"):
        exposures({1: (1, 2)}, rows, recipe, "0" * 16)
    from recite.checkpoints.training import order_digest

    found = exposures({1: (1, 2), 2: (2, 3), 3: (3, 3)}, rows, recipe, order_digest(training_order(tokens, recipe)))
    assert found == {1: [1, 2, 3], 2: [order.index(0) + 1], 3: []}


def test_fates_by_hand() -> None:
    """Prevents the first recitation from counting as relearnt, and a row that is lost at the end as kept."""
    recited = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 1, 1], [0, 1, 0, 1], [1, 0, 1, 0], [0, 0, 1, 0]], bool)
    found = fates(recited, np.array([10, 20, 30, 40]))
    assert found.learnt.tolist() == [0, 10, 20, 20, 10, 30]
    assert found.kept.tolist() == [False, True, True, False, False, False]
    assert found.forgotten.tolist() == [0, 0, 0, 1, 2, 1]
    assert found.relearnt.tolist() == [0, 0, 0, 1, 1, 0]


@pytest.mark.parametrize("seed", range(3))
def test_fates_by_brute_force(seed: int) -> None:
    """The same by a walk along each row."""
    recited = np.random.default_rng(seed).random((60, 5)) < 0.5
    found = fates(recited, np.arange(1, 6))
    for place, row in enumerate(recited.tolist()):
        changes = list(pairwise(row))
        first = row.index(True) if any(row) else None
        assert found.learnt[place] == (0 if first is None else first + 1)
        assert found.kept[place] == (first is not None and all(row[first:]))
        assert found.forgotten[place] == changes.count((True, False))
        assert found.relearnt[place] == sum(
            1 for at, change in enumerate(changes) if change == (False, True) and any(row[:at])
        )


def aggregate(folder: Path, followed: Path) -> dict[str, Any]:
    """The four tables."""
    outputs = {table.name: folder / f"{table.name}.parquet" for table in (TRAJECTORY, FATES, RECALL, RECENCY)}
    aggregate_trajectories(SUMMARY, [followed], [folder / "control.parquet"], folder / "controls.parquet", outputs)
    return {table.name: table.read(outputs[table.name]).to_pandas() for table in (TRAJECTORY, FATES, RECALL, RECENCY)}


def test_a_text_is_recited_after_it_was_seen(trained: Path) -> None:
    """The planted truth: no text before its first copy, one of sixty copies by the end, one of a single copy never."""
    tables = aggregate(trained, follow(trained))
    recall = tables["trajectory_recall"]
    assert recall.loc[recall["seen"] == 0, "memorized"].sum() == 0 < recall.loc[recall["seen"] == 0, "n"].sum()
    assert recall["n"].sum() == 3 * 3
    planted = tables["trajectory"].query("kind == 'planted'").set_index(["copies", "progress"])["rate"]
    assert planted.loc[60, 1.0] == 1 and planted.loc[0].max() == planted.loc[1].max() == 0
    (text,) = sections(Told(tables, None, []))
    assert "## Along the training" in text and "| a-s | 51 | 100.0% |" in text
    _, behind = draw(tables)
    assert set(behind["domain"]) == {"natural", "control"} and len(behind) == 4 * 3


def write_followed(folder: Path) -> Path:
    """Rows by hand: recited at the checkpoints 10, 20, 30 (late) and 40, and when seen."""
    marks = ["0011", "1111", "1001", "1100", "0000", "0110"]
    seen = [[5], [5], [25], [15], [], [1, 20]]
    domains = ["code"] * 4 + ["control"] * 2
    recited = np.array([[int(mark) for mark in row] for row in marks], bool)
    ids = list(range(len(marks)))
    columns = {"row_id": ids, "sequence_id": ids, "domain": domains, "inclusion_probability": [1.0] * len(ids)}
    columns |= {"hits": (recited * HALF).tolist(), "seen": seen}
    columns |= fates(recited, np.array([10, 20, 30, 40]))._asdict()
    about = {"options": OPTIONS, "steps": [10, 20, 30, 40], "continuation_tokens": HALF, "parameters": 7}
    FOLLOWED.write(folder / "followed.parquet", columns, about)
    rows = {"control/x0": [1] * LENGTH, "control/x2": [2] * LENGTH}
    table = SAMPLES.read(sample(folder / "control.parquet", rows, "control"))
    SAMPLES.write(folder / "control.parquet", {n: table[n] for n in table.column_names} | {"row_id": ids[4:]}, {})
    CONTROLS.write(folder / "controls.parquet", {"document_id": list(rows), "repetitions": [0, 2]}, {})
    return folder / "followed.parquet"


def test_shares_by_hand(tmp_path: Path) -> None:
    """Prevents shares of the wrong rows: of all where only the recited can be late, kept or forgotten."""
    tables = aggregate(tmp_path, write_followed(tmp_path))
    fate = tables["trajectory_fates"].set_index(["domain", "copies"])
    natural = fate.loc["natural", 0]
    assert (natural["n"], natural["memorized"], natural["earlier"], natural["lost"]) == (4, 3, 4, 2)
    # of 0011, 1111 and 1001 the first is learnt after 0.67 of 40 steps, and the last is not kept
    assert natural["late"] == pytest.approx(1 / 3) and natural["kept"] == pytest.approx(2 / 3)
    assert (natural["forgotten"], natural["relearnt"]) == (1 / 4, 1 / 2)
    # settled: 0011 and 1111, last seen at 5, and 1100, last seen at 15; not 1001, last seen at 25, recited at 40
    assert (natural["settled"], natural["faded"]) == (3, pytest.approx(1 / 3))
    # 2/3 x 1/3 over a variance of (1/9 + 1/9 + 4/9) x 4/3 / 3^2, of three texts of the domain's four
    assert natural["kept_low"] == pytest.approx(wilson(2 / 3, 2 / 9 / (6 / 9 * 4 / 27), 0.95).low)
    unseen, twice = fate.loc["control", 0], fate.loc["control", 2]
    assert unseen["memorized"] == unseen["settled"] == 0 and math.isnan(unseen["late"])
    assert (twice["earlier"], twice["forgotten"], twice["settled"], twice["faded"]) == (1, 1, 1, 1)
    rates = tables["trajectory"].query("domain == 'natural'")
    assert rates["rate"].tolist() == [3 / 4, 2 / 4, 2 / 4, 3 / 4] and rates["progress"].tolist() == [0.25, 0.5, 0.75, 1]
    recall = tables["trajectory_recall"].set_index(["seen", "since"])
    # the text of no copy four times; the other at 10 (once, 9 ago), then twice, 0, 10 and 20 ago
    assert recall["n"].to_dict() == {(0, 0): 4, (1, 4): 1, (2, 0): 1, (2, 4): 1, (2, 16): 1}
    assert recall["memorized"].to_dict() == {(0, 0): 0, (1, 4): 0, (2, 0): 1, (2, 4): 1, (2, 16): 0}


def test_scores_of_other_rows_are_refused(trained: Path, tmp_path: Path) -> None:
    """Prevents one row's hits at a checkpoint from standing beside another row's."""
    table = SCORES.read(trained / "0.25.parquet")
    columns = {name: table[name][1:] for name in table.column_names}
    SCORES.write(tmp_path / "short.parquet", columns, read_metadata(trained / "0.25.parquet"))
    given = [tmp_path / "short.parquet", trained / "0.5.parquet"]
    record = trained / "training.json"
    with pytest.raises(ReciteError, match=r"step 0.25\) holds other rows than the model's scores"):
        options = OPTIONS | {"memorized": 1.0}
        follow_rows(options, [trained / "scores.parquet"], given, tmp_path / "out.parquet", record, None, None)
    assert not (tmp_path / "out.parquet").exists()


def test_steps_of_a_model() -> None:
    """Those of a registered one are its entry's; two shares of a short training may be one step, which says nothing."""
    record = {"options": {"shares": [0.5, 0.51]}, "steps": 10}
    with pytest.raises(ReciteError, match="a-s was trained in 10 steps, too few to tell the shares"):
        steps_of(OPTIONS, record)
    assert steps_of(OPTIONS, record | {"steps": 100}) == {"0.5": 50, "0.51": 51, "": 100}
    assert steps_of({"steps": ["1000", "3000"], "step": 143000}, {}) == {"1000": 1000, "3000": 3000, "": 143000}
