"""Loading a checkpoint: safetensors or GGUF, no code from its folder, a sentence for what is wrong."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import torch
import transformers
from accelerate import infer_auto_device_map
from huggingface_hub import snapshot_download
from torch import Tensor, nn
from transformers.utils import logging

from recite.checkpoints.architectures import Architecture
from recite.checkpoints.gguf_header import unreadable
from recite.checkpoints.inspection import Inspected, head_width, inspect
from recite.checkpoints.structure import mark_tuples
from recite.checkpoints.weight_files import another_head, broken
from recite.errors import ReciteError
from recite.files import read_json, sha256_file
from recite.kernels.attention import ATTENTION
from recite.kernels.packing import PackedLinear, SlicedLinear, pack
from recite.sources.facts import TABLES

ROOM = 0.85
"""Share of a GPU's memory that weights may take; the rest is for keys, values and logits."""
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
Sublayer = Literal["attention", "mlp"]
UNPROVED = ("without_heads", "without_sublayers")
"""Fields of an architecture that say what of a class is not proved, as records hold them."""
COMMIT = re.compile(r"[0-9a-f]{40}")


class Checkpoint(NamedTuple):
    """A loaded model, its row of the architecture table, and what names its weights."""

    model: transformers.PreTrainedModel
    architecture: Architecture
    weights_sha256: str
    parameters: int
    dtype: str

    @property
    def layers(self) -> nn.ModuleList:
        """The decoder layers."""
        module = self.model.get_submodule(self.architecture.layers)
        assert isinstance(module, nn.ModuleList)
        return module

    def attention(self, layer: int) -> nn.Module:
        """The attention of a decoder layer, which ends with its output projection."""
        return self.layers[layer].get_submodule(self.architecture.attention_output.rpartition(".")[0])

    def attention_output(self, layer: int) -> nn.Module:
        """The attention output projection of a decoder layer; ReciteError for a class whose heads are not proved."""
        if self.architecture.without_heads:
            raise ReciteError(
                f"heads of {self.architecture.model_class} cannot be replaced ({self.architecture.without_heads}); "
                "leave the model out of the analysis of heads."
            )
        return self.layers[layer].get_submodule(self.architecture.attention_output)

    def sublayer(self, layer: int, name: Sublayer) -> nn.Module:
        """What hands on the output of a layer's attention or MLP; ReciteError for a class that is not proved."""
        parts = self.architecture
        if parts.without_sublayers:
            raise ReciteError(
                f"sublayers of {parts.model_class} cannot be replaced ({parts.without_sublayers}); "
                "leave the model out of the analyses of sublayers and neurons."
            )
        path = parts.attention_output if name == "attention" else parts.mlp_output
        return self.layers[layer].get_submodule(path)

    def neurons(self, layer: int) -> int:
        """Neurons of a layer's MLP: inputs of its output projection; ReciteError for a mixture of experts."""
        module = self.sublayer(layer, "mlp")
        count = getattr(module, "in_features", getattr(module, "nx", None))
        if count is None:
            raise ReciteError(
                f"the MLPs of {self.architecture.model_class} are mixtures, in which each token has the neurons of its "
                "own experts; leave the model out of the analysis of neurons."
            )
        return int(count)

    @property
    def unembedding(self) -> list[nn.Linear | PackedLinear]:
        """The linear layers that give the logits, each those of the tokens that follow the last one's."""
        module = self.model.get_submodule(self.architecture.unembedding)
        parts = [*module.slices] if isinstance(module, SlicedLinear) else [module]
        return cast("list[nn.Linear | PackedLinear]", parts)

    @property
    def body(self) -> nn.Module:
        """The model without its unembedding."""
        base, path = self.model.base_model, self.architecture.layers.rpartition(".")[0]
        return self.model.get_submodule(path) if base is self.model else base

    def final(self, hidden: Tensor) -> Tensor:
        """What the unembedding is given where the last layer's output is `hidden`, (..., width)."""
        for path in (self.architecture.final_norm, *self.architecture.before_unembedding):
            hidden = self.model.get_submodule(path)(hidden)
        return hidden

    def logits(self, products: Tensor) -> Tensor:
        """The logits of what the unembedding gives: scaled and capped as the class does it."""
        architecture = self.architecture
        if architecture.logit_factor != 1:
            products = products * architecture.logit_factor
        if architecture.logit_divisor != 1:
            products = products / architecture.logit_divisor
        if architecture.logit_cap is not None:
            products = torch.tanh(products / architecture.logit_cap) * architecture.logit_cap
        return products

    @property
    def heads(self) -> int:
        """Attention heads of a layer."""
        return int(self.model.config.num_attention_heads)

    @property
    def shared_heads(self) -> int:
        """Key/value heads of a layer."""
        return self.architecture.shared_heads(self.model.config)

    @property
    def head_width(self) -> int:
        """Width of a head."""
        return self.architecture.width_of_head or head_width(self.model.config)

    @property
    def device(self) -> str:
        """What the model runs on, as outputs record it: cpu, or the GPUs by name."""
        devices = {parameter.device for parameter in self.model.parameters()}
        if all(device.type == "cpu" for device in devices):
            return "cpu"
        names = sorted(torch.cuda.get_device_name(device) for device in devices)
        return f"{len(names)} x {names[0]}" if len(set(names)) == 1 else ", ".join(names)


def load_checkpoint(source: str | Path, dtype: str, batch_rows: int, revision: str | None = None) -> Checkpoint:
    """Load a checkpoint for inference, in `dtype` (float32, bfloat16, float16), on the GPUs if there are any.

    `source` is a folder of Hugging Face's layout or the safetensors file in it, a GGUF file (its weights are unpacked
    to `dtype`), the record of a registered checkpoint, or the name of a model on the hub, then with the commit that is
    wanted as `revision`. `batch_rows` is the number of rows that will be continued at once; it decides how a CPU's
    weights are packed. Raises ReciteError if there is no config or weights, if the weights are damaged, have changed
    since they were registered or do not fit the config, if something of the config or of a file is not taken by the
    class, if the class cannot be run here or its record holds no proof that it can, or if the job's GPUs are too small.
    """
    path, record = _on_disk(source, revision), None
    if path.suffix == ".json":
        path, record = _registered(path)
    found = inspect(path)
    if record is not None and not found.architecture.known:
        found = _proved(found, source)
    model = load_model(found, getattr(torch, dtype))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    model.eval()
    pack(model, batch_rows)
    return Checkpoint(model, found.architecture, _weights_digest(path, record), parameters, dtype)


def _proved(found: Inspected, record: str | Path) -> Inspected:
    """The checkpoint of a record with what was proved of its class when it was registered."""
    proof = read_json(Path(record)).get("proof", {})
    if proof.get("transformers") != transformers.__version__:
        raise ReciteError(
            f"{record} holds no proof that {found.architecture.model_class} of transformers {transformers.__version__} "
            "is run right; delete that record, and the checkpoint is registered and proved again."
        )
    return found._replace(architecture=replace(found.architecture, **{name: proof[name] for name in UNPROVED}))


def load_model(found: Inspected, dtype: torch.dtype) -> transformers.PreTrainedModel:
    """The model with its weights, and nothing of them left out or made up; of a `shallow` one, the first layers."""
    path = found.where if found.where.suffix == ".gguf" else found.where.parent
    logging.disable_progress_bar()
    try:
        model, report = cast(Any, type(found.empty)).from_pretrained(
            **found.place,
            config=found.config,
            dtype=dtype,
            device_map=device_map(found.empty, dtype, gpu_memory()),
            attn_implementation="eager" if found.architecture.own_attention else ATTENTION,
            output_loading_info=True,
        )
    except ReciteError:
        raise
    except Exception as error:  # whatever the libraries make of a file that changed since its header was read
        raise (unreadable if path.suffix == ".gguf" else broken)(path, _reason(error)) from None
    if report["missing_keys"] or report["mismatched_keys"]:
        raise broken(path, f"not all tensors are there: {sorted(report['missing_keys'])[:3]}")
    foreign = sorted(key for key in report["unexpected_keys"] if not key.endswith(TABLES) and not _is_above(key, found))
    if foreign:
        raise broken(path, f"its config has no place for tensors {foreign[:3]}")
    one, other = model.get_output_embeddings(), model.get_input_embeddings()
    if found.config.tie_word_embeddings and one.weight is not other.weight:
        raise another_head(path)
    found.check_rotary(model)
    mark_tuples(model, found.architecture)
    return model


def _is_above(key: str, found: Inspected) -> bool:
    """Whether a tensor is of a layer above those of a checkpoint that was cut; that of a whole one is foreign."""
    layer = re.match(rf"{re.escape(found.architecture.layers)}\.(\d+)\.", key)
    return layer is not None and found.config.num_hidden_layers <= int(layer[1]) < found.layers


def _on_disk(source: str | Path, revision: str | None) -> Path:
    """The folder or file of a checkpoint; what is named by hub and commit is fetched unless it is there already."""
    if revision is None:
        if HUB_NAME.fullmatch(str(source)) and not Path(source).exists():
            raise ReciteError(
                f"{source} is no folder or file here; if it is a model of the hub, pin it by `revision`, "
                "the commit's 40 hexadecimal digits."
            )
        path = Path(source)
        return path.parent if path.suffix == ".safetensors" else path
    if not COMMIT.fullmatch(revision):
        raise ReciteError(
            f"revision {revision!r} of {source} is not a commit; name its 40 hexadecimal digits, "
            "as branches and tags move."
        )
    try:
        return Path(snapshot_download(str(source), revision=revision, allow_patterns=["*.safetensors", "*.json"]))
    except Exception as error:
        raise ReciteError(
            f"{source} at {revision} is not on this machine and cannot be fetched ({_reason(error)}); "
            "fetch it where there is a network, or name a local folder."
        ) from None


def _registered(record: Path) -> tuple[Path, dict[str, Any]]:
    """Where the checkpoint of a record lies, and its files' sizes and digests; they must still be what they were."""
    made = read_json(record)
    if "path" not in made or "files" not in made:
        raise ReciteError(f"{record} is not the record of a checkpoint; name that, or the checkpoint's folder.")
    path = Path(made["path"])
    folder = path.parent if path.suffix == ".gguf" else path
    for name, file in made["files"].items():
        if (folder / name).is_file() and (folder / name).stat().st_size != file["bytes"]:
            raise ReciteError(
                f"{folder / name} has changed since {record} was written; delete that record to take the new weights, "
                "and all that was made with the old ones is made again."
            )
    return path, made["files"]


def _reason(error: Exception) -> str:
    """The first line of an error's message, or its kind."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def gpu_memory() -> dict[int, int]:
    """Free bytes of each GPU of the job."""
    return {index: torch.cuda.mem_get_info(index)[0] for index in range(torch.cuda.device_count())}


def device_map(empty: transformers.PreTrainedModel, dtype: torch.dtype, gpus: dict[int, int]) -> dict[str, int] | None:
    """Where each part of a model goes: nothing without a GPU, one GPU where it fits, else spread over all.

    `empty` is the model without weights, `gpus` gives the free bytes of each. Weights take at most the share ROOM of
    a GPU. Raises ReciteError if they do not fit; nothing is put on the CPU or the disk in silence.
    """
    if not gpus:
        return None
    cast(nn.Module, empty).to(dtype)
    room: dict[int | str, int] = {index: int(memory * ROOM) for index, memory in gpus.items()}
    needed = sum(parameter.numel() * parameter.element_size() for parameter in empty.parameters())
    for index in gpus:
        if needed <= room[index]:
            return {"": index}
    placed = infer_auto_device_map(
        empty, {**room, "cpu": 0}, no_split_module_classes=list(empty._no_split_modules or [])
    )
    if not set(placed.values()) <= set(gpus):
        raise ReciteError(
            f"the weights take {needed / 2**30:.1f} GiB, and the job's {len(gpus)} GPUs have room for "
            f"{sum(room.values()) / 2**30:.1f} GiB beside keys, values and logits; give the job more GPUs."
        )
    return placed


def weight_files(path: Path) -> list[Path]:
    """The files of a checkpoint's weights, by name."""
    return sorted(path.glob("*.safetensors")) if path.is_dir() else [path]


def _weights_digest(path: Path, record: dict[str, Any] | None) -> str:
    """SHA-256 of the weights file; of the files' digests, in name order, where there are several."""
    if record is None:
        digests = [sha256_file(file) for file in weight_files(path)]
    else:
        digests = [file["sha256"] for name, file in sorted(record.items()) if name.endswith((".safetensors", ".gguf"))]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
