import gzip
import json
import logging
from pathlib import Path

import pytest

from searchenv.errors import CorpusError, JavaUnavailableError, RetrievalError
from searchenv.indexing import build_index, lucene_writer
from searchenv.indexing.lucene_writer import write_lucene
from searchenv.retrieval import LuceneRetriever, PassageStore, PassageWriter, open_index
from searchenv.types import Passage

ENGINES = ["lucene", "bm25s"]
PASSAGES = [Passage(f"{i * 7919 % 20_000:05d}", f"Title {i}", f"number{i}") for i in range(20_000)]


@pytest.mark.parametrize("engine", ENGINES)
def test_build_index_of_a_file(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "corpus.jsonl.gz"
    with gzip.open(path, "wt") as file:
        file.write('{"_id": 1, "title": "Faust", "text": "A play."}\n')
    manifest = build_index(str(path), str(tmp_path / "index"), engine=engine, k1=1.2, b=0.75)
    assert (manifest.name, manifest.engine, manifest.num_passages) == ("index", engine, 1)
    assert (manifest.k1, manifest.b) == (1.2, 0.75)
    said = json.loads((tmp_path / "index" / "manifest.json").read_text())
    assert said["fingerprint"] == manifest.fingerprint == open_index(tmp_path / "index").fingerprint
    (hits,) = open_index(tmp_path / "index").search(["play"], 1)
    assert hits[0].passage == Passage("1", "Faust", "A play.")


@pytest.mark.parametrize("engine", ENGINES)
def test_build_index_keeps_rows_and_passages_together(tmp_path: Path, engine: str) -> None:
    build_index(iter(PASSAGES), tmp_path / "index", engine=engine)
    wanted = PASSAGES[::97]
    found = open_index(tmp_path / "index").search([passage.text for passage in wanted], 1)
    assert [hits[0].passage for hits in found] == wanted


@pytest.mark.parametrize("engine", ENGINES)
def test_build_index_parameters_reach_the_scores(tmp_path: Path, engine: str) -> None:
    passages = [Passage("1", "", "alpha beta"), Passage("2", "", "gamma")]
    build_index(passages, tmp_path / "index", engine=engine, k1=0.0, b=0.0)
    (hits,) = open_index(tmp_path / "index").search(["alpha"], 1)
    assert hits[0].score == pytest.approx(0.693147, abs=1e-5)  # ln(1 + (2 - 1 + 0.5) / (1 + 0.5))


def test_build_index_broken_corpus_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "1", "text": "a town"}\n{\n')
    with pytest.raises(CorpusError, match=r"a.jsonl, line 2: no valid JSON"):
        build_index(tmp_path / "a.jsonl", tmp_path / "index", engine="bm25s")
    assert not (tmp_path / "index").exists()


def test_build_index_skip_broken_logs_how_many(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "1", "text": "a town"}\n{\n')
    with caplog.at_level(logging.WARNING):
        build_index(tmp_path / "a.jsonl", tmp_path / "i", engine="bm25s", skip_broken=True)
    assert "left out 1 broken records, first: " in caplog.text
    assert len(PassageStore(tmp_path / "i" / "passages.arrow")) == 1


def test_build_index_of_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="the corpus holds no passages"):
        build_index([], tmp_path / "index", engine="bm25s")
    with pytest.raises(CorpusError, match="no passage holds a word"):
        build_index([Passage("1", "", "?")], tmp_path / "index", engine="bm25s")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"engine": "lucen"}, "unknown engine 'lucen'. Did you mean 'lucene'"),
        ({"engine": "bm25s", "k1": -1}, "expected k1 >= 0 and 0 <= b <= 1, got k1=-1"),
        ({"engine": "bm25s", "b": 1.5}, "got k1=0.9, b=1.5"),
        ({"engine": "bm25s", "k1": float("nan")}, "got k1=nan"),
    ],
)
def test_build_index_wrong_options_are_errors(
    tmp_path: Path, options: dict[str, object], expected: str
) -> None:
    with pytest.raises(ValueError, match=expected):
        build_index(PASSAGES, tmp_path / "index", **options)  # type: ignore[arg-type]


def test_build_index_does_not_replace_unasked(tmp_path: Path) -> None:
    first = build_index(PASSAGES[:5], tmp_path / "index", engine="bm25s")
    with pytest.raises(FileExistsError, match="is already there"):
        build_index(PASSAGES[:6], tmp_path / "index", engine="bm25s")
    assert open_index(tmp_path / "index").fingerprint == first.fingerprint
    second = build_index(PASSAGES[:6], tmp_path / "index", engine="bm25s", replace=True)
    assert open_index(tmp_path / "index").fingerprint == second.fingerprint != first.fingerprint


def test_build_index_shows_progress(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build_index(PASSAGES[:50], tmp_path / "index", engine="bm25s", progress=True)
    shown = capsys.readouterr().err
    assert "reading the corpus: 50 passages" in shown
    assert "indexing with bm25s: 100%" in shown
    build_index(PASSAGES[:50], tmp_path / "quiet", engine="bm25s")
    assert capsys.readouterr().err == ""


def test_build_index_lucene_without_java_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("searchenv.retrieval.java._candidates", lambda: iter(()))
    with pytest.raises(JavaUnavailableError, match='engine="bm25s" runs without Java'):
        build_index(PASSAGES[:5], tmp_path / "index", engine="lucene")
    assert not (tmp_path / "index").exists()


def test_index_in_this_process_keeps_rows(tmp_path: Path) -> None:
    # what the child process of a build does, where coverage and debuggers see it
    with PassageWriter(tmp_path / "passages.arrow") as writer:
        for passage in PASSAGES[:9000]:
            writer.add(passage)
    store, done = PassageStore(tmp_path / "passages.arrow"), list[int]()
    lucene_writer._index(store, tmp_path / "lucene", 0.9, 0.4, done.append)
    assert (sum(done), max(done)) == (9000, 500)
    (hits,) = LuceneRetriever(tmp_path / "lucene", passages=store).search(["number8999"], 1)
    assert hits[0].passage == PASSAGES[8999]


def test_write_lucene_tells_what_the_child_said(tmp_path: Path) -> None:
    with PassageWriter(tmp_path / "passages.arrow") as writer:
        writer.add(PASSAGES[0])
    (tmp_path / "file").touch()
    with pytest.raises(RetrievalError, match=r"the Lucene indexer ended with 1:\n(.|\n)*file"):
        list(write_lucene(tmp_path / "passages.arrow", tmp_path / "file", k1=0.9, b=0.4))
