"""Reranking: the scorer's order, and the first stage's where the scorer fails."""

import json
import logging
import pickle
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from searchenv.errors import IndexNotFoundError, RetrievalError
from searchenv.retrieval.composition import DegradedHits
from searchenv.retrieval.rerank import CrossEncoder, RerankRetriever
from searchenv.types import Hit, Passage

PASSAGES = tuple(Passage(id_, "", f"the text of {id_}") for id_ in "abcd")
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "town", "river", "film", "the", "who")


class Fixed:
    """Finds all passages, in the order of their ids."""

    fingerprint = "fixed"

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        self.asked.append((len(queries), k))
        hits = [Hit(passage, 9.0 - rank, rank) for rank, passage in enumerate(PASSAGES, 1)][:k]
        return [list(hits) if query else [] for query in queries]


class Length:
    """Scores a passage by a table for each query, and counts its calls."""

    fingerprint = "length"

    def __init__(self) -> None:
        self.table = {"up": "abcd", "down": "dcba"}
        self.calls: list[int] = []

    def score(self, pairs: Sequence[tuple[str, Passage]]) -> list[float]:
        self.calls.append(len(pairs))
        return [float(self.table.get(q, "").find(passage.id)) for q, passage in pairs]


class Broken(Length):
    def score(self, pairs: Sequence[tuple[str, Passage]]) -> list[float]:
        raise RuntimeError("out of memory")


class Short(Length):
    def score(self, pairs: Sequence[tuple[str, Passage]]) -> list[float]:
        return [1.0]


class NotANumber(Length):
    def score(self, pairs: Sequence[tuple[str, Passage]]) -> list[float]:
        return [float("nan")] * len(pairs)


def ids(hits: Sequence[Hit]) -> str:
    return "".join(hit.passage.id for hit in hits)


def test_search_orders_by_the_scorer() -> None:
    first, scorer = Fixed(), Length()
    retriever = RerankRetriever(first, scorer)
    up, nothing, down, equal = retriever.search(["up", "", "down", "other"], 3)
    assert [ids(hits) for hits in (up, nothing, down, equal)] == ["dcb", "", "abc", "abc"]
    assert up == [Hit(PASSAGES[3], 3.0, 1), Hit(PASSAGES[2], 2.0, 2), Hit(PASSAGES[1], 1.0, 3)]
    assert first.asked == [(4, 20)]
    assert scorer.calls == [12]
    assert retriever.fallbacks == 0


def test_search_scores_the_first_depth_hits_only() -> None:
    assert ids(RerankRetriever(Fixed(), Length(), depth=2).search(["up"], 1)[0]) == "b"
    assert ids(RerankRetriever(Fixed(), Length(), depth=2).search(["up"], 3)[0]) == "cba"


def test_search_without_hits_asks_no_scorer() -> None:
    retriever = RerankRetriever(Fixed(), Broken())
    assert retriever.search(["", ""], 3) == [[], []]
    assert retriever.search([], 3) == []
    assert retriever.fallbacks == 0


@pytest.mark.parametrize(
    ("scorer", "reason"),
    [
        (Broken(), "not reranked: RuntimeError: out of memory"),
        (Short(), "not reranked: RetrievalError: the scorer gave 1 scores for 8 pairs"),
        (NotANumber(), "the scorer gave nan, expected finite numbers"),
    ],
    ids=["raises", "too few", "nan"],
)
def test_failing_scorer_leaves_the_first_stage_and_says_so(
    scorer: Length, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    retriever = RerankRetriever(Fixed(), scorer)
    with caplog.at_level(logging.WARNING):
        found = retriever.search(["up", "down"], 3)
    assert found == Fixed().search(["up", "down"], 3)
    assert all(isinstance(hits, DegradedHits) and reason in hits.reason for hits in found)
    assert retriever.fallbacks == 2
    assert "2 queries keep the first stage's order" in caplog.text
    assert "Traceback" in caplog.text


def test_fallbacks_of_threads_are_all_counted() -> None:
    retriever = RerankRetriever(Fixed(), Broken())
    threads = [
        threading.Thread(target=lambda: [retriever.search(["up"], 1) for _ in range(20)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert retriever.fallbacks == 80


def test_mark_of_the_first_stage_is_kept() -> None:
    class Degraded(Fixed):
        def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
            return [DegradedHits(hits, "half") for hits in super().search(queries, k)]

    (hits,) = RerankRetriever(Degraded(), Length()).search(["up"], 2)
    assert ids(hits) == "dc"
    assert isinstance(hits, DegradedHits)
    assert hits.reason == "half"


def test_failing_first_stage_is_raised() -> None:
    class Down(Fixed):
        def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
            raise RetrievalError("the index is gone")

    with pytest.raises(RetrievalError, match="the index is gone"):
        RerankRetriever(Down(), Length()).search(["up"], 2)


def test_depth_below_one_is_an_error() -> None:
    with pytest.raises(ValueError, match="depth must be >= 1, got 0"):
        RerankRetriever(Fixed(), Length(), depth=0)


def make_model(folder: Path, num_labels: int) -> Path:
    """Writes a small classifier with random weights; what it says is checked by itself."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    folder.mkdir(exist_ok=True)
    BertTokenizer({word: place for place, word in enumerate(WORDS)}).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=32,
        id2label={label: str(label) for label in range(num_labels)},
    )  # fmt: skip
    model: Any = BertForSequenceClassification(config)  # type: ignore[no-untyped-call]
    generator = torch.Generator().manual_seed(num_labels)
    with torch.no_grad():
        for weights in model.parameters():
            weights.copy_(torch.randn(weights.shape, generator=generator))
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=[1, 2])
def model_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model") / "cross", request.param)


PAIRS = [
    ("who", Passage("1", "town", "the river")),
    ("the river", Passage("2", "", "film " * 50)),
    ("town \ud800", Passage("3", "", "")),
    ("who " * 500, Passage("4", "film", "the town")),
]


def test_cross_encoder_gives_the_logits(model_folder: Path) -> None:
    import torch
    from transformers import BertForSequenceClassification

    scores = CrossEncoder(model_folder).score(PAIRS)
    # [CLS] who [SEP] town the river [SEP]
    ids = torch.tensor([[2, 9, 3, 5, 8, 6, 3]])
    types = torch.tensor([[0, 0, 0, 1, 1, 1, 1]])
    model: Any = BertForSequenceClassification.from_pretrained(model_folder)
    model.eval()
    with torch.inference_mode():
        logits = model(input_ids=ids, token_type_ids=types).logits[0].tolist()
    expected = logits[0] if len(logits) == 1 else logits[1] - logits[0]
    assert scores[0] == pytest.approx(expected, abs=1e-4)
    assert len(set(scores)) == 4


def test_cross_encoder_does_not_depend_on_the_batch(model_folder: Path) -> None:
    scores = CrossEncoder(model_folder).score(PAIRS)
    assert CrossEncoder(model_folder, batch_size=1).score(PAIRS) == scores
    assert CrossEncoder(model_folder).score(PAIRS[::-1]) == scores[::-1]
    assert pickle.loads(pickle.dumps(CrossEncoder(model_folder))).score(PAIRS) == scores


def test_cross_encoder_reranks(model_folder: Path) -> None:
    encoder = CrossEncoder(model_folder)
    (hits,) = RerankRetriever(Fixed(), encoder).search(["who"], 4)
    scores = encoder.score([("who", passage) for passage in PASSAGES])
    assert [hit.score for hit in hits] == sorted(scores, reverse=True)


def test_cross_encoder_used_by_threads(model_folder: Path) -> None:
    encoder = CrossEncoder(model_folder)
    expected = encoder.score(PAIRS)
    found: list[list[float]] = []
    threads = [
        threading.Thread(target=lambda: found.append(encoder.score(PAIRS))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_cross_encoder_fingerprint_tells_content_and_length(tmp_path: Path) -> None:
    one = CrossEncoder(make_model(tmp_path / "one", 1)).fingerprint
    assert CrossEncoder(make_model(tmp_path / "same", 1)).fingerprint == one
    assert CrossEncoder(make_model(tmp_path / "two", 2)).fingerprint != one
    assert CrossEncoder(tmp_path / "one", max_length=16).fingerprint != one


def test_cross_encoder_with_broken_weights_falls_back(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "broken", 1)
    (folder / "model.safetensors").write_bytes(b"no weights")
    retriever = RerankRetriever(Fixed(), CrossEncoder(folder))
    assert retriever.search(["who"], 2) == Fixed().search(["who"], 2)
    assert retriever.fallbacks == 1


def test_cross_encoder_that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFoundError, match=r"no cross-encoder .* a folder with config.json"):
        CrossEncoder(tmp_path)


def test_cross_encoder_with_many_outputs_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "bert", "id2label": {"0": "a", "1": "b", "2": "c"}})
    )
    with pytest.raises(ValueError, match="has 3 outputs, expected 1 or 2: not a reranker"):
        CrossEncoder(tmp_path)


@pytest.mark.parametrize("arguments", [{"max_length": 7}, {"batch_size": 0}])
def test_cross_encoder_bad_numbers_are_errors(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected max_length >= 8, batch_size >= 1"):
        CrossEncoder("any", **arguments)  # type: ignore[arg-type]
