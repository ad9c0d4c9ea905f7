"""What `recite audit` says after each way of tampering with a finished study, its records, code, config or packages."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import CONFIG, PARTS, Checkout
from PIL import Image
from safetensors.numpy import load_file, save_file

from recite.files import sha256_file, write_json
from recite.provenance.records import sealed

SHARD = "samples/pythia/code-0000.parquet"
OTHER_SHARD = "samples/starcoder/code-0000.parquet"
SCORES = "scores/pythia-s/code-0000.parquet"
OTHER_SCORES = "scores/pythia-xs/code-0000.parquet"
NOISE = "noise/pythia-s/layer-0/alpha-0.5/code-0000.parquet"
WEIGHTS = "models/pythia-s/model.safetensors"
TABLE = "tables/rates.parquet"
CORPUS = "corpus/documents/code.jsonl.zst"
PICTURE, LIST = "figures/scaling.png", "figures/scaling.csv"
Wrong = dict[str, str]


@dataclass
class Restored(Checkout):
    """Code and results of a finished study in another place, without what Snakemake noted."""

    def audit(self, *arguments: str, path: Path | None = None) -> dict[str, Any]:
        """Run `recite audit --json`, with `path` before all other places of packages."""
        run = self.recite("audit", "--json", *arguments, path=path)
        found = json.loads(run.stdout)
        assert run.returncode == (0 if found["verified"] else 1)
        return found

    def recite(self, *arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
        places = [str(path)] if path else []
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([*places, str(self.root / "workflow")])}
        command = [".venv/bin/python", "-m", "recite", *arguments, "--configfile", CONFIG]
        return subprocess.run(command, cwd=self.root, env=environment, text=True, capture_output=True)

    def file(self, path: str) -> Path:
        return self.results / path

    def record(self, path: str) -> Path:
        return self.results / "records" / f"{path}.json"


@pytest.fixture(scope="session")
def audited(finished: Checkout) -> Checkout:
    """The finished study, audited once: what its Snakefile says is known from then on."""
    assert Restored(finished.root).audit()["verified"]
    return finished


@pytest.fixture
def restored(audited: Checkout, tmp_path: Path) -> Restored:
    """A copy to tamper with, in which nothing has run."""
    finished, root = audited, tmp_path / "another place"
    for part in PARTS:
        (root / part).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (finished.root / part).is_dir() else shutil.copy2)(finished.root / part, root / part)
    shutil.copytree(finished.results, root / "results/tiny")
    shutil.copytree(finished.root / ".recite", root / ".recite")
    (root / ".venv").symlink_to(sys.prefix)
    return Restored(root)


def wrong(found: dict[str, Any]) -> Wrong:
    """Path -> status of all that is not verified."""
    return {path: file["status"] for path, file in found["files"].items() if file["status"] != "verified"}


def reasons(found: dict[str, Any]) -> str:
    return "\n".join(reason["reason"] for file in found["files"].values() for reason in file["reasons"])


def flip(path: Path, at: int = -20) -> None:
    """Change one bit, in place."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def swap(one: Path, other: Path) -> None:
    aside = one.rename(one.with_name("aside"))
    other.rename(one)
    aside.rename(other)


def edit_record(study: Restored, path: str, seal: bool, **changes: Any) -> None:
    """Make a record say that the file as it is now was written, and whatever else."""
    record = json.loads(study.record(path).read_text())
    now = {"bytes": study.file(path).stat().st_size, "sha256": sha256_file(study.file(path))}
    record |= {"outputs": {path: now}, **changes}
    write_json(study.record(path), sealed(record) if seal else record)


def flip_and_edit(study: Restored, path: str, seal: bool, **changes: Any) -> None:
    flip(study.file(path))
    edit_record(study, path, seal, **changes)


def edit_metadata(path: Path) -> None:
    """Say in a table's file that it was made on another device."""
    table = pq.read_table(path)
    noted = {**json.loads(table.schema.metadata[b"recite"]), "device": "1 x A100"}
    pq.write_table(table.replace_schema_metadata({b"recite": json.dumps(noted).encode()}), path, compression="zstd")


def replace_weight(path: Path) -> None:
    """Change one number of one tensor."""
    tensors = {name: tensor.copy() for name, tensor in load_file(path).items()}
    name = sorted(tensors)[0]
    tensors[name].flat[0] += 1
    save_file(tensors, path, metadata={"format": "pt"})


def edit_with_old_time(study: Restored) -> None:
    """Change bytes that were audited before, and set the time of modification back."""
    assert study.audit()["verified"]
    path = study.file(SCORES)
    before = path.stat()
    flip(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size and path.stat().st_mtime_ns == before.st_mtime_ns


def truncate(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def swap_with_records(study: Restored) -> None:
    swap(study.file(SCORES), study.file(OTHER_SCORES))
    swap(study.record(SCORES), study.record(OTHER_SCORES))


FILES: dict[str, tuple[Callable[[Restored], Any], Wrong]] = {
    "a bit of a shard": (lambda study: flip(study.file(SHARD)), {SHARD: "tampered"}),
    "a bit of the first byte": (lambda study: flip(study.file(NOISE), at=0), {NOISE: "tampered"}),
    "a bit of the corpus": (lambda study: flip(study.file(CORPUS)), {CORPUS: "tampered"}),
    "a bit of a table": (lambda study: flip(study.file(TABLE)), {TABLE: "tampered"}),
    "a bit of a picture": (lambda study: flip(study.file(PICTURE)), {PICTURE: "tampered"}),
    "a number of a figure's list": (lambda study: flip(study.file(LIST), at=-3), {LIST: "tampered"}),
    "a word of the summary": (lambda study: flip(study.file("summary.md")), {"summary.md": "tampered"}),
    "two shards swapped": (
        lambda study: swap(study.file(SHARD), study.file(OTHER_SHARD)),
        {SHARD: "tampered", OTHER_SHARD: "tampered"},
    ),
    "two scores swapped with their records": (
        swap_with_records,
        {SCORES: "tampered", OTHER_SCORES: "tampered"},
    ),
    "scores cut off": (lambda study: truncate(study.file(SCORES), 700), {SCORES: "tampered"}),
    "scores emptied": (lambda study: truncate(study.file(SCORES), 0), {SCORES: "tampered"}),
    "a byte appended": (
        lambda study: truncate(study.file(SCORES), 10**6) or study.file(SCORES).open("ab").write(b"0"),
        {SCORES: "tampered"},
    ),
    "the record edited to match": (lambda study: flip_and_edit(study, SCORES, seal=False), {SCORES: "tampered"}),
    "the record edited to match, and sealed": (
        lambda study: flip_and_edit(study, SCORES, seal=True),
        {SCORES: "tampered"},
    ),
    "a parameter of the record": (
        lambda study: edit_record(study, SCORES, seal=False, parameters={}),
        {SCORES: "tampered"},
    ),
    "a record that is no JSON": (lambda study: truncate(study.record(SCORES), 99), {SCORES: "tampered"}),
    "a record that says less": (lambda study: write_json(study.record(SCORES), sealed({})), {SCORES: "tampered"}),
    "the metadata of a table": (lambda study: edit_metadata(study.file(SCORES)), {SCORES: "tampered"}),
    "a number of the weights": (lambda study: replace_weight(study.file(WEIGHTS)), {WEIGHTS: "tampered"}),
    "weights of another model": (
        lambda study: shutil.copy2(study.file("models/starcoder-s/model.safetensors"), study.file(WEIGHTS)),
        {WEIGHTS: "tampered"},
    ),
    "a new edit with an old time": (edit_with_old_time, {SCORES: "tampered"}),
    "words in a file that only says that samples are there": (
        lambda study: study.file("samples/complete").write_text("all"),
        {"samples/complete": "tampered"},
    ),
    "an intermediate deleted": (lambda study: study.file(SHARD).unlink(), {SHARD: "missing"}),
    "a figure deleted": (lambda study: study.file(PICTURE).unlink(), {PICTURE: "missing"}),
    "a record deleted": (lambda study: study.record(SCORES).unlink(), {SCORES: "missing"}),
    "newer times": (lambda study: [os.utime(path) for path in study.results.rglob("*") if path.is_file()], {}),
    "a file of nobody": (lambda study: study.file("tables/mine.parquet").write_text("mine"), {}),
    "notes of digests deleted": (lambda study: shutil.rmtree(study.results / "records/.digests"), {}),
    "a link to the same bytes": (
        lambda study: study.file(SHARD).symlink_to(study.file(SHARD).rename(study.root / "elsewhere")),
        {},
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_results_and_records(restored: Restored, case: str) -> None:
    """Each file that was tampered with is named, and no other."""
    tamper, expected = FILES[case]
    tamper(restored)
    assert wrong(restored.audit()) == expected


def test_a_forged_record_with_a_new_time_leaves_its_readers_stale(restored: Restored) -> None:
    """It looks like a job that ran later: what was made before from other bytes does not hold any more."""
    flip_and_edit(restored, NOISE, seal=True, started="2999-01-01T00:00:00.000+00:00")
    found = restored.audit()
    assert {path: status for path, status in wrong(found).items() if path.startswith(("noise", "tables"))} == {
        "tables/noise_rates.parquet": "stale"
    }
    assert f"it was made from another {NOISE} than is there now" in reasons(found)


def stale_rules(found: dict[str, Any]) -> set[str]:
    return {file["rule"] for file in found["files"].values() if file["status"] == "stale"}


MODELS = {"scoring", "noise", "recovery", "lens", "ablation", "compressibility"}
SOURCES: dict[str, tuple[str, str, str, set[str], str]] = {
    "a module that stages import": (
        "workflow/recite/engine/continuation.py",
        "length = context.shape[1] + steps - 1",
        "length = context.shape[1] + steps - 2",
        MODELS,
        "module recite.engine.continuation has moved on",
    ),
    "a stage's own module": (
        "workflow/recite/comparison/scaling/summarize.py",
        "def fit_scaling(",
        "ADDED = 1\n\n\ndef fit_scaling(",
        {"scaling"},
        "module recite.comparison.scaling.summarize has moved on",
    ),
    "a comment": (
        "workflow/recite/engine/continuation.py",
        "length = context.shape[1] + s",
        "# why\n    length = context.shape[1] + s",
        set(),
        "",
    ),
    "a docstring": (
        "workflow/recite/checkpoints/training.py",
        '"""Training the mini',
        '"""Training the very mini',
        set(),
        "",
    ),
    "what only records": ("workflow/recite/provenance/records.py", "FORMAT = 2", "FORMAT = 2\nMORE = 2", set(), ""),
    "a caption": ("workflow/recite/stages/noise/stage.py", "α = 0 is the", "α = 0 is, yes, the", set(), ""),
    "a seed of a recipe": (CONFIG, "seed: 11", "seed: 21", {"training"}, "options.recipe.seed is 21, was 11"),
    "two values swapped": (
        CONFIG,
        "context_tokens: 16\n  continuation_tokens: 16",
        "context_tokens: 12\n  continuation_tokens: 20",
        {"sampling"},
        "options.context_tokens is 12, was 16",
    ),
    "a claim's bound": ("config/claims.yaml", "above: 0.9", "above: 0.95", {"ledger"}, ".above is 0.95, was 0.9"),
    "a figure's title": (
        "workflow/recite/comparison/scaling/stage.py",
        "Memorization against model size",
        "Memorization and size",
        {"figures"},
        "options.title is Memorization and size, was Memorization against model size",
    ),
}


@pytest.mark.parametrize("case", SOURCES)
def test_code_and_config(restored: Restored, case: str) -> None:
    """The stages whose code or options have moved on are stale, with the module or key named; a comment is nothing."""
    path, old, new, rules, reason = SOURCES[case]
    restored.edit(path, old, new)
    found = restored.audit()
    assert stale_rules(found) == rules
    assert set(wrong(found).values()) <= {"stale"}
    assert reason in reasons(found)


def test_a_new_model_is_missing_and_its_readers_are_stale(restored: Restored) -> None:
    """A figure over all models does not hold for a study that has one more."""
    restored.edit(CONFIG, "    s: {layers: 2", "    m: {layers: 2, width: 32, heads: 4}\n    s: {layers: 2")
    found = restored.audit()
    assert {status for path, status in wrong(found).items() if "-m/" in path} == {"missing"}
    assert found["files"][TABLE]["status"] == "stale"
    assert "it would be made from scores/pythia-m/code-0000.parquet too" in reasons(found)


def test_touching_hides_no_edit(finished: Checkout, checkout: Checkout, tmp_path: Path) -> None:
    """`snakemake --touch` after an edit makes Snakemake believe that all is up to date."""
    root = tmp_path / "touched"
    shutil.copytree(finished.root, root, symlinks=True)
    study = Restored(root)
    study.edit(
        "workflow/recite/stages/noise/measure.py", "def score_under_noise(", "ADDED = 1\n\n\ndef score_under_noise("
    )
    assert study.snakemake("--touch").returncode == 0
    assert study.jobs() == {}
    found = study.audit()
    assert stale_rules(found) == {"noise"} and "module recite.stages.noise.measure has moved on" in reasons(found)


def test_another_package_is_a_drift(restored: Restored, tmp_path: Path) -> None:
    """Results of one version need not be those of another."""
    (tmp_path / "packages/numpy-1.0.0.dist-info").mkdir(parents=True)
    found = restored.audit(path=tmp_path / "packages")
    assert set(wrong(found).values()) == {"drifted"}
    assert "numpy is 1.0.0, was" in reasons(found)


def test_full_believes_no_note(restored: Restored) -> None:
    """Who can write results can write notes beside them; --full reads the files."""
    assert restored.audit()["verified"]
    flip(restored.file(SCORES))
    note, state = restored.results / "records/.digests" / SCORES, restored.file(SCORES).stat()
    sha256 = note.read_text().split()[-1]
    note.write_text(f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} {state.st_ino} {sha256}\n")
    assert restored.audit()["verified"]
    assert wrong(restored.audit("--full")) == {SCORES: "tampered"}


def test_no_false_alarm(restored: Restored) -> None:
    """Twenty clean audits, cached and in full."""
    code = (
        "from pathlib import Path; from recite.catalogue import STAGES\n"
        "from recite.provenance.audit.command import Wanted, audit_study\n"
        f"runs = [audit_study(Path({CONFIG!r}), STAGES, [], Wanted(full=bool(run % 2))) for run in range(20)]\n"
        "assert all(verified for _, verified in runs), runs\nassert len({text for text, _ in runs}) == 1"
    )
    environment = os.environ | {"PYTHONPATH": str(restored.root / "workflow")}
    run = subprocess.run(
        [".venv/bin/python", "-c", code], cwd=restored.root, env=environment, text=True, capture_output=True
    )
    assert run.returncode == 0, run.stderr


def test_made_again_with_the_same_bytes(finished: Checkout, tmp_path: Path) -> None:
    """A job that ran again and made what was there before makes nothing that rests on it stale."""
    root = tmp_path / "again"
    shutil.copytree(finished.root, root, symlinks=True)
    study = Restored(root)
    before = study.record(SHARD).read_text()
    study.file(SHARD).unlink()
    assert study.snakemake(f"results/tiny/{SHARD}").returncode == 0
    assert study.record(SHARD).read_text() != before
    assert study.audit()["verified"]


def test_every_figure_that_rests_on_a_byte_is_named(finished: Checkout, tmp_path: Path) -> None:
    """Held against what Snakemake itself would draw again if the shard were new."""
    root = tmp_path / "flipped"
    shutil.copytree(finished.root, root, symlinks=True)
    study = Restored(root)
    flip(study.file(NOISE))
    found = study.audit()
    resting = {Path(target).stem for target, files in found["figures"].items() if files}
    redrawn = {line.rpartition(" ")[2] for line in study.plan()[1].splitlines() if "Draw figure" in line}
    assert resting == redrawn and 0 < len(resting) < 14
    text = study.recite("audit").stdout
    assert f"{NOISE}  TAMPERED: its bytes are not those that were written" in text
    for figure in resting:
        assert f"figures/{figure}.{{png,svg,csv}}  rests on what is not verified: 1 tampered" in text


def test_one_figure(restored: Restored) -> None:
    """Only what it rests on is read, and all of that is shown."""
    flip(restored.file("samples/starcoder/code-0000.parquet"))
    run = restored.recite("audit", "noise")
    assert run.returncode == 0
    assert "starcoder" not in run.stdout and f"{NOISE}  verified, by noise" in run.stdout
    assert set(restored.audit("results/tiny/figures/noise.png")["figures"]) == {"figures/noise.png"}


def test_a_figure_that_was_mailed(restored: Restored, tmp_path: Path) -> None:
    """By its bytes it is found among the figures; changed or without results it says what it needs."""
    mailed = Path(shutil.copy2(restored.file(PICTURE), tmp_path / "scaling.png"))
    assert set(restored.audit(str(mailed))["figures"]) == {PICTURE}
    flip(mailed, at=-20)
    run = restored.recite("audit", str(mailed))
    assert run.returncode == 1 and "It says: figure scaling of study tiny" in run.stdout
    shutil.rmtree(restored.results)
    run = restored.recite("audit", str(shutil.copy2(mailed, tmp_path / "copy.png")))
    assert run.returncode == 1 and "tables/scaling.parquet  sha256" in run.stdout


def test_files_that_were_mailed_under_other_names(restored: Restored, tmp_path: Path) -> None:
    """By their bytes, or by what they show where they were saved anew; a picture that shows something else is none."""
    named = {"fig3.png": PICTURE, "Figure 3": "figures/noise.svg", "a.csv": "figures/noise.csv", "t.pq": TABLE}
    for name, path in named.items():
        mailed = shutil.copy2(restored.file(path), tmp_path / name)
        found = restored.audit(str(mailed))
        assert found["verified"] and path in found["files"]
        assert found["given"] == {str(mailed): f"is {path}, byte for byte."}
    with Image.open(restored.file(PICTURE)) as picture:
        picture.convert("RGB").save(tmp_path / "anew.png")
        picture.putpixel((5, 5), (1, 2, 3, 255))
        picture.save(tmp_path / "changed.png")
    run = restored.recite("audit", str(tmp_path / "anew.png"))
    assert run.returncode == 0 and "figures/scaling  verified, with all it rests on" in run.stdout
    assert f"anew.png shows the same as {PICTURE}, but was saved anew: its bytes are others.\n" in run.stdout
    run = restored.recite("audit", str(tmp_path / "changed.png"))
    assert run.returncode == 1 and "shows no file of this study" in run.stderr
    flip(restored.file(SCORES))
    assert restored.recite("audit", str(tmp_path / "anew.png")).returncode == 1


def test_trace(finished: Checkout) -> None:
    """A row behind a figure, in every table that holds it, with its text as it stands in the corpus."""
    study = Restored(finished.root)
    sample = pq.read_table(study.file(SHARD)).slice(3, 1).to_pylist()[0]
    run = study.recite("trace", "noise", "--row", str(sample["row_id"]))
    assert run.returncode == 0, run.stderr
    assert f"Document {sample['document_id']} of domain code: code.jsonl.zst, row {sample['source_row']}" in run.stdout
    assert f"{CORPUS}: the text stands there" in run.stdout
    for path in (SCORES, NOISE):
        row = next(row for row in pq.read_table(study.file(path)).to_pylist() if row["row_id"] == sample["row_id"])
        shown = f"inclusion_probability {row['inclusion_probability']:g}, hits {row['hits']}, first_mismatch"
        assert f"{path}  {shown} {row['first_mismatch']}" in run.stdout
    assert "starcoder-s" not in run.stdout and "Summed up in: tables/noise_rates.parquet" in run.stdout
    assert json.dumps(sample["text"][: sample["context_bytes"]].decode(), ensure_ascii=False) in run.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("noise", "--row", "1"), "no table behind figure noise holds row 1; column row_id"),
        (("pie", "--row", "1"), "pie is no figure of this study"),
    ],
)
def test_mistakes_of_trace(finished: Checkout, arguments: tuple[str, ...], sentence: str) -> None:
    run = Restored(finished.root).recite("trace", *arguments)
    assert run.returncode == 1 and run.stdout == ""
    assert run.stderr.startswith("recite: ") and sentence in run.stderr and run.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("scalling",), "scalling is no figure of this study (known: distribution, controls"),
        (("Snakefile",), "does not say what it was drawn from"),
        (("nowhere.png",), "nowhere.png is no file and no figure of this study"),
    ],
)
def test_mistakes_are_one_sentence(restored: Restored, arguments: tuple[str, ...], sentence: str) -> None:
    run = restored.recite("audit", *arguments)
    assert run.returncode == 1 and run.stdout == ""
    assert run.stderr.startswith("recite: ") and sentence in run.stderr and run.stderr.count("\n") == 1


def test_records_hold_no_place_and_no_name(finished: Checkout, places: list[str]) -> None:
    """Records are made to be given away."""
    for path in (finished.results / "records").rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert not [place for place in places if place in text], path
            assert '"/' not in text, path
