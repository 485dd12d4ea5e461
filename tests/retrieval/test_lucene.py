import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest

from searchenv.errors import IndexMismatchError, IndexNotFoundError, RetrievalError
from searchenv.indexing import build_index
from searchenv.retrieval import Analyzer, LuceneRetriever, open_index
from searchenv.retrieval.java import anserini_jar, find_java
from searchenv.retrieval.stored import parse_raw
from searchenv.types import Passage

BOOKS = (
    Passage("b1", "Faust", "Faust is a play by Goethe.\nIt has two parts."),
    Passage("b2", "", "Goethe wrote poems."),
)
RECORDS = [
    {"id": "b1", "contents": '"Faust"\nFaust is a play by Goethe.\nIt has two parts.'},
    {"id": "b2", "contents": "Goethe wrote poems."},
]

Anserini = Callable[..., Path]


@pytest.fixture(scope="module")
def anserini(tmp_path_factory: pytest.TempPathFactory) -> Anserini:
    """Builds a plain Lucene folder with Anserini's own command."""

    @cache
    def build(*options: str) -> Path:
        work = tmp_path_factory.mktemp("anserini")
        (work / "in").mkdir()
        lines = [json.dumps(record) for record in RECORDS]
        (work / "in" / "docs.jsonl").write_text("\n".join(lines))
        java, jar = str(find_java().path / "bin" / "java"), str(anserini_jar())
        command = [java, "-cp", jar, "io.anserini.index.IndexCollection"]
        command += ["-collection", "JsonCollection", "-input", str(work / "in")]
        command += ["-index", str(work / "out"), "-threads", "1", *options]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        return work / "out"

    return build


@pytest.mark.parametrize("option", ["-storeRaw", "-storeContents"])
def test_open_index_of_others_reads_the_stored_text(anserini: Anserini, option: str) -> None:
    retriever = open_index(anserini(option), engine="lucene")
    (hits,) = retriever.search(["Goethe plays"], 5)
    assert [hit.passage for hit in hits] == list(BOOKS)
    assert len(retriever.passages) == 2
    assert list(retriever.passages.batches()) == [list(BOOKS)]
    assert retriever.passages.get(["b2", "b1"]) == [BOOKS[1], BOOKS[0]]
    assert retriever.passages.ids_by_title(["Faust", "Egmont"]) == {"Faust": ("b1",)}
    with pytest.raises(KeyError, match="no passage with id 'b9'"):
        retriever.passages.get(["b9"])


def test_open_index_of_others_ranks_as_our_own(anserini: Anserini, tmp_path: Path) -> None:
    build_index(BOOKS, tmp_path / "own", engine="lucene")
    queries = ["Goethe", "play", "poems by Goethe"]
    own = open_index(tmp_path / "own").search(queries, 5)
    assert open_index(anserini("-storeRaw")).search(queries, 5) == own


def test_open_index_of_others_without_text_is_an_error(anserini: Anserini) -> None:
    retriever = open_index(anserini())
    with pytest.raises(IndexMismatchError, match=r"stores no text .*searchenv index build"):
        retriever.search(["Goethe"], 1)
    assert retriever.search(["nothing"], 1) == [[]]


def test_open_index_of_others_analyzer(
    anserini: Anserini, caplog: pytest.LogCaptureFixture
) -> None:
    folder = anserini("-storeRaw", "-stemmer", "none")
    assumed = open_index(folder)
    assert "has no manifest: taking Anserini's default analyzer" in caplog.text
    unstemmed = open_index(folder, analyzer="anserini-unstemmed")
    queries = ["two", "poems"]  # Porter makes "poem" of the second, which this index lacks
    assert [len(hits) for hits in assumed.search(queries, 1)] == [1, 0]
    assert [len(hits) for hits in unstemmed.search(queries, 1)] == [1, 1]
    assert assumed.fingerprint != unstemmed.fingerprint
    with pytest.raises(IndexMismatchError, match="Did you mean 'anserini-unstemmed'"):
        open_index(folder, analyzer="anserini-stem")


@pytest.mark.parametrize(
    ("analyzer", "found"),
    [
        (Analyzer.PORTER, [1, 1, 1]),
        (Analyzer.KROVETZ, [1, 1, 1]),
        (Analyzer.UNSTEMMED, [0, 1, 1]),
        (Analyzer.WHITESPACE, [0, 0, 1]),
    ],
)
def test_analyzers_make_terms_of_queries(
    anserini: Anserini, analyzer: Analyzer, found: list[int]
) -> None:
    retriever = LuceneRetriever(anserini("-storeRaw"), analyzer=analyzer)
    assert [len(hits) for hits in retriever.search(["poems", "Poem!", "poem"], 1)] == found


def test_close_and_search_again(build: Callable[[str, Sequence[Passage]], Path]) -> None:
    retriever = open_index(build("lucene", BOOKS))
    retriever.close()
    hits = retriever.search(["Goethe"], 2)
    retriever.close()
    retriever.close()
    assert retriever.search(["Goethe"], 2) == hits


def test_retriever_without_an_index_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFoundError, match=r"no Lucene index in .* no segments file"):
        LuceneRetriever(tmp_path)


def test_search_that_java_fails_is_an_error(
    build: Callable[[str, Sequence[Passage]], Path],
) -> None:
    retriever = open_index(build("lucene", BOOKS))
    assert isinstance(retriever, LuceneRetriever)
    retriever.search(["Goethe"], 1)
    retriever._searcher().close()
    with pytest.raises(RetrievalError, match=r"Lucene failed: .*closed"):
        retriever.search(["Goethe"], 1)


@pytest.mark.parametrize(
    ("raw", "title", "text"),
    [
        ('{"id": "1", "contents": "Faust\\nA play."}', "Faust", "A play."),
        ('{"id": "1", "title": "Faust", "text": "A play."}', "Faust", "A play."),
        ('{"id": "1", "text": "A play."}', "", "A play."),
        ("Faust\nA play.", "Faust", "A play."),
        ('["A play."]', "", '["A play."]'),
    ],
)
def test_parse_raw_layouts(raw: str, title: str, text: str) -> None:
    assert parse_raw("1", raw) == Passage("1", title, text)


def test_search_of_a_damaged_index_is_an_error(tmp_path: Path) -> None:
    build_index(BOOKS, tmp_path / "index", engine="lucene")
    for segments in (tmp_path / "index" / "lucene").glob("segments_*"):
        segments.write_bytes(b"")
    with pytest.raises(RetrievalError, match="Lucene cannot open"):
        open_index(tmp_path / "index").search(["Goethe"], 1)


@pytest.fixture(scope="module")
def wiki_index(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wiki") / "index"
    build_index(data_dir / "2wikimultihopqa" / "corpus.json.gz", out, engine="lucene")
    return out


@pytest.mark.data
@pytest.mark.parametrize(("file", "k"), [("dev_1000", 10), ("dev_4000_no_context", 5)])
def test_search_ranks_as_pyserini(data_dir: Path, wiki_index: Path, file: str, k: int) -> None:
    script = Path(__file__).with_name("compare_with_pyserini.py")
    questions = data_dir / "2wikimultihopqa" / f"{file}.jsonl.gz"
    done = subprocess.run(
        [sys.executable, str(script), str(wiki_index), str(questions), str(k)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    counts = json.loads(done.stdout)
    assert counts["questions"] >= 500
    assert counts["same"] >= 0.999 * counts["questions"]  # ids and order, ties included
    assert counts["score_differs"] == 0


@pytest.mark.data
def test_two_builds_of_one_corpus_are_alike(
    data_dir: Path, wiki_index: Path, tmp_path: Path
) -> None:
    again = build_index(
        data_dir / "2wikimultihopqa" / "corpus.json.gz", tmp_path / "again", engine="lucene"
    )
    first, second = open_index(wiki_index), open_index(tmp_path / "again")
    assert first.fingerprint == second.fingerprint == again.fingerprint
    queries = [p.text[:80] for batch in second.passages.batches() for p in batch[::20]]
    assert first.search(queries, 10) == second.search(queries, 10)
