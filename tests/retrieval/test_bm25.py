import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from searchenv.errors import IndexNotFoundError
from searchenv.indexing import build_index
from searchenv.retrieval import Bm25sRetriever, PassageStore, open_index
from searchenv.retrieval.words import WordAnalyzer


def test_words_are_lower_case_stemmed_and_no_stop_words() -> None:
    terms = WordAnalyzer().terms("The Café's 2nd director, I.e. naïve_words; RUNNING")
    assert terms == ["café", "2nd", "director", "naïve_word", "run"]


def test_retriever_without_an_index_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFoundError, match="no bm25s index of searchenv in"):
        Bm25sRetriever(tmp_path, passages=PassageStore(tmp_path / "none"), fingerprint="")


@pytest.mark.data
def test_search_ranks_as_bm25s_itself(data_dir: Path, tmp_path: Path) -> None:
    import bm25s

    folder = data_dir / "2wikimultihopqa"
    build_index(folder / "corpus.json.gz", tmp_path / "index", engine="bm25s")
    with gzip.open(folder / "dev_1000.jsonl.gz", "rt", encoding="utf-8") as file:
        queries = [json.loads(line)["question"] for line in file]
    model = bm25s.BM25.load(tmp_path / "index" / "bm25s")
    terms = [WordAnalyzer().terms(query) for query in queries]
    rows, scores = model.retrieve(terms, k=10, show_progress=False, sorted=True)
    found = open_index(tmp_path / "index").search(queries, 10)
    for hits, their_rows, their_scores in zip(found, rows, scores, strict=True):
        assert [hit.score for hit in hits] == pytest.approx(their_scores.tolist(), rel=1e-6)
        above_the_cut = [
            row for row, s in zip(their_rows, their_scores, strict=True) if s > their_scores[-1]
        ]
        ours = [int(hit.passage.id) for hit in hits][: len(above_the_cut)]
        assert sorted(ours) == sorted(above_the_cut)  # the ids of this corpus are its rows


def test_search_needs_no_java(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from searchenv.indexing import build_index; from searchenv.retrieval import open_index\n"
        "from searchenv.types import Passage\n"
        "build_index([Passage('1', 'A', 'town')], Path(sys.argv[1]), engine='bm25s')\n"
        "assert len(open_index(sys.argv[1]).search(['town'], 1)[0]) == 1\n"
        "assert not {'jnius', 'pyserini', 'torch'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "index")]
    subprocess.run(command, check=True, timeout=60)
