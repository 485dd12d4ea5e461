"""The inner loop of the bm25s engine, compiled by numba.

Import it only where it is called: numba takes half a second.

It reads the score matrix that bm25s wrote (a column of document scores for each term) and differs
from bm25s' own loop in three ways: ties are ordered by docid, also at the cut; only documents that
hold a term of the query are looked at; and the machine code is kept on disk, so that only the first
search after an installation waits for the compiler.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["top_k"]

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]


@njit(nogil=True)
def _is_worse(score_a: float, rank_a: int, score_b: float, rank_b: int) -> bool:
    return score_a < score_b or (score_a == score_b and rank_a > rank_b)


@njit(nogil=True)
def _sift_down(scores: Floats, ranks: Ints, rows: Ints, size: int) -> None:
    """Restores the heap (worst on top) after its top was replaced."""
    score, rank, row = scores[0], ranks[0], rows[0]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        right = child + 1
        if right < size and _is_worse(scores[right], ranks[right], scores[child], ranks[child]):
            child = right
        if not _is_worse(scores[child], ranks[child], score, rank):
            break
        scores[place], ranks[place], rows[place] = scores[child], ranks[child], rows[child]
        place = child
    scores[place], ranks[place], rows[place] = score, rank, row


@njit(nogil=True)
def _sift_up(scores: Floats, ranks: Ints, rows: Ints, place: int) -> None:
    """Restores the heap after something was added at ``place``."""
    score, rank, row = scores[place], ranks[place], rows[place]
    while place > 0:
        parent = (place - 1) // 2
        if not _is_worse(score, rank, scores[parent], ranks[parent]):
            break
        scores[place], ranks[place], rows[place] = scores[parent], ranks[parent], rows[parent]
        place = parent
    scores[place], ranks[place], rows[place] = score, rank, row


@njit(nogil=True)
def _add_up(
    terms: Ints, data: Floats, indices: Ints, starts: NDArray[np.int64], sums: Floats
) -> None:
    """Adds the scores of all documents that hold a term to ``sums``."""
    for term in terms:
        for j in range(starts[term], starts[term + 1]):
            sums[indices[j]] += data[j]


@njit(nogil=True)
def _keep_best(
    terms: Ints,
    indices: Ints,
    starts: NDArray[np.int64],
    docid_ranks: Ints,
    sums: Floats,
    scores: Floats,
    ranks: Ints,
    rows: Ints,
) -> int:
    """Fills the heap from ``sums``, which is all zero again afterwards; returns the heap's size."""
    size = 0
    worst = np.float32(0)
    for term in terms:
        for j in range(starts[term], starts[term + 1]):
            row = indices[j]
            score = sums[row]
            sums[row] = 0  # clean for the next query, and a document counts once
            if score < worst or score == 0:
                continue
            rank = docid_ranks[row]
            if size < len(rows):
                scores[size], ranks[size], rows[size] = score, rank, row
                _sift_up(scores, ranks, rows, size)
                size += 1
            elif _is_worse(scores[0], ranks[0], score, rank):
                scores[0], ranks[0], rows[0] = score, rank, row
                _sift_down(scores, ranks, rows, size)
            if size == len(rows):
                worst = scores[0]
    return size


@njit(nogil=True)
def top_k(
    terms: Ints,
    query_starts: NDArray[np.int64],
    data: Floats,
    indices: Ints,
    starts: NDArray[np.int64],
    docid_ranks: Ints,
    k: int,
) -> tuple[Ints, Floats, Ints]:
    """Returns rows (num_queries, k), scores (num_queries, k) and the number of hits (num_queries,).

    ``terms[query_starts[i]:query_starts[i + 1]]`` are the terms of query i; the documents of term t
    and their scores lie at ``starts[t]:starts[t + 1]`` of ``indices`` and ``data``.
    """
    num_queries = len(query_starts) - 1
    out_rows = np.empty((num_queries, k), np.int32)
    out_scores = np.empty((num_queries, k), np.float32)
    out_sizes = np.empty(num_queries, np.int32)
    sums = np.zeros(len(docid_ranks), np.float32)
    scores, ranks, rows = np.empty(k, np.float32), np.empty(k, np.int32), np.empty(k, np.int32)
    for query in range(num_queries):
        own = terms[query_starts[query] : query_starts[query + 1]]
        _add_up(own, data, indices, starts, sums)
        size = _keep_best(own, indices, starts, docid_ranks, sums, scores, ranks, rows)
        out_sizes[query] = size
        while size > 0:  # the heap gives the worst first
            size -= 1
            out_rows[query, size] = rows[0]
            out_scores[query, size] = scores[0]
            scores[0], ranks[0], rows[0] = scores[size], ranks[size], rows[size]
            _sift_down(scores, ranks, rows, size)
    return out_rows, out_scores, out_sizes


for _function in (_is_worse, _sift_down, _sift_up, _add_up, _keep_best, top_k):
    try:
        _function.enable_caching()
    except RuntimeError:  # no writable folder for the machine code: compile in every process
        break
