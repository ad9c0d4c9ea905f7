"""Training: the same bits twice, ordinary checkpoints, the recipe's order, and a refusal when it diverges."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from recite.checkpoints.architectures import ARCHITECTURES, Shape
from recite.checkpoints.training import NO_TARGET, build_model, epoch_order, kept_steps, read_rows, train_model
from recite.corpora.tables.training import TRAINING_ROWS
from recite.corpora.tokenization import train_tokenizer
from recite.errors import ReciteError
from recite.files import read_json, sha256_file, write_json

TEXT = "to be or not to be that is the question whether tis nobler in the mind to suffer "
RECIPE = {
    "seed": 4,
    "learning_rate": 0.01,
    "order": "shuffled",
    "epochs": 1,
    "batch_rows": 4,
    "vocabulary": 300,
    "bos": False,
}


def options(family: str, **recipe: Any) -> dict[str, Any]:
    """Training options of a job."""
    return {"family": family, "shape": {"layers": 2, "width": 16, "heads": 2}, "recipe": RECIPE | recipe}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tokenizer and 40 rows of 16 tokens, of which 20 are one text."""
    folder = tmp_path_factory.mktemp("inputs")
    tokenizer = train_tokenizer([TEXT * 4], 300)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})
    ids = tokenizer.encode(TEXT * 12).ids
    tokens = [ids[start : start + 16] if start % 2 else ids[:16] for start in range(40)]
    columns = {"document_id": [str(index) for index in range(40)], "tokens": tokens}
    TRAINING_ROWS.write(folder / "rows.parquet", columns, {})
    return {
        "rows": folder / "rows.parquet",
        "tokenizer": folder / "tokenizer.json",
        "tokenizer_config": folder / "tokenizer_config.json",
    }


def test_same_bits_and_an_ordinary_checkpoint(tmp_path: Path, family: str, inputs: dict[str, Path]) -> None:
    """Two runs must agree bit for bit, and from_pretrained must load what they wrote."""
    for name in ("one", "two"):
        train_model(options(family), folder=tmp_path / name, threads=1, **inputs)
        torch.rand(3)  # the global generator must play no part
    assert sha256_file(tmp_path / "one/model.safetensors") == sha256_file(tmp_path / "two/model.safetensors")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "one", local_files_only=True)
    assert type(model).__name__ == ARCHITECTURES[family].model_class
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "one", local_files_only=True)
    assert tokenizer.decode(tokenizer(TEXT)["input_ids"]) == TEXT
    record = read_json(tmp_path / "one/training.json")
    assert record["weights_sha256"] == sha256_file(tmp_path / "one/model.safetensors")
    assert record["rows_sha256"] == sha256_file(inputs["rows"])
    assert record["parameters"] == sum(p.numel() for p in model.parameters())
    assert record["loss"][-1] < record["loss"][0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_weights_kept_on_the_way(
    tmp_path: Path, family: str, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keeping weights must change no bit of the training, and what is kept must be the weights after that very step."""
    after: list[list[torch.Tensor]] = []
    step = torch.optim.AdamW.step

    def noted(self: torch.optim.AdamW, *given: Any) -> Any:
        done = step(self, *given)
        after.append([parameter.detach().clone() for group in self.param_groups for parameter in group["params"]])
        return done

    train_model(options(family), folder=tmp_path / "plain", threads=1, **inputs)
    monkeypatch.setattr(torch.optim.AdamW, "step", noted)
    shares = {"shares": [0.01, 0.55, 1]}
    train_model(options(family) | shares, folder=tmp_path / "kept", threads=1, **inputs)
    weights = [sha256_file(tmp_path / name / "model.safetensors") for name in ("plain", "kept", "kept/steps/1")]
    assert len(set(weights)) == 1
    record = read_json(tmp_path / "kept/training.json")
    assert record["steps"] == len(after) == 10
    assert kept_steps(record["options"]["shares"], 10) == {"0.01": 1, "0.55": 5, "1": 10}
    for name, place in (("0.01", 1), ("0.55", 5), ("1", 10)):
        loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "kept/steps" / name, local_files_only=True)
        found = zip(loaded.parameters(), after[place - 1], strict=True)
        assert all(torch.equal(parameter, expected) for parameter, expected in found)
    assert not (tmp_path / "plain/steps").exists()


def test_recipe_reaches_the_weights(tmp_path: Path, inputs: dict[str, Path]) -> None:
    """Each value of a recipe must change the result, or it is not in force."""
    digests = set()
    changes: list[dict[str, Any]] = [
        {}, {"seed": 5}, {"learning_rate": 0.02}, {"order": "spaced"}, {"epochs": 2}, {"batch_rows": 8}, {"bos": True}
    ]  # fmt: skip
    for index, change in enumerate(changes):
        train_model(options("openllama", **change), folder=tmp_path / str(index), threads=1, **inputs)
        digests.add(sha256_file(tmp_path / str(index) / "model.safetensors"))
    assert len(digests) == len(changes)


def with_short_rows(folder: Path, inputs: dict[str, Path], lengths: list[int]) -> dict[str, Path]:
    """The same rows, cut to these lengths in turn."""
    folder.mkdir(exist_ok=True)
    table = TRAINING_ROWS.read(inputs["rows"]).to_pydict()
    table["tokens"] = [row[: lengths[index % len(lengths)]] for index, row in enumerate(table["tokens"])]
    TRAINING_ROWS.write(folder / "rows.parquet", table, {})
    return inputs | {"rows": folder / "rows.parquet"}


@pytest.mark.parametrize("bos", [False, True])
def test_what_fills_short_rows_is_not_learned(
    tmp_path: Path, family: str, bos: bool, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prevents the filling from entering the loss, or the tokens before it."""
    short = with_short_rows(tmp_path, inputs, [16, 3, 11])
    train_model(options(family, bos=bos), folder=tmp_path / "one", threads=1, **short)
    tokens = read_rows(short["rows"])
    assert (tokens != NO_TARGET).sum(dim=1)[:3].tolist() == [16, 3, 11]
    filled = torch.full_like(tokens, 9)
    monkeypatch.setattr(torch.Tensor, "where", lambda self, kept, _: torch.where(kept, self, filled[:, :1]))
    train_model(options(family, bos=bos), folder=tmp_path / "other", threads=1, **short)
    digests = {sha256_file(tmp_path / name / "model.safetensors") for name in ("one", "other")}
    assert len(digests) == 1
    seen = read_json(tmp_path / "one/training.json")["tokens_seen"]
    assert seen == 14 * 16 + 13 * 3 + 13 * 11


def test_short_rows_are_learned(tmp_path: Path, inputs: dict[str, Path]) -> None:
    """Prevents rows that are shorter than the longest from being passed over: their own loss is what falls."""
    short = with_short_rows(tmp_path, inputs, [8])
    longer = with_short_rows(tmp_path / "more", inputs, [8, 8, 8, 16])
    for name, given in (("short", short), ("longer", longer)):
        train_model(options("pythia", epochs=4), folder=tmp_path / name, threads=1, **given)
    losses = [read_json(tmp_path / name / "training.json")["loss"] for name in ("short", "longer")]
    assert all(loss[-1] < loss[0] for loss in losses)
    assert losses[1][-1] == pytest.approx(losses[0][-1], rel=0.3)


def test_divergence_is_a_sentence(tmp_path: Path, inputs: dict[str, Path]) -> None:
    """A learning rate that blows up must stop the job, not save broken weights."""
    with pytest.raises(ReciteError, match=r"training pythia at width 16 diverged .* lower learning_rate"):
        train_model(options("pythia", learning_rate=1e30), folder=tmp_path / "model", threads=1, **inputs)
    assert not (tmp_path / "model").exists()


def test_no_rows(tmp_path: Path, inputs: dict[str, Path]) -> None:
    """A corpus of short documents gives no training rows."""
    TRAINING_ROWS.write(tmp_path / "rows.parquet", {"document_id": [], "tokens": []}, {})
    with pytest.raises(ReciteError, match=r"rows.parquet holds no training row"):
        train_model(
            options("pythia"), folder=tmp_path / "model", threads=1, **(inputs | {"rows": tmp_path / "rows.parquet"})
        )


@pytest.mark.parametrize("order", ["shuffled", "spaced"])
def test_every_epoch_has_every_row_once(order: str) -> None:
    """A row seen twice in an epoch would falsify the known repetition counts."""
    tokens = torch.randint(0, 9, (50, 3), generator=torch.Generator().manual_seed(0))
    orders = [epoch_order(tokens, RECIPE | {"order": order}, epoch).tolist() for epoch in (0, 1)]
    assert [sorted(found) for found in orders] == [list(range(50))] * 2
    assert orders[0] != orders[1]


def test_spaced_copies_are_evenly_apart() -> None:
    """`spaced` must put k copies of a text in the k equal parts of the epoch, one in each."""
    tokens = torch.tensor([[1]] * 8 + [[value] for value in range(2, 74)])
    order = epoch_order(tokens, RECIPE | {"order": "spaced"}, 0).tolist()
    places = [place for place, index in enumerate(order) if index < 8]
    assert Counter(place * 8 // 80 for place in places).most_common(1)[0][1] <= 2
    assert max(b - a for a, b in itertools.pairwise(places)) <= 20


def test_parameters_by_formula() -> None:
    """Llama's count in closed form: 4 d^2 attention, 3 d f feed-forward, 2 d norms a layer, embeddings, a norm."""
    model = build_model("openllama", Shape(3, 48, 2), 300, 64, 0)
    d, f = 48, 128
    expected = 3 * (4 * d * d + 3 * d * f + 2 * d) + 2 * 300 * d + d
    assert sum(p.numel() for p in model.parameters()) == expected


def test_a_full_disk_leaves_nothing(tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a weights file beside the folder would fill the disk for good."""

    def fill(self: PreTrainedModel, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", fill)
    with pytest.raises(OSError, match="No space left"):
        train_model(options("pythia"), folder=tmp_path / "model", threads=1, **inputs)
    assert not list(tmp_path.rglob("*model.safetensors"))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
