"""Parts of documents in tokens: counted in whole documents, they are found wherever their text stands."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from recite.corpora.sampling import Pool, _windows
from recite.corpora.tables.candidates import CANDIDATES
from recite.corpora.tokenizer import load_tokenizer
from recite.stages.frequency.measure import row_spans
from recite.stages.frequency.ngrams import Index, build_index, units_of

WORDS = ["amber", "beryl", "coral", "diamond", "emerald", "flint"]
LINES = [f"{n}. {first} {second}" for n in range(1, 4) for first in WORDS for second in WORDS[:3]]
DOCUMENTS = [
    "1. amber\n2. beryl\n1. amber\n",
    "amber coral  flint\n1. amber coral\n\n  3. coral amber",
    "  flint amber\n1. amber\n\u2603\u2603 amber \u2603",
    " ".join(WORDS) + "\n1. amber beryl\n" * 4,
]
PARTS = [
    "\n1. amber",
    " amber",
    "\n1. amber beryl\n",
    " coral  flint",
    "\n\n  3. coral",
    "\u2603 amber",
    " \u2603",
    "\n",
]
HEADS = ["1. amber", "amber coral", "  flint amber\n", "amber beryl"]


def model(folder: Path, **options: Any) -> Path:
    """A tokenizer.model, trained on lines as its trainer has it."""
    options = {"model_type": "bpe", "vocab_size": 400, "hard_vocab_limit": False} | options
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES), model_prefix=str(folder / "tokenizer"), minloglevel=2, **options
    )
    return folder / "tokenizer.model"


def json_file(folder: Path, normalizer: Any, pre_tokenizer: Any, kind: str = "bpe") -> Path:
    """A tokenizer.json of Llama's class (bpe, with a byte for what is unknown), of T5's (unigram), or of GPT's."""
    special = [f"<0x{byte:02X}>" for byte in range(256)]
    if kind == "unigram":
        made = Tokenizer(models.Unigram())
        trainer: Any = trainers.UnigramTrainer(vocab_size=80, unk_token="<unk>", special_tokens=["<unk>"])
    else:
        made = Tokenizer(models.BPE(byte_fallback=kind == "bpe", unk_token="<unk>", fuse_unk=True))
        alphabet = [] if kind == "bpe" else pre_tokenizers.ByteLevel.alphabet()
        names = ["<unk>", "<s>", *(special if kind == "bpe" else [])]
        trainer = trainers.BpeTrainer(vocab_size=len(names) + 400, special_tokens=names, initial_alphabet=alphabet)
    made.pre_tokenizer = pre_tokenizers.ByteLevel() if kind == "gpt" else pre_tokenizers.Metaspace()
    made.train_from_iterator(LINES, trainer)
    made.normalizer, made.pre_tokenizer = normalizer, pre_tokenizer  # word for word is for training
    made.add_special_tokens([AddedToken("<s>", special=True)])
    made.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def metaspace(scheme: str, split: bool = True) -> Any:
    return pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)


PREPEND = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
JOINED = normalizers.Sequence([normalizers.Strip(left=True), normalizers.Replace(Regex(r"\s+"), " ")])
ANCHORED = normalizers.Sequence([normalizers.Replace(Regex(r"\A *"), " "), normalizers.Replace(" ", "▁")])
WHOLE: dict[str, Any] = {"remove_extra_whitespaces": False, "normalization_rule_name": "identity"}
BYTES: dict[str, Any] = WHOLE | {"byte_fallback": True, "vocab_size": 500}
KINDS: dict[str, Callable[[Path], Path]] = {
    "model of Llama": lambda folder: model(folder, **BYTES),
    "model without bytes": lambda folder: model(folder, **WHOLE),
    "model of unigrams with bytes": lambda folder: model(folder, **BYTES | {"model_type": "unigram"}),
    "model without a space in front": lambda folder: model(folder, add_dummy_prefix=False, **BYTES),
    "model that joins spaces": lambda folder: model(folder, vocab_size=120),
    "model of unigrams that joins spaces": lambda folder: model(folder, model_type="unigram", vocab_size=60),
    "json, a space in front of the text": lambda folder: json_file(folder, None, metaspace("first")),
    "json, a space in front always": lambda folder: json_file(folder, None, metaspace("always", split=False)),
    "json, a space by its normalizer": lambda folder: json_file(folder, PREPEND, None),
    "json, one space by an expression": lambda folder: json_file(folder, ANCHORED, None),
    "json, no space in front": lambda folder: json_file(folder, None, metaspace("never")),
    "json of T5": lambda folder: json_file(folder, JOINED, metaspace("always"), "unigram"),
    "json of bytes": lambda folder: json_file(folder, None, pre_tokenizers.ByteLevel(add_prefix_space=False), "gpt"),
    "json of bytes, a space in front": lambda folder: json_file(folder, None, pre_tokenizers.ByteLevel(), "gpt"),
}
JOINS = {"model that joins spaces", "model of unigrams that joins spaces", "json of T5"}
BARE = {"model without a space in front", "json, no space in front", "json of bytes"}


@pytest.fixture(scope="module", params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, KINDS[request.param](tmp_path_factory.mktemp("made"))


def as_seen(kind: str, text: str, is_head: bool) -> str:
    """A document as the tokenizer sees it: joined spaces, and one in front."""
    if kind in JOINS:
        text = re.sub(r"\s+", " ", text)
    if is_head and (kind in JOINS or "expression" in kind):
        text = text.lstrip()
    return text if kind in BARE or not is_head else f" {text}"


def occurrences(kind: str, part: str, is_head: bool) -> int:
    """Places of the documents, as the tokenizer sees them, at which a part stands and no word goes on behind it."""
    seen = re.escape(as_seen(kind, part, is_head)) + (r"(?!\w)" if part[-1].isalpha() else "")
    seen = seen if part[0].isspace() or kind not in BARE else rf"(?<![ \w]){seen}"  # a word behind a space is another
    return sum(len(re.findall(rf"(?={seen})", as_seen(kind, text, True))) for text in DOCUMENTS)


def found(documents: Sequence[Sequence[int]], span: Sequence[int]) -> int:
    """The same of tokens, every place tried."""
    return sum([*ids[at : at + len(span)]] == [*span] for ids in documents for at in range(len(ids)))


def test_parts_are_found_wherever_they_stand(made: tuple[str, Path]) -> None:
    """Prevents a token that a text has at its edges alone from making every part of a document unseen."""
    kind, path = made
    units = units_of(path)
    documents = [ids.tolist() for ids in units.encode(DOCUMENTS)]
    for parts, is_head in ((PARTS, False), (HEADS, True)):
        if kind in {*JOINS, "model without bytes"}:  # a space, or what is unknown, is one token with what follows it
            parts = [part.rstrip() for part in parts if part.strip()]
        spans = units.encode_parts(parts, [is_head] * len(parts))
        expected = {part: occurrences(kind, part, is_head) for part in parts}
        assert {part: found(documents, span.tolist()) for part, span in zip(parts, spans, strict=True)} == expected
        assert min(expected.values()) > 0


def test_parts_at_the_edges_of_unknown_bytes(tmp_path: Path) -> None:
    """Prevents bytes of what stands for the rest from staying where a run of unknown characters is one piece."""
    names = [("<unk>", 0.0), ("▁", -1.0), ("a", -2.0), *((f"<0x{byte:02X}>", -9.0) for byte in range(256))]
    made = Tokenizer(models.Unigram(names, 0, byte_fallback=True))
    made.pre_tokenizer = metaspace("always")
    made.save(str(tmp_path / "tokenizer.json"))
    (whole,) = units_of(tmp_path / "tokenizer.json").encode(["a\u2603\u2603 a\u2603"])
    parts = ["\u2603\u2603 a\u2603", "\u2603", "\u2603 a", "a\u2603", ""]
    spans = units_of(tmp_path / "tokenizer.json").encode_parts(parts, [False] * 5)
    assert [found([whole.tolist()], span.tolist()) for span in spans[:4]] == [1, 3, 1, 2]
    assert len(spans[4]) == 0


def test_ends_of_parts_are_of_the_part(made: tuple[str, Path]) -> None:
    """Prevents a row's text from being cut one character off where something stood in front of it."""
    encoder = load_tokenizer(made[1])
    for part in PARTS:
        ((ids, ends),) = encoder.encode_parts([part], [False], [False])
        assert len(ids) == len(ends) and ends == sorted(ends) and ends[-1] == len(part)
    at_both = encoder.encode_parts(DOCUMENTS, [True] * 4, [True] * 4)
    assert at_both == encoder.encode(DOCUMENTS)


def test_a_window_within_a_document_has_its_tokens(made: tuple[str, Path]) -> None:
    """Prevents a model from being given a space that no document of its training has there."""
    encoder = load_tokenizer(made[1])
    text = "1. amber\n2. beryl coral amber flint"
    start = text.index(" coral")
    row = {"key": 1, "domain": "a", "document_id": "d", "source_file": "f", "source_row": 0}
    rows = [row | {"start": at, "whole": True, "excerpt": text[at:]} for at in (0, start)]
    pool = Pool(pa.Table.from_pylist(rows, CANDIDATES.schema), True, 2, 0, {})
    first, second = _windows(pool, encoder, 3)
    ((ids, ends),) = encoder.encode([text])
    assert first is not None and second is not None
    assert (first.tokens, first.ends) == (ids[:3], ends[:3])
    place = next(at for at, end in enumerate(ends) if end > start)
    assert second.tokens == ids[place : place + 3]
    assert second.ends == [end - start for end in ends[place : place + 3]]


def test_rows_are_counted_in_an_index(tmp_path: Path) -> None:
    """Prevents contexts and continuations that are there eight times from being unseen, in infini-gram itself."""
    units = units_of(model(tmp_path, **BYTES))
    texts = ["1. amber\n2. beryl\n1. amber\n3. coral" for _ in range(4)]
    build_index(texts, units, tmp_path / "index", threads=1, gigabytes=1)
    parts = [("1. amber", "\n2. beryl", 0), ("\n1.", " amber", 17), ("\n2. beryl", "\n1. amber\n3. coral", 8)]
    columns = {
        "text": [(context + rest).encode() for context, rest, _ in parts],
        "context_bytes": [len(context) for context, _, _ in parts],
        "window_start": [start for *_, start in parts],
    }
    spans = row_spans(pa.table(columns), units)
    counts = Index([tmp_path / "index"]).counts([span for row in spans for span in row])
    assert counts == [4, 4, 4, 4, 4, 8, 4, 4, 4]
