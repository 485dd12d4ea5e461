import pickle
from pathlib import Path

import pytest

from searchenv.errors import IndexMismatchError, IndexNotFoundError
from searchenv.retrieval import PassageStore, PassageWriter
from searchenv.types import Passage

MANY = [Passage(f"id{i}", f"title {i % 5000}", f"text {i} ü😀") for i in range(20_000)]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "passages.arrow"
    with PassageWriter(path) as writer:
        for passage in MANY:
            writer.add(passage)
    return path


def test_passage_by_row_across_batches(path: Path) -> None:
    store = PassageStore(path)
    assert len(store) == 20_000
    rows = [0, 1, 8191, 8192, 16_383, 16_384, 19_999]
    assert [store.passage(row) for row in rows] == [MANY[row] for row in rows]
    assert type(store.passage(0)) is Passage


def test_batches_hold_all_in_order(path: Path) -> None:
    batches = list(PassageStore(path).batches())
    assert [len(batch) for batch in batches] == [8192, 8192, 3616]
    assert [passage for batch in batches for passage in batch] == MANY


def test_get_keeps_the_order_of_ids(path: Path) -> None:
    store = PassageStore(path)
    assert store.get(["id19999", "id3", "id3"]) == [MANY[19_999], MANY[3], MANY[3]]
    assert store.get([]) == []
    with pytest.raises(KeyError, match=r"no passage with id 'no' \(1 of 2 ids are unknown\)"):
        store.get(["id1", "no"])


def test_ids_by_title_lists_all_in_row_order(path: Path) -> None:
    found = PassageStore(path).ids_by_title(iter(["title 7", "Title 7", "title 4999", "title 7"]))
    assert found == {
        "title 7": ("id7", "id5007", "id10007", "id15007"),
        "title 4999": ("id4999", "id9999", "id14999", "id19999"),
    }


def test_store_can_be_pickled(path: Path) -> None:
    store = PassageStore(path)
    store.passage(5)
    assert pickle.loads(pickle.dumps(store)).passage(5) == MANY[5]


def test_store_without_passages(tmp_path: Path) -> None:
    with PassageWriter(tmp_path / "empty.arrow"):
        pass
    store = PassageStore(tmp_path / "empty.arrow")
    assert (len(store), list(store.batches()), store.ids_by_title(["a"])) == (0, [], {})


def test_store_of_a_missing_or_damaged_file_is_an_error(path: Path, tmp_path: Path) -> None:
    with pytest.raises(IndexNotFoundError, match="no passages at"):
        len(PassageStore(tmp_path / "missing.arrow"))
    (tmp_path / "cut.arrow").write_bytes(path.read_bytes()[:-100])
    with pytest.raises(IndexMismatchError, match=r"cut.arrow is damaged .*build the index again"):
        len(PassageStore(tmp_path / "cut.arrow"))
