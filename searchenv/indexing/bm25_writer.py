"""Writes a bm25s index.

The matrix of scores is built in memory: about 100 bytes a word of the corpus.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from searchenv.errors import CorpusError
from searchenv.retrieval.bm25 import DOCID_RANKS_FILE
from searchenv.retrieval.passages import PassageStore
from searchenv.retrieval.words import WordAnalyzer

__all__ = ["bm25s_version", "docid_ranks", "write_bm25s"]


def write_bm25s(passages: Path, folder: Path, *, k1: float, b: float) -> Iterator[int]:
    """Indexes an Arrow file of passages; yields how many more were cut into words.

    Raises:
        CorpusError: no passage holds a word.
    """
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it prints its progress by itself
    store, analyzer = PassageStore(passages), WordAnalyzer()
    vocabulary: dict[str, int] = {}
    documents: list[list[int]] = []
    for batch in store.batches():
        for passage in batch:
            terms = analyzer.terms(f"{passage.title}\n{passage.text}")
            documents.append([vocabulary.setdefault(term, len(vocabulary)) for term in terms])
        yield len(batch)
    if not vocabulary:
        raise CorpusError("no passage holds a word that can be searched")
    model = bm25s.BM25(method="lucene", k1=k1, b=b)
    model.index((documents, vocabulary), create_empty_token=False, show_progress=False)
    model.save(folder, show_progress=False)
    np.save(folder / DOCID_RANKS_FILE, docid_ranks(store))


def docid_ranks(store: PassageStore) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """Returns for each row the place of its id among all ids: what ties are ordered by."""
    order = pc.sort_indices(store.ids()).to_numpy()
    ranks = np.empty(len(order), np.int32)
    ranks[order] = np.arange(len(order), dtype=np.int32)
    return ranks


def bm25s_version() -> str:
    """Returns the versions of all that decides the ranking."""
    import bm25s
    import Stemmer

    return f"bm25s-{bm25s.__version__} PyStemmer-{Stemmer.version()}"
