"""The cache: right answers, few searches, and no harm from a broken file."""

import logging
import pickle
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from searchenv.errors import RetrievalError
from searchenv.retrieval.cache import CachedRetriever
from searchenv.retrieval.composition import DegradedHits
from searchenv.types import Hit, Passage


class Echo:
    """Finds for every query k passages made of it, and counts its searches."""

    def __init__(self, fingerprint: str = "echo", words: int = 3) -> None:
        self.fingerprint = fingerprint
        self.words = words
        self.batches: list[list[str]] = []

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        self.batches.append(list(queries))
        return [
            [Hit(Passage(f"{q}-{i}", "Ünï", f"{q} " * self.words), 1 / i, i) for i in (1, 2, 3)][:k]
            for q in queries
        ]


class OtherEcho(Echo):
    pass


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "cache.sqlite"


def test_search_asks_once_for_each_new_query(path: Path) -> None:
    inner = Echo()
    cached = CachedRetriever(inner, path)
    expected = Echo().search(["a", "b", "a"], 2)
    assert cached.search(["a", "b", "a"], 2) == expected
    assert cached.search(["a", "b", "a"], 2) == expected
    assert cached.search(["b", "c"], 2) == Echo().search(["b", "c"], 2)
    assert inner.batches == [["a", "b"], ["c"]]
    assert (cached.hits, cached.misses, cached.errors) == (5, 3, 0)
    assert cached.fingerprint == "echo"


def test_cache_outlives_the_object(path: Path) -> None:
    CachedRetriever(Echo(), path).search(["a"], 2)
    inner = Echo()
    assert CachedRetriever(inner, path).search(["a"], 2) == Echo().search(["a"], 2)
    assert inner.batches == []


@pytest.mark.parametrize(
    ("other", "k", "query"),
    [(Echo("new"), 2, "a"), (OtherEcho(), 2, "a"), (Echo(), 1, "a"), (Echo(), 2, "A")],
    ids=["fingerprint", "engine", "k", "query"],
)
def test_key_holds_everything(path: Path, other: Echo, k: int, query: str) -> None:
    CachedRetriever(Echo(), path).search(["a"], 2)
    cached = CachedRetriever(other, path)
    assert cached.search([query], k) == Echo().search([query], k)
    assert other.batches == [[query]]


def test_key_follows_a_fingerprint_that_changes(path: Path) -> None:
    inner = Echo()
    cached = CachedRetriever(inner, path)
    cached.search(["a"], 1)
    inner.fingerprint = "rebuilt"
    cached.search(["a"], 1)
    assert inner.batches == [["a"], ["a"]]


def test_empty_results_and_odd_queries_are_kept(path: Path, keyword_retriever: object) -> None:
    cached = CachedRetriever(keyword_retriever, path)  # type: ignore[arg-type]
    queries = ["", "zzz", "\ud800", "a\x00town", "town\n" * 1000, "😀"]
    assert cached.search(queries, 2) == cached.search(queries, 2)
    assert (cached.hits, cached.misses) == (6, 6)


def test_results_may_be_changed_by_the_caller(path: Path) -> None:
    cached = CachedRetriever(Echo(), path)
    first, second = cached.search(["a", "a"], 2)
    first.clear()
    assert len(second) == 2


def test_a_failed_search_is_raised_and_not_kept(path: Path) -> None:
    class Down(Echo):
        def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
            raise RetrievalError("down")

    cached = CachedRetriever(Down(), path)
    for _ in range(2):
        with pytest.raises(RetrievalError, match="down"):
            cached.search(["a"], 1)


def test_degraded_hits_are_passed_on_and_not_kept(path: Path) -> None:
    class HalfDown(Echo):
        def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
            found = super().search(queries, k)
            return [DegradedHits(hits, "half") if hits else hits for hits in found]

    inner = HalfDown()
    cached = CachedRetriever(inner, path)
    for _ in range(2):
        (hits,) = cached.search(["a"], 1)
        assert isinstance(hits, DegradedHits)
    assert inner.batches == [["a"], ["a"]]


def test_large_batches_are_one_lookup(path: Path) -> None:
    queries = [f"query {i}" for i in range(40_000)]
    inner = Echo(words=1)
    cached = CachedRetriever(inner, path)
    assert cached.search(queries, 1) == cached.search(queries, 1)
    assert len(inner.batches) == 1


def test_file_stays_within_its_bound(path: Path) -> None:
    inner = Echo(words=1000)
    cached = CachedRetriever(inner, path, max_bytes=1_000_000)
    for start in range(0, 2000, 50):
        cached.search([f"{start + i:04}" for i in range(50)], 1)
    with sqlite3.connect(path) as connection:
        (kept,) = connection.execute("SELECT count(*) FROM results").fetchone()
    connection.close()
    assert 1 < kept < 250
    assert path.stat().st_size < 2_000_000
    before = len(inner.batches)
    cached.search(["1999", "0000"], 1)
    assert inner.batches[before:] == [["0000"]]  # what was stored first went first


def test_a_bound_below_a_megabyte_is_an_error(path: Path) -> None:
    with pytest.raises(ValueError, match="max_bytes must be >= 1,000,000, got 10"):
        CachedRetriever(Echo(), path, max_bytes=10)


def test_threads_share_a_retriever(path: Path) -> None:
    cached = CachedRetriever(Echo(), path)
    wrong: list[object] = []

    def work(number: int) -> None:
        for i in range(30):
            queries = [f"{i}", f"{number}-{i}"]
            if cached.search(queries, 2) != Echo().search(queries, 2):
                wrong.append(queries)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert cached.hits + cached.misses == 8 * 30 * 2
    assert cached.errors == 0


def test_pickled_retriever_finds_the_same_file(path: Path) -> None:
    cached = CachedRetriever(Echo(), path)
    cached.search(["a"], 1)
    copy = pickle.loads(pickle.dumps(cached))
    assert copy.search(["a"], 1) == cached.search(["a"], 1)
    assert (copy.hits, copy.misses) == (1, 0)


def test_a_path_that_cannot_be_a_file_is_searched_around(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "below"):
        cached = CachedRetriever(Echo(), path)
        assert cached.search(["a"], 2) == Echo().search(["a"], 2)
        assert cached.errors == 2
    assert f"cannot read the cache {tmp_path}" in caplog.text
    assert "searching without it" in caplog.text


def test_a_locked_file_is_searched_around_and_tried_again(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cached = CachedRetriever(Echo(), path)
    cached.search(["a"], 2)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with caplog.at_level(logging.WARNING):
        assert cached.search(["a", "b"], 2) == Echo().search(["a", "b"], 2)
    assert (cached.hits, cached.misses, cached.errors) == (1, 2, 1)  # readers do not wait
    assert "database is locked" in caplog.text
    other.execute("COMMIT")
    other.close()
    time.sleep(1.1)
    cached.search(["b"], 2)
    cached.search(["b"], 2)
    assert (cached.hits, cached.misses, cached.errors) == (2, 3, 1)


def test_a_damaged_file_is_searched_around(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is not a database " * 1000)
    cached = CachedRetriever(Echo(), path)
    assert cached.search(["a"], 2) == Echo().search(["a"], 2)
    assert cached.errors == 2


@pytest.mark.parametrize("seed", range(8))
def test_random_damage_never_changes_a_result(path: Path, seed: int) -> None:
    queries = [f"query {i}" for i in range(100)]
    first = CachedRetriever(Echo(), path)
    first.search(queries, 2)
    first.close()
    content = bytearray(path.read_bytes())
    place = (seed * 2_654_435_761) % (len(content) - 600)
    for i in range(place, place + 600, 7):
        content[i] ^= 0x55
    path.write_bytes(bytes(content))
    cached = CachedRetriever(Echo(), path)
    assert cached.search(queries, 2) == Echo().search(queries, 2)
    assert cached.search(queries, 2) == Echo().search(queries, 2)


def test_a_changed_text_is_noticed(path: Path) -> None:
    first = CachedRetriever(Echo(), path)
    first.search(["needle"], 1)
    first.close()
    path.write_bytes(path.read_bytes().replace(b"needle needle", b"needle nettle"))
    inner = Echo()
    assert CachedRetriever(inner, path).search(["needle"], 1) == Echo().search(["needle"], 1)
    assert inner.batches == [["needle"]]


def test_a_removed_file_is_made_again(path: Path) -> None:
    cached = CachedRetriever(Echo(), path)
    cached.search(["a"], 1)
    cached.close()
    for file in path.parent.iterdir():
        file.unlink()
    assert cached.search(["a"], 1) == Echo().search(["a"], 1)
    assert (cached.misses, cached.errors) == (2, 0)
