import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from searchenv.errors import IndexMismatchError, IndexNotFoundError, RetrievalError
from searchenv.indexing import build_index
from searchenv.retrieval import (
    DenseRetriever,
    Encoder,
    PassageStore,
    TransformersEncoder,
    open_index,
)
from searchenv.retrieval.encoders import Vectors
from searchenv.types import Hit, Passage


class LetterEncoder:
    """Counts letters: exact vectors that a reader can work out; a real encoder of its own kind."""

    def __init__(self, letters: str = "abc", name: str = "letters") -> None:
        self.letters = letters
        self.name = name
        self.batches: list[int] = []

    @property
    def dim(self) -> int:
        return len(self.letters)

    @property
    def fingerprint(self) -> str:
        return f"{self.name} {self.letters}"

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        self.batches.append(len(texts))
        counts = [[text.count(letter) for letter in self.letters] for text in texts]
        return np.array(counts, np.float32).reshape(len(texts), self.dim)

    def encode_passages(self, titles: Sequence[str], texts: Sequence[str]) -> Vectors:
        return self.encode_queries(
            [title + text for title, text in zip(titles, texts, strict=True)]
        )


LETTERS = (
    Passage("p2", "", "aab"),
    Passage("p10", "", "baa"),
    Passage("p1", "c", "cc"),
    Passage("p3", "", "abc"),
)
Open = Callable[..., DenseRetriever]


@pytest.fixture
def build(tmp_path: Path) -> Open:
    def build_and_open(
        passages: Sequence[Passage] = LETTERS, encoder: Encoder | None = None, **options: object
    ) -> DenseRetriever:
        encoder = encoder or LetterEncoder()
        build_index(passages, tmp_path / "i", engine="faiss", encoder=encoder, **options)  # type: ignore[arg-type]
        retriever = open_index(tmp_path / "i", encoder=encoder)
        assert isinstance(retriever, DenseRetriever)
        return retriever

    return build_and_open


def pairs(hits: Sequence[Hit]) -> list[tuple[str, float]]:
    return [(hit.passage.id, hit.score) for hit in hits]


@pytest.mark.parametrize("faiss_type", ["flat", "hnsw"])
def test_search_scores_by_hand(build: Open, faiss_type: str) -> None:
    first, second = build(faiss_type=faiss_type).search(["a", "bc"], 10)
    assert pairs(first) == [("p10", 2.0), ("p2", 2.0), ("p3", 1.0), ("p1", 0.0)]
    assert pairs(second) == [("p1", 3.0), ("p3", 2.0), ("p10", 1.0), ("p2", 1.0)]
    assert [hit.rank for hit in first] == [1, 2, 3, 4]
    assert first[3].passage == LETTERS[2]


# HNSW loses twins of which there are more than neighbours in its graph
@pytest.mark.parametrize(("faiss_type", "count"), [("flat", 300), ("hnsw", 30)])
def test_ties_are_ordered_by_id_also_at_the_cut(build: Open, faiss_type: str, count: int) -> None:
    twins = [Passage(f"t{(7 * i) % count}", "", "ab") for i in range(count)]
    retriever = build([*twins, *LETTERS[2:3]], faiss_type=faiss_type)
    for k in (1, 3, 17, count - 1, count):
        (hits,) = retriever.search(["ab"], k)
        assert [hit.passage.id for hit in hits] == sorted(p.id for p in twins)[:k]


def test_queries_without_letters_or_digits_give_nothing(build: Open) -> None:
    retriever = build()
    odd = ["", " \t", "?!", "\ud800", "\x00", "🦊"]
    found = retriever.search([*odd, "a", *odd], 1)
    assert [len(hits) for hits in found] == [0] * 6 + [1] + [0] * 6
    assert len(retriever.search(["z", "7"], 1)[0]) == 1  # nothing in common is no reason for none


def test_each_query_is_encoded_once_and_batches_are_cut(build: Open) -> None:
    encoder = LetterEncoder()
    retriever = build(encoder=encoder)
    encoder.batches.clear()
    found = retriever.search([f"a{i % 600}" for i in range(1000)], 1)
    assert encoder.batches == [256, 256, 88]
    assert [len(hits) for hits in found] == [1] * 1000
    found[0].clear()
    assert len(found[600]) == 1  # the same query, but a list of its own


def test_flat_and_batched_scores_are_exact(build: Open) -> None:
    random = np.random.default_rng(0)
    texts = ["".join(random.choice(list("abc"), 40)) for _ in range(500)]
    retriever = build([Passage(str(i), "", text) for i, text in enumerate(texts)])
    queries = texts[:100]
    together = retriever.search(queries, 20)
    assert together == [retriever.search([query], 20)[0] for query in queries]
    encoder = LetterEncoder()
    scores = encoder.encode_queries(queries) @ encoder.encode_queries(texts).T
    for hits, own in zip(together, scores, strict=True):
        expected = sorted(
            ((str(i), s) for i, s in enumerate(own.tolist())), key=lambda p: (-p[1], p[0])
        )
        assert pairs(hits) == expected[:20]


def test_search_vectors_takes_an_array(build: Open) -> None:
    (hits,) = build().search_vectors(np.array([[0, 0, 1]]), 1)
    assert pairs(hits) == [("p1", 3.0)]


def test_an_encoder_by_name_is_loaded_from_the_manifest(tiny_bert: Path, tmp_path: Path) -> None:
    encoder = TransformersEncoder(tiny_bert, pooling="cls", query_prefix="q: ", max_length=20)
    build_index(LETTERS, tmp_path / "i", engine="faiss", encoder=encoder)
    retriever = open_index(tmp_path / "i")
    assert isinstance(retriever, DenseRetriever)
    assert isinstance(retriever.encoder, TransformersEncoder)
    assert retriever.encoder.settings == encoder.settings
    assert retriever.search(["ab"], 4) == open_index(tmp_path / "i", encoder=encoder).search(
        ["ab"], 4
    )


def test_another_encoder_is_refused_when_opened(tiny_bert: Path, tmp_path: Path) -> None:
    build_index(LETTERS, tmp_path / "i", engine="faiss", encoder=str(tiny_bert))
    for other in (TransformersEncoder(tiny_bert, pooling="cls"), LetterEncoder()):
        with pytest.raises(IndexMismatchError, match=r"was built with an encoder of fingerprint"):
            open_index(tmp_path / "i", encoder=other)
    open_index(tmp_path / "i", encoder=str(tiny_bert))


def test_a_model_that_changed_is_refused_at_the_first_search(
    tiny_bert: Path, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(tiny_bert, tmp_path / "model")
    build_index(LETTERS, tmp_path / "i", engine="faiss", encoder=str(tmp_path / "model"))
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    retriever = open_index(tmp_path / "i")
    with pytest.raises(IndexMismatchError, match="was built with an encoder of fingerprint"):
        retriever.search(["ab"], 1)


def test_an_encoder_of_ones_own_must_be_given_again(build: Open) -> None:
    retriever = build()
    with pytest.raises(IndexMismatchError, match=r"of its user's own, 'letters'.*encoder=\.\.\."):
        open_index(retriever.folder.parent)


def test_a_vector_that_is_not_finite_is_an_error(build: Open) -> None:
    class Broken(LetterEncoder):
        def encode_queries(self, texts: Sequence[str]) -> Vectors:
            return super().encode_queries(texts) / np.float32(0 if texts == ["bad"] else 1)

    retriever = build(encoder=Broken())
    with np.errstate(all="ignore"), pytest.raises(RetrievalError, match="not finite"):
        retriever.search(["bad"], 1)
    assert len(retriever.search(["a"], 1)[0]) == 1


def test_vectors_that_no_query_is_near_are_an_error(build: Open) -> None:
    import faiss

    folder = build().folder
    file = folder / "index"
    count = faiss.read_index(str(file)).ntotal
    damaged = faiss.IndexFlatIP(LetterEncoder().dim)
    damaged.add(np.full((count, LetterEncoder().dim), np.nan, np.float32))
    faiss.write_index(damaged, str(file))
    with pytest.raises(RetrievalError, match="FAISS found no passage for a query"):
        open_index(folder.parent, encoder=LetterEncoder()).search(["a"], 1)


def test_an_encoder_that_fails_is_an_error(build: Open) -> None:
    class Failing(LetterEncoder):
        def encode_queries(self, texts: Sequence[str]) -> Vectors:
            if texts == ["bad"]:
                raise RuntimeError("out of memory")
            return super().encode_queries(texts)

    with pytest.raises(RetrievalError, match="the encoder letters failed: out of memory"):
        build(encoder=Failing()).search(["bad"], 1)


def test_an_index_of_words_takes_no_encoder(tmp_path: Path) -> None:
    build_index(LETTERS, tmp_path / "i", engine="bm25s")
    with pytest.raises(IndexMismatchError, match="of engine 'bm25s', which has no encoder"):
        open_index(tmp_path / "i", encoder="minilm")


def test_a_file_that_is_no_index_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text("{}")
    with pytest.raises(IndexNotFoundError, match="no index at"):
        open_index(tmp_path / "corpus.jsonl", encoder="minilm")


def write_foreign(folder: Path, index: Any, ids: Sequence[str] | None) -> Path:
    import faiss

    folder.mkdir(parents=True)
    faiss.write_index(index, str(folder / "index"))
    if ids is not None:
        (folder / "docid").write_text("".join(f"{id_}\n" for id_ in ids))
    return folder


def vectors_of(passages: Sequence[Passage]) -> Vectors:
    return LetterEncoder().encode_passages([p.title for p in passages], [p.text for p in passages])


@pytest.fixture
def store(build: Open) -> PassageStore:
    passages = build().passages
    assert isinstance(passages, PassageStore)
    return passages


def test_a_folder_of_pyserini_opens_with_its_own_order(store: PassageStore, tmp_path: Path) -> None:
    import faiss

    some = [LETTERS[3], LETTERS[0]]  # another order, and not all
    index = faiss.IndexFlatIP(3)
    index.add(vectors_of(some))
    folder = write_foreign(tmp_path / "foreign", index, [p.id for p in some])
    retriever = open_index(folder, encoder=LetterEncoder(), passages=store)
    (hits,) = retriever.search(["a"], 5)
    assert pairs(hits) == [("p2", 2.0), ("p3", 1.0)]
    assert (
        retriever.fingerprint
        == open_index(folder, encoder=LetterEncoder(), passages=store).fingerprint
    )
    with pytest.raises(IndexMismatchError, match="does not say which encoder"):
        open_index(folder, passages=store)
    with pytest.raises(IndexMismatchError, match=r"holds no texts: give them.*adopt_faiss"):
        open_index(folder, encoder=LetterEncoder())
    (folder / "docid").write_text("p2\nnobody\n")
    with pytest.raises(IndexMismatchError, match=r"1 of 2 ids .* first: 'nobody'"):
        open_index(folder, encoder=LetterEncoder(), passages=store).search(["a"], 1)


def test_a_lone_faiss_file_has_the_order_of_the_passages(
    store: PassageStore, tmp_path: Path
) -> None:
    import faiss

    index = faiss.IndexFlatL2(3)
    index.add(vectors_of(LETTERS))
    file = write_foreign(tmp_path / "foreign", index, None) / "index"
    (hits,) = open_index(file, encoder=LetterEncoder(), passages=store).search(["cc"], 2)
    assert pairs(hits) == [("p1", -1.0), ("p3", -3.0)]  # squared distances, below zero
    index.add(vectors_of(LETTERS[:1]))
    faiss.write_index(index, str(file))
    with pytest.raises(IndexMismatchError, match="holds 5 vectors for 4 passages"):
        open_index(file, encoder=LetterEncoder(), passages=store).search(["cc"], 2)
    with pytest.raises(IndexMismatchError, match="have 3 numbers, those of letters 4"):
        open_index(file, encoder=LetterEncoder("abcd"), passages=store).search(["cc"], 2)


def test_compressed_indexes_open_too(store: PassageStore, tmp_path: Path) -> None:
    import faiss

    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(3), 3, 1, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors_of(LETTERS * 20))
    index.add(vectors_of(LETTERS))
    folder = write_foreign(tmp_path / "foreign", index, [p.id for p in LETTERS])
    retriever = open_index(folder, encoder=LetterEncoder(), passages=store)
    assert isinstance(retriever, DenseRetriever)
    (hits,) = retriever.search(["a"], 3)
    assert pairs(hits) == [("p10", 2.0), ("p2", 2.0), ("p3", 1.0)]
    assert retriever.vectors([2, 0]).tolist() == [[0, 0, 3], [2, 1, 0]]


def test_a_damaged_faiss_file_is_an_error(build: Open) -> None:
    retriever = build()
    (retriever.folder / "index").write_bytes(b"no index")
    with pytest.raises(IndexMismatchError, match=r"FAISS cannot read .*index"):
        retriever.search(["a"], 1)
    (retriever.folder / "index").unlink()
    with pytest.raises(IndexNotFoundError, match="the file `index` is missing"):
        DenseRetriever(retriever.folder, encoder=LetterEncoder(), passages=retriever.passages)


def test_nothing_is_opened_before_the_first_search(tiny_bert: Path, tmp_path: Path) -> None:
    build_index(LETTERS, tmp_path / "i", engine="faiss", encoder=str(tiny_bert))
    code = (
        "import pickle, sys\nfrom searchenv.retrieval import open_index\n"
        "r = pickle.loads(pickle.dumps(open_index(sys.argv[1])))\n"
        "print(r.fingerprint, [m for m in ('torch', 'faiss', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "i")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[1] == "[]"


def test_search_in_a_forked_child_works(tiny_bert: Path, tmp_path: Path) -> None:
    passages = [Passage(str(i), "", f"town {i}") for i in range(300)]
    build_index(passages, tmp_path / "i", engine="faiss", encoder=str(tiny_bert))
    code = (
        "import os, sys\nfrom searchenv.retrieval import open_index\n"
        "r = open_index(sys.argv[1]); queries = [f'town {i}' for i in range(100)]\n"
        "ids = lambda: [[h.passage.id for h in hits] for hits in r.search(queries, 3)]\n"
        "before = ids()\n"
        "if pid := os.fork():\n"
        "    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) or ids() != before)\n"
        "os._exit(0 if ids() == before else 1)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "i")]
    assert subprocess.run(command, timeout=60, check=False).returncode == 0


def test_retriever_is_small_when_pickled(tiny_bert: Path, tmp_path: Path) -> None:
    build_index(LETTERS, tmp_path / "i", engine="faiss", encoder=str(tiny_bert))
    retriever = open_index(tmp_path / "i")
    retriever.search(["a"], 1)
    assert len(pickle.dumps(retriever)) < 10_000
    retriever.close()
    assert len(retriever.search(["a"], 1)[0]) == 1


def test_search_ranks_as_pyserini(minilm: TransformersEncoder, tmp_path: Path) -> None:
    import json

    words = ("river", "sea", "town", "hill", "play", "film", "king", "bread")
    passages = [
        Passage(
            f"d{i}",
            f"The {words[i % 8]}",
            f"A {words[i // 8 % 8]} near the {words[i // 64 % 8]} of {i}.",
        )
        for i in range(200)
    ]
    build_index(passages, tmp_path / "i", engine="faiss", encoder=minilm)
    queries = [f"which {words[i % 8]} is near the {words[i // 3 % 8]} {i}?" for i in range(40)]
    (tmp_path / "queries").write_text("\n".join(queries))
    script = Path(__file__).with_name("compare_with_faiss_searcher.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "i"), str(tmp_path / "queries"), "10"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert json.loads(done.stdout) == {"queries": 40, "same": 40, "score_differs": 0}


def test_minilm_finds_by_meaning(minilm: TransformersEncoder, tmp_path: Path) -> None:
    passages = [
        Passage("1", "Dunmarrow", "A town on a river."),
        Passage("2", "Bread", "Food baked from flour and water."),
        Passage("3", "Orla Fenwick", "She directed films."),
    ]
    build_index(passages, tmp_path / "i", engine="faiss", encoder=minilm)
    retriever = open_index(tmp_path / "i", encoder=minilm)
    found = retriever.search(["something to eat", "movie director", "small city"], 1)
    assert [hits[0].passage.id for hits in found] == ["2", "3", "1"]
