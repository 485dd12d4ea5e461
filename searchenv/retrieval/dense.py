"""Dense retrieval over Pyserini's FAISS format: a file ``index`` and, beside it, ``docid``.

FAISS finds candidates; their scores are then computed again from the stored vectors. FAISS itself
adds up in another order for a batch than for a single query, so that equal passages would get
scores that differ in the last digits, and their order would depend on the batch. Differences from
Pyserini's ``FaissSearcher``: ties are ordered by docid, also at the cut; and the score of an index
that measures distances (L2) is the distance below zero, so that a higher score is better.
"""

import hashlib
import os
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from searchenv.errors import (
    IndexMismatchError,
    IndexNotFoundError,
    MissingDependencyError,
    RetrievalError,
)
from searchenv.retrieval.encoders import Encoder, Vectors
from searchenv.retrieval.passages import Passages
from searchenv.retrieval.ranking import checked, to_hits
from searchenv.types import Hit, Passage

__all__ = [
    "DOCID_FILE",
    "INDEX_FILE",
    "DenseRetriever",
    "is_faiss_folder",
    "read_faiss",
    "stored_vectors",
]

INDEX_FILE = "index"
DOCID_FILE = "docid"
_QUERIES_AT_ONCE = 256
_MORE = 16
"""Candidates beyond k: a tie at the cut is seen without a second search."""
_CANDIDATES_AT_ONCE = 1 << 20
_NUMBERS_AT_ONCE = 1 << 22
_ROUNDING = 1e-5
"""How far FAISS's scores may be from ours, for vectors of length 1."""

_opening = threading.Lock()
_opened_in = 0
"""The process that opened an index first; its children inherit the number."""


def _new_lock() -> None:
    global _opening
    _opening = threading.Lock()


os.register_at_fork(after_in_child=_new_lock)


def is_faiss_folder(path: Path) -> bool:
    """Returns whether this is a FAISS file, or a folder of Pyserini's with one."""
    if not path.is_file():
        return (path / INDEX_FILE).is_file()
    with path.open("rb") as file:
        return file.read(1) == b"I"  # IxFI, IxF2, IHNf, IwFl and so on


class DenseRetriever:
    """Searches a FAISS index with the vectors of an encoder.

    Files are opened, and the encoder's model loaded, at the first search, and again after a fork: a
    retriever can be pickled, or made before a fork, at any time. Several threads may use it. A
    query without a letter or digit gives no hits.

    Args:
        folder: holds ``index`` and perhaps ``docid`` (one id a line); or the FAISS file itself.
        encoder: the one that made the vectors.
        passages: of every id in ``docid``; without that file, row ``n`` of the index is passage
            ``n``.
        fingerprint: the manifest's, and ``docid`` then has the order of the passages; None:
            computed from the file's size and date, and the encoder's fingerprint.
        encoder_fingerprint: what the encoder's fingerprint must be, where that is known.
        check_encoder_now: compare the fingerprints at once, not at the first search.

    Raises:
        IndexNotFoundError: there is no FAISS file.
        IndexMismatchError: the encoder is another one than the index's.
    """

    def __init__(
        self,
        folder: Path,
        *,
        encoder: Encoder,
        passages: Passages,
        fingerprint: str | None = None,
        encoder_fingerprint: str | None = None,
        check_encoder_now: bool = False,
    ) -> None:
        if not is_faiss_folder(folder):
            raise IndexNotFoundError(f"no FAISS index in {folder}: the file `index` is missing")
        self.folder = folder.absolute()
        self.encoder = encoder
        self.passages = passages
        self._given_fingerprint = fingerprint
        self._encoder_fingerprint = encoder_fingerprint
        self._opened: _Index | None = None
        self._opened_in = 0
        if check_encoder_now:
            self._check_encoder()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_opened": None}

    @cached_property
    def fingerprint(self) -> str:
        """Identifies corpus, encoder and index."""
        if self._given_fingerprint is not None:
            return self._given_fingerprint
        said = _index_file(self.folder).stat()
        identity = f"{said.st_size} {said.st_mtime_ns} {self.encoder.fingerprint}"
        return hashlib.sha256(identity.encode()).hexdigest()[:32]

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Returns up to ``k`` hits for each query; see :class:`searchenv.retrieval.Retriever`.

        Raises:
            IndexMismatchError: index, passages and encoder do not belong together.
            MissingDependencyError: FAISS or a package of the encoder is not installed.
            RetrievalError: the encoder gave a vector that is not finite.
        """
        texts, k = checked(queries, k)
        wanted = [text for text in dict.fromkeys(texts) if any(map(str.isalnum, text))]
        found: dict[str, list[Hit]] = {}
        for start in range(0, len(wanted), _QUERIES_AT_ONCE):
            chunk = wanted[start : start + _QUERIES_AT_ONCE]
            found.update(zip(chunk, self._search_chunk(chunk, k), strict=True))
        return [list(found.get(text, ())) for text in texts]

    def search_vectors(self, vectors: Vectors, k: int) -> list[list[Hit]]:
        """Returns up to ``k`` hits for each query vector, (num_queries, dim)."""
        return self._index().top_k(np.ascontiguousarray(vectors, np.float32), k)

    def vectors(self, rows: Sequence[int]) -> Vectors:
        """Returns the stored vectors of some rows, (num_rows, dim), decompressed where needed."""
        return self._index().vectors(rows)

    def close(self) -> None:
        """Lets go of the index; the next search opens it again."""
        self._opened = None

    def _search_chunk(self, texts: Sequence[str], k: int) -> list[list[Hit]]:
        index = self._index()  # first: it checks the encoder before it is used
        try:
            vectors = self.encoder.encode_queries(texts)
        except RuntimeError as error:  # of torch, such as a GPU without memory
            raise RetrievalError(f"the encoder {self.encoder.name} failed: {error}") from error
        if not np.isfinite(vectors).all():
            raise RetrievalError(
                f"the encoder {self.encoder.name} gave a vector that is not finite"
            )
        return index.top_k(np.ascontiguousarray(vectors, np.float32), k)

    def _index(self) -> "_Index":
        with _opening:
            if self._opened is None or self._opened_in != os.getpid():
                self._check_encoder()
                in_order = self._given_fingerprint is not None
                self._opened = _Index(self.folder, self.passages, self.encoder, in_order=in_order)
                self._opened_in = os.getpid()
            return self._opened

    def _check_encoder(self) -> None:
        expected = self._encoder_fingerprint
        if expected is not None and self.encoder.fingerprint != expected:
            raise IndexMismatchError(
                f"the index {self.folder} was built with an encoder of fingerprint {expected}, "
                f"{self.encoder.name} has {self.encoder.fingerprint}: give the one that it was "
                "built with (weights, pooling, prefixes and length must be the same), or build it "
                "again"
            )


class _Index:
    """An open FAISS index with the passages of its rows."""

    def __init__(
        self, folder: Path, passages: Passages, encoder: Encoder, *, in_order: bool
    ) -> None:
        self._faiss = read_faiss(_index_file(folder))
        if self._faiss.d != encoder.dim:
            raise IndexMismatchError(
                f"the vectors in {folder} have {self._faiss.d} numbers, those of {encoder.name} "
                f"{encoder.dim}: give the encoder that the index was built with"
            )
        self._rows = None if in_order else _rows_of(folder, passages)
        count = len(passages) if self._rows is None else len(self._rows)
        if self._faiss.ntotal != count:
            raise IndexMismatchError(
                f"{folder} holds {self._faiss.ntotal} vectors for {count} passages: they do not "
                "belong together"
            )
        self._passages = passages
        self._is_distance = self._faiss.metric_type != 0
        self._vectors = stored_vectors(self._faiss)

    def top_k(self, queries: Vectors, k: int) -> list[list[Hit]]:
        """Returns the hits of each query vector."""
        total = int(self._faiss.ntotal)
        hits: list[list[Hit]] = [[] for _ in queries]
        k, size = min(k, total), min(k + _MORE, total)
        todo = np.arange(len(queries)) if total else np.empty(0, np.int64)
        while len(todo):
            again = []
            step = max(_CANDIDATES_AT_ONCE // size, 1)
            for start in range(0, len(todo), step):
                part = todo[start : start + step]
                coarse, rows = self._faiss.search(queries[part], size)
                scores = self._scores(queries[part], rows, coarse)
                for query, own_scores, own_rows in zip(part.tolist(), scores, rows, strict=True):
                    if size < total and self._may_go_on(own_scores, k):
                        again.append(query)
                    else:
                        hits[query] = self._hits(own_scores, own_rows, k)
            todo, size = np.array(again, np.int64), min(4 * size, total)
        if total and not all(hits):
            raise RetrievalError(
                "FAISS found no passage for a query, though there always is a nearest one: the "
                "stored vectors may be damaged, see searchenv index verify"
            )
        return hits

    def vectors(self, rows: Sequence[int]) -> Vectors:
        """Returns the stored vectors of some rows."""
        if self._vectors is not None:
            return self._vectors[list(rows)]
        import faiss

        index: Any = faiss.downcast_index(self._faiss)
        if hasattr(index, "make_direct_map"):
            index.make_direct_map()
        return np.stack([self._faiss.reconstruct(row) for row in rows])

    def _scores(
        self, queries: Vectors, rows: NDArray[np.int64], coarse: Vectors
    ) -> NDArray[np.float32]:
        """Returns the scores of candidates, (num_queries, size); -inf where FAISS found none."""
        if self._vectors is None:
            scores = -coarse if self._is_distance else coarse
        else:
            scores = np.empty(rows.shape, np.float32)
            query_of = np.repeat(np.arange(len(queries)), rows.shape[1])
            flat, out = rows.ravel(), scores.ravel()  # out is a view
            step = max(_NUMBERS_AT_ONCE // queries.shape[1], 1)
            for start in range(0, len(flat), step):
                part = slice(start, start + step)
                ours = self._vectors[flat[part]].astype(np.float64)
                asked = queries[query_of[part]]
                ours = -np.square(ours - asked) if self._is_distance else ours * asked
                out[part] = ours.sum(axis=1)
        scores[rows < 0] = -np.inf
        return scores

    def _may_go_on(self, scores: NDArray[np.float32], k: int) -> bool:
        """Returns whether passages beyond the candidates may score as the k-th does."""
        cut, worst = -np.partition(-scores, k - 1)[k - 1], scores.min()
        if not np.isfinite(worst):
            return False
        rounding = 0.0 if self._vectors is None else _ROUNDING * max(1.0, float(abs(cut)))
        return bool(worst >= cut - rounding)

    def _hits(self, scores: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> list[Hit]:
        order = np.argsort(-scores, kind="stable")
        cut = scores[order[k - 1]]
        kept = [i for i in order.tolist() if scores[i] >= cut and rows[i] >= 0]
        passages = [self._passage(int(rows[i])) for i in kept]
        return to_hits(passages, scores[kept].tolist())[:k]

    def _passage(self, row: int) -> Passage:
        return self._passages.passage(row if self._rows is None else int(self._rows[row]))


def read_faiss(path: Path) -> Any:
    """Returns a FAISS index, mapped into memory where its kind can be.

    Raises:
        IndexMismatchError: it cannot be read.
        MissingDependencyError: FAISS is not installed.
    """
    global _opened_in
    try:
        import faiss
    except ImportError as error:
        raise MissingDependencyError(
            f'a FAISS index needs faiss: pip install "searchenv[dense]" ({error})'
        ) from error
    if _opened_in not in (0, os.getpid()):
        faiss.omp_set_num_threads(1)  # threads do not survive a fork: FAISS would wait for them
    _opened_in = _opened_in or os.getpid()
    try:
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise IndexMismatchError(f"FAISS cannot read {path}: {error}") from error


def stored_vectors(index: Any) -> Vectors | None:
    """Returns the vectors in a flat or HNSW index, (count, dim); None where they are compressed.

    The array is a view: it is valid as long as the index lives.
    """
    import faiss

    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexHNSW):
        index = faiss.downcast_index(index.storage)
    if not isinstance(index, faiss.IndexFlat) or index.ntotal == 0:
        return None
    vectors: Vectors = faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d)
    return vectors.reshape(index.ntotal, index.d)


def _index_file(folder: Path) -> Path:
    return folder if folder.is_file() else folder / INDEX_FILE


def _rows_of(folder: Path, passages: Passages) -> NDArray[np.int64] | None:
    """Returns for each vector the row of its passage; None where they have the same order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    path = folder / DOCID_FILE
    if not path.is_file():
        return None
    docids = pa.array(path.read_text(encoding="utf-8").rstrip("\n").split("\n"), pa.large_string())
    ids = pa.array(
        [passage.id for batch in passages.batches() for passage in batch], pa.large_string()
    )
    if docids.equals(ids):
        return None
    rows = pc.index_in(docids, value_set=ids)
    if rows.null_count:
        missing = docids.filter(rows.is_null())
        raise IndexMismatchError(
            f"{len(missing)} of {len(docids)} ids in {path} are not among the passages, first: "
            f"{missing[0].as_py()!r}. Give the corpus that the index was built from"
        )
    found: NDArray[np.int64] = rows.to_numpy().astype(np.int64)
    return found
