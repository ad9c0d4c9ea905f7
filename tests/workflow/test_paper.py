"""The paper's study: its own rules on small files of the six corpora's formats."""

import gzip
import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sentencepiece
import yaml
import zstandard
from conftest import Checkout

from counts_server import CountsServer
from recite.checkpoints.architectures import Shape
from recite.checkpoints.training import build_model
from recite.corpora.readers import Layout, Skipped, read_documents
from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tokenization import train_tokenizer
from recite.stages.frequency.ngrams import Index, build_index, units_of
from recite.stages.frequency.rows import FREQUENCIES
from recite.stages.scoring.tables import RATES
from recite.tables import read_metadata

MODELS = {
    "pythia-1b": "pythia",
    "pythia-1.4b": "pythia",
    "openllama-3b": "openllama",
    "starcoderbase-1b": "starcoder",
    "olmo1-1b": "olmo1",
    "olmo2-1b": "olmo2",
    "olmo3-7b": "olmo3",
}
DOMAINS = {
    "pile": ["pile_cc", "github"],
    "redpajama": ["common_crawl", "arxiv"],
    "starcoderdata": ["python", "github_issues"],
    "dolma": ["common_crawl", "wiki"],
    "olmo_mix": ["dclm", "algebraic_stack"],
    "dolma3": ["common_crawl", "finemath"],
}
ROWS, DOCUMENTS = 6, 20
INSIDE = ("tuned_lens", "dimension", "attention", "sublayers", "neurons")
"""Sections of analyses that two of the models do for all."""


def test_missing_weights_are_said_at_once(fresh: Checkout) -> None:
    """A lab that starts without its data must read what to put where."""
    run = fresh.snakemake("results/paper/tokenizers/olmo1/tokenizer.json", configfile="config/paper.yaml")
    assert run.returncode == 1
    assert "recite: the tokenizer of model olmo1-1b is not there: data/models/olmo1-1b" in run.stdout
    assert "fetch: true" in run.stdout and "Traceback" not in run.stdout


def passages(label: str) -> list[str]:
    """Documents of some hundred characters of a module's source, each with its label."""
    text = Path(json.__file__).with_name("decoder.py").read_text()
    return [f"{label} {index}: {text[97 * index :][:600]}" for index in range(DOCUMENTS)]


def lines_of(label: str, **more: Any) -> bytes:
    """Lines of JSON."""
    return "".join(json.dumps({"text": text, **more}) + "\n" for text in passages(label)).encode()


def zstd(*frames: bytes) -> bytes:
    """A zstd file of these frames."""
    return b"".join(zstandard.compress(frame) for frame in frames)


def parquet(label: str) -> bytes:
    """A Parquet file as starcoderdata's."""
    file = io.BytesIO()
    texts = passages(label)
    pq.write_table(pa.table({"id": [str(index) for index in range(len(texts))], "content": texts}), file)
    return file.getvalue()


def public_index(root: Path) -> CountsServer:
    """What stands for the public API: one index of some passages, cut by a tokenizer of its own, under five names."""
    (root / "llama").mkdir()
    write_tokenizer(root / "llama", "openllama")
    texts = [text for label in ("Pile-CC", "Github", "crawl", "arxiv", "wiki", "dclm") for text in passages(label)]
    build_index(texts, units_of(root / "llama/tokenizer.model"), root / "llama/index", threads=1, gigabytes=1)
    names = ("piletrain_llama", "rpj_llama_s4", "dolma-v1_7_llama", "olmo-mix-1124_llama")
    names += ("olmo-3-7b-pretrain-shared_olmo2",)
    index = Index([root / "llama/index"])
    return CountsServer({f"v4_{name}": index for name in names})


def corpus_files() -> dict[str, bytes]:
    """Small files of each corpus, where and as the real ones are."""
    pile = [lines_of(label, meta={"pile_set_name": label}) for label in ("Pile-CC", "Github", "Books3")]
    shallow = {f"redpajama/{name}/{name}_0.jsonl": lines_of(name) for name in ("c4", "github", "arxiv")}
    shallow |= {f"redpajama/{name}/{name}.jsonl": lines_of(name) for name in ("wikipedia", "stackexchange")}
    dolma = {"cc_en_head": 0, "cc_en_tail": 0, "wiki": 1}
    removed = (json.dumps({"text": " [REMOVED]\n"}) + "\n").encode()
    return {
        "pile/train/00.jsonl.zst": zstd(pile[0], pile[2]),
        "pile/train/01.jsonl.zst": zstd(pile[1] + b"\n"),
        "redpajama/common_crawl/2019-30/en_head_0000.json.gz.dedup.classifier.jsonl.zst": zstd(lines_of("crawl")),
        **shallow,
        "starcoderdata/python/train-00000-of-00002.parquet": parquet("python"),
        "starcoderdata/github-issues-filtered-structured/train-00000-of-00001.parquet": parquet("issues"),
        "starcoderdata/ada/train-00000-of-00001.parquet": parquet("ada"),
        **{f"dolma/{name}/{name}-{n:04d}.json.gz": gzip.compress(lines_of(name)) for name, n in dolma.items()},
        "olmo_mix/data/algebraic-stack/train/algebraic-stack-train-0000.json.gz": gzip.compress(lines_of("algebra")),
        "olmo_mix/data/dclm/raw/global-shard_01_of_10/shard_0_processed.jsonl.zstd": zstd(lines_of("dclm")),
        "dolma3/data/common_crawl-politics-0016/shard_00000052.jsonl.zst": zstd(lines_of("politics"), removed),
        "dolma3/data/finemath-3plus/00001.jsonl.zst": zstd(lines_of("finemath", id="not used")),
        "dolma3/data/finemath-3plus/00002.jsonl.zst338588528": b"an upload that broke off",
    }


def write_tokenizer(folder: Path, family: str) -> int:
    """A tokenizer's file as the family's checkpoints hold it; the size of its vocabulary."""
    texts = list(itertools.chain.from_iterable(passages(label) for label in ("a", "b")))
    if family == "openllama":
        (folder / "texts").write_text("\n".join(texts))
        sentencepiece.SentencePieceTrainer.train(
            input=str(folder / "texts"),
            model_prefix=str(folder / "tokenizer"),
            vocab_size=400,
            model_type="bpe",
            byte_fallback=True,
            minloglevel=2,
        )
        return 400
    train_tokenizer(texts, 400).save(str(folder / "tokenizer.json"))
    return 400


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """The paper's config and corpora on these files, with small models of random weights under the real names."""
    from conftest import copy_checkout

    checkout = copy_checkout(tmp_path_factory.mktemp("paper") / "a checkout", "study.yaml")
    root = checkout.root
    for name, content in corpus_files().items():
        path = root / "data/corpora" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    registry = yaml.safe_load((root / "config/models.yaml").read_text())
    facts = ("width", "heads", "shared_heads", "feed_forward", "vocabulary", "parameters")
    entries = {}
    for name, family in MODELS.items():
        folder = root / "data/models" / name
        folder.mkdir(parents=True)
        vocabulary = write_tokenizer(folder, family)
        layers = 3 if name == "pythia-1.4b" else 2
        build_model(family, Shape(layers, 32, 2), vocabulary, 128, seed=1).save_pretrained(folder)
        entry = {key: value for key, value in registry[name].items() if key not in facts}
        entries[name] = entry | {"layers": layers, "dtype": "float32", "gpus": 0}
    corpora = yaml.safe_load((root / "config/corpora.yaml").read_text())
    for corpus in DOMAINS:
        corpora[corpus]["files"]["groups"] = 2
    config = yaml.safe_load((root / "config/paper.yaml").read_text())
    config["models"] = list(MODELS)
    config["sampling"] |= {"rows_per_domain": ROWS, "shard_rows": 4, "candidates_per_row": 3, "domains": DOMAINS}
    config["scoring"] = {"batch_rows": 8, "shards_per_job": 4}
    config["noise"] |= {"models": list(MODELS)[::3], "strengths": [0.0, 0.3]}
    config["ablation"] = {"models": list(MODELS)[::3], "rows_per_domain": 2}
    config["predictability"] |= {"contexts": 2}
    for section in INSIDE:
        config[section] = (config[section] or {}) | {"models": ["pythia-1.4b", "olmo3-7b"]}
    config["erasing"] = {"models": ["olmo3-7b"]}
    server = public_index(root)
    config["frequency"] |= {"families": list(dict.fromkeys(MODELS.values()))}
    config["frequency"]["public"] = {
        "endpoint": server.address,
        "tokenizers": dict.fromkeys(["llama-2", "olmo-2"], "llama/tokenizer.model"),
        "requests_per_second": 1000,
    }
    config |= {"models_file": "models.yaml", "corpora_file": "corpora.yaml", "aggregation": {"resamples": 100}}
    for name, content in (("models", entries), ("corpora", corpora), ("study", config)):
        (root / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    run = checkout.snakemake()
    assert run.returncode == 0, run.stdout
    yield checkout
    server.close()


def test_every_family_comes_to_the_figures(paper: Checkout) -> None:
    """Each corpus's format, each tokenizer and each architecture, from the files to the figures."""
    results = paper.root / "results/paper"
    rates = RATES.read(results / "tables/rates.parquet").to_pandas()
    assert set(rates["model"]) == set(MODELS)
    natural = rates[rates["domain"] == "natural"]
    assert (natural["n"] == 2 * ROWS).all()
    for figure in ("scaling", "distribution", "domains", "noise"):
        assert (results / f"figures/{figure}.png").stat().st_size > 10_000
    assert "| pythia-1.4b |" in (results / "summary.md").read_text()
    assert paper.snakemake("--dry-run").stdout.count("Nothing to be done") == 1


@pytest.mark.parametrize("family", list(dict.fromkeys(MODELS.values())))
def test_public_counts_where_there_are_any(paper: Checkout, family: str) -> None:
    """A corpus that the public index lacks must be counted all the same, by its bytes."""
    path = paper.root / f"results/paper/frequencies/{family}/public.parquet"
    by = "bytes" if family == "starcoder" else "public"
    told = read_metadata(path)["options"]
    assert told["by"] == by
    whose = {"starcoder": None, "olmo3": "olmo-2"}.get(family, "llama-2")
    assert told.get("tokenizer") == whose
    table = FREQUENCIES.read(path).to_pandas()
    assert len(table) == 2 * ROWS
    if by == "bytes":
        assert (table["sequence"] <= table[["context", "continuation"]].min(axis=1)).all()
        assert (table["sequence"] >= 1).all()
        assert (paper.root / "results/paper/indexes/starcoderdata").exists()
    else:
        assert (table["token_frequency"] > 0).all()
        assert len(path.with_name(".public.jsonl").read_text().splitlines()) > ROWS


@pytest.mark.parametrize("family", list(dict.fromkeys(MODELS.values())))
def test_rows_point_to_their_documents(paper: Checkout, family: str) -> None:
    """A row's source must be the document that it was taken from, in any format."""
    registry = yaml.safe_load((paper.root / "models.yaml").read_text())
    corpus = next(entry["corpus"] for entry in registry.values() if entry["family"] == family)
    files = yaml.safe_load((paper.root / "corpora.yaml").read_text())[corpus]["files"]
    shards = sorted((paper.root / "results/paper/samples" / family).glob("*.parquet"))
    assert {path.stem.rpartition("-")[0] for path in shards} == set(DOMAINS[corpus])
    layout = Layout(files.get("text", "text"), None, files.get("domain"), files.get("path"), files.get("labels"))
    rows = [row for path in shards for row in SAMPLES.read(path).to_pylist()]
    assert len({row["row_id"] for row in rows}) == 2 * ROWS
    for row in rows:
        path = paper.root / "data/corpora" / corpus / row["source_file"]
        document = next(
            d for d in read_documents(path, row["source_file"], layout, Skipped()) if d.row == row["source_row"]
        )
        assert document.domain == row["domain"]
        assert document.text[row["window_start"] :].lstrip().startswith(row["text"].decode().lstrip())


def test_what_was_skipped_is_written_out(paper: Checkout) -> None:
    """Nothing of a corpus may vanish without a count and a place."""
    skipped = {}
    for path in (paper.root / "results/paper/candidates").rglob("*.parquet"):
        skipped |= read_metadata(path)["skipped"]
    assert skipped["label Books3 is not a domain of the corpus"]["count"] == DOCUMENTS
    assert skipped["label ada is not a domain of the corpus"]["count"] == DOCUMENTS
    assert skipped["removed"] == {"count": 1, "first": skipped["removed"]["first"]}
    assert skipped["blank line"]["count"] == 1


def test_a_bumped_revision_runs_that_model_again(paper: Checkout) -> None:
    """Other weights under an old name must not keep the old scores, nor cost those of other models."""
    registry = paper.root / "models.yaml"
    text, (old, new) = registry.read_text(), (yaml.safe_load(registry.read_text())["pythia-1.4b"]["revision"], "a" * 40)
    assert text.count(old) == 1
    registry.write_text(text.replace(old, new))
    try:
        jobs, messages = paper.plan()
    finally:
        registry.write_text(text)
    measured = ("near_verbatim", "extraction", "compressibility", "recovery", "lens", "predictability", "neurons")
    measured += ("attention", "dimension", "induction", "sublayers", "tuned_lens")
    own = ("registration", "scoring", "examples", "tuned_lens_training", "sublayer_means", *measured)
    summed = [f"{name}_aggregation" for name in (*measured, "frequency")]
    after = ("aggregation", "scaling", "domains", "signatures", "ledger", "summary")
    assert jobs == dict.fromkeys((*own, *summed, *after), 1) | {"figures": 30}
    assert set(messages.split()) & set(MODELS) == {"pythia-1.4b"}
