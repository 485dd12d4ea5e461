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
def _sift_down(heap: Ints, size: int, scores: Floats, docid_ranks: Ints) -> None:
    """Restores the heap (worst on top) after its top was replaced."""
    top = heap[0]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        right = child + 1
        if right < size and _is_worse(
            scores[heap[right]],
            docid_ranks[heap[right]],
            scores[heap[child]],
            docid_ranks[heap[child]],
        ):
            child = right
        if not _is_worse(
            scores[heap[child]], docid_ranks[heap[child]], scores[top], docid_ranks[top]
        ):
            break
        heap[place] = heap[child]
        place = child
    heap[place] = top


@njit(nogil=True)
def _sift_up(heap: Ints, place: int, scores: Floats, docid_ranks: Ints) -> None:
    """Restores the heap after a row was added at ``place``."""
    row = heap[place]
    while place > 0:
        parent = (place - 1) // 2
        if not _is_worse(
            scores[row], docid_ranks[row], scores[heap[parent]], docid_ranks[heap[parent]]
        ):
            break
        heap[place] = heap[parent]
        place = parent
    heap[place] = row


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
    num_documents = len(docid_ranks)
    num_queries = len(query_starts) - 1
    out_rows = np.empty((num_queries, k), np.int32)
    out_scores = np.empty((num_queries, k), np.float32)
    out_sizes = np.empty(num_queries, np.int32)
    scores = np.zeros(num_documents, np.float32)
    touched = np.empty(num_documents, np.int32)
    heap = np.empty(k, np.int32)
    for query in range(num_queries):
        num_touched = 0
        for term in terms[query_starts[query] : query_starts[query + 1]]:
            for j in range(starts[term], starts[term + 1]):
                row = indices[j]
                if scores[row] == 0:
                    touched[num_touched] = row
                    num_touched += 1
                scores[row] += data[j]
        size = 0
        for row in touched[:num_touched]:
            if size < k:
                heap[size] = row
                _sift_up(heap, size, scores, docid_ranks)
                size += 1
            elif _is_worse(scores[heap[0]], docid_ranks[heap[0]], scores[row], docid_ranks[row]):
                heap[0] = row
                _sift_down(heap, size, scores, docid_ranks)
        out_sizes[query] = size
        while size > 0:  # the heap gives the worst first
            size -= 1
            out_rows[query, size] = heap[0]
            out_scores[query, size] = scores[heap[0]]
            heap[0] = heap[size]
            _sift_down(heap, size, scores, docid_ranks)
        scores[touched[:num_touched]] = 0
    return out_rows, out_scores, out_sizes


for _function in (_is_worse, _sift_down, _sift_up, top_k):
    try:
        _function.enable_caching()
    except RuntimeError:  # no writable folder for the machine code: compile in every process
        break
