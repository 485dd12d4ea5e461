"""Whether a FAISS folder belongs to its passages and to an encoder."""

from pathlib import Path

import numpy as np

from searchenv.errors import IndexMismatchError
from searchenv.retrieval.dense import DOCID_FILE, INDEX_FILE, DenseRetriever, read_faiss
from searchenv.retrieval.passages import Passages

__all__ = ["check_rows", "check_vectors"]

_TRIED = 20
_LEAST_COSINE = 0.98
"""Half precision and compression stay above it, another encoder or pooling far below."""


def check_rows(folder: Path, passages: Passages) -> None:
    """Raises unless vector n is of passage n, as far as counts and ids can say.

    Raises:
        IndexMismatchError: they differ.
    """
    count = read_faiss(folder / INDEX_FILE).ntotal
    if count != len(passages):
        raise IndexMismatchError(f"FAISS holds {count} vectors, expected {len(passages)}")
    with (folder / DOCID_FILE).open(encoding="utf-8", newline="\n") as file:
        ids = (passage.id for batch in passages.batches() for passage in batch)
        row = 0
        for row, (line, id_) in enumerate(zip(file, ids, strict=False), start=1):
            if line.rstrip("\n") != id_:
                raise IndexMismatchError(
                    f"line {row} of {folder / DOCID_FILE} is {line.rstrip()!r}, expected {id_!r}"
                )
        if row != count or file.read(1):
            raise IndexMismatchError(
                f"{folder / DOCID_FILE} has another number of ids than {count}"
            )


def check_vectors(retriever: DenseRetriever) -> None:
    """Raises unless the encoder makes the vectors that are stored; tries some passages.

    Raises:
        IndexMismatchError: it makes other ones, or the index does not find them.
    """
    passages, encoder = retriever.passages, retriever.encoder
    step = max(len(passages) // _TRIED, 1)
    rows = list(range(0, len(passages), step))[:_TRIED]
    tried = [passages.passage(row) for row in rows]
    made = encoder.encode_passages([p.title for p in tried], [p.text for p in tried])
    stored = retriever.vectors(rows)
    lengths = np.linalg.norm(made, axis=1) * np.linalg.norm(stored, axis=1)
    cosines = (made * stored).sum(axis=1) / np.maximum(lengths, 1e-12)
    if cosines.min() < _LEAST_COSINE:
        raise IndexMismatchError(
            f"{int((cosines < _LEAST_COSINE).sum())} of {len(rows)} passages that the encoder "
            f"{encoder.name} read again have other vectors than the stored ones (cosine down to "
            f"{cosines.min():.3f}): it is not the encoder that made them, or its pooling, prefix "
            "or passage format differ, or the passages are other ones"
        )
    found = retriever.search_vectors(stored, 10)
    hit = sum(p in [h.passage for h in hits] for p, hits in zip(tried, found, strict=True))
    if 2 * hit < len(rows):
        raise IndexMismatchError(f"only {hit} of {len(rows)} passages were found by their vectors")
