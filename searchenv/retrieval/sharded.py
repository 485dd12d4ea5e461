"""One corpus in several indexes that are searched together.

Scores of different indexes compare only if they come from the same statistics:

* Dense scores know no statistics: they compare as they are.
* Shards of engine ``bm25s`` are built with the statistics of the whole corpus
  (:func:`searchenv.indexing.build_shards`): their scores are those of one index, bit by bit.
* Shards of Lucene hold their own counts. A search has two phases: each shard counts the documents
  that hold the terms of the queries, and is then searched with the sums. Lucene takes no foreign
  statistics, but BM25 can be turned until it uses them. With N documents, of which n hold a term,
  and lengths around a mean of L, the score of a term is

      ln(1 + (N - n + 0.5) / (n + 0.5)) * tf / (tf + k1 * (1 - b) + k1 * b * length / L)

  A weight of the term replaces the first factor, and other k1 and b the length's share. What is
  left is rounding of 32-bit floats, below a millionth of a score: scores that differ by less are
  ties.
"""

import json
import math
import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, chain
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from searchenv.errors import IndexMismatchError, IndexNotFoundError
from searchenv.retrieval.base import Retriever
from searchenv.retrieval.composition import DegradedHits, derived_fingerprint, search_aligned
from searchenv.retrieval.lucene import LuceneRetriever, TermCounts
from searchenv.retrieval.passages import Passages
from searchenv.retrieval.ranking import checked, to_hits
from searchenv.types import Hit, Passage

__all__ = ["LocalShard", "Shard", "ShardedRetriever", "merge_hits", "shard_folders"]

SHARDS_FILE = "shards.json"
SHARDS_FORMAT = 1
_TIE = 6e-7  # relative; rounding of a sum of 32-bit floats stays below it
_Result = TypeVar("_Result")


@runtime_checkable
class Shard(Protocol):
    """A part of a corpus, here or elsewhere."""

    @property
    def fingerprint(self) -> str:
        """Identifies the index of the part."""
        ...

    def count_terms(self, queries: Sequence[str]) -> TermCounts | None:
        """Returns the part's statistics for the terms of queries; None: it needs none."""
        ...

    def search_counted(
        self, queries: Sequence[str], k: int, counts: TermCounts | None
    ) -> list[list[Hit]]:
        """Returns up to ``k`` hits for each query, scored with the statistics of all parts."""
        ...


class ShardedRetriever:
    """Searches all shards at once and merges what they find by score, ties by docid.

    Whatever a shard raises is raised: hits of a part of the corpus are never taken for all.

    Args:
        shards: retrievers over disjoint parts of a corpus, or shards that are elsewhere; at least
            one, all of one kind.

    Raises:
        ValueError: there are none.
    """

    def __init__(self, shards: Sequence[Retriever | Shard]) -> None:
        if not shards:
            raise ValueError("expected at least one shard, got none")
        self.shards: list[Shard] = [
            shard if isinstance(shard, Shard) else LocalShard(shard) for shard in shards
        ]
        self.fingerprint = derived_fingerprint(
            "sharded", [shard.fingerprint for shard in self.shards]
        )
        self._pool: ThreadPoolExecutor | None = None
        self._pool_of = 0

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_pool": None}

    @property
    def passages(self) -> Passages:
        """Returns the passages of all shards; AttributeError where a shard is elsewhere."""
        return _Joined([shard.passages for shard in self.shards])  # type: ignore[attr-defined]

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Returns up to ``k`` hits for each query; see :class:`searchenv.retrieval.Retriever`."""
        texts, k = checked(queries, k)
        if not texts:
            return []
        counts = _total(self._ask(lambda shard: shard.count_terms(texts)))
        found = self._ask(lambda shard: shard.search_counted(texts, k, counts))
        tie = 0.0 if counts is None else _TIE
        return [merge_hits(lists, k, tie=tie) for lists in zip(*found, strict=True)]

    def close(self) -> None:
        """Ends the threads; the next search starts others."""
        if self._pool is not None and self._pool_of == os.getpid():
            self._pool.shutdown()
        self._pool = None

    def _ask(self, question: Callable[[Shard], _Result]) -> list[_Result]:
        if len(self.shards) == 1:
            return [question(self.shards[0])]
        if self._pool is None or self._pool_of != os.getpid():
            self._pool = ThreadPoolExecutor(len(self.shards), "shard")
            self._pool_of = os.getpid()
        return list(self._pool.map(question, self.shards))


class LocalShard:
    """A retriever of this process as a shard.

    Args:
        retriever: over a part of a corpus. Lucene's gets the statistics of the whole corpus with
            each search; the scores of others must compare as they are.
    """

    def __init__(self, retriever: Retriever) -> None:
        self.retriever = retriever
        self.fingerprint = retriever.fingerprint
        self._adjusted: tuple[float, LuceneRetriever] | None = None

    @property
    def passages(self) -> Passages:
        """Returns the passages of the retriever; AttributeError where it names none."""
        passages: Passages = self.retriever.passages  # type: ignore[attr-defined]
        return passages

    def count_terms(self, queries: Sequence[str]) -> TermCounts | None:
        """Returns the statistics of a Lucene index for the terms of queries, None of others."""
        retriever = self.retriever
        if not isinstance(retriever, LuceneRetriever):
            return None
        return retriever.count(sorted({t for terms in retriever.terms(queries) for t in terms}))

    def search_counted(
        self, queries: Sequence[str], k: int, counts: TermCounts | None
    ) -> list[list[Hit]]:
        """Returns up to ``k`` hits for each query, scored with the statistics of all parts."""
        retriever = self.retriever
        if counts is None or not isinstance(retriever, LuceneRetriever):
            return search_aligned(retriever, queries, k)
        terms = [Counter(found) for found in retriever.terms(queries)]
        own = retriever.count(sorted({term for found in terms for term in found}))
        if own.num_documents == 0:
            return [[] for _ in queries]
        factors = {
            term: _idf(counts, counts.doc_freqs[term]) / _idf(own, own.doc_freqs[term])
            for term in own.doc_freqs
        }
        weights = [{term: times * factors[term] for term, times in c.items()} for c in terms]
        return self._with_mean_length(retriever, own, counts).search_terms(weights, k)

    def _with_mean_length(
        self, retriever: LuceneRetriever, own: TermCounts, counts: TermCounts
    ) -> LuceneRetriever:
        """Returns the retriever with the k1 and b that make up for its own mean length."""
        ratio = _mean_length(own) / _mean_length(counts)
        if self._adjusted is None or self._adjusted[0] != ratio:
            length_share = retriever.k1 * retriever.b * ratio
            k1 = retriever.k1 * (1 - retriever.b) + length_share
            adjusted = retriever.with_parameters(k1, length_share / k1 if k1 else 0.0)
            self._adjusted = (ratio, adjusted)
        return self._adjusted[1]


def shard_folders(folder: str | Path) -> list[Path]:
    """Returns the index folders of a folder of shards; what ``open_index`` opens together.

    Raises:
        IndexNotFoundError: there is no ``shards.json``.
        IndexMismatchError: it cannot be read.
    """
    path = Path(folder, SHARDS_FILE)
    if not path.is_file():
        raise IndexNotFoundError(f"no {SHARDS_FILE} in {folder}: not a folder of shards")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        format_, names = content["format"], content["shards"]
        folders = [path.parent.absolute() / name for name in names]
    except (ValueError, KeyError, TypeError) as error:
        raise IndexMismatchError(
            f"{path} is not readable ({error}): build the shards again"
        ) from error
    if format_ != SHARDS_FORMAT or not folders:
        raise IndexMismatchError(
            f"{path} has format {format_} and {len(folders)} shards, expected format "
            f"{SHARDS_FORMAT} and at least one: build the shards again"
        )
    return folders


def merge_hits(lists: Sequence[Sequence[Hit]], k: int, *, tie: float = 0.0) -> list[Hit]:
    """Returns the best ``k`` hits of several rankings over disjoint passages.

    Equal scores are ordered by docid; so are those that differ by less than the share ``tie`` of
    the best of them, whose score they get. Where a ranking is marked as degraded, the result is.
    """
    pairs = sorted(
        ((hit.score, hit.passage) for hits in lists for hit in hits),
        key=lambda pair: (-pair[0], pair[1].id),
    )
    scores = [score for score, _ in pairs]
    for i in range(1, len(scores)):
        if scores[i - 1] - scores[i] <= tie * abs(scores[i - 1]):
            scores[i] = scores[i - 1]
    merged = to_hits([passage for _, passage in pairs], scores)[:k]
    reasons = [hits.reason for hits in lists if isinstance(hits, DegradedHits)]
    return DegradedHits(merged, "; ".join(reasons)) if reasons else merged


class _Joined:
    """Passages of several parts, one after the other."""

    def __init__(self, parts: Sequence[Passages]) -> None:
        self._parts = parts
        self._starts = list(accumulate(map(len, parts), initial=0))

    def __len__(self) -> int:
        return self._starts[-1]

    def passage(self, row: int) -> Passage:
        part = bisect_right(self._starts, row) - 1
        return self._parts[part].passage(row - self._starts[part])

    def batches(self) -> Iterator[list[Passage]]:
        return chain.from_iterable(part.batches() for part in self._parts)

    def get(self, ids: Sequence[str]) -> list[Passage]:
        wanted = set(ids)
        found = {p.id: p for batch in self.batches() for p in batch if p.id in wanted}
        for id_ in ids:
            if id_ not in found:
                raise KeyError(f"no passage with id {id_!r}")
        return [found[id_] for id_ in ids]

    def ids_by_title(self, titles: Iterable[str]) -> dict[str, tuple[str, ...]]:
        wanted = list(titles)
        found: dict[str, tuple[str, ...]] = dict.fromkeys(wanted, ())
        for part in self._parts:
            for title, ids in part.ids_by_title(wanted).items():
                found[title] += ids
        return {title: ids for title, ids in found.items() if ids}


def _total(parts: Sequence[TermCounts | None]) -> TermCounts | None:
    counted = [part for part in parts if part is not None]
    if not counted:
        return None
    freqs: Counter[str] = Counter()
    for part in counted:
        freqs.update(part.doc_freqs)
    documents = sum(part.num_documents for part in counted)
    return TermCounts(documents, sum(part.num_tokens for part in counted), freqs)


def _idf(counts: TermCounts, doc_freq: int) -> float:
    return math.log(1 + (counts.num_documents - doc_freq + 0.5) / (doc_freq + 0.5))


def _mean_length(counts: TermCounts) -> float:
    return counts.num_tokens / counts.num_documents
