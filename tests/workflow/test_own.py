"""A model and a corpus of one's own: two lines each, as the README shows them."""

import json
from pathlib import Path

import yaml
from conftest import Checkout
from gguf import GGMLQuantizationType

from checkouts import planned
from gguf_files import small_llama, write_gguf
from gguf_tokenizers import byte_level_keys
from recite.checkpoints.architectures import Shape
from recite.checkpoints.training import build_model
from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tokenization import train_tokenizer
from recite.stages.scoring.tables import RATES


def test_safetensors_gguf_and_plain_lines(fresh: Checkout, tmp_path: Path) -> None:
    """What the README promises must run from the files to the summary."""
    text = Path(json.__file__).with_name("decoder.py").read_text()
    texts = [text[start:][:500] for start in range(0, 2400, 60)]
    notes = tmp_path / "notes"
    (notes / "2024").mkdir(parents=True)
    for name, part in (("a.jsonl", texts[::2]), ("2024/b.jsonl", texts[1::2])):
        kinds = ("mail", "code")
        lines = [json.dumps({"text": text, "kind": kinds[index % 2]}) for index, text in enumerate(part)]
        (notes / name).write_text("\n".join(lines) + "\n")
    mine, packed = tmp_path / "mine", tmp_path / "packed.gguf"
    build_model("olmo2", Shape(2, 32, 2), 400, 128, seed=1).save_pretrained(mine)
    tokenizer = train_tokenizer(texts, 400)
    tokenizer.save(str(mine / "tokenizer.json"))
    keys = byte_level_keys(tokenizer, "gpt-2")
    write_gguf(packed, small_llama(vocabulary=400), GGMLQuantizationType.F32, keys=keys)
    models = {
        "mine": {"corpus": "notes", "path": str(mine)},
        "packed": {"corpus": "notes", "path": str(packed)},
    }
    files = {"folder": str(notes), "patterns": ["*.jsonl"], "domain": "kind"}
    classes = {"mail": "mail", "code": "source_code"}
    corpora = {"notes": {"domains": {"mail": "free_text", "code": "structural"}, "classes": classes, "files": files}}
    study = {
        "study": "own",
        "seed": 1,
        "models_file": "own_models.yaml",
        "corpora_file": "own_corpora.yaml",
        "models": ["mine", "packed"],
        "sampling": {"rows_per_domain": 10, "shard_rows": 10},
        "scoring": {"batch_rows": 8, "shards_per_job": 2},
        "aggregation": {"resamples": 100},
    }
    for name, content in (("own_models", models), ("own_corpora", corpora), ("own", study)):
        (fresh.root / f"{name}.yaml").write_text(yaml.safe_dump(content))
    (fresh.root / "heads.yaml").write_text(yaml.safe_dump(study | {"ablation": {"layers_per_job": 1}}))
    dry = fresh.snakemake("-n", configfile="heads.yaml")
    assert dry.returncode == 0, dry.stdout
    assert planned(dry.stdout)["ablation"] == 2 * 2  # models, layers of each
    run = fresh.snakemake(configfile="own.yaml")
    assert run.returncode == 0, run.stdout
    again = fresh.snakemake("-n", configfile="own.yaml")
    assert "Nothing to be done" in again.stdout, again.stdout
    samples = [fresh.root / f"results/own/samples/{family}/mail-0000.parquet" for family in models]
    assert SAMPLES.read(samples[0]).column("context") == SAMPLES.read(samples[1]).column("context")
    rates = RATES.read(fresh.root / "results/own/tables/rates.parquet").to_pandas()
    assert rates.groupby("model")["n"].max().to_dict() == {"mine": 20, "packed": 20}
    assert set(rates["family"]) == {"mine", "packed"}
    logs = [log.read_bytes() for log in (fresh.root / "results/own/logs").rglob("*.log")]
    assert logs and not any(b"\r" in log for log in logs)  # a bar, as of reading a GGUF file
