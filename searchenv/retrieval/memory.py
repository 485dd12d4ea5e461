"""A retriever over a handful of passages, made in a millisecond and held in memory."""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256

import numpy as np

from searchenv.retrieval.ranking import checked, to_hits
from searchenv.retrieval.words import WORDS_PORTER, WordAnalyzer
from searchenv.types import Hit, Passage

__all__ = ["MemoryRetriever"]


class MemoryRetriever:
    """BM25 as an index of engine ``bm25s`` ranks, without files and without a compiler.

    A search looks at every passage, so that it is for some thousand at most. Worlds that are drawn
    anew every few texts need no more.

    Args:
        passages: at least one; ids are unique.
        k1: as in :func:`searchenv.indexing.build_index`.
        b: likewise.
    """

    def __init__(self, passages: Sequence[Passage], *, k1: float = 0.9, b: float = 0.4) -> None:
        self._passages = sorted(passages, key=lambda passage: passage.id)
        self._settings = (k1, b)
        self._columns: dict[str, int] = {}
        terms = [_analyzer().terms(f"{p.title}\n{p.text}") for p in self._passages]
        for document in terms:
            for term in document:
                self._columns.setdefault(term, len(self._columns))
        counts = np.zeros((len(self._columns), len(terms)), np.float64)  # (terms, passages)
        for row, document in enumerate(terms):
            for term in document:
                counts[self._columns[term], row] += 1
        lengths = counts.sum(axis=0)
        known = (counts > 0).sum(axis=1)
        rarity = np.log(1 + (len(terms) - known + 0.5) / (known + 0.5))
        room = k1 * (1 - b + b * lengths / max(lengths.mean(), 1e-9))
        self._scores = (rarity[:, None] * counts / (room[None] + counts)).astype(np.float32)

    @property
    def fingerprint(self) -> str:
        """Of the passages and the settings."""
        shown = repr((self._settings, WORDS_PORTER, [tuple(p) for p in self._passages]))
        return f"memory-bm25-{sha256(shown.encode()).hexdigest()[:16]}"

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Returns up to ``k`` hits for each query; see :class:`searchenv.retrieval.Retriever`."""
        texts, k = checked(queries, k)
        return [self._search(text, k) for text in texts]

    def _search(self, text: str, k: int) -> list[Hit]:
        columns = [self._columns[t] for t in _analyzer().terms(text) if t in self._columns]
        if not columns:
            return []
        scores = self._scores[columns].sum(axis=0)  # (passages,)
        best = np.argsort(-scores, kind="stable")[:k]  # passages are in the order of ids
        best = best[scores[best] > 0]
        return to_hits([self._passages[i] for i in best], scores[best].tolist())


@lru_cache(maxsize=1)  # it remembers the stems of words
def _analyzer() -> WordAnalyzer:
    return WordAnalyzer()
