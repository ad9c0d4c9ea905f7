"""Registration: a record says what the weights are; an entry, a tokenizer or weights that differ are refused."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import PreTrainedModel

from decoders import saved, small_model
from gguf_files import small_llama, write_gguf
from peers import logits_of
from recite.checkpoints import loading as checkpoints
from recite.checkpoints.architectures import ARCHITECTURES, Shape
from recite.checkpoints.loading import load_checkpoint
from recite.checkpoints.registration import register
from recite.checkpoints.training import build_model
from recite.corpora.family_tokenizer import copy_tokenizer
from recite.corpora.tokenization import train_tokenizer
from recite.errors import ReciteError
from recite.files import read_json, sha256_file, write_json
from recite.stages.models.registering import register_proved

VOCABULARY = 300
TEXTS = ["the warranty of the software is the warranty of the author", "def encode(text):\n    return model, rows"] * 4
FEED_FORWARD = {"pythia": "mlp.dense_h_to_4h", "starcoder": "mlp.c_fc"}
"""Where the width of the feed-forward layer is seen, if not in the gate."""


def write_tokenizer(path: Path, vocabulary: int = VOCABULARY) -> Path:
    """A small tokenizer.json."""
    tokenizer = train_tokenizer(TEXTS, vocabulary)
    assert tokenizer.get_vocab_size() == vocabulary
    tokenizer.save(str(path))
    return path


@pytest.fixture
def copy(tmp_path: Path, checkpoint_folder: Callable[[str], Path]) -> Callable[[str], Path]:
    """Family -> a checkpoint of it, with tokenizer, that the test may change."""

    def folder(family: str) -> Path:
        path = Path(shutil.copytree(checkpoint_folder(family), tmp_path / "mine"))
        write_tokenizer(path / "tokenizer.json")
        return path

    return folder


def entry(path: Path, **more: Any) -> dict[str, Any]:
    """A registered checkpoint as a study hands it to the stage."""
    plain = {"model": "mine", "family": "own", "corpus": "notes", "tokenizer": "tokenizer.json", "gpus": 0}
    return {**plain, "path": str(path), **more}


def registered(path: Path, **more: Any) -> Path:
    """The record of a checkpoint under its own tokenizer."""
    record = path.parent / "records" / "mine.json"
    tokenizer = path.parent / more.get("tokenizer", path / "tokenizer.json")
    register(entry(path, **more), tokenizer, record, fetch=False)
    return record


def facts_of(family: str, model: PreTrainedModel) -> dict[str, int]:
    """What a loaded model is, by its tensors where these tell."""
    architecture = ARCHITECTURES[family]
    layers = model.get_submodule(architecture.layers)
    inner = layers[0].get_submodule(FEED_FORWARD.get(family, "mlp.gate_proj"))  # type: ignore[index]
    rows, width = model.get_input_embeddings().weight.shape
    return {
        "layers": len(layers),  # type: ignore[arg-type]
        "width": width,
        "heads": 3,
        "shared_heads": 1 if family == "starcoder" else 3,
        "feed_forward": inner.weight.shape[0],
        "vocabulary": rows,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def test_record(family: str, reference: PreTrainedModel, copy: Callable[[str], Path]) -> None:
    """Parameters are the axis of the scaling law: tied weights counted twice, or masks, would move every model."""
    folder = copy(family)
    facts = facts_of(family, reference)
    record = read_json(registered(folder, **facts, hub="owner/model", revision="a" * 40))
    assert record.items() >= facts.items()
    assert record["model_type"] == ARCHITECTURES[family].model_type
    about = {"model": "mine", "family": "own", "corpus": "notes", "hub": "owner/model", "revision": "a" * 40}
    assert record.items() >= about.items()
    assert record["path"] == str(folder)
    names = ("model.safetensors", "config.json", "tokenizer.json")
    assert record["files"] == {
        name: {"bytes": (folder / name).stat().st_size, "sha256": sha256_file(folder / name)} for name in names
    }


def test_record_of_another_class(tmp_path: Path) -> None:
    """A class without a row is proved once, when it is registered, and loaded by what the record says."""
    folder = saved(small_model("qwen2", vocab_size=VOCABULARY), tmp_path / "mine")
    tokenizer, record = write_tokenizer(folder / "tokenizer.json"), tmp_path / "records" / "mine.json"
    register_proved(entry(folder, shared_heads=2), tokenizer, record, fetch=False)
    made = read_json(record)
    assert made["model_type"] == "qwen2" and made["feed_forward"] == 48
    proof = made["proof"]
    assert (proof["layers"], proof["of"], proof["without_heads"]) == (2, 3, "")
    assert load_checkpoint(record, "float32", 8).head_width == 8
    model = small_model("qwen2", vocab_size=VOCABULARY)
    with torch.no_grad():
        model.model.norm.weight.fill_(torch.nan)
    saved(model, folder)
    record.unlink()
    with pytest.raises(ReciteError, match=r"of Qwen2ForCausalLM cannot be proved"):
        register_proved(entry(folder), tokenizer, record, fetch=False)
    assert not record.exists()


def test_entry_that_says_nothing(copy: Callable[[str], Path]) -> None:
    """A model of one's own needs no facts in its entry; they are found out."""
    folder = copy("olmo2")
    assert read_json(registered(folder))["layers"] == 3


@pytest.mark.parametrize(
    "fact", ["layers", "width", "heads", "shared_heads", "feed_forward", "vocabulary", "parameters"]
)
def test_wrong_fact(copy: Callable[[str], Path], fact: str) -> None:
    """Another checkpoint than the entry's, a smaller one of the family say, would be scored under its name."""
    folder = copy("olmo1")
    true = read_json(registered(folder))[fact]
    shutil.rmtree(folder.parent / "records")
    sentence = rf"^model mine: the models file says {fact} 7, by .*config\.json it is {true}; correct the entry, or put"
    with pytest.raises(ReciteError, match=sentence):
        registered(folder, **{fact: 7})
    assert not (folder.parent / "records").exists()


def test_another_tokenizer(copy: Callable[[str], Path]) -> None:
    """A family's sample is of tokens of its first model; to a model with other tokens it is noise."""
    folder = copy("pythia")
    other = write_tokenizer(folder.parent / "tokenizer.json", VOCABULARY - 1)
    with pytest.raises(
        ReciteError, match=r"model mine has another tokenizer than family own \(.*mine/tokenizer\.json\)"
    ):
        register(entry(folder), other, folder.parent / "record.json", fetch=False)


def test_tokens_without_an_embedding(copy: Callable[[str], Path]) -> None:
    """A tokenizer that is another model's would end in an index out of range in the middle of scoring."""
    folder = copy("olmo3")
    write_tokenizer(folder / "tokenizer.json", VOCABULARY + 1)
    with pytest.raises(
        ReciteError, match=r"tokenizer\.json has token 300, the model's embedding only 300 rows; correct"
    ):
        registered(folder)
    write_tokenizer(folder / "tokenizer.json")
    registered(folder, bos=299)
    with pytest.raises(ReciteError, match=r"model mine: bos has token 300, the model's embedding only 300 rows"):
        registered(folder, bos=300)


def test_spare_tokens(copy: Callable[[str], Path]) -> None:
    """Code Llama's tokenizer has tokens for infilling, which at some sizes have no embedding; no text needs them."""
    folder = copy("openllama")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens(["<PRE>", "<SUF>", "<MID>", "<EOT>"])
    tokenizer.add_tokens(["<|user|>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == VOCABULARY + 5
    assert read_json(registered(folder))["vocabulary"] == VOCABULARY
    registered(folder, bos=VOCABULARY - 1)
    with pytest.raises(ReciteError, match=r"bos has token 301, the model's embedding only 300 rows"):
        registered(folder, bos=VOCABULARY + 1)


def test_ordinary_tokens_beyond_the_embedding(tmp_path: Path) -> None:
    """In Code Llama's SentencePiece model these tokens are pieces as any others: a few are let pass, more are not."""
    folder, own = tmp_path / "mine", tmp_path / "tokenizer.json"
    build_model("openllama", Shape(1, 8, 1), 2000, 64, seed=5).save_pretrained(folder)
    for spare in (2, 3):
        words = {f"word{index}": index for index in range(2000 + spare)}
        Tokenizer(WordLevel(words, unk_token="word0")).save(str(own))
        if spare == 2:
            assert read_json(registered(folder, tokenizer=str(own)))["vocabulary"] == 2000
    with pytest.raises(ReciteError, match=r"tokenizer\.json has token 2002, the model's embedding only 2000 rows"):
        registered(folder, tokenizer=str(own))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_pointers(copy: Callable[[str], Path], name: str) -> None:
    """A clone without LFS must be refused before it is copied or scored."""
    folder = copy("olmo2")
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 19763\n")
    with pytest.raises(ReciteError, match=rf"mine/{name} is a pointer of Git LFS and not the file itself"):
        registered(folder)
    if name == "tokenizer.json":
        with pytest.raises(ReciteError, match="pointer of Git LFS"):
            copy_tokenizer(entry(folder), folder.parent / "copy.json", fetch=False)
        assert not (folder.parent / "copy.json").exists()


def test_padding_beyond_the_vocabulary(copy: Callable[[str], Path]) -> None:
    """It ended in an AssertionError of the embedding."""
    folder = copy("openllama")
    write_json(folder / "config.json", read_json(folder / "config.json") | {"pad_token_id": VOCABULARY})
    with pytest.raises(ReciteError, match=r"pad_token_id 300 is outside of its vocabulary of 300 tokens; null will do"):
        registered(folder)


@pytest.mark.parametrize("family", ["olmo1", "starcoder"])
def test_tied_with_its_own_head(copy: Callable[[str], Path], family: str) -> None:
    """The number of parameters in the record is that of the model that is loaded, or there is no record."""
    folder = copy(family)
    tensors = load_file(folder / "model.safetensors")
    embedding = next(tensor for name, tensor in tensors.items() if name.endswith(("embed_tokens.weight", "wte.weight")))
    save_file(tensors | {"lm_head.weight": embedding.clone()}, folder / "model.safetensors", {"format": "pt"})
    record = registered(folder)
    assert read_json(record)["parameters"] == load_checkpoint(record, "float32", 8).parameters
    save_file(tensors | {"lm_head.weight": embedding + 1e-3}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ReciteError, match="tie_word_embeddings true, but the file's unembedding is not its embedding"):
        registered(folder)
    write_json(folder / "config.json", read_json(folder / "config.json") | {"tie_word_embeddings": False})
    record = registered(folder)
    loaded = load_checkpoint(record, "float32", 8).parameters
    assert read_json(record)["parameters"] == loaded == sum(tensor.numel() for tensor in tensors.values()) + 300 * 48


def test_what_is_missing(tmp_path: Path, copy: Callable[[str], Path]) -> None:
    """No folder, no tokenizer, no weights: a sentence each, and no record."""
    tokenizer = write_tokenizer(tmp_path / "family.json")
    record = tmp_path / "record.json"
    with pytest.raises(ReciteError, match=r"model mine is not there: .*mine does not exist; put it there, or set"):
        register(entry(tmp_path / "mine"), tokenizer, record, fetch=False)
    folder = copy("olmo2")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ReciteError, match=r"the tokenizer of model mine is not there: .*name it by `tokenizer`"):
        register(entry(folder), tokenizer, record, fetch=False)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ReciteError, match=r"mine has no weights \(model\.safetensors\)"):
        register(entry(folder), tokenizer, record, fetch=False)
    (folder / "config.json").unlink()
    with pytest.raises(ReciteError, match=r"mine is not a checkpoint folder: it has no config\.json"):
        register(entry(folder), tokenizer, record, fetch=False)
    assert not record.exists()


def test_load_by_record(
    family: str, copy: Callable[[str], Path], context: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores of a registered checkpoint must be those of its folder; terabytes must not be hashed by every job."""
    folder = copy(family)
    record = registered(folder)
    plain = load_checkpoint(folder, "float32", 8)

    def hash_again(path: Path) -> str:
        raise AssertionError(path)

    monkeypatch.setattr(checkpoints, "sha256_file", hash_again)
    made = load_checkpoint(record, "float32", 8)
    assert (made.weights_sha256, made.parameters) == (plain.weights_sha256, plain.parameters)
    assert torch.equal(logits_of(made.model, context), logits_of(plain.model, context))


def test_sharded_weights(tmp_path: Path) -> None:
    """Weights in several files are named by one digest, the same by folder and by record."""
    folder = tmp_path / "mine"
    build_model("openllama", Shape(3, 48, 3), VOCABULARY, 64, seed=5).save_pretrained(folder, max_shard_size="150KB")
    write_tokenizer(folder / "tokenizer.json")
    assert len(list(folder.glob("*.safetensors"))) > 2
    record = registered(folder)
    assert load_checkpoint(record, "float32", 8).weights_sha256 == load_checkpoint(folder, "float32", 8).weights_sha256


def test_weights_that_were_added(copy: Callable[[str], Path]) -> None:
    """A file that someone put beside the weights names nothing, and must not end in a KeyError."""
    folder = copy("openllama")
    digest = load_checkpoint(folder, "float32", 8).weights_sha256
    record = registered(folder)
    shutil.copy(folder / "model.safetensors", folder / "adapter.safetensors")
    assert load_checkpoint(record, "float32", 8).weights_sha256 == digest


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_files_that_changed(copy: Callable[[str], Path], name: str) -> None:
    """Scores of new weights would be filed under the digest of the old ones."""
    folder = copy("openllama")
    record = registered(folder)
    with (folder / name).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(ReciteError, match=rf"{name} has changed since .*mine\.json was written; delete that record"):
        load_checkpoint(record, "float32", 8)


def test_folder_that_is_gone(copy: Callable[[str], Path]) -> None:
    """A disk that is not mounted ends in a sentence, as does a record of something else."""
    folder = copy("openllama")
    record = registered(folder)
    shutil.rmtree(folder)
    with pytest.raises(ReciteError, match=r"mine is not a checkpoint folder"):
        load_checkpoint(record, "float32", 8)
    write_json(record, {"rows": 240})
    with pytest.raises(
        ReciteError, match=r"mine\.json is not the record of a checkpoint; name that, or the checkpoint"
    ):
        load_checkpoint(record, "float32", 8)


def test_tokenizer_of_another_place(copy: Callable[[str], Path], tmp_path: Path) -> None:
    """A file of the same name beside the weights must not be held for the one that was registered."""
    folder = copy("olmo2")
    own = write_tokenizer(tmp_path / "tokenizer.json", VOCABULARY - 20)
    record = registered(folder, tokenizer=str(own))
    assert read_json(record)["files"][str(own)]["sha256"] == sha256_file(own)
    assert load_checkpoint(record, "float32", 8).parameters == read_json(record)["parameters"]


def test_gguf(tmp_path: Path, context: Tensor) -> None:
    """A model that exists as GGUF only must pass the whole way, its tokenizer named by itself."""
    model = small_llama(vocabulary=VOCABULARY)
    path, own = tmp_path / "small.gguf", write_tokenizer(tmp_path / "elsewhere.json")
    write_gguf(path, model, gguf.GGMLQuantizationType.F32)
    facts = {"layers": 2, "width": 64, "heads": 4, "shared_heads": 2, "feed_forward": 96, "vocabulary": VOCABULARY}
    facts["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    record = registered(path, tokenizer=str(own), **facts)
    made = read_json(record)
    assert made.items() >= (facts | {"model_type": "llama", "path": str(path)}).items()
    assert set(made["files"]) == {"small.gguf", "elsewhere.json"}
    loaded = load_checkpoint(record, "float32", 8)
    assert loaded.weights_sha256 == sha256_file(path) == load_checkpoint(path, "float32", 8).weights_sha256
    torch.testing.assert_close(logits_of(loaded.model, context), logits_of(model, context), atol=1e-4, rtol=0)
    with pytest.raises(ReciteError, match=r"the models file says layers 3, by .*small\.gguf it is 2"):
        registered(path, tokenizer=str(own), layers=3)
    write_gguf(path, model, gguf.GGMLQuantizationType.F32, leave_out="output")
    record = registered(path, tokenizer=str(own))
    assert read_json(record)["parameters"] == load_checkpoint(record, "float32", 8).parameters < facts["parameters"]
