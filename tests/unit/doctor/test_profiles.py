"""recite.doctor.profiles: profiles in every form that Snakemake takes, read as it reads them."""

from pathlib import Path

import pytest

from recite.doctor.profiles import Profile, read_profile

ROOT = Path(__file__).resolve().parents[3]
SLURM = "executor: slurm\n"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a Snakefile and no profile; nothing of the user's, and no SLURM, which the plugin would ask."""
    monkeypatch.chdir(tmp_path)
    Path("Snakefile").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "site"))
    (tmp_path / "which").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "which").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("SNAKEMAKE_PROFILE", "SNAKEMAKE_SLURM_PARTITIONS"):
        monkeypatch.delenv(name, raising=False)


def written(text: str, path: str = "mine/config.yaml") -> str:
    """The folder of a profile."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    return str(Path(path).parent)


def partitions(*names: str) -> dict[str, tuple[str | None, ...]]:
    profile, findings = read_profile(names)
    assert profile is not None and findings == []
    return profile.partitions


def wrong(text: str) -> str:
    profile, findings = read_profile([written(text)])
    assert profile is None and len(findings) == 1 and findings[0].remedy
    assert "usage:" not in findings[0].what and "\n" not in findings[0].what
    return findings[0].what


@pytest.mark.parametrize(
    ("resources", "asked"),
    [
        ("", None),
        ("default-resources:", None),
        ("default-resources: []", None),
        ("default-resources: {}", None),
        ("default-resources: {mem_mb: 1000}", None),
        ("default-resources: {slurm_partition: }", None),
        ("default-resources: {slurm_partition: a100}", "a100"),
        ("default-resources: {slurm_partition: 'a100,h100'}", "a100,h100"),
        ("default-resources: {slurm_partition: \"'a100'\"}", "a100"),
        ("default-resources: {slurm_partition: gpu-a100}", "gpu-a100"),
        ("default-resources: {slurm_partition: 7}", "7"),
        ("default-resources: {slurm_partition: $PLACE}", "b200"),
        ("default-resources: ['slurm_partition=a100', 'mem_mb=1000']", "a100"),
        ("default-resources:\n- slurm_partition=a100,h100\n- mem=4GB", "a100,h100"),
        ("default-resources: slurm_partition=a100", "a100"),
        ("__use_yte__: true\n?if True:\n  default-resources: {slurm_partition: a100}", "a100"),
    ],
)
def test_default_resources(resources: str, asked: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "b200")
    assert partitions(written(f"{SLURM}{resources}\n")) == {"": (asked,)}


@pytest.mark.parametrize(
    "resources",
    ["set-resources: {scoring: {slurm_partition: h100}}", "set-resources: ['scoring:slurm_partition=h100']"],
)
def test_resources_of_rules(resources: str) -> None:
    assert partitions(written(f"{SLURM}{resources}\n")) == {"": (None,), "scoring": ("h100",)}


def test_expressions() -> None:
    """By attempt each value; of one that depends on the job nothing is known."""
    by_attempt = "default-resources: {slurm_partition: \"'a100' if attempt < 3 else 'h100'\"}\n"
    assert partitions(written(SLURM + by_attempt)) == {"": ("a100",)}
    assert partitions(written(f"{SLURM}{by_attempt}retries: 2\n")) == {"": ("a100", "h100")}
    assert partitions(written(f'{SLURM}default-resources: {{slurm_partition: "wildcards.model"}}\n')) == {"": ()}


def test_every_place_and_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def one(partition: str) -> str:
        return f"{SLURM}default-resources: {{slurm_partition: {partition}}}\n"

    for place in ("here/config.yaml", "folder/far/profile.yaml", "user/snakemake/own/config.yaml"):
        written(one(place.split("/")[0]), place)
    written(one("site"), "site/snakemake/common/config.yaml")
    written(one("file"), "a.yaml")
    written(one("userfile"), "user/snakemake/b.yaml")
    for name, partition in {
        **{"here": "here", "./here": "here", "here/": "here", str(tmp_path / "here"): "here"},
        **{"here/config.yaml": "here", "folder/far": "folder", "own": "user", "common": "site"},
        **{"a.yaml": "file", str(tmp_path / "a.yaml"): "file", "b.yaml": "userfile"},
    }.items():
        assert partitions(name) == {"": (partition,)}, name
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "here")
    assert partitions() == {"": ("here",)} and partitions("own") == {"": ("user",)}


def test_versions() -> None:
    """The newest that this Snakemake is new enough for."""
    for version in ("", ".v8+", ".v9+", ".v99+"):
        written(f"{SLURM}default-resources: [slurm_partition=p{version.strip('.+')}]\n", f"mine/config{version}.yaml")
    assert partitions("mine") == {"": ("pv9",)}


def test_several_profiles_and_that_of_the_workflow() -> None:
    """A key of a later one replaces it whole; that of the workflow comes last."""
    one, two = written(f"{SLURM}retries: 1\ndefault-resources: [slurm_partition=a100]\n", "one/config.yaml"), "two"
    written("default-resources: [slurm_partition=h100]\n", "two/config.yaml")
    assert partitions(one, two) == {"": ("h100",)}
    written("default-resources: [mem_mb=10]\n", "profiles/default/config.yaml")
    assert partitions(one) == {"": (None,)}


def test_partitions_that_the_plugin_chooses_from(monkeypatch: pytest.MonkeyPatch) -> None:
    written("partitions:\n  long: {max_runtime: 1000}\n  short: {max_runtime: 10}\n", "mine/partitions.yaml")
    folder = written(f"{SLURM}slurm-partition-config: partitions.yaml\nset-resources: ['a:slurm_partition=h100']\n")
    assert partitions(folder) == {"": ("long,short",), "a": ("h100",)}
    monkeypatch.setenv("SNAKEMAKE_SLURM_PARTITIONS", "mine/partitions.yaml")
    assert partitions(written(SLURM)) == {"": ("long,short",)}


def test_the_plugin_and_its_defaults(tmp_path: Path) -> None:
    """It asks accounting how jobs ended, where there are SLURM's commands and nothing else is said."""
    assert read_profile([str(ROOT / "profiles/slurm")]) == (Profile("slurm", {"": ("a100",)}, "squeue", "recite"), [])
    for tool in ("sinfo", "which"):
        (tmp_path / tool).write_text("#!/bin/sh\n")
        (tmp_path / tool).chmod(0o755)
    assert read_profile([written(SLURM)]) == (Profile("slurm", {"": (None,)}, "sacct", ""), [])
    assert read_profile([written("jobs: 4\n")]) == (Profile("local", {}, "", ""), [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "Snakemake cannot read profile mine: Couldn't parse config file"),
        ("- a", "doesn't appear to contain 'key: value' pairs"),
        ("", "doesn't appear to contain 'key: value' pairs"),
        ("executor: nimbus", "names executor 'nimbus', whose plugin is not installed"),
        (f"{SLURM}default_resources: [slurm_partition=a100]", "unrecognized arguments: --default_resources"),
        (f"{SLURM}slurm-partition: a100", "Partition configuration file not found, given was a100"),
        (f"{SLURM}slurm-status-command: sstat", "Invalid status command"),
        (f"{SLURM}slurm-requeue: true\nslurm-no-requeue: true", "mutually exclusive"),
        (f"{SLURM}jobs: many", "Error parsing number of jobs"),
        (f"{SLURM}set-resources: {{a: b}}", "Invalid set-resources format"),
        (f"{SLURM}default-resources: [slurm_partition]", "Snakemake cannot read profile mine: "),
        (f"{SLURM}default-resources: {{slurm_partition: all}}", "Snakemake cannot read profile mine: "),
    ],
)
def test_what_snakemake_refuses(text: str, words: str) -> None:
    """In its words, in one line."""
    assert words in wrong(f"{text}\n")


def test_no_profile() -> None:
    Path("empty").mkdir()
    for name in ("nowhere", "empty"):
        profile, findings = read_profile([name])
        assert profile is None and f"profile directory given ({name})" in findings[0].what


@pytest.mark.parametrize("key", ["slurm-array-jobs: all", "groups: {scoring: a}", "group-components: {a: 5}"])
def test_settings_that_jobs_may_hang_with(key: str) -> None:
    profile, findings = read_profile([written(f"{SLURM}{key}\n")])
    assert profile is not None and len(findings) == 1
    assert f"sets {key.split(':')[0]}, with which jobs may hang" in findings[0].what
