"""What a remote retriever asks and understands: request bodies, and replies that are checked.

A reply is right only if it holds one list a query, each of at most k whole passages. Everything
else is a :class:`BadReplyError`, so that nothing broken passes for "nothing found".
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from searchenv.errors import RetrievalError
from searchenv.retrieval.composition import DegradedHits
from searchenv.retrieval.stored import split_contents
from searchenv.types import Hit, Passage

__all__ = ["PATHS", "BadReplyError", "Found", "Wire", "read_reply", "request_body"]


class Wire(StrEnum):
    """The request formats that retrieval services speak."""

    V1 = "v1"
    """Our own ``/v1/search``."""
    SEARCH_R1 = "search_r1"
    """``/retrieve`` of Search-R1, SkyRL and verl. A passage without an id gets a hash of its text
    for one."""
    R1_SEARCHER = "r1_searcher"
    """``/queries`` of R1-Searcher. It gives no scores: 1/rank stands for them."""


T = TypeVar("T")

PATHS = {Wire.V1: "/v1/search", Wire.SEARCH_R1: "/retrieve", Wire.R1_SEARCHER: "/queries"}


class BadReplyError(RetrievalError):
    """A reply is not what its format promises."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a reply says."""

    hits: list[list[Hit]]
    fingerprint: str | None
    """Of the index that was searched, where the format has one."""


def request_body(
    wire: Wire, queries: Sequence[str], k: int, index: str | None
) -> dict[str, object]:
    """Returns the JSON of a request; a None ``index`` is left out."""
    body: dict[str, object] = {"queries": list(queries)}
    if wire is Wire.SEARCH_R1:
        body |= {"topk": k, "return_scores": True}
    else:
        body["k"] = k
    return body if index is None else {**body, "index": index}


def read_reply(wire: Wire, reply: object, num_queries: int, k: int) -> Found:
    """Returns the hits of a reply.

    Raises:
        BadReplyError: the reply breaks its format, or does not fit the request.
    """
    key = {Wire.V1: "results", Wire.SEARCH_R1: "result", Wire.R1_SEARCHER: "answers"}[wire]
    answers = _field(reply, key, list)
    if len(answers) != num_queries:
        raise BadReplyError(f"expected {num_queries} answers in {key!r}, got {len(answers)}")
    hits = [_hits(_READERS[wire], answer, k) for answer in answers]
    if wire is not Wire.V1:
        return Found(hits, None)
    fingerprint = _field(reply, "fingerprint", str)
    if isinstance(reply, dict) and "degraded" in reply:
        reasons = _field(reply, "degraded", list)
        if len(reasons) != num_queries:
            raise BadReplyError(f"expected {num_queries} reasons in 'degraded', got {len(reasons)}")
        hits = [
            found if reason is None else DegradedHits(found, str(reason))
            for found, reason in zip(hits, reasons, strict=True)
        ]
    return Found(hits, fingerprint)


def _hits(read: Callable[[object, int], Hit], answer: object, k: int) -> list[Hit]:
    if not isinstance(answer, list) or len(answer) > k:
        raise BadReplyError(f"expected a list of at most {k} passages, got {answer!r:.80}")
    return [read(entry, rank) for rank, entry in enumerate(answer, start=1)]


def _v1_hit(entry: object, rank: int) -> Hit:
    passage = Passage(*(_field(entry, name, str) for name in Passage._fields))
    return Hit(passage, _score(entry), rank)


def _search_r1_hit(entry: object, rank: int) -> Hit:
    document = _field(entry, "document", dict)
    text = _field(document, "contents", str)
    id_ = document.get("id")
    if id_ is None:
        id_ = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
    return Hit(Passage(str(id_), *split_contents(text)), _score(entry), rank)


def _r1_searcher_hit(entry: object, rank: int) -> Hit:
    id_, tab, line = entry.partition("\t") if isinstance(entry, str) else ("", "", "")
    if not tab:
        raise BadReplyError(f"expected a line 'id<tab>passage', got {entry!r:.80}")
    head, mark, text = line.partition(" Text: ")
    if mark and head.startswith("Title: "):
        return Hit(Passage(id_, head.removeprefix("Title: "), text.lstrip()), 1 / rank, rank)
    title, gap, text = line.partition("   ")
    passage = Passage(id_, title, text) if gap else Passage(id_, "", line)
    return Hit(passage, 1 / rank, rank)


_READERS: Mapping[Wire, Callable[[object, int], Hit]] = {
    Wire.V1: _v1_hit,
    Wire.SEARCH_R1: _search_r1_hit,
    Wire.R1_SEARCHER: _r1_searcher_hit,
}


def _score(entry: object) -> float:
    score = entry.get("score") if isinstance(entry, dict) else None
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise BadReplyError(f"expected a number in 'score', got {score!r:.80}")
    return float(score)


def _field(entry: object, name: str, kind: type[T]) -> T:
    value = entry.get(name) if isinstance(entry, dict) else None
    if not isinstance(value, kind):
        raise BadReplyError(f"expected a {kind.__name__} in {name!r}, got {entry!r:.80}")
    return value
