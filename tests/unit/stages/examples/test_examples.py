"""recite.stages.examples: which rows are chosen, by brute force; their texts, and what is hidden of them."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recite.corpora.tables.samples import SAMPLES
from recite.corpora.tables.training import CONTROLS
from recite.corpora.tokenization import train_tokenizer
from recite.errors import ReciteError
from recite.files import hash64
from recite.outcomes.examples import EXAMPLES, NOT_COUNTED
from recite.stages.examples.measure import pick_examples, texts
from recite.stages.frequency.rows import FREQUENCIES
from recite.stages.near_verbatim.measure import edit_distances
from recite.stages.near_verbatim.rows import NEAR
from recite.stages.scoring.rows import SCORES

STEPS = 8
DOMAINS = ["code", "prose", "control"]
OPTIONS: dict[str, Any] = {
    "model": "a-s",
    "family": "a",
    "seed": 5,
    "domains": DOMAINS,
    "memorized": 1.0,
    "half": 0.5,
    "unmemorized": 0.0,
    "per_class": 2,
    "mask": [],
    "nearness": 0.25,
}


def rows_at_random(seed: int, count: int = 240) -> list[dict[str, Any]]:
    """Rows of few texts, so that many are equal; equal texts are continued alike."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(40, 60, (60, STEPS))
    changed = rng.random((60, STEPS)) < rng.choice([0, 0.2, 0.5, 1], 60)[:, None]
    made = np.where(changed, truth + 1, truth)
    made[::7] = np.roll(truth[::7], 1, axis=1)  # near, and no hit for it
    rows = []
    for row_id, (text, domain) in enumerate(zip(rng.integers(0, 60, count), rng.integers(0, 3, count), strict=True)):
        row = {"row_id": row_id, "sequence_id": hash64("text", int(text)), "domain": DOMAINS[domain]}
        row |= {"generated": made[text].tolist(), "continuation": truth[text].tolist(), "context": [45, int(text) + 1]}
        rows.append(row | {"document_id": f"d{row_id}", "copies": row_id % 3})
    return rows


def write(folder: Path, rows: Sequence[dict[str, Any]], parts: int) -> dict[str, Any]:
    """The files of some rows in so many parts, and the tokenizer: what the job is given."""
    train_tokenizer(["a text of no matter"], 300).save(str(folder / "tokenizer.json"))
    given: dict[str, Any] = {"scores": [], "shards": [], "near": [], "tokenizer": folder / "tokenizer.json"}
    size = -(-len(rows) // parts)
    for part in range(parts):
        own = [row | {"inclusion_probability": 0.5} for row in rows[part * size :][:size]]
        hits = [[a == b for a, b in zip(row["generated"], row["continuation"], strict=True)] for row in own]
        for row, hit in zip(own, hits, strict=True):
            row |= {"hits": sum(hit), "first_mismatch": [*hit, False].index(False), "margin": 1.0, "run": 0}
            row |= {"source_file": "f", "source_row": row["row_id"], "window_start": 0, "text": b"", "context_bytes": 0}
            pair = (np.array([row[name]]) for name in ("generated", "continuation"))
            row["distance"] = int(edit_distances(*pair)[0])
        about = {"options": {"model": "a-s"}, "continuation_tokens": STEPS, "parameters": 9, "weights_sha256": "ab"}
        for name, table in (("scores", SCORES), ("shards", SAMPLES), ("near", NEAR)):
            given[name].append(folder / f"{name}-{part}.parquet")
            table.write_lines(given[name][-1], own, about)
    planted = [row for row in rows if row["domain"] == "control"]
    controls = {"document_id": [row["document_id"] for row in planted]}
    CONTROLS.write(folder / "controls.parquet", controls | {"repetitions": [row["copies"] for row in planted]}, {})
    SAMPLES.write_lines(folder / "planted.parquet", [row for row in _whole(rows) if row["domain"] == "control"], {})
    counted = {"row_id": [row["row_id"] for row in rows[::2]], "sequence": [7] * len(rows[::2])}
    names = {name: [row[name] for row in rows[::2]] for name in ("sequence_id", "domain")}
    zero = {name: [0] * len(rows[::2]) for name in ("context", "continuation", "token_frequency")}
    FREQUENCIES.write(folder / "counts.parquet", counted | names | zero, {"options": {"counting": "bytes"}})
    given |= {"planted": [folder / "planted.parquet"], "controls": folder / "controls.parquet"}
    return given | {"frequencies": folder / "counts.parquet"}


def _whole(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    more = {"source_file": "f", "source_row": 0, "window_start": 0, "text": b"", "context_bytes": 0}
    return [row | more | {"inclusion_probability": 0.5} for row in rows]


def picked(folder: Path, rows: Sequence[dict[str, Any]], parts: int = 3, **changes: Any) -> list[dict[str, Any]]:
    folder.mkdir(exist_ok=True)
    given = write(folder, rows, parts) | {"options": OPTIONS} | changes
    pick_examples(**given, examples=folder / "examples.parquet")
    return EXAMPLES.read(folder / "examples.parquet").to_pylist()


def class_of(row: dict[str, Any], near: bool) -> str:
    hits = sum(a == b for a, b in zip(row["generated"], row["continuation"], strict=True))
    distance = edit_distances(np.array([row["generated"]]), np.array([row["continuation"]]))[0]
    if hits == STEPS:
        return "memorized"
    if near and distance <= STEPS / 4:
        return "near-verbatim"
    return {STEPS // 2: "half", 0: "unmemorized"}.get(hits, "")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("near", [True, False])
def test_choice_by_brute_force(tmp_path: Path, seed: int, near: bool) -> None:
    """By sorting all rows at once; one row of each text, and copies apart where texts are planted."""
    rows = rows_at_random(seed)
    found = picked(tmp_path, rows, **({} if near else {"near": None}))
    point = hash64(OPTIONS["seed"], "examples")
    groups: dict[tuple[int, str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        copies = row["copies"] if row["domain"] == "control" else NOT_COUNTED
        groups[DOMAINS.index(row["domain"]), class_of(row, near), copies].append(row)
    order = ["memorized", "near-verbatim", "half", "unmemorized"]
    expected, seen = [], set()
    for key in sorted((key for key in groups if key[1]), key=lambda key: (key[0], order.index(key[1]), key[2])):
        texts_of = {}
        for row in sorted(groups[key], key=lambda row: (row["sequence_id"] ^ point, row["row_id"])):
            texts_of.setdefault(row["sequence_id"], row["row_id"])
        kept = [(text, row) for text, row in list(texts_of.items())[:2] if text not in seen]
        seen |= {text for text, _ in kept}
        expected += [(key[1], row) for _, row in kept]
    assert [(row["class"], row["row_id"]) for row in found] == expected
    assert {"memorized", "unmemorized", "half"} <= {name for name, _ in expected} and len(expected) > 8
    assert len({row["sequence_id"] for row in found}) == len(found)


def test_the_same_whatever_the_parts(tmp_path: Path) -> None:
    """The same bytes; another seed chooses others."""
    rows = rows_at_random(1)
    one, many = picked(tmp_path / "one", rows, 1), picked(tmp_path / "many", rows, 7)
    assert (tmp_path / "one/examples.parquet").read_bytes() == (tmp_path / "many/examples.parquet").read_bytes()
    assert one == many
    other = picked(tmp_path / "other", rows, options=OPTIONS | {"seed": 6})
    assert {row["row_id"] for row in other} != {row["row_id"] for row in one}


def test_what_is_told_of_a_row(tmp_path: Path) -> None:
    """Copies of planted rows, counts of those that were counted, pointer, hits."""
    rows = rows_at_random(2)
    found = picked(tmp_path, rows)
    for row in found:
        source = rows[row["row_id"]]
        if row["domain"] == "control":
            assert (row["count"], row["counted"]) == (source["copies"], "planted")
        else:
            assert (row["count"], row["counted"]) == ((7, "bytes") if row["row_id"] % 2 == 0 else (-1, ""))
        assert row["hit"] == [a == b for a, b in zip(source["generated"], source["continuation"], strict=True)]
        assert (row["document_id"], row["source_row"]) == (source["document_id"], row["row_id"])
        assert row["hits"] == sum(row["hit"]) and row["first_mismatch"] == [*row["hit"], False].index(False)
        assert row["model"] == "a-s" and row["parameters"] == 9 and row["masked"] == 0
    assert {row["counted"] for row in found} == {"planted", "bytes", ""}
    groups = [(row["domain"], row["class"], row["count"]) for row in found if row["domain"] == "control"]
    assert max(map(groups.count, groups)) <= 2


def test_without_what_is_optional(tmp_path: Path) -> None:
    """No counts, no planted rows, no distances."""
    rows = [row for row in rows_at_random(3) if row["domain"] != "control"]
    nothing = dict.fromkeys(("near", "frequencies", "planted", "controls"))
    found = picked(tmp_path, rows, options={k: v for k, v in OPTIONS.items() if k != "nearness"}, **nothing)
    assert found and {row["counted"] for row in found} == {""} and {row["count"] for row in found} == {-1}


def test_no_row_of_any_class(tmp_path: Path) -> None:
    nowhere = {"memorized": 2.0, "half": 0.01, "unmemorized": -1.0}
    assert picked(tmp_path, rows_at_random(1), options=OPTIONS | nowhere, near=None) == []


def test_rows_of_another_run_are_refused(tmp_path: Path) -> None:
    """Prevents a text of one row beside what was said of another."""
    rows = rows_at_random(1)
    given = write(tmp_path, rows, 2)
    (tmp_path / "other").mkdir()
    other = write(tmp_path / "other", [row | {"continuation": [1] * STEPS} for row in rows], 2)
    with pytest.raises(ReciteError, match="is not what was scored"):
        pick_examples(**(given | {"shards": other["shards"]}), options=OPTIONS, examples=tmp_path / "e.parquet")
    shorter = write(tmp_path / "other", rows[:-1], 2)
    with pytest.raises(ReciteError, match="holds other rows than were scored"):
        pick_examples(**(given | {"near": shorter["near"]}), options=OPTIONS, examples=tmp_path / "e.parquet")
    assert not (tmp_path / "e.parquet").exists()


def by_letters(ids: Sequence[int]) -> str:
    return "".join(map(chr, ids))


def shown(context: str, continuation: str, generated: str, mask: Sequence[str]) -> tuple[str, str, str, int]:
    """The texts of a row whose tokens are characters."""
    row: dict[str, Any] = {"context": list(map(ord, context))}
    row |= {"continuation": list(map(ord, continuation)), "generated": list(map(ord, generated))}
    row["hit"] = [a == b for a, b in zip(continuation, generated, strict=True)]
    found = texts(row, by_letters, mask)
    for name in ("context", "continuation", "generated"):
        assert list(map(len, found[name])) == [1] * len(row[name])
    pieces = ("".join(found[name]) for name in ("context", "continuation", "generated"))
    return (*pieces, found["masked"])  # type: ignore[return-value]


def test_what_straddles_the_edge_is_hidden_on_both_sides() -> None:
    """An address that the context begins: in the corpus's text, and in what the model made of it."""
    kinds = ("emails", "secrets", "numbers")
    found = shown("mail to jane.d", "oe@mail.org or", "oe@mail.xyz so", kinds)
    assert found == ("mail to ██████", "███████████ or", "███████████ so", 6 + 11 + 11)
    # What only the generated text makes an address is hidden in the context too.
    assert shown("mail to jane", " or to none  ", "@mail.org so ", kinds)[:2] == ("mail to ████", " or to none  ")
    # A token that both have is hidden in both, though the generated text is no whole key.
    key = "AKIA" + "IOSFODNN7EXAMPLQ"
    found = shown(f"k = '{key[:8]}", f"{key[8:]}' + so", f"{key[8:14]} or not so  ", kinds)
    assert found[0] == "k = '████████" and found[1] == "████████████' + so" and found[2] == "██████ or not so  "
    assert shown("mail to jane.d", "oe@mail.org or", "oe@mail.xyz so", ())[3] == 0
    assert shown("mail to jane.d", "oe@mail.org or", "oe@mail.xyz so", ["numbers"])[3] == 0


def test_hidden_before_it_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In no column of the file, and in no line of the log."""
    tokenizer = train_tokenizer(["mail jane.doe@mail.example.org and so on"] * 9, 280)
    context, true = tokenizer.encode("mail jane.doe@m").ids, tokenizer.encode("ail.example.org and so on").ids
    row = rows_at_random(1)[0] | {"context": context, "continuation": true[:STEPS], "generated": true[:STEPS]}
    given = write(tmp_path, [row | {"domain": "code"}], 1) | dict.fromkeys(("frequencies", "planted", "controls"))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    for mask, clear in (([], True), (["emails"], False)):
        pick_examples(**given, options=OPTIONS | {"mask": mask}, examples=tmp_path / "e.parquet")
        (found,) = EXAMPLES.read(tmp_path / "e.parquet").to_pylist()
        assert ("jane" in "".join(found["context"])) == clear and ("example" in str(found)) == clear
        assert "".join(found["context"]).startswith("mail ") and (found["masked"] > 0) != clear
        printed = capsys.readouterr().out
        assert "1 rows to read" in printed and "jane" not in printed


def test_a_character_at_the_edge() -> None:
    """Its bytes in the context are the continuation's; the generated text goes on in its own way."""
    smile = "🙂".encode()

    def by_bytes(ids: Sequence[int]) -> str:
        return bytes(ids).decode(errors="replace")

    row = {"context": [65, *smile[:2]], "continuation": [*smile[2:], 66], "generated": [67, 68, 69]}
    found = texts(row | {"hit": [False] * 3}, by_bytes, [])
    assert found["context"] == ["A", "", ""] and found["continuation"] == ["", "🙂", "B"]
    assert "".join(found["generated"]) == "�CDE"
