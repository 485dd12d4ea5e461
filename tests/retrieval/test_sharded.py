"""Merging, global statistics, folders of shards; the contract itself is in ``test_contract.py``."""

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from searchenv.errors import CorpusError, IndexMismatchError, IndexNotFoundError
from searchenv.indexing import build_index, build_shards
from searchenv.retrieval import DegradedHits, LuceneRetriever, ShardedRetriever, open_index
from searchenv.retrieval.sharded import merge_hits
from searchenv.types import Hit, Passage

# the second half is longer and shares words with the first: statistics of the halves differ
LOPSIDED = [Passage(f"a{i}", "", f"river town{i}") for i in range(10)] + [
    Passage(f"b{i}", "Town", f"town of hill{i} by the river castle castle castle")
    for i in range(10)
]


def hit(docid: str, score: float) -> Hit:
    return Hit(Passage(docid, "", docid), score, 1)


def ids(hits: Sequence[Hit]) -> list[str]:
    return [hit.passage.id for hit in hits]


def test_merge_hits_orders_by_score_then_docid() -> None:
    merged = merge_hits([[hit("b", 2.0), hit("c", 1.0)], [hit("a", 2.0), hit("d", 0.5)]], 3)
    assert [(h.passage.id, h.score, h.rank) for h in merged] == [
        ("a", 2.0, 1),
        ("b", 2.0, 2),
        ("c", 1.0, 3),
    ]


def test_merge_hits_rounding_counts_as_a_tie() -> None:
    lists = [[hit("b", 1.0000001)], [hit("a", 1.0), hit("c", 0.9)]]
    assert [(h.passage.id, h.score) for h in merge_hits(lists, 3, tie=6e-7)] == [
        ("a", 1.0000001),
        ("b", 1.0000001),
        ("c", 0.9),
    ]
    assert ids(merge_hits(lists, 3)) == ["b", "a", "c"]


def test_merge_hits_keeps_the_mark_of_a_degraded_part() -> None:
    merged = merge_hits([DegradedHits([hit("a", 1.0)], "no reranker"), [hit("b", 2.0)]], 2)
    assert isinstance(merged, DegradedHits)
    assert (merged.reason, ids(merged)) == ("no reranker", ["b", "a"])


@pytest.mark.parametrize("engine", ["lucene", "bm25s"])
def test_shards_have_the_statistics_of_one_index(tmp_path: Path, engine: str) -> None:
    build_index(LOPSIDED, tmp_path / "whole", engine=engine)
    build_shards(LOPSIDED, tmp_path / "shards", num_shards=2, engine=engine)
    queries = ["river", "town river", "castle town3", "hill7 hill7 river", "nowhere"]
    expected = open_index(tmp_path / "whole").search(queries, 20)
    found = open_index(tmp_path / "shards").search(queries, 20)
    assert [ids(hits) for hits in found] == [ids(hits) for hits in expected]
    for hits, wanted in zip(found, expected, strict=True):
        assert [h.score for h in hits] == pytest.approx([h.score for h in wanted], rel=1e-6)
    if engine == "bm25s":
        assert found == expected  # to the last bit


def test_shards_with_their_own_statistics_would_rank_otherwise(tmp_path: Path) -> None:
    # what the global statistics are for
    for number, half in enumerate((LOPSIDED[:10], LOPSIDED[10:])):
        build_index(half, tmp_path / str(number), engine="bm25s")
    parts = [open_index(tmp_path / "0"), open_index(tmp_path / "1")]
    build_index(LOPSIDED, tmp_path / "whole", engine="bm25s")
    query = ["town3 castle"]
    assert open_index(tmp_path / "whole").search(query, 3) != ShardedRetriever(parts).search(
        query, 3
    )


@pytest.mark.data
@pytest.mark.parametrize("engine", ["lucene", "bm25s"])
def test_shards_of_real_passages_rank_like_one_index(
    tmp_path: Path, data_dir: Path, engine: str
) -> None:
    folder = data_dir / "2wikimultihopqa"
    with gzip.open(folder / "dev_1000.jsonl.gz", "rt", encoding="utf-8") as lines:
        queries = [json.loads(line)["question"] for line in lines][:200]
    build_index(folder / "corpus.json.gz", tmp_path / "whole", engine=engine)
    build_shards(folder / "corpus.json.gz", tmp_path / "shards", num_shards=2, engine=engine)
    expected = open_index(tmp_path / "whole").search(queries, 20)
    found = open_index(tmp_path / "shards").search(queries, 20)
    assert [set(ids(hits)) for hits in found] == [set(ids(hits)) for hits in expected]
    same_order = sum(ids(a) == ids(b) for a, b in zip(found, expected, strict=True))
    assert same_order >= 199  # of Lucene's scores some differ by less than their rounding


def test_search_terms_takes_any_term(build: Callable[[str, Sequence[Passage]], Path]) -> None:
    retriever = open_index(build("lucene", LOPSIDED))
    assert isinstance(retriever, LuceneRetriever)
    (terms,) = retriever.terms(["The rivers of town3"])
    assert terms == ["river", "town3"]
    odd = {"AND": 1.0, "a b": 1.0, 'x"(^:*?~\\/[{!&&||+-': 2.0, "\u0301": 1.0}
    plain, with_odd, nothing = retriever.search_terms(
        [{"river": 1.0, "town3": 1.0}, {"river": 1.0, "town3": 1.0, **odd}, {}], 3
    )
    assert plain == with_odd == retriever.search(["river town3"], 3)[0]
    assert nothing == []
    (doubled,) = retriever.search_terms([{"river": 2.0, "town3": 2.0}], 3)
    assert doubled[0].score == pytest.approx(2 * plain[0].score, rel=1e-6)


def test_count_gives_sizes_and_document_frequencies(
    build: Callable[[str, Sequence[Passage]], Path],
) -> None:
    retriever = open_index(build("lucene", LOPSIDED))
    assert isinstance(retriever, LuceneRetriever)
    counts = retriever.count(["castl", "river", "nowhere"])
    assert (counts.num_documents, counts.doc_freqs) == (
        20,
        {"castl": 10, "river": 20, "nowhere": 0},
    )
    assert counts.num_tokens == 10 * 2 + 10 * 7  # town town hill river castle castle castle


def test_sharded_retriever_has_the_passages_of_all_shards(tmp_path: Path) -> None:
    build_shards(LOPSIDED, tmp_path / "shards", num_shards=3, engine="bm25s")
    retriever = open_index(tmp_path / "shards")
    passages = retriever.passages
    assert len(passages) == 20
    assert [passages.passage(row) for row in range(20)] == LOPSIDED
    assert [p for batch in passages.batches() for p in batch] == LOPSIDED
    assert passages.get(["b9", "a0"]) == [LOPSIDED[19], LOPSIDED[0]]
    titles = passages.ids_by_title(["Town", "Nowhere"])
    assert titles == {"Town": tuple(f"b{i}" for i in range(10))}
    with pytest.raises(KeyError, match="no passage with id 'zz'"):
        passages.get(["a0", "zz"])


def test_sharded_retriever_needs_a_shard() -> None:
    with pytest.raises(ValueError, match="expected at least one shard, got none"):
        ShardedRetriever([])


class Failing:
    fingerprint = "failing"

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        raise OSError("the disk is gone")


def test_sharded_retriever_raises_what_a_shard_raises(tmp_path: Path) -> None:
    build_index(LOPSIDED, tmp_path / "whole", engine="bm25s")
    retriever = ShardedRetriever([open_index(tmp_path / "whole"), Failing()])
    with pytest.raises(OSError, match="the disk is gone"):
        retriever.search(["river"], 3)
    retriever.close()


def test_open_index_of_broken_shards_says_so(tmp_path: Path) -> None:
    build_shards(LOPSIDED, tmp_path / "shards", num_shards=2, engine="bm25s")
    path = tmp_path / "shards" / "shards.json"
    path.write_text('{"format": 2, "shards": ["shard-0"]}')
    with pytest.raises(IndexMismatchError, match="has format 2 and 1 shards, expected format 1"):
        open_index(tmp_path / "shards")
    path.write_text("{")
    with pytest.raises(IndexMismatchError, match=r"shards\.json is not readable"):
        open_index(tmp_path / "shards")
    path.write_text('{"format": 1, "shards": ["shard-0", "shard-7"]}')
    with pytest.raises(IndexNotFoundError, match="shard-7"):
        open_index(tmp_path / "shards")


def test_build_shards_refuses(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="num_shards must be >= 1, got 0"):
        build_shards(LOPSIDED, tmp_path / "shards", num_shards=0, engine="bm25s")
    with pytest.raises(CorpusError, match="20 passages cannot make 21 shards"):
        build_shards(LOPSIDED, tmp_path / "shards", num_shards=21, engine="bm25s")
    assert not (tmp_path / "shards").exists()
    build_shards(LOPSIDED, tmp_path / "shards", num_shards=20, engine="bm25s")
    with pytest.raises(FileExistsError, match="is already there"):
        build_shards(LOPSIDED, tmp_path / "shards", num_shards=2, engine="bm25s")


def test_build_shards_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passages = [*LOPSIDED]
    from searchenv.indexing import shards

    real, built = shards._build_bm25s, list[str]()

    def stop_at_the_third(*arguments: object) -> None:
        folder = arguments[1]
        assert isinstance(folder, Path)
        if folder.name == "shard-2" and not built.count("shard-2"):
            built.append(folder.name)
            raise KeyboardInterrupt
        built.append(folder.name)
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(shards, "_build_bm25s", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        build_shards(passages, tmp_path / "shards", num_shards=3, engine="bm25s")
    assert not (tmp_path / "shards").exists()
    build_shards(passages, tmp_path / "shards", num_shards=3, engine="bm25s")
    assert built == ["shard-0", "shard-1", "shard-2", "shard-2"]
    assert open_index(tmp_path / "shards").search(["river"], 1)[0]
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == ["shards"]
