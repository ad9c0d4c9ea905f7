"""recite.provenance.crate: configs are given away without the folders that they name."""

from pathlib import Path

import pytest
import yaml

from recite.provenance.crate import _configs


def test_configs_without_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prevents the path of somebody's weights, with their name, from being published."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config/models.yaml").write_text("mine:\n  path: /home/someone/mine  # here\n  bos: 1\n")
    own = tmp_path / "elsewhere/study.yaml"
    own.parent.mkdir()
    own.write_text("study: mine\nmodels_file: config/models.yaml\n")
    monkeypatch.chdir(tmp_path)
    made = _configs(own, tmp_path / "made")
    assert set(made) == {"config/study.yaml", "config/models.yaml"}
    text = made["config/models.yaml"].read_text()
    assert yaml.safe_load(text) == {"mine": {"path": "(elsewhere)/mine", "bos": 1}} and "# here" in text
    assert made["config/study.yaml"].read_text() == own.read_text()
