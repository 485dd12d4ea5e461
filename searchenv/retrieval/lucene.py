"""Pyserini's BM25, straight at Lucene's ``IndexSearcher`` in the Anserini jar.

Same index folders, analyzer, query and ranking as Pyserini's ``LuceneSearcher`` (the tests compare
them), without its imports of torch and without building a Java object for each stored document.
Differences:

1. Scores of ties are reported equal; ``LuceneSearcher`` takes 1e-6 steps off them. The order is the
   same: by docid.
2. There is no limit of 1,024 different words in a query.
3. Queries that Java cannot take are cleaned first
   (:func:`searchenv.retrieval.ranking.clean_query`).
"""

import hashlib
import json
import os
import re
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from searchenv.errors import IndexNotFoundError, RetrievalError
from searchenv.retrieval.java import java
from searchenv.retrieval.passages import Passages
from searchenv.retrieval.ranking import checked, to_hits
from searchenv.retrieval.stored import StoredPassages
from searchenv.types import Hit

__all__ = ["Analyzer", "LuceneRetriever", "TermCounts"]

_MAX_CLAUSES = 1 << 20  # Lucene's own limit of 1,024 makes a long query an error
_CACHED_QUERIES = 1024
_CACHED_TERMS = 1 << 16
_OPERATOR = re.compile(r"([^\w]|^(?:AND|OR|NOT)$)")  # of Lucene's query language

_Query = TypeVar("_Query")


class Analyzer(StrEnum):
    """How Anserini makes terms of a text."""

    PORTER = "anserini-porter"
    """Its default for English: lower case, Lucene's stop words, Porter's stemmer."""
    KROVETZ = "anserini-krovetz"
    """The same with Krovetz' stemmer."""
    UNSTEMMED = "anserini-unstemmed"
    """The same without a stemmer."""
    WHITESPACE = "lucene-whitespace"
    """Cut at white space, nothing else: for texts that were tokenised before."""


@dataclass(frozen=True, slots=True)
class TermCounts:
    """What BM25 needs to know of a corpus: its size, and in how many documents terms are."""

    num_documents: int
    """Those that hold a term."""
    num_tokens: int
    """Terms in all documents, repeated ones too."""
    doc_freqs: Mapping[str, int]


class LuceneRetriever:
    """Searches a Lucene index that has Anserini's fields.

    Nothing of Java is touched before the first search, so a retriever can be pickled, or made
    before a fork, at any time.

    Args:
        folder: the Lucene folder itself (the one that holds ``segments_1``).
        passages: where row ``n`` is the passage of Lucene document ``n``; None: read the texts that
            Lucene stored.
        fingerprint: the manifest's; None: computed from the folder's segments file and the
            parameters.
        analyzer: must be the one the index was built with.
        k1: term frequency saturation of BM25.
        b: length normalisation of BM25.
    """

    def __init__(
        self,
        folder: Path,
        *,
        passages: Passages | None = None,
        fingerprint: str | None = None,
        analyzer: Analyzer = Analyzer.PORTER,
        k1: float = 0.9,
        b: float = 0.4,
    ) -> None:
        # Lucene counts commits in base 36: segments_10 comes after segments_z
        segments = sorted(folder.glob("segments_*"), key=lambda path: (len(path.name), path.name))
        if not segments:
            raise IndexNotFoundError(f"no Lucene index in {folder}: it holds no segments file")
        self.folder = folder.absolute()  # Java keeps the working folder that it started in
        self.analyzer = analyzer
        self.k1 = k1
        self.b = b
        self.fingerprint = fingerprint or _fingerprint(segments[-1], f"{analyzer} {k1} {b}")
        self._given_passages = passages
        self._opened: _Searcher | None = None
        self._opened_in = 0

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_opened": None}

    @property
    def passages(self) -> Passages:
        """Returns all passages; where Lucene alone holds them, this starts Java."""
        given = self._given_passages
        return self._searcher().stored_passages if given is None else given

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Returns up to ``k`` hits for each query; see :class:`searchenv.retrieval.Retriever`.

        Raises:
            JavaUnavailableError: Java is missing or was inherited by a fork.
            MissingDependencyError: Pyserini is not installed.
            RetrievalError: Java raised an exception.
        """
        texts, k = checked(queries, k)
        return self._search(_Searcher.text_query, texts, k) if texts else []

    def search_terms(self, queries: Sequence[Mapping[str, float]], k: int) -> list[list[Hit]]:
        """Searches for terms, as :meth:`terms` gives them, whose scores count with a weight each.

        ``search`` gives the same as a weight of 1 for each time that a term is in the query.
        """
        return self._search(_Searcher.term_query, queries, checked([], k)[1]) if queries else []

    def terms(self, queries: Sequence[str]) -> list[list[str]]:
        """Returns the terms of each query, in their order."""
        texts, _ = checked(queries, 1)
        with java():
            searcher = self._searcher()
            return [searcher.terms(text) for text in texts]

    def count(self, terms: Iterable[str]) -> TermCounts:
        """Returns the statistics of the corpus, and how many documents hold each term."""
        with java():
            return self._searcher().count(terms)

    def _search(
        self, make_query: Callable[["_Searcher", _Query], Any], queries: Sequence[_Query], k: int
    ) -> list[list[Hit]]:
        with java():
            searcher = self._searcher()
            given = self._given_passages
            passage = (searcher.stored_passages if given is None else given).passage
            ranked = searcher.rank(make_query, queries, k)
            return [to_hits([passage(row) for row in rows], scores) for rows, scores in ranked]

    def with_parameters(self, k1: float, b: float) -> "LuceneRetriever":
        """Returns a retriever over the same index that scores with other parameters."""
        return LuceneRetriever(
            self.folder,
            passages=self._given_passages,
            fingerprint=f"{self.fingerprint} {k1} {b}",
            analyzer=self.analyzer,
            k1=k1,
            b=b,
        )

    def close(self) -> None:
        """Closes the index files; the next search opens them again."""
        if self._opened is not None and self._opened_in == os.getpid():
            with java():
                self._opened.close()
        self._opened = None

    def _searcher(self) -> "_Searcher":
        if self._opened is None or self._opened_in != os.getpid():
            with java() as autoclass:
                self._opened = _Searcher(autoclass, self.folder, self.analyzer, self.k1, self.b)
                self._opened_in = os.getpid()
        return self._opened


class _Searcher:
    """The Java side: an open index. Every use must hold the lock of :func:`java`."""

    def __init__(
        self, autoclass: Callable[[str], Any], folder: Path, analyzer: Analyzer, k1: float, b: float
    ) -> None:
        from jnius import JavaException, cast

        lucene = "org.apache.lucene.search."
        try:
            self._reader = autoclass("io.anserini.index.IndexReaderUtils").getReader(str(folder))
        except JavaException as error:
            raise RetrievalError(f"Lucene cannot open {folder}: {error}") from error
        searcher_class = autoclass(lucene + "IndexSearcher")
        searcher_class.setMaxClauseCount(_MAX_CLAUSES)
        self._searcher = searcher_class(cast("org.apache.lucene.index.IndexReader", self._reader))
        self._searcher.setSimilarity(autoclass(lucene + "similarities.BM25Similarity")(k1, b))
        self._analyzer = make_analyzer(autoclass, analyzer)
        self._generator = autoclass("io.anserini.search.query.BagOfWordsQueryGenerator")()
        self._parser = autoclass("org.apache.lucene.queryparser.classic.QueryParser")(
            "contents", autoclass("org.apache.lucene.analysis.core.WhitespaceAnalyzer")()
        )
        self._analyze = autoclass("io.anserini.analysis.AnalyzerUtils").analyze
        self._term_class = autoclass("org.apache.lucene.index.Term")
        self._json = autoclass("com.fasterxml.jackson.databind.ObjectMapper")().writer()
        field, kind = autoclass(lucene + "SortField"), autoclass(lucene + "SortField$Type")
        self._by_score_then_id = autoclass(lucene + "Sort")(
            field.FIELD_SCORE, field("id", kind.STRING_VAL)
        )
        self.terms = lru_cache(_CACHED_QUERIES)(self._terms)
        self._doc_freq = lru_cache(_CACHED_TERMS)(self._count_documents)
        size = self._searcher.collectionStatistics("contents")
        self._num_counted = 0 if size is None else size.docCount()
        self._num_tokens = 0 if size is None else size.sumTotalTermFreq()
        self._error = JavaException
        self._num_documents = self._reader.maxDoc()
        self.stored_passages = StoredPassages(self._reader, folder)

    def rank(
        self, make_query: Callable[["_Searcher", _Query], Any], queries: Sequence[_Query], k: int
    ) -> list[tuple[list[int], list[float]]]:
        """Returns documents and scores of each query, best first."""
        k = min(k, max(self._num_documents, 1))
        try:
            return [self._rank_one(make_query(self, query), k) for query in queries]
        except self._error as error:
            raise RetrievalError(f"Lucene failed: {error}") from error

    def text_query(self, text: str) -> Any:
        return self._generator.buildQuery("contents", self._analyzer, text)

    def term_query(self, weights: Mapping[str, float]) -> Any:
        if not weights:
            return self.text_query("")
        # a query in Lucene's language is one call into Java, not five for each term
        words = (
            f"{_OPERATOR.sub(_escaped, term)}^{weight:.9f}" for term, weight in weights.items()
        )
        return self._parser.parse(" ".join(words))

    def _terms(self, text: str) -> list[str]:
        found: list[str] = json.loads(
            self._json.writeValueAsString(self._analyze(self._analyzer, text))
        )
        return found

    def _count_documents(self, term: str) -> int:
        freq: int = self._reader.docFreq(self._term_class("contents", term))
        return freq

    def count(self, terms: Iterable[str]) -> TermCounts:
        freqs = {term: self._doc_freq(term) for term in terms}
        return TermCounts(self._num_counted, self._num_tokens, freqs)

    def _rank_one(self, query: Any, k: int) -> tuple[list[int], list[float]]:
        top = self._searcher.search(query, k + 1)
        # one call for all hits: a Java object for each costs three times as much
        found = json.loads(self._json.writeValueAsString(top))["scoreDocs"]
        rows = [document["doc"] for document in found[:k]]
        # Lucene's scores are 32-bit floats, of which JSON gives the shortest decimals
        scores = array("f", [document["score"] for document in found]).tolist()
        if len(scores) > k and scores[k] == scores[k - 1]:
            # a tie crosses the cut and may hold thousands: let Lucene order it, as Pyserini does
            ordered = self._searcher.search(query, k, self._by_score_then_id).scoreDocs
            rows = [document.doc for document in ordered]
        return rows, scores[:k]

    def close(self) -> None:
        self._reader.close()


def _escaped(match: re.Match[str]) -> str:
    return f"\\{match[0]}"


def make_analyzer(autoclass: Callable[[str], Any], analyzer: Analyzer) -> Any:
    """Returns the Java object of an analyzer."""
    if analyzer is Analyzer.WHITESPACE:
        return autoclass("org.apache.lucene.analysis.core.WhitespaceAnalyzer")()
    english = autoclass("io.anserini.analysis.DefaultEnglishAnalyzer")
    if analyzer is Analyzer.KROVETZ:
        return english.newStemmingInstance("krovetz")
    if analyzer is Analyzer.UNSTEMMED:
        return english.newNonStemmingInstance()
    return english.newDefaultInstance()


def _fingerprint(segments: Path, parameters: str) -> str:
    # the segments file names every segment by a random id and changes with every commit
    return hashlib.sha256(segments.read_bytes() + parameters.encode()).hexdigest()[:32]
