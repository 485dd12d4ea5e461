"""Search on the live web, through a search service and, where wanted, the pages themselves."""

import json
import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from searchenv.errors import BudgetExceededError, MissingDependencyError, RetrievalError
from searchenv.retrieval.composition import derived_fingerprint
from searchenv.retrieval.ranking import checked
from searchenv.retrieval.web_apis import SearchApi, WebResult
from searchenv.retrieval.web_pages import PageFetcher, read_within
from searchenv.retrieval.web_text import shorten
from searchenv.types import Hit, Passage

if TYPE_CHECKING:
    import httpx

__all__ = ["WebRetriever"]

logger = logging.getLogger(__name__)

_AT_ONCE = 8
_MAX_REPLY_BYTES = 8_000_000
_MAX_QUERY_CHARS = 2_000
"""Services refuse or cut longer ones."""
_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 8.0
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # the same request may succeed later


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a request failed."""

    reason: str
    passing: bool
    """Whether the same request may succeed later."""
    wait_s: float | None = None
    """What the service asks to wait."""


class WebRetriever:
    """Searches the web, one request a query, several at a time.

    The id of a passage is its address, its text the service's snippet or, with ``pages``, the
    stretch of the page that holds most words of the query. Services give an order but no scores, so
    the score is 1 / rank. What the web says changes: put a
    :class:`searchenv.retrieval.CachedRetriever` or a
    :class:`searchenv.retrieval.RecordingRetriever` round it where runs must repeat.

    A request that fails in passing is repeated, after a random and growing wait or the one that the
    service asks for. When no repetition helps, or the deadline passes, the whole batch fails. A
    page that cannot be had is no failure: its hit keeps the snippet, and ``failed_pages`` counts.

    Args:
        api: the service.
        max_requests: the most requests that this object may send to it, repetitions included.
        pages: fetches the pages of the hits; None: snippets only.
        max_chars: of a passage's text.
        deadline_s: for a batch, pages included.
        retries: repetitions of one request.

    Raises:
        MissingDependencyError: httpx is not installed.
        ValueError: a number is out of range.
    """

    def __init__(
        self,
        api: SearchApi,
        *,
        max_requests: int,
        pages: PageFetcher | None = None,
        max_chars: int = 2_000,
        deadline_s: float = 30.0,
        retries: int = 2,
    ) -> None:
        if min(max_requests, max_chars) < 1 or deadline_s <= 0 or retries < 0:
            raise ValueError(
                "expected max_requests >= 1, max_chars >= 1, deadline_s > 0 and retries >= 0, got "
                f"{max_requests}, {max_chars}, {deadline_s} and {retries}"
            )
        try:
            import httpx  # noqa: F401
        except ImportError as error:
            raise MissingDependencyError(
                f'web search needs httpx: pip install "searchenv[web]" ({error})'
            ) from error
        self.api = api
        self.max_requests = max_requests
        self.pages = pages
        self.max_chars = max_chars
        self.deadline_s = deadline_s
        self.retries = retries
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._requests = self._failed_pages = 0
        self._client: httpx.Client | None = None
        self._client_of = 0
        self._jitter = random.Random()

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_")}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._reset()

    @property
    def fingerprint(self) -> str:
        """Identifies service and settings; the web behind them has no fingerprint."""
        limit = None if self.pages is None else self.pages.max_bytes
        return derived_fingerprint(
            "web", [self.api.fingerprint], pages=limit, max_chars=self.max_chars
        )

    @property
    def requests(self) -> int:
        """Returns how many requests were sent to the service, by this object."""
        return self._requests

    @property
    def failed_pages(self) -> int:
        """Returns how many pages could not be had, by this object."""
        return self._failed_pages

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Returns up to ``k`` hits for each query; see :class:`searchenv.retrieval.Retriever`.

        Raises:
            BudgetExceededError: the batch has more queries than ``max_requests`` leaves.
        """
        texts, k = checked(queries, k)
        deadline = time.monotonic() + self.deadline_s
        wanted = [text for text in dict.fromkeys(texts) if any(map(str.isalnum, text))]
        if not wanted:
            return [[] for _ in texts]
        self._spend(len(wanted))
        pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="searchenv-web")
        try:
            asked = {text: pool.submit(self._ask, text, k, deadline) for text in wanted}
            wait(asked.values(), max(deadline - time.monotonic(), 0))
            found = {text: self._answer(future)[:k] for text, future in asked.items()}
            read = self._read_pages(pool, found, deadline)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # what is late ends at its own timeout
        return [self._hits(text, found.get(text, []), read) for text in texts]

    def close(self) -> None:
        """Closes the connections; the next search opens new ones."""
        with self._lock:
            if self._client is not None and self._client_of == os.getpid():
                self._client.close()
            self._client = None
        if self.pages is not None:
            self.pages.close()

    def _spend(self, count: int) -> None:
        with self._lock:
            left = self.max_requests - self._requests
            if count > left:
                raise BudgetExceededError(
                    f"{count} more web requests were asked for, {left} of {self.max_requests} are "
                    "left: raise max_requests, or cache results",
                    retryable=False,
                )
            self._requests += count

    def _answer(self, future: "Future[list[WebResult]]") -> list[WebResult]:
        if not future.done():
            raise RetrievalError(
                f"{self.api.fingerprint} did not answer within {self.deadline_s} s", retryable=False
            )
        return future.result()

    def _ask(self, text: str, k: int, deadline: float) -> list[WebResult]:
        """Returns the results of one query, for which one request is paid."""
        tries = 1
        while True:
            outcome = self._try(text, k, deadline)
            if not isinstance(outcome, _Failure):
                return outcome
            pause = self._pause(outcome, tries)
            late = time.monotonic() + pause > deadline
            if late or not outcome.passing or tries > self.retries:
                raise RetrievalError(
                    f"web search failed, {tries} requests were sent: {outcome.reason}",
                    retryable=False,
                )
            time.sleep(pause)
            self._spend(1)
            tries += 1

    def _pause(self, failure: _Failure, tries: int) -> float:
        if failure.wait_s is not None:
            return failure.wait_s
        longest: float = min(_FIRST_WAIT_S * 2 ** (tries - 1), _LONGEST_WAIT_S)
        return longest * self._jitter.uniform(0.5, 1.0)

    def _try(self, text: str, k: int, deadline: float) -> list[WebResult] | _Failure:
        """Sends one request."""
        import httpx

        request = self.api.request(text[:_MAX_QUERY_CHARS], k)
        try:
            with self._open().stream(
                request.method,
                request.url,
                params=request.params,
                headers=request.headers,
                json=request.body,
                timeout=max(deadline - time.monotonic(), 0.001),
            ) as response:
                if response.status_code != 200:
                    return self._refused(response)
                content = read_within(response, _MAX_REPLY_BYTES, deadline)
            reply = json.loads(content)
            if not isinstance(reply, dict):
                raise ValueError(f"expected a JSON object, got {reply!r:.60}")
            return self.api.results(reply)
        except (httpx.HTTPError, OSError) as error:
            return _Failure(f"{request.url}: {type(error).__name__}: {error}", passing=True)
        except ValueError as error:
            return _Failure(f"{request.url} gave a reply of the wrong shape: {error}", passing=True)

    def _open(self) -> "httpx.Client":
        with self._lock:
            if self._client is None or self._client_of != os.getpid():
                import httpx

                self._client = httpx.Client()
                self._client_of = os.getpid()
                weakref.finalize(self, self._client.close)
            return self._client

    def _refused(self, response: "httpx.Response") -> _Failure:
        status = response.status_code
        address = response.url.copy_with(query=None)
        hint = self.api.hints.get(status)
        reason = f"{address} answered {status}" + (f": {hint}" if hint else "")
        after = response.headers.get("retry-after", "")
        seconds = float(after) if after.isdecimal() else None
        return _Failure(reason, passing=status in _PASSING, wait_s=seconds)

    def _read_pages(
        self, pool: ThreadPoolExecutor, found: Mapping[str, list[WebResult]], deadline: float
    ) -> dict[str, str]:
        """Returns the texts of those pages that could be had in time, by address."""
        if self.pages is None:
            return {}
        urls = dict.fromkeys(result.url for results in found.values() for result in results)
        fetched = {url: pool.submit(self.pages.fetch, url) for url in urls}
        wait(fetched.values(), max(deadline - time.monotonic(), 0))
        texts: dict[str, str] = {}
        for url, future in fetched.items():
            if future.done() and future.exception() is None:
                texts[url] = future.result()
            else:
                reason = future.exception() if future.done() else "late"
                logger.info("kept the snippet of %.200s: %s", url, reason)
        with self._lock:
            self._failed_pages += len(urls) - len(texts)
        return texts

    def _hits(
        self, query: str, results: Sequence[WebResult], pages: Mapping[str, str]
    ) -> list[Hit]:
        return [
            Hit(
                Passage(
                    result.url,
                    result.title,
                    shorten(pages.get(result.url) or result.snippet, query, self.max_chars),
                ),
                1 / rank,
                rank,
            )
            for rank, result in enumerate(results, start=1)
        ]
