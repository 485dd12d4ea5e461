import shutil
from pathlib import Path

import numpy as np
import pytest

from searchenv.errors import IndexNotFoundError
from searchenv.indexing import build_index, verify_index
from searchenv.retrieval import open_index
from searchenv.types import Passage

SMALL = [Passage(f"p{i}", f"Title {i}", f"number{i} town") for i in range(40)]
OTHER = [Passage(f"q{i}", f"Title {i}", f"number{i} sea") for i in range(40)]


@pytest.mark.parametrize("engine", ["lucene", "bm25s"])
def test_verify_index_sound(tmp_path: Path, engine: str) -> None:
    manifest = build_index(SMALL, tmp_path / "index", engine=engine)
    report = verify_index(tmp_path / "index")
    assert report.ok
    assert report.manifest == manifest


@pytest.mark.parametrize("engine", ["lucene", "bm25s"])
def test_a_relative_folder_is_found_after_java_has_started_elsewhere(
    tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_index(SMALL, tmp_path / "index", engine=engine)
    open_index(tmp_path / "index").search(["town"], 1)
    monkeypatch.chdir(tmp_path)
    assert verify_index(Path("index")).ok
    retriever = open_index("index")
    monkeypatch.chdir("/")
    assert len(retriever.search(["town"], 3)[0]) == 3


def test_verify_index_finds_other_passages(tmp_path: Path) -> None:
    build_index(SMALL, tmp_path / "a", engine="lucene")
    build_index(OTHER, tmp_path / "b", engine="lucene")
    shutil.copy(tmp_path / "b" / "passages.arrow", tmp_path / "a" / "passages.arrow")
    report = verify_index(tmp_path / "a")
    assert not report.ok
    assert "passages.arrow holds 40 passages with digest" in report.problems[0]
    assert "Lucene document 0 is 'p0', expected 'q0'" in report.problems[1]


def test_verify_index_finds_another_number_of_documents(tmp_path: Path) -> None:
    build_index(SMALL, tmp_path / "a", engine="lucene")
    build_index(SMALL[:30], tmp_path / "b", engine="lucene")
    shutil.rmtree(tmp_path / "a" / "lucene")
    shutil.copytree(tmp_path / "b" / "lucene", tmp_path / "a" / "lucene")
    assert "Lucene holds 30 documents, expected 40" in verify_index(tmp_path / "a").problems[0]


def test_verify_index_finds_a_damaged_bm25s_index(tmp_path: Path) -> None:
    build_index(SMALL, tmp_path / "index", engine="bm25s")
    folder = tmp_path / "index" / "bm25s"
    indices = np.load(folder / "indices.csc.index.npy")
    np.save(folder / "indices.csc.index.npy", np.zeros_like(indices))
    (problem,) = verify_index(tmp_path / "index").problems
    assert "of 20 passages were found by their own words" in problem
    np.save(folder / "docid_ranks.npy", np.zeros(3, np.int32))
    assert "holds 3 documents, the manifest says 40" in verify_index(tmp_path / "index").problems[0]
    (folder / "vocab.index.json").unlink()
    assert any("vocab.index.json" in p for p in verify_index(tmp_path / "index").problems)


def test_verify_index_without_a_manifest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFoundError, match=r"no manifest.json in"):
        verify_index(tmp_path)
