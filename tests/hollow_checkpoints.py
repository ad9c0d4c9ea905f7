"""Checkpoints of published sizes that take no room: headers as on the hub, and holes in place of weights."""

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from recite.checkpoints.inspection import empty_model, make_config


def write_sparse(folder: Path, raw: Mapping[str, Any], files: int = 1, both: bool = False) -> Path:
    """A folder with that config.json and its tensors in bfloat16, in so many files; `both`: tied ones twice."""
    config, architecture, _ = make_config(raw, str(folder))
    model = empty_model(config, architecture)
    tied = set() if both else set(model.all_tied_weights_keys)
    shapes = {name: [*tensor.shape] for name, tensor in model.state_dict().items() if name not in tied}
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(raw))
    names = [f"model-{index:05d}-of-{files:05d}.safetensors" for index in range(1, files + 1)]
    names = names if files > 1 else ["model.safetensors"]
    places = {name: names[index % files] for index, name in enumerate(shapes)}
    for file in names:
        header, end = {}, 0
        for name in (name for name in shapes if places[name] == file):
            begin, end = end, end + 2 * prod(shapes[name])
            header[name] = {"dtype": "BF16", "shape": shapes[name], "data_offsets": [begin, end]}
        text = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
        with (folder / file).open("wb") as opened:
            opened.write(len(text).to_bytes(8, "little") + text)
            opened.truncate(8 + len(text) + end)
    if files > 1:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder
