import json
from pathlib import Path

import pytest

from searchenv.errors import IndexMismatchError, IndexNotFoundError
from searchenv.indexing import build_index
from searchenv.retrieval import Engine, index_home, named_indexes, open_index, read_manifest
from searchenv.types import Passage

TOWN = [Passage("p1", "Dunmarrow", "Dunmarrow is a town.")]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEARCHENV_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_index_home_follows_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert index_home() == home / "indexes"
    monkeypatch.delenv("SEARCHENV_HOME")
    assert index_home() == Path.home() / ".cache" / "searchenv" / "indexes"


def test_open_index_by_name_and_by_path(home: Path) -> None:
    build_index(TOWN, home / "indexes" / "towns", engine="bm25s")
    for place in ("towns", home / "indexes" / "towns", str(home / "indexes" / "towns")):
        assert len(open_index(place, engine="bm25s").search(["town"], 1)[0]) == 1


def test_open_index_by_the_name_of_a_folder_here(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_index(TOWN, tmp_path / "here", engine="bm25s")
    monkeypatch.chdir(tmp_path)
    assert len(open_index("here").search(["town"], 1)[0]) == 1


def test_open_index_by_the_name_of_two_is_an_error(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_index(TOWN, home / "indexes" / "towns", engine="bm25s")
    build_index(TOWN, tmp_path / "towns", engine="bm25s")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IndexMismatchError, match=r"another one: give '\./towns' for the folder"):
        open_index("towns")
    assert len(open_index("./towns").search(["town"], 1)[0]) == 1
    assert len(open_index(home / "indexes" / "towns").search(["town"], 1)[0]) == 1
    monkeypatch.chdir(home / "indexes")
    assert len(open_index("towns").search(["town"], 1)[0]) == 1


def test_open_index_touches_no_file_of_the_engine(home: Path) -> None:
    build_index(TOWN, home / "indexes" / "towns", engine="lucene")
    retriever = open_index("towns")
    assert retriever.fingerprint == read_manifest(home / "indexes" / "towns").fingerprint


def test_open_index_unknown_name_suggests_the_nearest(home: Path) -> None:
    with pytest.raises(IndexNotFoundError, match=r"'towns'.*no named indexes yet.*download=True"):
        open_index("towns")
    build_index(TOWN, home / "indexes" / "towns", engine="bm25s")
    assert named_indexes() == ["towns"]
    with pytest.raises(IndexNotFoundError, match=r"no index named 'town'.*Did you mean 'towns'\?"):
        open_index("town")


def test_open_index_wrong_path_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFoundError, match=r"no index at .*no manifest.json and no Lucene"):
        open_index(tmp_path)


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("engine", "lucene", "has the engine 'bm25s', not 'lucene'"),
        ("analyzer", "anserini-porter", "has the analyzer 'words-porter', not 'anserini-porter'"),
    ],
)
def test_open_index_of_another_kind_is_an_error(
    home: Path, option: str, value: str, expected: str
) -> None:
    build_index(TOWN, home / "indexes" / "towns", engine="bm25s")
    with pytest.raises(IndexMismatchError, match=expected):
        open_index("towns", **{option: value})  # type: ignore[arg-type]


def test_open_index_download_knows_the_names_of_pyserini(home: Path) -> None:
    with pytest.raises(IndexNotFoundError, match="Did you mean 'msmarco-v1-passage'"):
        open_index("msmarco-v1-pasage", download=True)


def test_manifest_fingerprint_is_of_what_decides_a_ranking(tmp_path: Path) -> None:
    first = build_index(TOWN, tmp_path / "a", engine="bm25s", name="first")
    second = build_index(TOWN, tmp_path / "b", engine="bm25s", name="second")
    steeper = build_index(TOWN, tmp_path / "c", engine="bm25s", k1=1.2)
    assert first.fingerprint == second.fingerprint != steeper.fingerprint
    assert read_manifest(tmp_path / "a") == first
    assert (first.name, first.engine, first.num_passages) == ("first", Engine.BM25S, 1)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"k1": 2.0}, "was changed after the build"),
        ({"format": 99}, "has format 99, expected 1"),
        ({"engine": "grep"}, "not a readable manifest"),
    ],
)
def test_read_manifest_changed_is_an_error(
    tmp_path: Path, change: dict[str, object], expected: str
) -> None:
    build_index(TOWN, tmp_path / "index", engine="bm25s")
    path = tmp_path / "index" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(IndexMismatchError, match=expected):
        open_index(tmp_path / "index")


def test_read_manifest_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFoundError, match=r"no manifest.json in"):
        read_manifest(tmp_path)
