"""What goes over the wire: three request formats in, their answers out.

* Search-R1's ``POST /retrieve`` (Jin et al. 2025, ``search_r1/search/retrieval_server.py``), which
  SkyRL and others speak too.
* R1-Searcher's ``POST /queries`` (Song et al. 2025, ``train/wiki_corpus_load.py``).
* Our own ``POST /v1/search``.

A response is a join of bytes: the JSON of each passage is made once and kept.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from http import HTTPStatus

import orjson

from searchenv.errors import SearchEnvError
from searchenv.retrieval import DegradedHits
from searchenv.types import Hit, Passage

__all__ = [
    "LineFormat",
    "RefusedError",
    "SearchRequest",
    "parse_json",
    "parse_queries",
    "parse_retrieve",
    "parse_v1_search",
]

DEFAULT_K = 3
V1_DEFAULT_K = 5
_CACHED_PASSAGES = 65_536

Answers = Sequence[Sequence[Hit]]
Encode = Callable[[str, str, Answers], bytes]
"""From the name and fingerprint of an index, and what was found, to a response body."""


class RefusedError(SearchEnvError, ValueError):
    """A request that is not answered with hits; the message goes to the client."""

    def __init__(
        self, status: HTTPStatus, message: str, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


class LineFormat(StrEnum):
    """How R1-Searcher's corpora write a passage in one line."""

    ABSTRACTS = "abstracts"
    """``id <tab> Title: ... Text:  ...``: its Wikipedia abstracts of 2017."""
    KILT = "kilt"
    """``id <tab> title   text``, three spaces between them: its windows of KILT."""


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What a client asks for, whatever its format."""

    queries: list[str]
    k: int
    index: str | None
    """None: the service's first index."""
    encode: Encode


def parse_json(body: bytes) -> Mapping[str, object]:
    """Returns the JSON object of a request body."""
    try:
        value = orjson.loads(body)
    except ValueError as error:
        raise RefusedError(
            HTTPStatus.BAD_REQUEST, f"expected a JSON object, got no JSON: {error}"
        ) from None
    if not isinstance(value, dict):
        raise _wrong("a JSON object", value, "the body")
    return value


def parse_retrieve(body: Mapping[str, object]) -> SearchRequest:
    """Returns the request of Search-R1's format.

    ``queries`` (a list) or ``query`` (one string); ``topk`` (missing, null or 0: 3);
    ``return_scores`` (false). ``index`` is ours.
    """
    scores = body.get("return_scores")
    if scores is not None and not isinstance(scores, bool):
        raise _wrong("true or false", scores, "return_scores")
    encode = _encode_scored if scores else _encode_documents
    k = _whole_number(body, "topk", DEFAULT_K, least=0) or DEFAULT_K
    return SearchRequest(_queries(body), k, _index(body), encode)


def parse_queries(body: Mapping[str, object]) -> SearchRequest:
    """Returns the request of R1-Searcher's format.

    ``queries`` (a list), ``k`` (missing: 3). ``format`` and ``index`` are ours.
    """
    queries = _queries(body)
    name = body.get("format", LineFormat.ABSTRACTS)
    if name not in list(LineFormat):
        raise _wrong(" or ".join(f'"{line}"' for line in LineFormat), name, "format")
    line = _abstract_line if name == LineFormat.ABSTRACTS else _kilt_line

    def encode(index: str, fingerprint: str, answers: Answers) -> bytes:
        lists = (b",".join([line(hit.passage) for hit in hits]) for hits in answers)
        return b'{"queries":%b,"answers":[%b]}' % (orjson.dumps(queries), _lists(lists))

    return SearchRequest(queries, _whole_number(body, "k", DEFAULT_K), _index(body), encode)


def parse_v1_search(body: Mapping[str, object]) -> SearchRequest:
    """Returns the request of our own format: ``queries``, ``k`` (5), ``index`` (the first)."""
    return SearchRequest(
        _queries(body), _whole_number(body, "k", V1_DEFAULT_K), _index(body), _encode_v1
    )


def _queries(body: Mapping[str, object]) -> list[str]:
    query = body.get("query")
    if query is not None and not isinstance(query, str):
        raise _wrong("one string", query, "query")
    if "queries" not in body:
        if query is None:
            raise _wrong('a list of strings, or "query" with one string', query, "queries")
        return [query]
    queries = body["queries"]
    if not isinstance(queries, list):
        raise _wrong("a list of strings", queries, "queries")
    for query in queries:
        if not isinstance(query, str):
            raise _wrong("a list of strings", query, "an element of queries")
    return queries


def _whole_number(body: Mapping[str, object], name: str, default: int, *, least: int = 1) -> int:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON knows one kind of number: 5.0 is 5
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise _wrong(f"a whole number >= {least}", value, name)
    return value


def _index(body: Mapping[str, object]) -> str | None:
    index = body.get("index")
    if index is not None and not isinstance(index, str):
        raise _wrong("the name of an index", index, "index")
    return index


def _wrong(expected: str, got: object, what: str) -> RefusedError:
    shown = "nothing" if got is None else f"{got!r:.60}"
    return RefusedError(
        HTTPStatus.UNPROCESSABLE_ENTITY, f"{what}: expected {expected}, got {shown}"
    )


def _encode_scored(index: str, fingerprint: str, answers: Answers) -> bytes:
    number = orjson.dumps
    lists = (
        b",".join([b"%b%b}" % (_scored_document(hit[0]), number(hit[1])) for hit in hits])
        for hits in answers
    )
    return b'{"result":[%b]}' % _lists(lists)


def _encode_documents(index: str, fingerprint: str, answers: Answers) -> bytes:
    lists = (b",".join([_document(hit[0]) for hit in hits]) for hits in answers)
    return b'{"result":[%b]}' % _lists(lists)


def _encode_v1(index: str, fingerprint: str, answers: Answers) -> bytes:
    number = orjson.dumps
    lists = (
        b",".join([b'%b%b,"rank":%d}' % (_v1_hit(hit[0]), number(hit[1]), hit[2]) for hit in hits])
        for hits in answers
    )
    reasons = [hits.reason if isinstance(hits, DegradedHits) else None for hits in answers]
    return b'{"index":%b,"fingerprint":%b,"results":[%b]%b}' % (
        orjson.dumps(index),
        orjson.dumps(fingerprint),
        _lists(lists),
        b',"degraded":%b' % orjson.dumps(reasons) if any(reasons) else b"",
    )


def _lists(lists: Iterable[bytes]) -> bytes:
    return b",".join([b"[%b]" % content for content in lists])


@lru_cache(_CACHED_PASSAGES)
def _document(passage: Passage) -> bytes:
    return orjson.dumps({"id": passage.id, "contents": contents(passage)})


@lru_cache(_CACHED_PASSAGES)
def _scored_document(passage: Passage) -> bytes:
    return b'{"document":%b,"score":' % _document.__wrapped__(passage)


@lru_cache(_CACHED_PASSAGES)
def _v1_hit(passage: Passage) -> bytes:
    return orjson.dumps(passage._asdict())[:-1] + b',"score":'


@lru_cache(_CACHED_PASSAGES)
def _abstract_line(passage: Passage) -> bytes:
    return _line(f"{passage.id}\tTitle: {passage.title} Text:  {passage.text}")


@lru_cache(_CACHED_PASSAGES)
def _kilt_line(passage: Passage) -> bytes:
    return _line(f"{passage.id}\t{passage.title}   {passage.text}")


def _line(text: str) -> bytes:
    return orjson.dumps(text.replace("\n", " "))


def contents(passage: Passage) -> str:
    r"""Returns title and text in one string, as Search-R1's Wikipedia corpus has them.

    :func:`searchenv.retrieval.stored.split_contents` takes them apart again.

    >>> contents(Passage("7", "Faust", "Faust is a play by Goethe."))
    '"Faust"\nFaust is a play by Goethe.'
    >>> contents(Passage("8", "", "No title."))
    'No title.'
    """
    if passage.title or "\n" in passage.text:
        return f'"{passage.title}"\n{passage.text}'
    return passage.text
