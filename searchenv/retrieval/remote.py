"""A retriever on another machine: the client of ``searchenv serve`` and of its look-alikes.

A reply that is late, broken, short or not what its format promises is a failed attempt, never an
empty result. A failed attempt is repeated, on the next replica where there are several, until the
deadline or the number of retries is reached; then :class:`searchenv.errors.RetrievalError` says
what happened. It is marked as not worth repeating, so a driver ends the episode as truncated at
once: within ``deadline_s`` of the search, all waits included.

Threads that call :meth:`RemoteRetriever.search` share one event loop in the background: only a loop
can hold an exchange to a deadline whatever the other side does, byte by byte.
"""

import asyncio
import json
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from weakref import WeakKeyDictionary

from searchenv.errors import RetrievalError
from searchenv.retrieval.background import in_background
from searchenv.retrieval.ranking import checked
from searchenv.retrieval.remote_formats import (
    PATHS,
    BadReplyError,
    Wire,
    read_reply,
    request_body,
)
from searchenv.types import Hit

if TYPE_CHECKING:
    import httpx

__all__ = ["RemoteRetriever", "Wire", "open_remote"]

_MAX_QUERIES = 512  # a request; the service takes 1,024 unless told otherwise
_MAX_K = 2**31 - 1
_FIRST_WAIT_S = 0.05
_LONGEST_WAIT_S = 2.0
_FIRST_REST_S = 1.0
_LONGEST_REST_S = 60.0
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # the same request may succeed later


class RemoteRetriever:
    """Searches over HTTP.

    It can be pickled, shared by threads and inherited by forks: connections belong to an event loop
    of one process, and are made when needed. Proxies that the environment names are not used.

    Args:
        urls: the service, or its replicas, such as ``http://host:8000``. They take turns; one that
            failed rests for some seconds, unless all of them do.
        index: the name of an index there; None: the service's first.
        wire: the format of the service.
        token: sent as ``Authorization: Bearer ...``.
        timeout_s: for one attempt.
        deadline_s: for one search: all attempts and waits together.
        retries: attempts after the first, at least 0.

    Raises:
        ValueError: a URL is none, or a number is out of range.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        index: str | None = None,
        wire: Wire | str = Wire.V1,
        token: str | None = None,
        timeout_s: float = 10.0,
        deadline_s: float = 30.0,
        retries: int = 8,
    ) -> None:
        if not (timeout_s > 0 and deadline_s > 0 and retries >= 0):
            raise ValueError(
                "expected timeout_s > 0, deadline_s > 0 and retries >= 0, "
                f"got {timeout_s}, {deadline_s} and {retries}"
            )
        self.wire = Wire(wire)
        given = [urls] if isinstance(urls, str) else urls
        self.urls = tuple(_base(url, PATHS[self.wire]) for url in given)
        if not self.urls:
            raise ValueError("expected at least one URL, got none")
        self.index = index
        self.timeout_s = timeout_s
        self.deadline_s = deadline_s
        self.retries = retries
        self._headers = {"content-type": "application/json"}
        if token is not None:
            self._headers["authorization"] = f"Bearer {token.strip()}"
        self._fingerprint: str | None = None
        self._replicas = _Replicas(self.urls)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_replicas": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._replicas = _Replicas(self.urls)

    @property
    def fingerprint(self) -> str:
        """The index's own, asked once; other wires have none: then format, first URL and name.

        Raises:
            RetrievalError: the service does not tell it.
        """
        if self._fingerprint is None and self.wire is Wire.V1:
            in_background(self._ask([], 1, self._deadline()))
        elif self._fingerprint is None:
            self._fingerprint = f"{self.wire} {self.urls[0]} {self.index or ''}".rstrip()
        return self._fingerprint or ""

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Returns up to ``k`` hits for each query; see :class:`searchenv.retrieval.Retriever`.

        Raises:
            RetrievalError: no attempt succeeded.
        """
        texts, k = checked(queries, k)
        return in_background(self._search(texts, k)) if texts else []

    async def asearch(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Returns what :meth:`search` does, in the event loop of the caller."""
        texts, k = checked(queries, k)
        return await self._search(texts, k) if texts else []

    async def aclose(self) -> None:
        """Closes the connections of this event loop; all remote retrievers in it share them."""
        client = _clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def _deadline(self) -> float:
        return time.monotonic() + self.deadline_s

    async def _search(self, texts: list[str], k: int) -> list[list[Hit]]:
        deadline = self._deadline()
        hits: list[list[Hit]] = []
        for start in range(0, len(texts), _MAX_QUERIES):
            part = texts[start : start + _MAX_QUERIES]
            hits += await self._ask(part, min(k, _MAX_K), deadline)
        return hits

    async def _ask(self, queries: list[str], k: int, deadline: float) -> list[list[Hit]]:
        """Returns the hits of one request, tried again while that may help."""
        body = json.dumps(request_body(self.wire, queries, k, self.index)).encode()
        failures: list[str] = []
        for attempt in range(self.retries + 1):
            replica = self._replicas.next()
            try:
                timeout_s = min(self.timeout_s, deadline - time.monotonic())
                reply = await self._reply(replica.url, body, timeout_s)
                found = read_reply(self.wire, reply, len(queries), k)
                self._check_fingerprint(found.fingerprint)
            except (_AttemptError, BadReplyError) as error:
                failures.append(f"{replica.url}: {error}")
                wait_s = self._replicas.failed(replica, attempt, getattr(error, "wait_s", 0.0))
                if time.monotonic() + wait_s >= deadline:
                    break
                await asyncio.sleep(wait_s)
            else:
                replica.failures = 0
                return found.hits
        last = "; ".join(dict.fromkeys(failures[-3:]))
        raise RetrievalError(f"{len(failures)} attempts failed; the last: {last}", retryable=False)

    async def _reply(self, url: str, body: bytes, timeout_s: float) -> object:
        """Returns the JSON of one exchange."""
        import httpx

        try:
            async with asyncio.timeout(timeout_s):
                response = await _client().post(
                    url + PATHS[self.wire], content=body, headers=self._headers
                )
        except TimeoutError:
            raise _AttemptError(f"no answer within {timeout_s:.1f} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _AttemptError(f"{type(error).__name__}: {error}") from error
        if response.status_code in _PASSING:
            raise _AttemptError(_status(response), _retry_after(response))
        if response.status_code != 200:
            raise RetrievalError(f"{url}: {_status(response)}", retryable=False)
        try:
            return response.json()
        except ValueError as error:
            raise _AttemptError(f"the reply is not JSON: {error}") from error

    def _check_fingerprint(self, found: str | None) -> None:
        if found is None:
            return
        if self._fingerprint is None:
            self._fingerprint = found
        elif found != self._fingerprint:
            raise BadReplyError(
                f"expected the index {self._fingerprint}, got an answer from {found}: replicas "
                "must serve the same index, and a retriever keeps to the one it met first"
            )


def open_remote(url: str) -> RemoteRetriever:
    """Returns a retriever for ``http://host:port`` or ``http://host:port/INDEX``.

    The token, where the service asks for one, is taken from ``SEARCHENV_TOKEN``.
    """
    parts = urlsplit(url)
    base, index = f"{parts.scheme}://{parts.netloc}", unquote(parts.path.strip("/"))
    return RemoteRetriever(base, index=index or None, token=os.environ.get("SEARCHENV_TOKEN"))


class _AttemptError(Exception):
    """One attempt failed; another one, after ``wait_s``, may succeed."""

    def __init__(self, message: str, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


@dataclass(slots=True)
class _Replica:
    url: str
    failures: int = 0
    """In a row."""
    rests_until: float = 0.0


class _Replicas:
    """Takes turns among the replicas that work."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._random = random.Random()  # spreads load and retries; no result depends on it
        self._replicas = [_Replica(url) for url in urls]
        self._turn = self._random.randrange(len(urls))

    def next(self) -> _Replica:
        """Returns the next that does not rest, or the one that rests the shortest."""
        self._turn = (self._turn + 1) % len(self._replicas)
        order = self._replicas[self._turn :] + self._replicas[: self._turn]
        now = time.monotonic()
        return min(order, key=lambda replica: max(replica.rests_until, now))

    def failed(self, replica: _Replica, attempt: int, wait_s: float) -> float:
        """Lets a replica rest; returns how long to wait before the next attempt, on any."""
        now = time.monotonic()
        rest_s = min(_FIRST_REST_S * 2.0**replica.failures, _LONGEST_REST_S)
        replica.failures += 1
        replica.rests_until = now + max(rest_s, wait_s)
        if any(other.rests_until <= now for other in self._replicas):
            return 0.0
        backoff_s = min(_FIRST_WAIT_S * 2.0**attempt, _LONGEST_WAIT_S)
        return max(wait_s, backoff_s * self._random.uniform(0.5, 1.0))


_clients: "WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient]" = WeakKeyDictionary()


def _client() -> "httpx.AsyncClient":
    """Returns the connections of this event loop."""
    import httpx

    loop = asyncio.get_running_loop()
    client = _clients.get(loop)
    if client is None:
        # attempts have a deadline of their own; a proxy has no business between trainer and index
        client = _clients[loop] = httpx.AsyncClient(timeout=None, trust_env=False)
    return client


def _base(url: str, path: str) -> str:
    """Returns a URL without the path of its format, which some write and some do not."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"expected a URL such as http://127.0.0.1:8000, got {url!r}")
    return url.rstrip("/").removesuffix(path)


def _status(response: "httpx.Response") -> str:
    """Returns what an error response says, shortened."""
    return f"HTTP {response.status_code}: {' '.join(response.text.split())[:200]}"


def _retry_after(response: "httpx.Response") -> float:
    """Returns the seconds that a server asks to wait; it may also name a date: then 0."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdecimal() else 0.0
