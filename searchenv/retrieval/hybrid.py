"""Several retrievers over one corpus, fused into one ranking.

Two ways: reciprocal rank fusion (Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms
Condorcet and individual Rank Learning Methods", SIGIR 2009, section 2) and the weighted sum of
min-max normalised scores (Fox and Shaw's CombSUM, "Combination of Multiple Searches", TREC-2, 1994,
with weights).
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from math import fsum, isfinite

from searchenv.errors import IndexMismatchError, did_you_mean
from searchenv.retrieval.base import Retriever
from searchenv.retrieval.composition import (
    DegradedHits,
    corpus_of,
    derived_fingerprint,
    search_aligned,
)
from searchenv.retrieval.ranking import checked
from searchenv.types import Hit, Passage

__all__ = ["Fusion", "HybridRetriever"]


class Fusion(StrEnum):
    """How several rankings become one."""

    RRF = "rrf"
    """The sum of ``weight / (rrf_k + rank)``: ranks alone count."""
    WEIGHTED = "weighted"
    """The sum of ``weight * score``, where the scores of a part's hits for a query are mapped to
    0..1: the best is 1, the last 0. Where all are equal, each is 1."""


class HybridRetriever:
    """Searches every part once a batch and fuses the rankings of each query.

    A passage that a part did not find among its first ``depth`` gets nothing from that part.
    Equal sums are ordered by docid. Whatever a part raises is raised: half a fusion is never
    returned. A search for more than ``depth`` hits takes that many from each part.

    Args:
        parts: retrievers over the same passages, at least one. Where their manifests name the
            corpus it is compared at once, else passages of equal id are compared when they meet.
        method: ``"rrf"`` or ``"weighted"``.
        weights: one for each part, at least 0 and not all 0; None: 1 for each.
        rrf_k: the constant of reciprocal rank fusion, at least 0; 60 in the paper.
        depth: hits that are taken from each part, at least 1.

    Raises:
        IndexMismatchError: the parts search different passages.
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        parts: Sequence[Retriever],
        method: str = Fusion.RRF,
        *,
        weights: Sequence[float] | None = None,
        rrf_k: float = 60,
        depth: int = 100,
    ) -> None:
        if method not in list(Fusion):
            raise ValueError(
                f"unknown method {method!r}. {did_you_mean(method, [f.value for f in Fusion])}"
            )
        self.parts = tuple(parts)
        self.method = Fusion(method)
        self.weights = _checked_weights(weights, len(self.parts))
        if rrf_k < 0 or depth < 1:
            raise ValueError(f"expected rrf_k >= 0 and depth >= 1, got {rrf_k} and {depth}")
        self.rrf_k = rrf_k
        self.depth = depth
        _check_same_corpus(self.parts)

    @property
    def inner(self) -> Retriever:
        """Returns the first part, which has the corpus of all."""
        return self.parts[0]

    @property
    def fingerprint(self) -> str:
        """Returns a digest of the parts' fingerprints and of how they are fused."""
        return derived_fingerprint(
            "hybrid",
            [part.fingerprint for part in self.parts],
            method=self.method,
            weights=self.weights,
            rrf_k=self.rrf_k if self.method is Fusion.RRF else None,
            depth=self.depth,
        )

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Returns up to ``k`` hits for each query; see :class:`searchenv.retrieval.Retriever`.

        Raises:
            IndexMismatchError: two parts gave different passages with the same id.
        """
        texts, k = checked(queries, k)
        if not texts:
            return []
        depth = max(self.depth, k)
        found = [search_aligned(part, texts, depth) for part in self.parts]
        return [self._fuse(rankings, k) for rankings in zip(*found, strict=True)]

    def _fuse(self, rankings: Sequence[list[Hit]], k: int) -> list[Hit]:
        passages: dict[str, Passage] = {}
        shares: dict[str, list[float]] = {}
        for hits, weight in zip(rankings, self.weights, strict=True):
            for hit, value in zip(hits, self._values(hits), strict=True):
                passage = hit.passage
                if passages.setdefault(passage.id, passage) != passage:
                    raise IndexMismatchError(
                        f"the parts have different passages with the id {passage.id!r}: "
                        "build all their indexes from the same corpus"
                    )
                shares.setdefault(passage.id, []).append(weight * value)
        # fsum: the sum must not depend on the order of the parts, or ties would break by noise
        sums = {id_: fsum(values) for id_, values in shares.items()}
        best = sorted(sums.items(), key=lambda pair: (-pair[1], pair[0]))[:k]
        fused = [Hit(passages[id_], score, rank) for rank, (id_, score) in enumerate(best, start=1)]
        reasons = [hits.reason for hits in rankings if isinstance(hits, DegradedHits)]
        return DegradedHits(fused, "; ".join(reasons)) if reasons else fused

    def _values(self, hits: list[Hit]) -> Iterator[float]:
        if self.method is Fusion.RRF:
            return (1 / (self.rrf_k + hit.rank) for hit in hits)
        scores = [hit.score for hit in hits]
        low, high = min(scores, default=0.0), max(scores, default=0.0)
        return ((score - low) / (high - low) if high > low else 1.0 for score in scores)


def _checked_weights(weights: Sequence[float] | None, count: int) -> tuple[float, ...]:
    if count == 0:
        raise ValueError("a hybrid needs at least one part, got none")
    checked_weights = (1.0,) * count if weights is None else tuple(float(w) for w in weights)
    if len(checked_weights) != count:
        raise ValueError(
            f"expected one weight for each of {count} parts, got {len(checked_weights)}"
        )
    if not any(checked_weights) or not all(w >= 0 and isfinite(w) for w in checked_weights):
        raise ValueError(f"weights must be finite, >= 0 and not all 0, got {list(checked_weights)}")
    return checked_weights


def _check_same_corpus(parts: Sequence[Retriever]) -> None:
    known = {corpus for part in parts if (corpus := corpus_of(part)) is not None}
    if len(known) > 1:
        raise IndexMismatchError(
            "the parts search different corpora (sha256 "
            f"{', '.join(sorted(corpus[:12] for corpus in known))}): "
            "build all their indexes from the same corpus"
        )
