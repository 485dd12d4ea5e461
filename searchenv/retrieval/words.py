"""How the bm25s engine makes terms of a text."""

import re
from functools import lru_cache

__all__ = ["WORDS_PORTER", "WordAnalyzer"]

WORDS_PORTER = "words-porter"

_WORD = re.compile(r"(?u)\b\w\w+\b")
# the stop words of Lucene's English analyzer, so that both engines leave out the same
# fmt: off
_STOP_WORDS = frozenset([
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it",
    "no", "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these",
    "they", "this", "to", "was", "will", "with",
])
# fmt: on
_CACHED_WORDS = 1 << 17


class WordAnalyzer:
    """Lower case, words of two characters or more, no stop words, Porter's stemmer.

    >>> WordAnalyzer().terms("The plays of Goethe")
    ['plai', 'goeth']
    """

    def __init__(self) -> None:
        import Stemmer

        stemmer = Stemmer.Stemmer("porter", 0)  # 0: no cache of its own, lru_cache is faster
        self._stem = lru_cache(_CACHED_WORDS)(stemmer.stemWord)

    def terms(self, text: str) -> list[str]:
        """Returns the terms of a text in their order."""
        return [self._stem(word) for word in _WORD.findall(text.lower()) if word not in _STOP_WORDS]
