"""The service as an ASGI application, without a framework between server and search.

Per request a framework costs more than the search itself (``benchmarks/service.py`` compares), and
ten routes need none.
"""

import asyncio
import hmac
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson

from searchenv.errors import did_you_mean
from searchenv.retrieval import Retriever
from searchenv.serving.batching import Batcher, BatchOptions
from searchenv.serving.metrics import IndexMetrics, Metrics
from searchenv.serving.openapi import openapi
from searchenv.serving.wire import (
    V1_DEFAULT_K,
    RefusedError,
    SearchRequest,
    parse_json,
    parse_queries,
    parse_retrieve,
    parse_v1_search,
)

__all__ = ["RetrievalApp", "ServiceOptions"]

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Reply = tuple[HTTPStatus, tuple[bytes, bytes], bytes]
"""Status, content type and body."""

_SEARCHES: Mapping[str, Callable[[Mapping[str, object]], SearchRequest]] = {
    "/retrieve": parse_retrieve,
    "/queries": parse_queries,
    "/v1/search": parse_v1_search,
}
_OPEN = ("/health", "/ready")  # probes need no token
_JSON = (b"content-type", b"application/json")
_PROMETHEUS = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
_CLIENT_GONE = 499  # nginx's number; nobody reads it but the counts
_STOP_S = 1.0


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """The bounds of a service.

    Raises:
        ValueError: a value is out of range.
    """

    batching: BatchOptions = field(default_factory=BatchOptions)
    """How requests are pooled."""
    max_body_bytes: int = 4 * 1024 * 1024
    """Larger requests get 413."""
    max_queries: int = 1024
    """Requests of more queries get 413."""
    max_k: int = 1000
    """Requests for more hits get 422; where an index holds fewer passages, its size is asked."""
    grace_s: float = 30.0
    """How long a stopping service works on what it has accepted."""

    def __post_init__(self) -> None:
        """Checks the ranges."""
        bounds = {"max_body_bytes": 1, "max_queries": 1, "max_k": V1_DEFAULT_K, "grace_s": 1}
        for name, least in bounds.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be >= {least}, got {getattr(self, name)}")


class RetrievalApp:
    """Serves retrievers by name; the first one answers requests that name none.

    Args:
        retrievers: by name, at least one.
        options: the bounds.
        token: clients must send it as ``Authorization: Bearer ...``; None: anybody may search.

    Raises:
        ValueError: there is no retriever, or the token is empty.
    """

    def __init__(
        self,
        retrievers: Mapping[str, Retriever],
        options: ServiceOptions | None = None,
        token: str | None = None,
    ) -> None:
        if not retrievers:
            raise ValueError("expected at least one index to serve, got none")
        if token is not None and not token.strip():
            raise ValueError("the token is empty: give a token, or none at all")
        self.startup_error: Exception | None = None
        self._retrievers = dict(retrievers)
        self._options = ServiceOptions() if options is None else options
        self._authorization = None if token is None else f"bearer {token.strip()}".encode()
        self._gets: dict[str, Callable[[], Reply]] = {
            "/health": lambda: _json(HTTPStatus.OK, {"status": "ok"}),
            "/ready": self._ready,
            "/metrics": lambda: (HTTPStatus.OK, _PROMETHEUS, self._metrics.text()),
            "/openapi.json": self._openapi,
            "/v1/indexes": self._indexes,
        }
        self._metrics = Metrics(_SEARCHES)
        self._batchers: dict[str, Batcher] = {}
        self._sizes: dict[str, int] = {}
        self._stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, or runs from start-up to shutdown."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._start()
        except Exception as error:  # boundary of the service: the server ends and reports it
            self.startup_error = error
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.gather(*(batcher.stop(_STOP_S) for batcher in self._batchers.values()))
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self) -> None:
        for name, retriever in self._retrievers.items():
            batcher = Batcher(retriever, self._options.batching, IndexMetrics(self._metrics, name))
            await batcher.start()
            self._batchers[name] = batcher
            passages = getattr(retriever, "passages", None)
            self._sizes[name] = sys.maxsize if passages is None else len(passages)

    def stop_soon(self) -> None:
        """Makes ``/ready`` say no, so that a balancer sends no more requests."""
        self._stopping = True

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers: Sequence[tuple[bytes, bytes]] = ()
        try:
            status, kind, body = await self._answer(scope, receive)
        except RefusedError as refused:
            status, kind, body = _json(refused.status, {"detail": str(refused)})
            headers = refused.headers
        except ConnectionResetError:
            self._metrics.request(scope["path"], _CLIENT_GONE, time.perf_counter() - started)
            return
        except Exception as error:  # boundary of a request: the search thread has logged it
            status, kind, body = _json(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                {"detail": f"the search failed: {type(error).__name__}: {error}"},
            )
        length = (b"content-length", b"%d" % len(body))
        await send(
            {
                "type": "http.response.start",
                "status": int(status),
                "headers": (kind, length, *headers),
            }
        )
        await send({"type": "http.response.body", "body": body})
        self._metrics.request(scope["path"], status, time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        path, method = scope["path"], scope["method"]
        if self._authorization is not None and path not in _OPEN:
            _authorize(scope, self._authorization)
        parse = _SEARCHES.get(path)
        if parse is not None and method == "POST":
            body = await self._body(receive)
            return HTTPStatus.OK, _JSON, await self._search(parse(parse_json(body)), receive)
        if path in self._gets and method == "GET":
            return self._gets[path]()
        if parse is None and path not in self._gets:
            known = ", ".join([*_SEARCHES, *self._gets])
            raise RefusedError(HTTPStatus.NOT_FOUND, f"no {path!r} here; there are: {known}")
        allowed = "GET" if parse is None else "POST"
        raise RefusedError(
            HTTPStatus.METHOD_NOT_ALLOWED,
            f"{path} takes {allowed}, got {method}",
            ((b"allow", allowed.encode()),),
        )

    async def _body(self, receive: Receive) -> bytes:
        message = await receive()
        body: bytes = message.get("body", b"")
        most = self._options.max_body_bytes
        while message.get("more_body") and len(body) <= most:
            message = await receive()
            body += message.get("body", b"")
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("the client hung up")
        if len(body) > most:
            raise RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"expected a body of at most {most} bytes: send fewer queries at a time",
                ((b"connection", b"close"),),
            )
        return body

    async def _search(self, request: SearchRequest, receive: Receive) -> bytes:
        options = self._options
        if len(request.queries) > options.max_queries:
            raise RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"expected at most {options.max_queries} queries, got {len(request.queries)}",
            )
        name = next(iter(self._batchers)) if request.index is None else request.index
        batcher = self._batchers.get(name)
        if batcher is None:
            raise RefusedError(
                HTTPStatus.NOT_FOUND, f"no index {name!r}. {did_you_mean(name, self._batchers)}"
            )
        k = request.k
        if k > options.max_k and (k := min(k, max(self._sizes[name], 1))) > options.max_k:
            raise RefusedError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"expected at most {options.max_k} hits, got {request.k}",
            )
        answers = await batcher.search(request.queries, k, receive)
        return request.encode(name, batcher.retriever.fingerprint, answers)

    def _ready(self) -> Reply:
        stuck = [name for name, batcher in self._batchers.items() if batcher.stuck]
        if self._stopping or stuck:
            why = "stopping" if self._stopping else f"searching for too long: {', '.join(stuck)}"
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, why)
        return _json(HTTPStatus.OK, {"status": "ready"})

    def _openapi(self) -> Reply:
        max_k = self._options.max_k
        document = openapi(
            indexes=list(self._retrievers),
            max_queries=self._options.max_queries,
            max_k=max_k if min(self._sizes.values()) > max_k else None,
            secured=self._authorization is not None,
        )
        return _json(HTTPStatus.OK, document)

    def _indexes(self) -> Reply:
        indexes = [
            {"name": name, "fingerprint": batcher.retriever.fingerprint}
            for name, batcher in self._batchers.items()
        ]
        return _json(HTTPStatus.OK, {"indexes": indexes})


def _authorize(scope: Scope, expected: bytes) -> None:
    given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    scheme, _, token = given.partition(b" ")
    if not hmac.compare_digest(scheme.lower() + b" " + token.strip(), expected):
        raise RefusedError(
            HTTPStatus.UNAUTHORIZED,
            "expected the header 'Authorization: Bearer TOKEN' with the token of this service",
            ((b"www-authenticate", b"Bearer"),),
        )


def _json(status: HTTPStatus, content: object) -> Reply:
    return status, _JSON, orjson.dumps(content)
