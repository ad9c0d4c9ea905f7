"""recite.study.config: one sentence for each mistake in a config file, defaults filled in."""

import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from recite.catalogue import STAGES
from recite.errors import ReciteError
from recite.study.config import LIBRARY, SCHEMAS, check_config, read_yaml
from recite.study.declaration import Stage

CONFIG = Path(__file__).resolve().parents[3] / "config"
SECTIONS = {stage.section: LIBRARY.joinpath(*stage.package.split("."), "schema.yaml") for stage in STAGES}
SCHEMA_FILES = {name: SCHEMAS / f"{name}.schema.yaml" for name in ("study", "corpora", "models")}
SCHEMA_FILES |= {section: path for section, path in SECTIONS.items() if section}
SMALL = {
    "study": "small",
    "seed": 1,
    "training": {
        "corpus": "mini",
        "sizes": {"s": {"layers": 1, "width": 32, "heads": 4}},
        "families": {"pythia": {"seed": 1, "learning_rate": 0.01}},
    },
    "sampling": {"domains": ["code"], "rows_per_domain": 10, "shard_rows": 5},
    "scoring": {"batch_rows": 4},
}


@pytest.fixture
def small() -> dict[str, Any]:
    return deepcopy(SMALL)


def put(config: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """Set a dotted key; `...` deletes it."""
    *parents, last = place.split(".")
    inner = config
    for key in parents:
        inner = inner[key]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return config


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        ("sede", 1, r"unknown key 'sede'; did you mean 'seed'\?"),
        ("scoring.batch_row", 1, r"scoring: unknown key 'batch_row'; did you mean 'batch_rows'\?"),
        ("training.families.pythia.sed", 1, r"training\.families\.pythia: unknown key 'sed'; did you mean 'seed'\?"),
        (
            "scoring.zzz",
            1,
            r"scoring: unknown key 'zzz'; known keys: batch_rows, shards_per_job, shards_per_job_of, dtype, dtypes\.",
        ),
        ("scoring.batch_rows", ..., r"scoring: key 'batch_rows' is missing; add it"),
        ("seed", ..., r"key 'seed' is missing; add it"),
        ("seed", "seven", r"seed: 'seven' is not of type 'integer'; expected: Seed of every random choice"),
        ("seed", 1.5, r"seed: 1\.5 is not of type 'integer'"),
        ("seed", True, r"seed: True is not of type 'integer'"),
        ("seed", -1, r"seed: -1 is less than the minimum of 0"),
        ("scoring", [1], r"scoring: \[1\] is not of type 'object'"),
        ("sampling.domains", "code", r"sampling\.domains: 'code' is not .*; expected: Domains"),
        ("sampling.domains", ["code", "code"], r"sampling\.domains: .*non-unique"),
        ("scoring.dtype", "float8", r"scoring\.dtype: 'float8' is not one of 'float32', 'bfloat16', 'float16'\."),
        (
            "training.families.pythia.order",
            "sorted",
            r"training\.families\.pythia\.order: 'sorted' is not one of 'shuffled', ",
        ),
        ("study", "../elsewhere", r"study: '\.\./elsewhere' does not match .*expected: Name of the study"),
        ("training.sizes", {"x-l": {"layers": 1, "width": 8, "heads": 1}}, r"training\.sizes: 'x-l' does not match"),
    ],
)
def test_mistakes_get_one_sentence(small: dict[str, Any], place: str, value: Any, sentence: str) -> None:
    """Prevents a mistake in a config from passing, or from being reported without its file, key and remedy."""
    with pytest.raises(ReciteError, match=f"^study.yaml: {sentence}") as caught:
        check_config(put(small, place, value), "study", "study.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("empty", [None, [], "text"])
def test_config_that_is_no_mapping(empty: Any) -> None:
    """Prevents an empty file from ending in a traceback."""
    with pytest.raises(ReciteError, match=r"study\.yaml: .* is not of type 'object'"):
        check_config(empty, "study", "study.yaml")


@pytest.mark.parametrize("count", [-2, 1.5])
def test_repetition_counts_are_integers(count: float) -> None:
    """Prevents a control of a number of copies that no corpus can have; YAML keys may be numbers."""
    corpora = read_yaml(CONFIG / "corpora.yaml")
    corpora["mini"]["build"]["controls"]["repetitions"] = {count: 4}
    with pytest.raises(ReciteError, match=r"corpora\.yaml: .*repetitions"):
        check_config(corpora, "corpora", "corpora.yaml")


@pytest.mark.parametrize("text", [".nan", ".inf", "-.inf"])
@pytest.mark.parametrize(
    ("place", "shown"),
    [("training.families.pythia.learning_rate", None), ("noise", "noise.strengths.1"), ("seed", None)],
)
def test_numbers_are_finite(small: dict[str, Any], place: str, shown: str | None, text: str) -> None:
    """No least or greatest value of a schema holds against NaN."""
    value: Any = yaml.safe_load(text)
    put(small, place, {"strengths": [0.0, value]} if place == "noise" else value)
    with pytest.raises(
        ReciteError, match=rf"^small\.yaml: {re.escape(shown or place)} is -?(nan|inf), which is no finite"
    ):
        check_config(small, "study", "small.yaml")


def test_defaults_are_filled_in(small: dict[str, Any]) -> None:
    """Prevents a default from being documented but not applied; nested ones and those of patterned keys too."""
    filled = check_config(small, "study", "study.yaml")
    assert filled is small
    assert small["corpora_file"] == "config/corpora.yaml" and small["models_file"] == "config/models.yaml"
    jobs = {"shards_per_job": 1, "shards_per_job_of": {}}
    assert small["scoring"] == {"batch_rows": 4, "dtype": "float32", "dtypes": {}} | jobs
    assert small["training"]["row_tokens"] == 64
    family = {"order": "shuffled", "epochs": 1, "batch_rows": 8, "vocabulary": 1024, "bos": False}
    assert small["training"]["families"]["pythia"] == {"seed": 1, "learning_rate": 0.01, **family}
    tolerance = {"float32": 0.0001, "bfloat16": 0.125, "float16": 0.02}
    thresholds = {"memorized": 1.0, "half": 0.5, "unmemorized": 0.0}
    intervals = {"estimand": "corpus", "confidence": 0.95, "resamples": 2000}
    assert small["aggregation"] == {**intervals, **thresholds, "margin_tolerance": tolerance}
    assert "noise" not in small


def test_given_values_win_over_defaults(small: dict[str, Any]) -> None:
    """Prevents a default from overwriting what the user wrote, falsy values included."""
    small["scoring"]["shards_per_job"] = 3
    small["training"]["families"]["pythia"]["bos"] = False
    small["aggregation"] = {"margin_tolerance": {"float32": 0}}
    check_config(small, "study", "study.yaml")
    assert small["scoring"]["shards_per_job"] == 3
    assert small["aggregation"]["margin_tolerance"] == {"float32": 0, "bfloat16": 0.125, "float16": 0.02}
    assert small["aggregation"]["resamples"] == 2000


def test_filled_defaults_are_not_shared() -> None:
    """Prevents one study's change of a filled-in mapping from reaching the next study."""
    first = check_config(deepcopy(SMALL), "study", "one")
    first["aggregation"]["margin_tolerance"]["float32"] = 99
    second = check_config(deepcopy(SMALL), "study", "two")
    assert second["aggregation"]["margin_tolerance"]["float32"] == 0.0001


def test_missing_yaml_file(tmp_path: Path) -> None:
    """Prevents a traceback for a mistyped file name."""
    with pytest.raises(ReciteError, match=r"nowhere\.yaml does not exist; run from the repository's root, or name"):
        read_yaml(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("text", [b"a: [1, 2", b"a: 1\n b: 2", b"a:\tb: c", "name: M\u00fcller".encode("latin-1")])
def test_bad_yaml_file(tmp_path: Path, text: bytes) -> None:
    """Prevents a traceback for a file that is not YAML, or not UTF-8."""
    path = tmp_path / "bad.yaml"
    path.write_bytes(text)
    with pytest.raises(ReciteError, match=r"bad\.yaml is not valid YAML: ") as caught:
        read_yaml(path)
    assert "\n" not in str(caught.value)


def test_yaml_is_read_safely(tmp_path: Path) -> None:
    """Prevents a config file from running code."""
    path = tmp_path / "evil.yaml"
    path.write_text("a: !!python/object/apply:os.getcwd []")
    with pytest.raises(ReciteError, match=r"evil\.yaml is not valid YAML"):
        read_yaml(path)


@pytest.mark.parametrize(
    ("file", "schema"),
    [
        ("mini", "study"),
        ("paper", "study"),
        ("factorial", "study"),
        ("real", "study"),
        ("real/gathering", "gathering"),
        ("corpora", "corpora"),
        ("models", "models"),
    ],
)
def test_shipped_configs_are_valid(file: str, schema: str) -> None:
    """Prevents a shipped config from being refused by its own schema."""
    path = CONFIG / f"{file}.yaml"
    stages = STAGES if schema == "study" else ()
    assert check_config(read_yaml(path), schema, str(path), stages) == check_config(
        yaml.safe_load(path.read_text()), schema, "", stages
    )


def subschemas(schema: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property of a schema with its place, at any depth."""
    for key, inner in schema.get("properties", {}).items():
        yield f"{place}.{key}", inner
        yield from subschemas(inner, f"{place}.{key}")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from subschemas(schema["additionalProperties"], f"{place}.*")


@pytest.mark.parametrize("name", SCHEMA_FILES)
def test_schemas_are_sound(name: str) -> None:
    """Prevents a default that its own schema refuses, and a key that nobody explains."""
    schema = yaml.safe_load(SCHEMA_FILES[name].read_text())
    Draft202012Validator.check_schema(schema)
    assert schema.get("description") or schema.get("title")
    found = list(subschemas(schema))
    assert found
    for place, inner in found:
        # margin_tolerance's own description speaks for its keys, the dtypes
        assert inner.get("description") or ".margin_tolerance." in place, f"{place} has no description"
        if "default" in inner:
            assert not list(Draft202012Validator(inner).iter_errors(inner["default"])), f"default of {place}"


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage.section], ids=lambda stage: stage.section)
def test_sections_of_stages(small: dict[str, Any], stage: Stage) -> None:
    """Prevents the section of a stage that there is not from being read, and one that there is from going unchecked."""
    needed = {
        "counterfactual": {"model": "pythia-m"},
        "frequency": {"countings": ["bytes"]},
        "noise": {"strengths": [0.1]},
    }
    small[stage.section] = deepcopy(needed.get(stage.section, {}))
    with pytest.raises(ReciteError, match=rf"study\.yaml: unknown key '{stage.section}'; (known keys|did you mean)"):
        check_config(deepcopy(small), "study", "study.yaml", [other for other in STAGES if other != stage])
    section = check_config(small, "study", "study.yaml", STAGES)[stage.section]
    defaults = yaml.safe_load(SECTIONS[stage.section].read_text())["properties"]
    assert section.keys() >= {key for key, entry in defaults.items() if "default" in entry}
    section["modles"] = []
    with pytest.raises(ReciteError, match=rf"study\.yaml: {stage.section}: unknown key 'modles'; "):
        check_config(small, "study", "study.yaml", STAGES)


def test_schemas_lie_where_they_are_read() -> None:
    """Prevents a section without a schema, and a schema of no section, which nothing would read."""
    assert sorted(LIBRARY.glob("recite/**/schema.yaml")) == sorted(path for name, path in SECTIONS.items() if name)


def test_home_in_every_path(small: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents `~` from being taken for a folder of that name; what only begins with one stays as it is."""
    monkeypatch.setenv("HOME", "/home/ada")
    files = {"patterns": ["~*"], "domain": "~", "folder": "~/corpora"}
    entry: dict[str, Any] = {"domains": {"a": "free_text"}, "classes": {"a": "mail"}, "files": files}
    corpora = check_config({"notes": entry}, "corpora", "corpora.yaml")
    assert (files["folder"], files["patterns"], files["domain"]) == ("/home/ada/corpora", ["~*"], "~")
    assert corpora["notes"]["files"] is files
    entry = {"corpus": "notes", "path": "~/models/a.gguf", "tokenizer": "~/tokenizer.json"}
    check_config({"mine": entry}, "models", "models.yaml")
    assert (entry["path"], entry["tokenizer"]) == ("/home/ada/models/a.gguf", "/home/ada/tokenizer.json")
    keys = [f"{name}_file" for name in ("corpora", "models", "claims", "published")]
    made = check_config(small | dict.fromkeys(keys, "~/mine.yaml"), "study", "small.yaml")
    assert {made[key] for key in keys} == {"/home/ada/mine.yaml"}
    for path in ("data/~/x", "/~", "a~", "~nobody that there is/x"):
        assert check_config({"mine": {"corpus": "c", "path": path}}, "models", "m")["mine"]["path"] == path


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("study: a\nseed: 1\nstudy: b\n", "key 'study' stands in lines 1 and 3"),
        ("models:\n  mine: {path: a}\n  'mine':\n    path: b\n", "key 'mine' stands in lines 2 and 3"),
        ("list:\n- a: 1\n- {b: 1, c: 2,\n   b: 3}\n", "key 'b' stands in lines 3 and 4"),
        ("copies: {1: 24, 4: 24, 01: 3}", "key 1 stands in lines 1 and 1"),
        ("a: &x {k: 1}\nb: {<<: *x, k: 2, k: 3}", "key 'k' stands in lines 2 and 2"),
    ],
)
def test_a_key_that_is_said_twice(tmp_path: Path, text: str, sentence: str) -> None:
    """The last one would win, and nobody would see that the first was passed over."""
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ReciteError, match=rf"x\.yaml: {sentence}; leave one\.$"):
        read_yaml(tmp_path / "x.yaml")


def test_keys_that_are_said_once(tmp_path: Path) -> None:
    """What is taken over from another mapping may be said anew, names may be used twice, and a text is no number."""
    text = """
one: &one {a: 1, b: 2}
first: {deep: {deeper: &two {<<: *one, b: 3}}}
two: {<<: *two, b: 4}
same: [*one, *one]
1: x
'1': y
round: &round {again: *round}
"""
    (tmp_path / "x.yaml").write_text(text)
    found = read_yaml(tmp_path / "x.yaml")
    assert found["two"] == {"a": 1, "b": 4} and found["first"]["deep"]["deeper"] == {"a": 1, "b": 3}
    assert (found[1], found["1"]) == ("x", "y") and found["round"]["again"] is found["round"]
    (tmp_path / "x.yaml").write_text("")
    assert read_yaml(tmp_path / "x.yaml") is None


def test_every_config_file_is_read_by_one_function() -> None:
    """A reader of its own would take the last of two equal keys again."""
    own = [
        path
        for path in (LIBRARY / "recite").rglob("*.py")
        if re.search(r"^import yaml|yaml\.\w*load", path.read_text(), re.M)
    ]
    assert [path.name for path in own] == ["config.py"]
