"""recite.stages.extraction.stage: which rows, schemes and strengths are asked for, and what is refused."""

from typing import Any

import pytest

from recite.errors import ReciteError
from recite.stages.noise.stage import runs
from studies import ROOT, load, loaded, shipped


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_first_rows_of_every_domain() -> None:
    """Prevents shards without a wanted row from being read, and rows from being asked of a sample that has fewer."""
    config = shipped("mini")
    study = loaded(
        config, sampling={"shard_rows": 50}, extraction={"rows_per_domain": 60}, scoring={"shards_per_job": 3}
    )
    job = {"model": "olmo1-xs", "layer": "0", "alpha": "0.0"}
    shards = study.rules["extraction"].inputs(study, job)["shards"]
    assert shards[:4] == [
        f"samples/olmo1/{name}.parquet" for name in ("code-0000", "code-0001", "headers-0000", "headers-0001")
    ]
    assert len(shards) == 2 * len(study.domains_of("olmo1-xs"))
    assert study.rules["extraction"].options(study, job)["rows_per_domain"] == 60
    more = loaded(config, extraction={"rows_per_domain": 1000})
    assert more.rules["extraction"].options(more, job)["rows_per_domain"] == 150


def test_strengths_are_those_of_the_noise() -> None:
    """Prevents models that no noise was asked for from being disturbed, and the undisturbed run from being left out."""
    study = load(shipped("mini"))
    clean = {"layer": "0", "alpha": "0.0"}
    assert runs(study, "pythia-xs") == [clean]
    assert runs(study, "pythia-l") == [clean, *({"layer": "0", "alpha": alpha} for alpha in ("0.3", "0.5"))]
    extraction = study.rules["extraction"]
    assert len(list(study.jobs("extraction"))) == 6 + 6 * 2
    disturbed = extraction.options(study, {"model": "pythia-l", "layer": "0", "alpha": "0.3"})
    assert disturbed["noise"]["layer"] == 0 and disturbed["schemes"]["plain"] == {}
    assert "noise" not in extraction.options(study, {"model": "pythia-l", **clean})
    assert len(study.rules["extraction_aggregation"].inputs(study, {})["extracted"]) == 18
    assert len(study.rules["near_verbatim_aggregation"].inputs(study, {})["near"]) == 24 + 6 * 2


@pytest.mark.parametrize(
    "schemes",
    [
        {"plain": {"top_k": 3}},
        {"cold": {"temperature": 0}},
        {"all": {"top_p": 1.0}},
        {"none": {}},
        {"a/b": {"top_k": 1}},
    ],
)
def test_schemes_that_are_none(schemes: dict[str, Any]) -> None:
    """Prevents another scheme from bearing the name of the plain one, and cuts that cut nothing or all."""
    with pytest.raises(ReciteError, match=r"extraction"):
        loaded(shipped("mini"), extraction={"schemes": schemes})
