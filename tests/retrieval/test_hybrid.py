"""Fusions worked out by hand."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from searchenv.errors import IndexMismatchError, RetrievalError
from searchenv.retrieval import open_index
from searchenv.retrieval.composition import DegradedHits
from searchenv.retrieval.hybrid import HybridRetriever
from searchenv.types import Hit, Passage

PASSAGES = {id_: Passage(id_, "", f"the text of {id_}") for id_ in "abcd"}


class Fixed:
    """A retriever that always finds the same, and keeps what it was asked."""

    def __init__(self, scores: dict[str, float], fingerprint: str = "fixed") -> None:
        self.fingerprint = fingerprint
        self.found = [
            Hit(PASSAGES[id_], score, rank) for rank, (id_, score) in enumerate(scores.items(), 1)
        ]
        self.asked: list[tuple[tuple[str, ...], int]] = []

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        self.asked.append((tuple(queries), k))
        return [self.found[:k] for _ in queries]


def fused(hybrid: HybridRetriever, k: int = 10) -> list[tuple[str, float]]:
    (hits,) = hybrid.search(["q"], k)
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    return [(hit.passage.id, hit.score) for hit in hits]


def test_rrf_by_hand() -> None:
    hybrid = HybridRetriever([Fixed({"a": 9.0, "b": 8.0, "c": 7.0}), Fixed({"b": 0.5, "d": 0.4})])
    assert fused(hybrid) == [
        ("b", pytest.approx(1 / 62 + 1 / 61)),
        ("a", 1 / 61),
        ("d", 1 / 62),
        ("c", 1 / 63),
    ]


def test_rrf_constant_and_weights_by_hand() -> None:
    parts = [Fixed({"a": 9.0, "b": 8.0}), Fixed({"b": 0.5})]
    hybrid = HybridRetriever(parts, rrf_k=0, weights=[2, 0.5])
    assert fused(hybrid) == [("a", 2.0), ("b", 1.5)]


def test_weighted_by_hand() -> None:
    # the first part's scores become 1, 0.5, 0; the second's 1, 0
    parts = [Fixed({"a": 9.0, "b": 8.0, "c": 7.0}), Fixed({"b": 0.5, "d": 0.25})]
    hybrid = HybridRetriever(parts, "weighted", weights=[1, 3])
    assert fused(hybrid) == [("b", 3.5), ("a", 1.0), ("c", 0.0), ("d", 0.0)]


def test_weighted_equal_scores_count_one_each() -> None:
    parts = [Fixed({"a": 2.0, "b": 2.0}), Fixed({"b": -1.0}), Fixed({})]
    hybrid = HybridRetriever(parts, "weighted", weights=[1, 0.25, 1])
    assert fused(hybrid) == [("b", 1.25), ("a", 1.0)]


def test_weighted_normalises_negative_scores() -> None:
    hybrid = HybridRetriever([Fixed({"a": -1.0, "b": -3.0, "c": -5.0})], "weighted")
    assert fused(hybrid) == [("a", 1.0), ("b", 0.5), ("c", 0.0)]


@pytest.mark.parametrize("method", ["rrf", "weighted"])
def test_ties_are_ordered_by_docid_also_at_the_cut(method: str) -> None:
    parts = [Fixed({"c": 2.0, "a": 1.0}), Fixed({"a": 2.0, "c": 1.0}), Fixed({"b": 1.0})]
    weights = [1, 1, 2 * 61 / 62 if method == "rrf" else 1]
    hybrid = HybridRetriever(parts, method, weights=weights)
    assert [id_ for id_, _ in fused(hybrid)][-2:] != ["c", "a"]
    assert fused(hybrid, 1) == fused(hybrid)[:1]


def test_rrf_sums_of_the_same_ranks_are_equal_in_any_order() -> None:
    # 0.1 + 0.2 + 0.3 differs from 0.3 + 0.2 + 0.1 in the last bit if added one by one
    orders = ("abcd", "bcad", "cabd")
    parts = [Fixed({id_: 1.0 for id_ in order}) for order in orders]
    scores = dict(fused(HybridRetriever(parts, rrf_k=7)))
    assert scores["a"] == scores["b"] == scores["c"]


def test_search_asks_each_part_once_a_batch() -> None:
    parts = [Fixed({"a": 1.0}), Fixed({"b": 1.0})]
    assert len(HybridRetriever(parts, depth=7).search(["x", "y", "z"], 3)) == 3
    assert [part.asked for part in parts] == [[(("x", "y", "z"), 7)]] * 2


def test_search_beyond_depth_takes_k_of_each_part() -> None:
    part = Fixed({"a": 1.0})
    HybridRetriever([part], depth=7).search(["x"], 9)
    assert part.asked == [(("x",), 9)]


class Failing:
    fingerprint = "failing"

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        raise RetrievalError("the second part is down")


class Short:
    fingerprint = "short"

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        return [[]]


class Degraded(Fixed):
    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        return [DegradedHits(hits, "half of it") for hits in super().search(queries, k)]


def test_a_failing_part_fails_the_search() -> None:
    with pytest.raises(RetrievalError, match="the second part is down"):
        HybridRetriever([Fixed({"a": 1.0}), Failing()]).search(["x"], 3)


def test_a_part_with_too_few_results_fails_the_search() -> None:
    with pytest.raises(RetrievalError, match="Short gave 1 results for 2 queries"):
        HybridRetriever([Fixed({"a": 1.0}), Short()]).search(["x", "y"], 3)


def test_a_degraded_part_marks_the_result() -> None:
    (hits,) = HybridRetriever([Fixed({"a": 1.0}), Degraded({"b": 1.0})]).search(["x"], 3)
    assert isinstance(hits, DegradedHits)
    assert hits.reason == "half of it"


def test_fingerprint_tells_parts_and_parameters() -> None:
    one, two = Fixed({}, "one"), Fixed({}, "two")
    hybrids = [
        HybridRetriever([one, two]),
        HybridRetriever([two, one]),
        HybridRetriever([one, two], rrf_k=61),
        HybridRetriever([one, two], depth=50),
        HybridRetriever([one, two], weights=[1, 2]),
        HybridRetriever([one, two], "weighted"),
    ]
    assert len({hybrid.fingerprint for hybrid in hybrids}) == len(hybrids)
    assert HybridRetriever([one, two]).fingerprint == hybrids[0].fingerprint


def test_parts_over_other_corpora_are_refused(
    build: Callable[[str, Sequence[Passage]], Path],
) -> None:
    ab = open_index(build("bm25s", (PASSAGES["a"], PASSAGES["b"])))
    cd = open_index(build("bm25s", (PASSAGES["c"], PASSAGES["d"])))
    with pytest.raises(IndexMismatchError, match="the parts search different corpora"):
        HybridRetriever([ab, HybridRetriever([cd])])


def test_manifest_of_something_else_beside_a_foreign_index_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"name": "a web page"}')
    part = Fixed({"a": 1.0})
    part.__dict__["folder"] = tmp_path / "foreign"
    assert fused(HybridRetriever([part, Fixed({"a": 1.0})])) == [("a", 2 / 61)]


def test_parts_with_other_passages_of_one_id_are_refused() -> None:
    other = Fixed({"a": 1.0})
    other.found = [Hit(Passage("a", "", "another text"), 1.0, 1)]
    with pytest.raises(IndexMismatchError, match="different passages with the id 'a'"):
        HybridRetriever([Fixed({"a": 1.0}), other]).search(["x"], 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "rff"}, r"unknown method 'rff'. Did you mean 'rrf'\?"),
        ({"weights": [1.0]}, "expected one weight for each of 2 parts, got 1"),
        ({"weights": [1.0, -1.0]}, "weights must be finite, >= 0 and not all 0"),
        ({"weights": [0.0, 0.0]}, "weights must be finite, >= 0 and not all 0"),
        ({"weights": [1.0, float("nan")]}, "weights must be finite, >= 0 and not all 0"),
        ({"rrf_k": -1}, "expected rrf_k >= 0 and depth >= 1, got -1 and 100"),
        ({"depth": 0}, "expected rrf_k >= 0 and depth >= 1, got 60 and 0"),
    ],
)
def test_bad_arguments_are_errors(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HybridRetriever([Fixed({}), Fixed({})], **arguments)  # type: ignore[arg-type]


def test_no_parts_is_an_error() -> None:
    with pytest.raises(ValueError, match="a hybrid needs at least one part"):
        HybridRetriever([])
