"""Lucene's indexer with several writers: order, memory, failure, and the tasks it is made of."""

from pathlib import Path

import pytest

from searchenv.indexing import lucene_writer
from searchenv.indexing.java_tasks import JavaThread, bound
from searchenv.retrieval import LuceneRetriever, PassageStore, PassageWriter
from searchenv.retrieval.java import java
from searchenv.types import Passage

COUNT = 3001


@pytest.fixture
def store(tmp_path: Path) -> PassageStore:
    with PassageWriter(tmp_path / "passages.arrow") as writer:
        for i in range(COUNT):
            writer.add(
                Passage(f"{i * 7919 % COUNT:05d}", f"Tïtle {i}", f'number{i} \u2028 \\ " 😀')
            )
    return PassageStore(tmp_path / "passages.arrow")


@pytest.mark.parametrize("writers", [1, 2, 3])
def test_index_of_several_writers_keeps_rows(
    tmp_path: Path, store: PassageStore, monkeypatch: pytest.MonkeyPatch, writers: int
) -> None:
    monkeypatch.setattr(lucene_writer, "_num_cores", lambda: writers)
    monkeypatch.setattr(lucene_writer, "_ROWS_PER_WRITER", 1)
    done: list[int] = []
    lucene_writer._index(store, tmp_path / "lucene", 0.9, 0.4, done.append)
    assert sum(done) == COUNT
    retriever = LuceneRetriever(tmp_path / "lucene", passages=store)
    rows = [0, 1, 999, 1000, 1499, 1500, 1501, 2000, 2001, COUNT - 1]
    found = retriever.search([f"number{row}" for row in rows], 2)
    assert [hits[0].passage for hits in found] == [store.passage(row) for row in rows]
    assert [len(hits) for hits in found] == [1] * len(rows)
    assert retriever.search(["tïtle"], COUNT)[0][-1].rank == COUNT
    # one segment, and nothing of the parts is left
    assert len(list((tmp_path / "lucene").glob("*.si"))) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lucene", "passages.arrow"]


def test_index_is_the_same_for_any_number_of_writers(
    tmp_path: Path, store: PassageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lucene_writer, "_ROWS_PER_WRITER", 1)
    found = []
    for writers in (1, 3):
        monkeypatch.setattr(lucene_writer, "_num_cores", lambda writers=writers: writers)
        folder = tmp_path / str(writers)
        lucene_writer._index(store, folder, 0.9, 0.4, lambda _: None)
        retriever = LuceneRetriever(folder, passages=store)
        found.append(retriever.search(["tïtle number7", "number2999"], 50))
    assert found[0] == found[1]


def test_a_task_that_fails_stops_the_build(tmp_path: Path) -> None:
    with PassageWriter(tmp_path / "passages.arrow") as writer:
        writer.add(Passage("1", "", "  "))  # Anserini indexes no empty document
    store = PassageStore(tmp_path / "passages.arrow")
    with pytest.raises(Exception, match="EmptyDocumentException"):
        lucene_writer._index(store, tmp_path / "lucene", 0.9, 0.4, lambda _: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["passages.arrow"]


def test_bound_calls_a_java_method_in_a_java_thread() -> None:
    with java() as autoclass:
        made = autoclass("java.lang.StringBuilder")("first")
        append = (
            "java.lang.StringBuilder",
            "append",
            "java.lang.String",
            "java.lang.StringBuilder",
        )
        thread = JavaThread(autoclass, max_waiting=1)
        for word in (" second", " third", " fourth"):
            text = autoclass("java.lang.String")(word)
            thread.submit(bound(autoclass, "java.util.concurrent.Callable", append, made, text))
        thread.finish()
        assert made.toString() == "first second third fourth"


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (0, None, list(range(COUNT))),
        (10, 13, [10, 11, 12]),
        (2999, 9999, [2999, 3000]),
        (5, 5, []),
        (COUNT, None, []),
    ],
)
def test_batches_of_a_range(
    store: PassageStore, start: int, stop: int | None, expected: list[int]
) -> None:
    found = [passage for batch in store.batches(start, stop) for passage in batch]
    assert found == [store.passage(row) for row in expected]
