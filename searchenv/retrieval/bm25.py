"""BM25 without Java: an index made by bm25s, searched by our own compiled loop.

Lù, "BM25S: Orders of magnitude faster lexical search via eager sparse scoring" (2024): all scores
are computed when the index is built, a search adds up columns. The variant is Lucene's
(``method="lucene"``). Against Lucene itself the ranking differs a little: words are cut by a
simpler rule, and lengths of documents are exact where Lucene rounds them to one byte.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from searchenv.errors import IndexNotFoundError
from searchenv.retrieval.passages import PassageStore
from searchenv.retrieval.ranking import checked, to_hits
from searchenv.retrieval.words import WordAnalyzer
from searchenv.types import Hit

__all__ = ["Bm25sRetriever"]

DOCID_RANKS_FILE = "docid_ranks.npy"


class Bm25sRetriever:
    """Searches a bm25s index.

    Files are opened, and numba imported, at the first search: a retriever can be pickled, or made
    before a fork, at any time. It starts no threads and may be called from several.

    Args:
        folder: what ``bm25s.BM25.save`` wrote, with ``docid_ranks.npy`` beside it.
        passages: row ``n`` is document ``n`` of the index.
        fingerprint: the manifest's.
    """

    def __init__(self, folder: Path, *, passages: PassageStore, fingerprint: str) -> None:
        if not (folder / DOCID_RANKS_FILE).is_file():
            raise IndexNotFoundError(
                f"no bm25s index of searchenv in {folder}: {DOCID_RANKS_FILE} is missing"
            )
        self.folder = folder
        self.passages = passages
        self.fingerprint = fingerprint
        self._opened: _Matrix | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_opened": None}

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Returns up to ``k`` hits for each query; see :class:`searchenv.retrieval.Retriever`."""
        texts, k = checked(queries, k)
        if not texts:
            return []
        if self._opened is None:
            self._opened = _Matrix.open(self.folder)
        rows, scores, sizes = self._opened.top_k(texts, k)
        passage = self.passages.passage
        return [
            to_hits([passage(row) for row in found[:size]], values[:size])
            for found, values, size in zip(
                rows.tolist(), scores.tolist(), sizes.tolist(), strict=True
            )
        ]

    def close(self) -> None:
        """Lets go of the index; the next search opens it again."""
        self._opened = None


@dataclass(frozen=True, slots=True)
class _Matrix:
    """The scores of all documents for all terms, mapped into memory."""

    data: NDArray[np.float32]
    indices: NDArray[np.int32]
    starts: NDArray[np.int64]
    docid_ranks: NDArray[np.int32]
    vocabulary: dict[str, int]
    analyzer: WordAnalyzer

    @classmethod
    def open(cls, folder: Path) -> "_Matrix":
        def load(name: str) -> NDArray[Any]:
            array: NDArray[Any] = np.load(folder / name, mmap_mode="r")
            return array.view(np.ndarray)  # a plain view: reading np.memmap itself is slower

        return cls(
            load("data.csc.index.npy"),
            load("indices.csc.index.npy"),
            load("indptr.csc.index.npy"),
            load(DOCID_RANKS_FILE),
            json.loads((folder / "vocab.index.json").read_text(encoding="utf-8")),
            WordAnalyzer(),
        )

    def top_k(
        self, texts: Sequence[str], k: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32]]:
        from searchenv.retrieval.bm25_kernel import top_k

        find = self.vocabulary.get
        terms = [
            [id_ for term in self.analyzer.terms(text) if (id_ := find(term)) is not None]
            for text in texts
        ]
        starts = np.zeros(len(terms) + 1, np.int64)
        np.cumsum([len(ids) for ids in terms], out=starts[1:])
        flat = np.fromiter((id_ for ids in terms for id_ in ids), np.int32, count=int(starts[-1]))
        k = min(k, len(self.docid_ranks))
        return top_k(flat, starts, self.data, self.indices, self.starts, self.docid_ranks, k)
