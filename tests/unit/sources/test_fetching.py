"""Fetching, from a server on this machine: nothing unasked, only pinned commits, whole folders or none."""

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from hub import Hub, Refusal
from recite.corpora.family_tokenizer import copy_tokenizer
from recite.errors import ReciteError
from recite.sources.fetching import corpus_folder, model_folder, tokenizer_file

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
MODEL = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b'{"tokens": []}',
    "model-00001-of-00002.safetensors": random.Random(1).randbytes(70_000),
    "model-00002-of-00002.safetensors": random.Random(2).randbytes(90_000),
    "model.safetensors.index.json": b"{}",
    "pytorch_model.bin": b"pickled",
    "README.md": b"words",
    "onnx/model.safetensors": b"another form",
    "onnx/config.json": b"{}",
}
FETCHED = {name for name in MODEL if "/" not in name and name.endswith((".json", ".safetensors"))}
LAST = "model-00002-of-00002.safetensors"
CORPUS = {
    "train/00.jsonl.zst": b"zero",
    "train/deep/01.jsonl.zst": b"one",
    "val.jsonl.zst": b"validation",
    "README.md": b"words",
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with a model and a corpus; the library asks it, has an empty cache, no token, and waits for nothing."""
    server = Hub(COMMIT, {"models/owner/model": MODEL, "datasets/owner/corpus": CORPUS})
    constants = huggingface_hub.constants
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "home" / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 8192)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    huggingface_hub.close_session()
    yield server
    server.close()
    huggingface_hub.close_session()


def model(folder: Path, fetch: bool = True, **changes: Any) -> dict[str, Any]:
    """Entry of the model; a key changed to None is left out."""
    entry = {"model": "mine", "fetch": fetch, "path": str(folder), "tokenizer": "tokenizer.json"}
    entry |= {"hub": "owner/model", "revision": COMMIT} | changes
    return {key: value for key, value in entry.items() if value is not None}


def corpus(folder: Path, fetch: bool = True, **changes: Any) -> dict[str, Any]:
    """Entry of the corpus."""
    entry = {"corpus": "notes", "fetch": fetch, "folder": str(folder), "patterns": ["train/*.zst"]}
    return entry | {"hub": "owner/corpus", "revision": COMMIT} | changes


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_refused(match: str, call: Any, options: dict[str, Any]) -> None:
    """It must end in one sentence, and leave nothing under the final name."""
    with pytest.raises(ReciteError, match=match) as refusal:
        call(options)
    assert "\n" not in str(refusal.value) and str(refusal.value).endswith(".")
    assert not Path(options.get("path") or options["folder"]).exists()


@pytest.mark.parametrize(
    ("call", "entry", "what"),
    [
        (model_folder, model, "model mine"),
        (corpus_folder, corpus, "corpus notes"),
        (tokenizer_file, model, "the tokenizer of"),
    ],
)
def test_off_by_default(hub: Hub, tmp_path: Path, call: Any, entry: Any, what: str) -> None:
    """A study on a machine that must not reach out would, or would fill its disk unasked."""
    assert_refused(rf"^{what}.* does not exist; put it there, or set `fetch: true`", call, entry(tmp_path / "x", False))
    assert hub.requests == []


@pytest.mark.parametrize("missing", ["hub", "revision"])
@pytest.mark.parametrize("call", [model_folder, tokenizer_file])
def test_unpinned(hub: Hub, tmp_path: Path, call: Any, missing: str) -> None:
    """What a branch is today must not be fetched."""
    assert_refused(r"cannot be fetched: its entry does not pin", call, model(tmp_path / "x", **{missing: None}))
    assert hub.requests == []


def test_model(hub: Hub, tmp_path: Path) -> None:
    """Pickles, other forms of the model in subfolders, or a branch's files would come along."""
    folder = tmp_path / "models" / "mine"
    assert model_folder(model(folder)) == folder
    assert files_of(folder) == {name: MODEL[name] for name in FETCHED}
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]
    assert {request.file for request in hub.requests} - {""} == FETCHED
    assert all(COMMIT in request.path for request in hub.requests)
    before = len(hub.requests)
    assert model_folder(model(folder)) == folder
    assert len(hub.requests) == before


def test_corpus(hub: Hub, tmp_path: Path) -> None:
    """A validation set must not be fetched, nor a file in a nested folder be left out."""
    folder = corpus_folder(corpus(tmp_path / "notes"))
    assert files_of(folder) == {name: CORPUS[name] for name in ("train/00.jsonl.zst", "train/deep/01.jsonl.zst")}
    assert all(COMMIT in request.path for request in hub.requests)


@pytest.mark.parametrize("pattern", ["**/*.zst", "part[1].zst"])
def test_patterns_mean_the_same_on_the_hub(hub: Hub, tmp_path: Path, pattern: str) -> None:
    """Files at the top, or with brackets in their names, must not be left on the hub."""
    held = {"part[1].zst": b"one", "deep/er/two.zst": b"two", "README.md": b"words"}
    hub.repositories["datasets/owner/corpus"] = held
    folder = corpus_folder(corpus(tmp_path / "notes") | {"patterns": [pattern]})
    wanted = {"part[1].zst", "deep/er/two.zst"} if "**" in pattern else {"part[1].zst"}
    assert files_of(folder) == {name: held[name] for name in wanted}


@pytest.mark.parametrize("fetch", [False, True])
def test_a_corpus_that_is_there_is_not_touched(hub: Hub, tmp_path: Path, fetch: bool) -> None:
    """A user's own files would be mixed with the hub's, or replaced."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.jsonl").write_bytes(b"mine")
    assert corpus_folder(corpus(tmp_path / "notes", fetch)) == tmp_path / "notes"
    assert files_of(tmp_path / "notes") == {"mine.jsonl": b"mine"}
    assert hub.requests == []


def test_transfer_that_breaks(hub: Hub, tmp_path: Path) -> None:
    """A connection that is lost must be taken up at its byte, not fail the study or give half a file."""
    hub.breaks = {LAST}
    assert files_of(model_folder(model(tmp_path / "mine")))[LAST] == MODEL[LAST]
    ranges = [request.range for request in hub.requests if request.file == LAST and request.method == "GET"]
    assert len(ranges) == 2 and re.fullmatch(r"bytes=\d+-", ranges[1])


def test_hub_that_dies(hub: Hub, tmp_path: Path) -> None:
    """Half a checkpoint must never bear the final name; what was fetched must not be fetched again."""
    hub.dies, hub.first = LAST, FETCHED - {LAST}
    folder = tmp_path / "mine"
    for _ in range(2):
        assert_refused(
            r"model mine \(owner/model at .*\) could not be fetched \(.+\); run again", model_folder, model(folder)
        )
    hub.revive()
    assert files_of(model_folder(model(folder))) == {name: MODEL[name] for name in FETCHED}
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("cache", "home")] == ["mine"]
    assert {name: hub.given(name) for name in FETCHED - {LAST}} == dict.fromkeys(FETCHED - {LAST}, 1)


def test_hub_that_is_gone(hub: Hub, tmp_path: Path) -> None:
    """The library takes a folder that is begun for what was wanted where it reaches no hub."""
    hub.dies = LAST
    assert_refused("could not be fetched", model_folder, model(tmp_path / "mine"))
    hub.close()
    assert_refused(r"could not be fetched \(.+\); run again", model_folder, model(tmp_path / "mine"))
    assert_refused(r"corpus notes .* could not be fetched \(.+\); run again", corpus_folder, corpus(tmp_path / "notes"))
    assert_refused(r"tokenizer of model mine .* could not be fetched", tokenizer_file, model(tmp_path / "mine"))


def test_another_commit_starts_anew(hub: Hub, tmp_path: Path) -> None:
    """Files that only the commit of an earlier, broken run had would be taken for weights of this one."""
    hub.dies = LAST
    assert_refused("could not be fetched", model_folder, model(tmp_path / "mine"))
    hub.revive()
    hub.commit = COMMIT[::-1]
    hub.repositories = {"models/owner/model": {"config.json": b"{}", "model.safetensors": b"whole"}}
    folder = model_folder(model(tmp_path / "mine", revision=hub.commit))
    assert files_of(folder) == {"config.json": b"{}", "model.safetensors": b"whole"}


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        (Refusal(401, "GatedRepo", "/resolve/"), r"\(401 .*gated.*\); .* accept its terms on the hub and log in"),
        (Refusal(403, "GatedRepo", "/resolve/"), r"\(403 .*gated.*\); .* accept its terms on the hub and log in"),
        (Refusal(401, "RepoNotFound", "/"), r"\(401 .*Not Found.*\); it is gated, private or not there"),
        (Refusal(404, "RepoNotFound", "/"), r"\(404 .*Repository Not Found.*\); run again"),
        (Refusal(404, "RevisionNotFound", "/"), r"\(404 .*Revision Not Found.*\); run again"),
        (Refusal(404, "EntryNotFound", "/resolve/"), r"\(404 .*Entry Not Found.*\); run again"),
        (Refusal(500, "", "/"), r"\(.+\); run again"),
    ],
)
@pytest.mark.parametrize("call", [model_folder, tokenizer_file, corpus_folder])
def test_refusals(hub: Hub, tmp_path: Path, refusal: Refusal, sentence: str, call: Any) -> None:
    """What the hub refuses must be told in one sentence, with what to do about it, and no traceback."""
    hub.refusal = refusal
    options = corpus(tmp_path / "x") if call is corpus_folder else model(tmp_path / "x")
    assert_refused(rf"could not be fetched {sentence}", call, options)


@pytest.mark.parametrize("pattern", ["*.parquet", "*.json"])
def test_pattern_that_matches_nothing(hub: Hub, tmp_path: Path, pattern: str) -> None:
    """An empty folder under the final name would never be fetched again; the library's notes are no files."""
    wrong = corpus(tmp_path / "notes", patterns=["train/*.zst", pattern])
    assert_refused(rf"owner/corpus at .* has no file that matches '{re.escape(pattern)}'", corpus_folder, wrong)
    assert set(files_of(corpus_folder(corpus(tmp_path / "notes")))) == {"train/00.jsonl.zst", "train/deep/01.jsonl.zst"}


def test_model_without_safetensors(hub: Hub, tmp_path: Path) -> None:
    """A repository of pickles only must be told as such, with where to put what is made of them."""
    hub.repositories = {"models/owner/model": {"config.json": b"{}", "pytorch_model.bin": b"pickled"}}
    assert_refused(
        r"no file that matches '\*\.safetensors'; put the files at .*x by hand", model_folder, model(tmp_path / "x")
    )


def test_gguf_is_not_fetched(hub: Hub, tmp_path: Path) -> None:
    """A repository of safetensors must not become a folder that is called x.gguf."""
    assert_refused(r"x\.gguf does not exist; .*GGUF files are not fetched", model_folder, model(tmp_path / "x.gguf"))
    assert hub.requests == []


def test_tokenizer_alone(hub: Hub, tmp_path: Path) -> None:
    """Samples can be drawn before terabytes of weights are there: only the tokenizer may be asked for."""
    copy = tmp_path / "study" / "tokenizer.json"
    copy_tokenizer(model(tmp_path / "mine"), copy, fetch=True)
    assert copy.read_bytes() == MODEL["tokenizer.json"] and not copy.is_symlink()
    assert {request.file for request in hub.requests} == {"tokenizer.json"}
    assert all(COMMIT in request.path for request in hub.requests)
    assert not (tmp_path / "mine").exists()


def test_tokenizer_that_is_there(hub: Hub, tmp_path: Path) -> None:
    """The one beside the weights or at a path of its own is taken; a missing one is not fetched into their place."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "tokenizer.model").touch()
    (tmp_path / "own.json").touch()
    named = model(tmp_path / "mine", tokenizer="tokenizer.model")
    assert tokenizer_file(named) == tmp_path / "mine" / "tokenizer.model"
    assert tokenizer_file(model(tmp_path / "x.gguf", tokenizer="own.json")) == tmp_path / "own.json"
    assert tokenizer_file(model(tmp_path / "mine", tokenizer=str(tmp_path / "own.json"))) == tmp_path / "own.json"
    for wrong in (model(tmp_path / "mine"), model(tmp_path / "x", tokenizer=str(tmp_path / "other.json"))):
        with pytest.raises(ReciteError, match=r"tokenizer of model mine is not there: .*; name it by `tokenizer`"):
            tokenizer_file(wrong)
    assert hub.requests == []
