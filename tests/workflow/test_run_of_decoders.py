"""Decoders without a row in the architecture table, through every stage that runs a model."""

import json
from pathlib import Path

import yaml
from conftest import Checkout

from decoders import saved, small_model
from recite.corpora.tokenization import train_tokenizer
from recite.files import read_json
from recite.stages.scoring.tables import RATES

LONG = {"vocab_size": 400, "max_position_embeddings": 128}


def test_from_registration_to_summary(fresh: Checkout, tmp_path: Path) -> None:
    """A class is proved when it is registered, and then measured as any other."""
    text = Path(json.__file__).with_name("decoder.py").read_text()
    texts = [text[start:][:500] for start in range(0, 2400, 60)]
    (tmp_path / "notes").mkdir()
    lines = [json.dumps({"text": text, "kind": ("mail", "code")[index % 2]}) for index, text in enumerate(texts)]
    (tmp_path / "notes" / "a.jsonl").write_text("\n".join(lines) + "\n")
    models = {}
    for name, model in {
        "gemma": small_model("gemma2", **LONG, sliding_window=128),
        "mixed": small_model("mixtral", **LONG),
        "neo": small_model("gpt_neo", **LONG, window_size=128),
    }.items():
        folder = saved(model, tmp_path / name)
        train_tokenizer(texts, 400).save(str(folder / "tokenizer.json"))
        models[name] = {"family": "theirs", "corpus": "notes", "path": str(folder)}
    files = {"folder": str(tmp_path / "notes"), "patterns": ["*.jsonl"], "domain": "kind"}
    classes = {"mail": "mail", "code": "source_code"}
    study = {
        "study": "theirs",
        "seed": 1,
        "models_file": "their_models.yaml",
        "corpora_file": "their_corpora.yaml",
        "models": [*models],
        "sampling": {"rows_per_domain": 6, "shard_rows": 6},
        "scoring": {"batch_rows": 8},
        "noise": {"layers": [1], "strengths": [0.1]},
        "lens": {},
        "tuned_lens": {"training_share": 0.5, "steps": 3, "step_rows": 4},
        "dimension": {"neighbours": 3},
        "ablation": {},
        "attention": {"models": ["gemma", "mixed"]},
        "sublayers": {"classes": {"unmemorized": 2}},
        "aggregation": {"resamples": 100},
    }
    corpora = {"notes": {"domains": {"mail": "free_text", "code": "structural"}, "classes": classes, "files": files}}
    for name, content in (("their_models", models), ("their_corpora", corpora), ("theirs", study)):
        (fresh.root / f"{name}.yaml").write_text(yaml.safe_dump(content))
    run = fresh.snakemake(configfile="theirs.yaml")
    assert run.returncode == 0, run.stdout
    results = fresh.root / "results" / "theirs"
    proofs = {name: read_json(results / f"checkpoints/{name}.json")["proof"] for name in models}
    assert {name: proof["layers"] for name, proof in proofs.items()} == {"gemma": 2, "mixed": 2, "neo": 2}
    assert not any(proof["without_heads"] for proof in proofs.values())
    assert set(RATES.read(results / "tables/rates.parquet").to_pandas()["model"]) == models.keys()
    assert (results / "summary.md").exists()
