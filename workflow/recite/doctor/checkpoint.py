"""What a checkpoint on disk is, and the entry of the registry that it needs: `recite inspect`."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import gguf
from huggingface_hub import constants
from tokenizers import Tokenizer

from recite.checkpoints.inspection import Inspected, head_width, inspect
from recite.checkpoints.registration import checkpoint_facts
from recite.corpora.gguf_tokenizer import adds_bos
from recite.corpora.tokenizer import load_tokenizer
from recite.engine.proof import prove_checkpoint
from recite.errors import ReciteError
from recite.files import read_json
from recite.planning.costs import Facts, peak_bytes
from recite.sources.gguf_keys import SENTENCEPIECE, kind_of_tokenizer, read_keys

HUB_NAME = re.compile(r"(?P<hub>[\w.-]+/[\w.-]+?)(@(?P<revision>[0-9a-f]{40}))?")
PRECISIONS = {"F16": "float16", "BF16": "bfloat16"}
"""Types of stored weights in which a model is then run; all others are run in float32."""
SIZES = {"float32": 4, "float16": 2, "bfloat16": 2}
TOKENIZERS = ("tokenizer.json", "tokenizer.model")


class Place(NamedTuple):
    """A folder or GGUF file, and the hub's name and commit of one in its cache."""

    path: Path
    hub: str | None = None
    revision: str | None = None

    @property
    def name(self) -> str:
        """A name for its entry."""
        plain = self.hub.partition("/")[2] if self.hub else self.path.name.removesuffix(".gguf")
        return re.sub(r"[^a-z0-9._-]+", "-", plain.lower()).strip("._-") or "mine"


class Asked(NamedTuple):
    """Rows of a batch, and tokens of a row's context and continuation."""

    rows: int
    context: int
    continuation: int


def locate(source: str) -> Place:
    """Where a folder, a file or a model of the hub that is in the local cache lies; ReciteError if it is none."""
    path = Path(source).expanduser()
    if path.suffix == ".safetensors" and path.is_file():
        path = path.parent
    if path.exists():
        cached = (path / "snapshots").is_dir() and path.name.startswith("models--")
        return _cached(path, path.name.removeprefix("models--").replace("--", "/", 1), None) if cached else Place(path)
    named = HUB_NAME.fullmatch(source)
    folder = Path(constants.HF_HUB_CACHE, f"models--{named['hub'].replace('/', '--')}") if named else None
    if named is None or folder is None or not folder.is_dir():
        raise ReciteError(
            f"{source} is no folder, no GGUF file and no model in the hub's cache ({constants.HF_HUB_CACHE}); name one "
            "that is on this machine."
        )
    return _cached(folder, named["hub"], named["revision"])


def _cached(folder: Path, hub: str, revision: str | None) -> Place:
    """A commit of a model in the hub's cache: the one named, that of `main`, or the only one."""
    commits = sorted(path.name for path in (folder / "snapshots").glob("*"))
    main = folder / "refs/main"
    chosen = revision or (main.read_text().strip() if main.is_file() else None)
    chosen = commits[0] if chosen is None and len(commits) == 1 else chosen
    if chosen not in commits:
        raise ReciteError(
            f"{hub} is in the cache ({folder}) at {', '.join(commits) or 'no commit'}; name one of these as "
            f"{hub}@commit."
        )
    return Place(folder / "snapshots" / chosen, hub, chosen)


def describe(source: str, asked: Asked) -> dict[str, Any]:
    """Everything that `recite inspect` tells of a checkpoint; ReciteError for one that cannot be run."""
    place = locate(source)
    found = inspect(place.path)
    facts = checkpoint_facts(found.empty, found.architecture)
    stored = stored_types(found, place.path)
    dtype = PRECISIONS.get(max(stored, key=lambda kind: stored[kind]), "float32")
    told: dict[str, Any] = {"path": str(place.path.absolute()), "hub": place.hub, "revision": place.revision}
    told |= {"class": type(found.empty).__name__, "model_type": found.config.model_type, **facts}
    told |= {"head_width": head_width(found.config), "stored": stored, "dtype": dtype}
    tokenizer = tokenizer_of(place.path)
    bos = bos_of(place.path, None if "problem" in tokenizer else tokenizer_file(place.path))
    told |= {"tokenizer": tokenizer, "bos": bos, "proved": proved(found)}
    size = SIZES[dtype]
    peak = peak_bytes(Facts(**facts), 1, size, asked.rows, asked.context, asked.continuation)
    told["memory"] = {"weights": facts["parameters"] * size, "batch": peak, **asked._asdict()}
    return told | {"entry": {place.name: entry_of(told, place.name)}}


def proved(found: Inspected) -> list[str]:
    """What was proved of running this checkpoint, a clause each.

    Config and headers of files are held against the class in `inspect`; what the tests hold for a class of the
    architecture table, `recite.engine.proof` proves for another one on its first layers' weights.
    """
    held = [f"config and tensors are those of {type(found.empty).__name__}"]
    if found.architecture.known:
        return [*held, "the class is of the architecture table, which the tests hold against the plain model"]
    proof = prove_checkpoint(found)["proof"]
    held.append(f"logits, layers and greedy tokens of its first {proof['layers']} layers are the plain model's")
    for what in ("heads", "sublayers"):
        missing = proof[f"without_{what}"]
        held.append(f"{what} are not: {missing}" if missing else f"{what} can be replaced")
    return held


def stored_types(found: Inspected, path: Path) -> dict[str, int]:
    """Type of stored numbers -> how many there are, the most frequent first."""
    counts: Counter[str] = Counter()
    if path.suffix == ".gguf":
        for packed in read_keys(path).tensors.values():
            counts[gguf.GGMLQuantizationType(packed.type).name] += prod(packed.shape)
    for tensor in found.stored.values():
        counts[tensor.dtype] += prod(tensor.shape)
    return dict(counts.most_common())


def tokenizer_file(path: Path) -> Path | None:
    """The file of a checkpoint's tokenizer, if there is one."""
    if path.suffix == ".gguf":
        return path
    return next((path / name for name in TOKENIZERS if (path / name).is_file()), None)


def tokenizer_of(path: Path) -> dict[str, Any]:
    """The tokenizer's file, kind and size, or in `problem` why there is none that can be used."""
    file = tokenizer_file(path)
    if file is None:
        return {"problem": f"neither {' nor '.join(TOKENIZERS)} is in {path}"}
    try:
        size = len(load_tokenizer(file).vocabulary)
    except ReciteError as error:
        return {"file": file.name, "problem": str(error)}
    if file.suffix == ".gguf":
        keys = read_keys(file).keys
        sentencepiece = kind_of_tokenizer(keys) == SENTENCEPIECE
        kind = "SentencePiece" if sentencepiece else f"BPE of bytes, cut as {keys['tokenizer.ggml.pre']}"
    else:
        kind = "SentencePiece" if file.suffix == ".model" else read_json(file)["model"].get("type", "BPE")
    return {"file": file.name, "kind": kind, "size": size}


def bos_of(path: Path, file: Path | None) -> dict[str, Any]:
    """The begin-of-sequence token: its id, if there is one, and whether the tokenizer of this file adds it."""
    if path.suffix == ".gguf":
        keys = read_keys(path).keys
        token = keys.get("tokenizer.ggml.bos_token_id")
        return {"id": token, "added": token is not None and adds_bos(keys)}
    told = _settings(path / "tokenizer_config.json")
    named = told.get("bos_token")
    named = named.get("content") if isinstance(named, dict) else named
    token = _settings(path / "config.json").get("bos_token_id")
    if file is None:
        return {"id": token, "added": False}
    if file.suffix == ".model":
        return {"id": token, "added": token is not None and told.get("add_bos_token", True)}
    tokenizer = Tokenizer.from_file(str(file))
    plain, whole = (tokenizer.encode("a", add_special_tokens=added).ids for added in (False, True))
    first = whole[0] if len(whole) > len(plain) and whole[:1] != plain[:1] else None
    if named is not None:
        token = tokenizer.token_to_id(named)
    added = told.get("add_bos_token")
    added = first is not None if added is None else bool(added)
    return {"id": first if first is not None and added else token, "added": added and (first or token) is not None}


def _settings(file: Path) -> Mapping[str, Any]:
    found = read_json(file) if file.is_file() else {}
    return found if isinstance(found, dict) else {}


def entry_of(told: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The entry of the registry: what is not known, its corpus, in capitals."""
    entry = {"corpus": "CORPUS", "family": name, "path": told["path"], "hub": told["hub"], "revision": told["revision"]}
    if "problem" in told["tokenizer"]:
        entry["tokenizer"] = "TOKENIZER"
    elif told["tokenizer"]["file"] == "tokenizer.model":
        entry["tokenizer"] = "tokenizer.model"
    entry["dtype"] = None if told["dtype"] == "float32" else told["dtype"]
    entry["bos"] = told["bos"]["id"] if told["bos"]["added"] else None
    entry |= {fact: told[fact] for fact in Facts._fields}
    return {key: value for key, value in entry.items() if value is not None}


NOTES = {
    "corpus": "yours to name: an entry of config/corpora.yaml, of what it was trained on",
    "family": "models of one family share corpus, tokenizer and sample",
    "tokenizer": "none was found that can be read: name a tokenizer.json or tokenizer.model",
}


def as_text(told: Mapping[str, Any]) -> str:
    """The same for people, with the entry to copy."""
    tokenizer, bos, memory = told["tokenizer"], told["bos"], told["memory"]
    cut, added = f"{tokenizer.get('kind')}, {tokenizer.get('size')} tokens", "" if bos["added"] else "not "
    batch = f"a batch of {memory['rows']} rows of {memory['context']} + {memory['continuation']} tokens"
    lines = {
        "class": f"{told['class']} ({told['model_type']})",
        "layers": told["layers"],
        "heads": f"{told['heads']} of width {told['head_width']}, {told['shared_heads']} for keys and values",
        "width": f"{told['width']}, feed-forward {told['feed_forward']}",
        "vocabulary": told["vocabulary"],
        "parameters": f"{told['parameters']:,}",
        "stored": ", ".join(f"{kind} {count:,}" for kind, count in told["stored"].items()),
        "tokenizer": tokenizer.get("problem") or f"{tokenizer['file']}: {cut}",
        "bos": "none" if bos["id"] is None else f"{bos['id']}, {added}added by the tokenizer",
        "proved": "; ".join(told["proved"]) or "nothing",
        "memory": f"{memory['weights'] / 1e9:.2f} GB of weights in {told['dtype']}; "
        f"{memory['batch'] / 1e9:.2f} GB with {batch}",
    }
    text = [told["path"], *(f"  {name:<12}{value}" for name, value in lines.items())]
    return "\n".join([*text, "", "For config/models.yaml:", "", as_yaml(told["entry"])])


def as_yaml(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """Entries as the registry has them; texts as JSON where YAML would read them otherwise."""
    lines = []
    for name, entry in entries.items():
        lines.append(f"{name}:")
        for key, value in entry.items():
            plain = not isinstance(value, str) or re.fullmatch(r"[A-Za-z/][\w./@-]*", value)
            noted = key in NOTES and (key != "tokenizer" or value == "TOKENIZER")
            note = f"  # {NOTES[key]}" if noted else ""
            lines.append(f"  {key}: {value if plain else json.dumps(value, ensure_ascii=False)}{note}")
    return "\n".join(lines) + "\n"
