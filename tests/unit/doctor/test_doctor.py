"""recite.doctor.study: every fault planted in a folder is found, with its remedy, and nothing in a healthy one."""

import json
import os
import shutil
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections import namedtuple
from pathlib import Path

import datasets
import pytest
import yaml
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from typer.testing import CliRunner

from recite.checkpoints import weight_files
from recite.checkpoints.architectures import Shape
from recite.checkpoints.training import build_model
from recite.cli import app
from recite.corpora.inventory import take_inventory
from recite.doctor import study as doctor
from recite.doctor.study import examine, locks, made_files, record_path, running_heads
from recite.files import sha256_file
from recite.study.study import Study
from studies import NOTES, loaded, own_study, shipped

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study of one model of one's own in a healthy folder: weights, corpus, one result and its record are there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").symlink_to(ROOT / "config")
    facts = {"layers": 2, "width": 8, "heads": 2, "shared_heads": 2, "feed_forward": 32, "vocabulary": 50}
    model = build_model("pythia", Shape(2, 8, 2), 50, 64, seed=5)
    model.save_pretrained(tmp_path / "data/models/mine")
    tokens = {f"word{index}": index for index in range(50)}
    Tokenizer(WordLevel(tokens, unk_token="word0")).save(str(tmp_path / "data/models/mine/tokenizer.json"))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    registry = {"mine": {"corpus": "notes", "gpus": 0, "parameters": parameters, **facts}}
    files = NOTES["files"] | {"gigabytes": 0.001}
    config = own_study(tmp_path, registry, {"notes": NOTES | {"files": files}})
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config))
    for path in ("data/corpora/notes/2024/a.jsonl", "results/mine/tables/rates.parquet"):
        Path(path).parent.mkdir(parents=True)
        Path(path).write_text("content")
    record("results/mine/tables/rates.parquet")
    for path in ("results/mine/logs/a.log", "results/mine/records/a.json", "results/mine/report.html"):
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).touch()
    return loaded(config)


def record(file: str) -> None:
    """What Snakemake leaves of a file that it has made."""
    record_path(file).parent.mkdir(parents=True, exist_ok=True)
    record_path(file).touch()


def found(study: Study, full: bool = False) -> str:
    return "\n".join(f"{finding.what} -> {finding.remedy}" for finding in examine(study, full))


def test_a_healthy_folder(study: Study) -> None:
    assert found(study) == ""
    assert made_files(study) == ["results/mine/tables/rates.parquet"]


def test_stale_lock(study: Study) -> None:
    Path(".snakemake/locks").mkdir(parents=True)
    assert found(study) == ""
    Path(".snakemake/locks/0.input.lock").touch()
    assert "a stale lock" in found(study) and "snakemake --unlock" in found(study)
    assert [finding.what for finding in locks([7])] == ["Snakemake runs here already (process 7)"]


def test_a_running_head_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lock is not stale; one that runs elsewhere, a job and a dry run are no heads of this folder."""
    monkeypatch.chdir(tmp_path)
    Path("snakemake").write_text("import time\ntime.sleep(60)\n")
    head = subprocess.Popen([sys.executable, str(tmp_path / "snakemake")])
    others = [["--mode", "remote"], ["-n"], ["--dry-run"]]
    rest = [subprocess.Popen([sys.executable, str(tmp_path / "snakemake"), *words]) for words in others]
    try:
        end = time.monotonic() + 20
        while running_heads() != [head.pid] and time.monotonic() < end:
            time.sleep(0.1)
        assert running_heads() == [head.pid]
        monkeypatch.chdir("/")
        assert head.pid not in running_heads()
    finally:
        for process in (head, *rest):
            process.kill()
            process.wait()


def test_missing_records(study: Study) -> None:
    """Without its record a result of old code or options looks as new as any."""
    record_path("results/mine/tables/rates.parquet").unlink()
    assert "1 results have no record of what they were made with: results/mine/tables/rates.parquet" in found(study)
    assert "snakemake --touch" in found(study)


def test_records_of_long_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Snakemake cuts names that are too long for a file system into folders."""
    monkeypatch.chdir(tmp_path)
    short, long = "results/a", "results/" + "a" * 300
    assert record_path(short) == Path(".snakemake/metadata", urlsafe_b64encode(short.encode()).decode())
    pieces = record_path(long).parts[2:]
    assert len(pieces) == 2 and pieces[0].startswith("@")
    assert pieces[0][1:] + pieces[1] == urlsafe_b64encode(long.encode()).decode()


def test_leftovers(study: Study) -> None:
    Path("results/mine/tables/.rates.parquet.7.tmp").touch()
    assert "1 temporary files of jobs that were killed" in found(study)


def test_full_disk(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(doctor, "disk_usage", lambda path: usage(10, 9, 1))
    assert "GB more, and the disk has 0.0 GB" in found(study)


def test_weights(study: Study) -> None:
    """Missing, or no longer those that the record names; other bytes of the same number are found in full only."""
    weights, record_file = Path("data/models/mine/model.safetensors"), Path("results/mine/checkpoints/mine.json")
    record_file.parent.mkdir()
    files = {"model.safetensors": {"bytes": weights.stat().st_size, "sha256": sha256_file(weights)}}
    record_file.write_text(json.dumps({"files": files}))
    record(str(record_file))
    assert found(study, full=True) == ""
    with weights.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x01")
    assert found(study) == "" and "is not the file that was registered" in found(study, full=True)
    weights.write_bytes(weights.read_bytes() + b"more")
    assert "is not the file that was registered" in found(study)
    shutil.rmtree(weights.parent)
    assert "model mine: no weights at data/models/mine" in found(study)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 19763\n"
MINE = "data/models/mine"


@pytest.mark.parametrize(
    ("file", "content", "what"),
    [
        (
            "model.safetensors",
            POINTER,
            f"{MINE}/model.safetensors is a pointer of Git LFS and not the file itself -> fetch",
        ),
        ("config.json", POINTER, f"{MINE}/config.json is a pointer of Git LFS and not the file itself -> fetch that"),
        ("tokenizer.json", POINTER, f"{MINE}/tokenizer.json is a pointer of Git LFS and not the file itself -> fetch"),
        ("model.safetensors", "", "cannot be loaded (model.safetensors: Error while deserializing header"),
        ("model.safetensors", None, f"{MINE} has no weights (model.safetensors) -> make or fetch the checkpoint again"),
        ("config.json", None, "it has no config.json -> name another or make it again"),
        ("tokenizer.json", None, f"{MINE}/tokenizer.json does not exist -> name it by `tokenizer` in the models file"),
        ("tokenizer.json", "{}", "tokenizer.json is not a readable tokenizer"),
        ("model.safetensors.index.json", '{"weight_map": {"a": "b.safetensors"}, "metadata": {}}', ""),
    ],
)
def test_files_of_a_checkpoint(study: Study, file: str, content: str | None, what: str) -> None:
    """What registration would refuse is found before anything is registered; the other questions are still asked."""
    if content is None:
        Path(MINE, file).unlink()
    else:
        Path(MINE, file).write_text(content)
    record_path("results/mine/tables/rates.parquet").unlink()
    findings = found(study)
    assert what in findings and "1 results have no record" in findings
    assert len(findings.splitlines()) == (2 if what else 1)


def test_shards_of_a_checkpoint(study: Study) -> None:
    """An index that names a shard that is not there."""
    Path(MINE, "model.safetensors").rename(Path(MINE, "part-1.safetensors"))
    names = {"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors"}, "metadata": {}}
    Path(MINE, "model.safetensors.index.json").write_text(json.dumps(names))
    assert "cannot be loaded (part-2.safetensors is not there) -> make or fetch the checkpoint again" in found(study)
    shutil.copy(Path(MINE, "part-1.safetensors"), Path(MINE, "part-2.safetensors"))
    assert "is both in part-1.safetensors and in part-2.safetensors" in found(study)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"pad_token_id": 50}, "pad_token_id 50 is outside of its vocabulary of 50 tokens"),
        ({"vocab_size": 40}, "gpt_neox.embed_in.weight is of shape [50, 8], by its config of [40, 8]"),
        ({"num_attention_heads": 1}, "the models file says heads 2, by data/models/mine/config.json it is 1"),
        ({"hidden_act": "gelu_of_my_own"}, "is no config of GPTNeoXForCausalLM"),
        (
            {"final_logit_softcapping": 30.0},
            "says final_logit_softcapping 30.0, which GPTNeoX",
        ),
        ({"model_type": "gpt9"}, "model mine: architecture 'gpt9' is no decoder that transformers"),
    ],
)
def test_config_of_a_checkpoint(study: Study, change: dict[str, object], what: str) -> None:
    """A config that no model can be made of, or that would not be heeded."""
    config = json.loads(Path(MINE, "config.json").read_text())
    Path(MINE, "config.json").write_text(json.dumps(config | change))
    findings = found(study)
    assert len(findings.splitlines()) == 1 and what in findings and findings.startswith("model mine: ")


def test_tokenizers_of_a_family(study: Study, tmp_path: Path) -> None:
    """Two models that are said to share a sample, and cut text into other tokens."""
    shutil.copytree(MINE, "data/models/other")
    config = yaml.safe_load(Path("study.yaml").read_text())
    registry = yaml.safe_load(Path(config["models_file"]).read_text())
    pair = {name: registry["mine"] | {"family": "own"} for name in ("mine", "other")}
    two = loaded(own_study(tmp_path, pair, {"notes": NOTES | {"files": NOTES["files"] | {"gigabytes": 0.001}}}))
    assert found(two) == ""
    words = {f"other{index}": index for index in range(50)}
    Tokenizer(WordLevel(words, unk_token="other0")).save("data/models/other/tokenizer.json")
    assert found(two).startswith("model other has another tokenizer than family own (data/models/other/tokenizer.")


def test_gguf_files_are_not_fetched(study: Study, tmp_path: Path) -> None:
    """A study that fetches its weights does not fetch these: they must be there."""
    entry = {
        "corpus": "notes",
        "path": "data/m.gguf",
        "hub": "owner/name",
        "revision": "a" * 40,
        "tokenizer": "/t.json",
    }
    made = loaded(own_study(tmp_path, {"mine": entry}, {"notes": NOTES}, fetch=True))
    assert "model mine: no weights at data/m.gguf" in found(made)


def test_weights_are_not_read(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers tell all; of terabytes of weights not a tensor is read."""

    def read(*arguments: object) -> None:
        raise AssertionError(arguments)

    monkeypatch.setattr(weight_files, "_read", read)
    monkeypatch.setattr(doctor, "sha256_file", read)
    assert found(study) == ""


def test_corpora(study: Study) -> None:
    file, inventory = Path("data/corpora/notes/2024/a.jsonl"), Path("results/mine/inventories/notes.json")
    inventory.parent.mkdir()
    inventory.write_text(json.dumps({"groups": [{"2024/a.jsonl": file.stat().st_size}]}))
    record(str(inventory))
    assert found(study) == ""
    file.write_text("more content")
    assert "corpus notes: 1 of its files are not as they were listed, such as data/corpora/notes/2024/a.jsonl" in found(
        study
    )
    file.unlink()
    assert "corpus notes: no file of data/corpora/notes matches '*.jsonl'" in found(study)


def test_texts_and_data_sets(tmp_path: Path, study: Study) -> None:
    """What has no patterns of its own, or not all of them, must not be taken for lost; what is lost must be found."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.md").write_text("some")
    corpora = {"notes": {"texts": str(tmp_path / "notes")}}
    model = {"mine": {"corpus": "notes"}}
    made = loaded(own_study(tmp_path, model, corpora))
    assert list(doctor.corpus_files(made, "notes")) == []
    (tmp_path / "notes/a.md").unlink()
    assert "no file of" in str(*doctor.corpus_files(made, "notes"))
    made = loaded(own_study(tmp_path, model, {"notes": {"dataset": {"folder": str(tmp_path / "saved")}}}))
    assert "no file of" in str(*doctor.corpus_files(made, "notes"))
    datasets.Dataset.from_list([{"text": "some"}]).save_to_disk(str(tmp_path / "saved"))
    assert list(doctor.corpus_files(made, "notes")) == []
    inventory = Path(made.results, "inventories/notes.json")
    take_inventory(made.rules["inventory"].options(made, {"corpus": "notes"}), inventory, fetch=False)
    assert list(doctor.corpus_files(made, "notes")) == []
    (tmp_path / "saved/data-00000-of-00001.arrow").unlink()
    assert "1 of its files are not as they were listed, such as" in str(*doctor.corpus_files(made, "notes"))
    streamed = {"name": "owner/name", "revision": "a" * 40, "streaming": True}
    made = loaded(own_study(tmp_path / "notes", model, {"notes": {"dataset": streamed}}))
    inventory.unlink()
    assert list(doctor.corpus_files(made, "notes")) == []


def test_corpora_are_matched_as_the_inventory_does(study: Study) -> None:
    """Prevents the doctor from missing files that are read, or from passing what the inventory refuses."""
    Path("data/corpora/notes/2024/a.jsonl").rename("data/corpora/notes/top[1].jsonl")
    files = study.corpora["notes"]["files"]
    for pattern in ("**/*.jsonl", "top[1].jsonl", "./top*", "*.jsonl"):
        files["patterns"] = [pattern]
        assert "corpus notes" not in found(study), pattern
    files["patterns"] = ["top[2].jsonl"]
    assert "corpus notes: no file of data/corpora/notes matches 'top[2].jsonl'" in found(study)
    files |= {"patterns": ["**/*.jsonl"], "without": ["2024/a.jsonl"]}
    assert "corpus notes: `without` names '2024/a.jsonl', which is no file of data/corpora/notes" in found(study)


def test_a_corpus_that_may_not_be_read(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents the doctor from stopping at the first folder that it may not list."""

    def refuse(place: str) -> object:
        raise PermissionError(13, "Permission denied", place)

    monkeypatch.setattr("os.scandir", refuse)
    (finding,) = doctor.corpus_files(study, "notes")
    assert finding.what == "corpus notes: its files are not known"
    assert finding.remedy.startswith("data/corpora/notes cannot be listed (Permission denied); correct its rights")


def test_a_study_that_is_made_here_needs_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").symlink_to(ROOT / "config")
    assert found(loaded(shipped("mini"))) == ""


def test_the_command(study: Study) -> None:
    """Exit code 0 where nothing is found, 1 and remedies where something is, 1 and a sentence for a wrong config."""
    arguments = ["doctor", "--configfile", "study.yaml", "--profile"]
    healthy = CliRunner().invoke(app, [*arguments, "none"])
    assert (healthy.exit_code, healthy.stdout) == (0, "Study mine: nothing found\n")
    ill = CliRunner().invoke(app, [*arguments, "nowhere"])
    assert ill.exit_code == 1
    assert "- Snakemake cannot read profile nowhere: profile directory given (nowhere), but no" in ill.stdout
    assert "\n  remedy: correct it, or name another one" in ill.stdout and "1 findings" in ill.stdout
    wrong = CliRunner().invoke(app, ["doctor", "--configfile", "nowhere.yaml"])
    assert wrong.exit_code == 1 and "nowhere.yaml" in wrong.output
