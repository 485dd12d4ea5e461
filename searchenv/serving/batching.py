"""Pools the searches of many requests: one thread, one batched search at a time.

While a search runs, requests gather; the next search takes all of them. So an idle service answers
at once, and a busy one searches in larger and larger batches, without a timer. ``max_wait_ms`` adds
a wait for more company where an engine gains a lot from large batches.

Queues are bounded, every request has a deadline, and one whose client is gone is not searched.
"""

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from searchenv.retrieval import DegradedHits, Retriever
from searchenv.serving.metrics import IndexMetrics
from searchenv.serving.wire import RefusedError
from searchenv.types import Hit

__all__ = ["BatchOptions", "Batcher"]

logger = logging.getLogger(__name__)

_SWEEP_S = 0.05
_RETRY_AFTER = (b"retry-after", b"1")

Answers = list[list[Hit]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How requests are pooled.

    Raises:
        ValueError: a value is out of range.
    """

    max_batch: int = 64
    """A search takes further requests until it holds this many queries."""
    max_wait_ms: float = 0.0
    """How long a search that follows a batch waits for as many queries again; 0: not at all. A
    request that finds the service idle never waits."""
    max_queue: int = 4096
    """Queries that may be unanswered at a time; more are refused with 429."""
    deadline_s: float = 30.0
    """A request that is not answered by then gets 504."""
    remember: int = 16_384
    """Latest answers that are kept in memory; an index never changes, so they stay true."""

    def __post_init__(self) -> None:
        """Checks the ranges."""
        for name, least in (("max_batch", 1), ("max_queue", 1), ("max_wait_ms", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be >= {least}, got {getattr(self, name)}")
        if self.deadline_s <= 0:
            raise ValueError(f"deadline_s must be > 0, got {self.deadline_s}")
        if self.remember < 0:
            raise ValueError(f"remember must be >= 0, got {self.remember}")


@dataclass(slots=True, eq=False)
class _Pending:
    queries: Sequence[str]
    k: int
    answers: asyncio.Future[Answers]
    deadline: float
    receive: Receive
    watcher: asyncio.Task[None] | None = field(default=None)


class Batcher:
    """The queue and the search thread of one index; lives in one event loop.

    Args:
        retriever: what to search; only the thread of this batcher calls it.
        options: how requests are pooled.
        metrics: counts.
    """

    def __init__(self, retriever: Retriever, options: BatchOptions, metrics: IndexMetrics) -> None:
        self.retriever = retriever
        self._options = options
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._queued = 0  # queries in the queue; touched by the event loop only
        self._waiting: deque[_Pending] = deque()  # the unanswered, oldest first
        self._sweeping = False
        self._remembered: dict[tuple[int, str], list[Hit]] = {}
        self._busy_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="search", daemon=True)

    async def start(self) -> None:
        """Opens the index by a first search, in the thread; raises what that raises."""
        opened: asyncio.Future[Answers] = self._loop.create_future()
        self._thread.start()
        self._put(_Pending(["warm up"], 1, opened, float("inf"), _never))
        await opened

    async def stop(self, timeout_s: float) -> None:
        """Ends the thread after what is queued, or leaves it behind after ``timeout_s``."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, timeout_s)

    @property
    def stuck(self) -> bool:
        """Whether one search has run for longer than a request may wait."""
        since = self._busy_since
        return since is not None and time.monotonic() - since > self._options.deadline_s

    async def search(self, queries: Sequence[str], k: int, receive: Receive) -> Answers:
        """Returns the hits of each query.

        Args:
            queries: what to search.
            k: hits a query.
            receive: the request's; a client that hangs up is noticed through it.

        Raises:
            RefusedError: the queue is full (429), or the deadline passed (504).
            ConnectionResetError: the client is gone.
        """
        known = [self._remembered.get((k, query)) for query in queries]
        if None not in known:
            self._metrics.remembered.inc(len(queries))
            return known  # type: ignore[return-value]  # None was excluded
        if self._queued and self._queued + len(queries) > self._options.max_queue:
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{self._queued} queries are unanswered: try again later",
                (_RETRY_AFTER,),
            )
        answers: asyncio.Future[Answers] = self._loop.create_future()
        deadline = self._loop.time() + self._options.deadline_s
        pending = _Pending(queries, k, answers, deadline, receive)
        self._put(pending)
        self._waiting.append(pending)
        if not self._sweeping:
            self._sweeping = True
            self._loop.call_later(_SWEEP_S, self._sweep)
        return await answers

    def _put(self, pending: _Pending) -> None:
        self._queued += len(pending.queries)
        self._queue.put(pending)

    def _sweep(self) -> None:
        """Ends what is past its deadline; watches the clients of what waits for long."""
        now = self._loop.time()
        waiting = self._waiting
        while waiting and (waiting[0].answers.done() or waiting[0].deadline <= now):
            pending = waiting.popleft()
            if not pending.answers.done():
                pending.answers.set_exception(
                    RefusedError(
                        HTTPStatus.GATEWAY_TIMEOUT,
                        f"no answer within {self._options.deadline_s:g} s",
                    )
                )
        long_ago = now + self._options.deadline_s - _SWEEP_S
        for pending in waiting:
            if pending.deadline > long_ago:
                break  # most are answered before it pays to watch their clients
            if pending.watcher is None and not pending.answers.done():
                pending.watcher = self._loop.create_task(_watch(pending))
        self._sweeping = bool(waiting)
        if waiting:
            self._loop.call_later(_SWEEP_S, self._sweep)

    # The rest runs in the search thread.

    def _run(self) -> None:
        expected = 0
        while True:
            batch, stop = self._take(expected)
            expected = self._answer(batch)
            if stop:
                return

    def _take(self, expected: int) -> tuple[list[_Pending], bool]:
        """Waits for a request and takes those beside it; the flag says that it is the end."""
        batch: list[_Pending] = []
        size = 0
        wait_until: float | None = None
        while size < self._options.max_batch:
            try:
                pending = self._queue.get(timeout=None) if not batch else self._next(wait_until)
            except queue.Empty:
                break
            if pending is None:
                return batch, True
            batch.append(pending)
            size += len(pending.queries)
            if wait_until is None and size < expected:
                wait_until = time.monotonic() + self._options.max_wait_ms / 1000
            elif size >= expected:
                wait_until = None
        return batch, False

    def _next(self, wait_until: float | None) -> _Pending | None:
        left = 0.0 if wait_until is None else wait_until - time.monotonic()
        return self._queue.get(timeout=left) if left > 0 else self._queue.get_nowait()

    def _answer(self, batch: Sequence[_Pending]) -> int:
        """Searches for a batch, once for each k, and returns how many queries it held."""
        groups: dict[int, list[_Pending]] = {}
        size = sum(len(pending.queries) for pending in batch)
        for pending in batch:
            if not pending.answers.done():
                groups.setdefault(pending.k, []).append(pending)
        results: list[tuple[_Pending, Answers | BaseException]] = []
        new: dict[tuple[int, str], list[Hit]] = {}
        for k, group in groups.items():
            found = self._search(list({q: None for p in group for q in p.queries}), k)
            if isinstance(found, BaseException):
                results += [(pending, found) for pending in group]
                continue
            new |= {
                (k, query): hits
                for query, hits in found.items()
                if not isinstance(hits, DegradedHits)
            }
            results += [(p, [found[query] for query in p.queries]) for p in group]
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._deliver, results, new, size)
        return size if len(batch) > 1 else 0

    def _search(self, queries: list[str], k: int) -> dict[str, list[Hit]] | BaseException:
        self._busy_since = started = time.monotonic()
        try:
            found = self.retriever.search(queries, k)
            return dict(zip(queries, found, strict=True))
        except Exception as error:  # boundary of a request: its client is told
            logger.exception("a search of %d queries failed", len(queries))
            return error
        finally:
            self._busy_since = None
            self._metrics.batch(len(queries), time.monotonic() - started)

    # Back in the event loop.

    def _deliver(
        self,
        results: Sequence[tuple[_Pending, Answers | BaseException]],
        new: dict[tuple[int, str], list[Hit]],
        size: int,
    ) -> None:
        self._queued -= size
        self._remember(new)
        for pending, found in results:
            if pending.answers.done():
                continue
            if isinstance(found, BaseException):
                pending.answers.set_exception(found)
            else:
                pending.answers.set_result(found)

    def _remember(self, new: dict[tuple[int, str], list[Hit]]) -> None:
        remembered = self._remembered
        if self._options.remember:
            remembered.update(new)
            for _ in range(len(remembered) - self._options.remember):
                del remembered[next(iter(remembered))]


async def _watch(pending: _Pending) -> None:
    """Ends a request when its client hangs up."""
    pending.answers.add_done_callback(lambda _: pending.watcher and pending.watcher.cancel())
    while (await pending.receive())["type"] != "http.disconnect":
        pass
    if not pending.answers.done():
        pending.answers.set_exception(ConnectionResetError("the client hung up"))


async def _never() -> MutableMapping[str, Any]:
    await asyncio.Event().wait()
    return {"type": "http.disconnect"}
