"""The stage of sublayers as jobs: what is drawn whatever the shards, what a study asks for, and what that costs."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from recite.engine.rows import Rows
from recite.errors import ReciteError
from recite.planning.costs import Machine
from recite.planning.planner import Planner
from recite.stages.sublayers.measure import measure_means, measure_sublayers
from recite.stages.sublayers.rows import WITHOUT_SUBLAYERS
from recite.tables import read_metadata
from samples import write_shard
from scored import write_scores
from studies import ROOT, load, loaded, shipped

COUNT, STEPS, VOCABULARY = 16, 4, 300
"""Of rows, tokens, and the models of conftest.py."""
OPTIONS = {
    "model": "a-s",
    "family": "a",
    "dtype": "float32",
    "bos": 1,
    "batch_rows": 4,
    "domains": ["code", "prose"],
    "classes": {"memorized": 3, "unmemorized": 2},
    "seed": 1,
    "memorized": 1.0,
    "half": 0.5,
    "unmemorized": 0.0,
}


def sample(domain: str, first: int) -> Rows:
    tokens = torch.randint(0, VOCABULARY, (COUNT, 8 + STEPS), generator=torch.Generator().manual_seed(first))
    tokens[1] = tokens[0]
    names = [first + row for row in range(COUNT)]
    texts = [names[0], names[0], *names[2:]]
    return Rows(names, texts, [domain] * COUNT, [0.5] * COUNT, tokens[:, :8], tokens[:, 8:])


def cut(rows: Rows, part: slice) -> Rows:
    return Rows(*(column[part] for column in rows))  # type: ignore[arg-type]


class Study:
    """Two domains of random rows, the first half of each memorized by what their scores say."""

    def __init__(self, folder: Path, checkpoint: Path) -> None:
        self.folder, self.checkpoint = folder, checkpoint
        self.rows = {"code": sample("code", 100), "prose": sample("prose", 300)}

    def measured(self, name: str, replacement: str, parts: int = 1, **changes: object) -> Path:
        scores, shards, size = [], [], COUNT // parts
        for domain, rows in self.rows.items():
            for part in range(parts):
                chosen = slice(part * size, (part + 1) * size)
                shards.append(write_shard(self.folder / f"{name}-{domain}-{part}.parquet", cut(rows, chosen)))
                hits = [STEPS if row < COUNT // 2 else 0 for row in range(COUNT)][chosen]
                path = self.folder / f"{name}-scores-{domain}-{part}.parquet"
                scores.append(write_scores(path, cut(rows, chosen), hits))
        options, means = OPTIONS | {"replacement": replacement} | changes, None
        if replacement == "dataset_mean":
            means = self.folder / f"{name}-means.parquet"
            measure_means(options, scores, shards, self.checkpoint, means, 1)
        measure_sublayers(options, scores, shards, self.checkpoint, means, self.folder / f"{name}.parquet", 1)
        return self.folder / f"{name}.parquet"


@pytest.fixture
def study(tmp_path: Path, checkpoint_folder: Callable[[str], Path]) -> Study:
    return Study(tmp_path, checkpoint_folder("olmo2"))


@pytest.mark.parametrize("replacement", ["zero", "dataset_mean", "resample"])
def test_shards_change_nothing(study: Study, replacement: str) -> None:
    """Prevents rows, means and donors that hang on how a domain was cut."""
    whole, cut_up = (study.measured(f"in-{parts}", replacement, parts) for parts in (1, 4))
    table = WITHOUT_SUBLAYERS.read(whole)
    assert table.equals(WITHOUT_SUBLAYERS.read(cut_up))
    frame = table.to_pandas()
    assert frame.groupby(["domain", "group"], observed=True).size().tolist() == [3, 2, 3, 2]
    memorized = frame["row_id"] % 100 < COUNT // 2
    assert (memorized == (frame["group"] == "memorized")).all()
    assert frame["drawn_share"].tolist() == [3 / 8] * 3 + [2 / 8] * 2 + [3 / 8] * 3 + [2 / 8] * 2
    assert read_metadata(whole)["layers"] == 3


def test_a_domain_alone_is_the_same(study: Study) -> None:
    """Prevents a row's numbers that hang on the other rows of its job; means are of all."""
    both = WITHOUT_SUBLAYERS.read(study.measured("both", "resample")).to_pandas()
    del study.rows["code"]
    alone = WITHOUT_SUBLAYERS.read(study.measured("alone", "resample", domains=["prose"])).to_pandas()
    both = both[both["domain"] == "prose"].reset_index(drop=True)
    assert alone["row_id"].tolist() == both["row_id"].tolist()
    for name in ("hits", "log_probability"):
        assert [list(values) for values in alone[name]] == [list(values) for values in both[name]]


def test_scores_of_other_rows_are_refused(study: Study) -> None:
    shard = write_shard(study.folder / "shard.parquet", study.rows["code"])
    scores = write_scores(study.folder / "scores.parquet", cut(study.rows["code"], slice(9)), [0] * 9)
    options = OPTIONS | {"replacement": "zero", "domains": ["code"]}
    with pytest.raises(ReciteError, match=r"scores other rows of code than its samples hold; delete it and run again"):
        measure_sublayers(options, [scores], [shard], study.checkpoint, None, study.folder / "out.parquet", 1)


def test_no_row_was_drawn(study: Study) -> None:
    """A model that recites nothing, where only memorized rows are asked for."""
    table = WITHOUT_SUBLAYERS.read(study.measured("none", "dataset_mean", classes={"half": 3}))
    assert len(table) == 0


@pytest.fixture
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configs name their files from the root."""
    monkeypatch.chdir(ROOT)


@pytest.mark.usefixtures("at_root")
@pytest.mark.parametrize("name", ["mini", "paper"])
def test_every_domain_is_asked_whole_and_once(name: str) -> None:
    """Prevents a domain lost between two parts, and means over some of the rows only."""
    asked = load(shipped(name))
    for model in asked.models_of("sublayers"):
        jobs = [job for job in asked.jobs("sublayers") if job["model"] == model]
        rule = asked.rules["sublayers"]
        domains = [domain for job in jobs for domain in rule.options(asked, job)["domains"]]
        assert domains == list(asked.domains_of(model))
        means = asked.rules["sublayer_means"].inputs(asked, {"model": model})
        assert means["shards"] == [path for job in jobs for path in rule.inputs(asked, job)["shards"]]
        assert all(f"sublayer_means/{model}.parquet" == rule.inputs(asked, job)["means"] for job in jobs)


@pytest.mark.usefixtures("at_root")
def test_no_means_without_need() -> None:
    asked = loaded(shipped("mini"), sublayers={"replacement": "zero"})
    assert "sublayer_means" not in asked.rules
    assert "means" not in asked.rules["sublayers"].inputs(asked, asked.jobs("sublayers")[0])
    without = {key: value for key, value in shipped("mini").items() if key not in ("sublayers", "erasing")}
    assert "sublayers" not in load(without).rules


@pytest.mark.usefixtures("at_root")
def test_cost_beside_layer_decoding_and_heads() -> None:
    made = Planner(load(shipped("paper")), Machine())
    hours = {
        stage: sum(job.seconds * job.gpus for job in made.jobs if job.stage.startswith(stage))
        for stage in ("sublayer", "lens", "ablation")
    }
    assert 0.5 < hours["sublayer"] / hours["lens"] < 1.5
    assert hours["sublayer"] < 0.1 * hours["ablation"]
    assert all(job.peak < 80e9 for job in made.jobs if job.stage.startswith("sublayer"))
