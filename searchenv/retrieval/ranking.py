"""What every engine does alike: check arguments, clean queries, make hits."""

import operator
from collections.abc import Sequence
from itertools import count
from typing import SupportsIndex

from searchenv.types import Hit, Passage

__all__ = ["checked", "clean_query", "to_hits"]

MAX_QUERY_CHARS = 100_000


def checked(queries: Sequence[str], k: SupportsIndex) -> tuple[list[str], int]:
    """Returns the queries, cleaned, and k as a plain int.

    Raises:
        TypeError: ``queries`` is one string, or holds something that is not a string, or ``k`` is
            no integer.
        ValueError: ``k`` is below 1.
    """
    if isinstance(queries, str):
        raise TypeError(
            f"queries must be a sequence of strings, got one string: use [{queries[:40]!r}]"
        )
    number = operator.index(k)
    if number < 1:
        raise ValueError(f"k must be >= 1, got {number}")
    return [clean_query(query) for query in queries], number


def clean_query(query: str) -> str:
    r"""Returns a query that every engine can take.

    A plain ``str`` of at most ``MAX_QUERY_CHARS`` characters: what is longer is cut. NUL becomes a
    space and a lone surrogate a question mark; neither is ever part of a word.

    >>> clean_query("Who\x00wrote \ud800 Faust?")
    'Who wrote ? Faust?'
    """
    if not isinstance(query, str):
        raise TypeError(f"a query must be a str, got {type(query).__name__}: {query!r:.60}")
    text = str(query[:MAX_QUERY_CHARS]).replace("\0", " ")
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def to_hits(passages: Sequence[Passage], scores: Sequence[float]) -> list[Hit]:
    """Returns ranked hits; passages come best first, equal scores are put in the order of ids."""
    if len(set(scores)) < len(scores):
        pairs = sorted(zip(passages, scores, strict=True), key=lambda pair: (-pair[1], pair[0].id))
        passages, scores = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return list(map(Hit, passages, scores, count(1)))
